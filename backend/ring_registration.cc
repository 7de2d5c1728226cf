// Ring's registrations: io_uring_register(2) with the arguments filled in.

#include "assay/backend/ring.h"

#include <cerrno>
#include <vector>

namespace assay {

int Ring::register_op(unsigned opcode, void* arg, unsigned nr_args) noexcept {
  if (ring_.ring_fd >= 0) return kernel_->register_op(ring_.ring_fd, opcode, arg, nr_args);
  return kernel_->register_op(ring_.enter_ring_fd, opcode | uapi::kRegisterUseRegisteredRing, arg, nr_args);
}

int Ring::register_files(std::span<const int> fds) noexcept {
  return register_op(IORING_REGISTER_FILES, const_cast<int*>(fds.data()), static_cast<unsigned>(fds.size()));
}

int Ring::register_files_sparse(unsigned count) noexcept {
  io_uring_rsrc_register sparse{};
  sparse.nr = count;
  sparse.flags = IORING_RSRC_REGISTER_SPARSE;
  const int result = register_op(IORING_REGISTER_FILES2, &sparse, sizeof(sparse));
  if (result != -EINVAL || count == 0) return result;
  const std::vector<int> empty(count, -1);
  return register_files(empty);
}

int Ring::update_files(unsigned offset, std::span<const int> fds) noexcept {
  io_uring_rsrc_update update{};
  update.offset = offset;
  update.data = reinterpret_cast<std::uint64_t>(fds.data());
  return register_op(IORING_REGISTER_FILES_UPDATE, &update, static_cast<unsigned>(fds.size()));
}

int Ring::unregister_files() noexcept { return register_op(IORING_UNREGISTER_FILES, nullptr, 0); }

int Ring::register_buffers(std::span<const iovec> buffers) noexcept {
  return register_op(IORING_REGISTER_BUFFERS, const_cast<iovec*>(buffers.data()),
                     static_cast<unsigned>(buffers.size()));
}

int Ring::unregister_buffers() noexcept { return register_op(IORING_UNREGISTER_BUFFERS, nullptr, 0); }

int Ring::register_eventfd(int event_fd) noexcept { return register_op(IORING_REGISTER_EVENTFD, &event_fd, 1); }

int Ring::unregister_eventfd() noexcept { return register_op(IORING_UNREGISTER_EVENTFD, nullptr, 0); }

int Ring::register_probe(io_uring_probe* probe, unsigned ops) noexcept {
  return register_op(IORING_REGISTER_PROBE, probe, ops);
}

int Ring::enable() noexcept { return register_op(IORING_REGISTER_ENABLE_RINGS, nullptr, 0); }

int Ring::register_ring_fd() noexcept {
  if (ring_fd_registered_) return -EEXIST;
  io_uring_rsrc_update update{};
  update.offset = ~0u;  // any free index
  update.data = static_cast<std::uint64_t>(ring_.ring_fd);
  const int result = register_op(IORING_REGISTER_RING_FDS, &update, 1);
  if (result != 1) return result < 0 ? result : -EINVAL;
  ring_.enter_ring_fd = static_cast<int>(update.offset);
  ring_.int_flags |= kIntFlagRegisteredRing;
  enter_flags_ = IORING_ENTER_REGISTERED_RING;
  ring_fd_registered_ = true;
  return 0;
}

int Ring::unregister_ring_fd() noexcept {
  if (!ring_fd_registered_) return -EINVAL;
  io_uring_rsrc_update update{};
  update.offset = static_cast<unsigned>(ring_.enter_ring_fd);
  const int result = register_op(IORING_UNREGISTER_RING_FDS, &update, 1);
  if (result < 0) return result;
  ring_.enter_ring_fd = ring_.ring_fd;
  ring_.int_flags &= static_cast<std::uint8_t>(~kIntFlagRegisteredRing);
  enter_flags_ = 0;
  ring_fd_registered_ = false;
  return 0;
}

}  // namespace assay
