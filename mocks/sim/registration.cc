// io_uring_register(2), as far as one ring is concerned. Follows io_uring/register.c and io_uring/rsrc.c.

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <string_view>
#include <utility>

#include "assay/mocks/sim/operations/operation.h"
#include "assay/mocks/sim/ring.h"
#include "assay/mocks/sim/user_memory.h"

namespace assay::internal {

namespace {

constexpr unsigned kMaxFixedFiles = 1u << 20;
constexpr unsigned kMaxFixedFilesBefore513 = 1u << 15;
constexpr unsigned kMaxBuffers = 1u << 14;
constexpr std::size_t kMaxBufferBytes = std::size_t{1} << 30;
constexpr std::int32_t kEmptySlot = -1;
constexpr std::int32_t kSkipSlot = -2;  // IORING_REGISTER_FILES_SKIP

/// Asks /proc; without it, any fd has to do.
bool is_eventfd(int fd) {
  char target[64];
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  const ssize_t length = ::readlink(link.c_str(), target, sizeof target);
  return length < 0 || std::string_view(target, static_cast<std::size_t>(length)) == "anon_inode:[eventfd]";
}

}  // namespace

int SimRing::register_op(unsigned opcode, void* arg, unsigned count) {
  if (opcode >= 256 || !world_.profile().register_ops[opcode]) return -EINVAL;
  if (issued_by_other()) return -EEXIST;
  switch (opcode) {
    case IORING_REGISTER_BUFFERS:
      return arg == nullptr ? -EFAULT : register_buffers(arg, count);
    case IORING_UNREGISTER_BUFFERS: {
      if (arg != nullptr || count != 0) return -EINVAL;
      if (!has_buffers_) return -ENXIO;
      buffers_.clear();
      has_buffers_ = false;
      return 0;
    }
    case IORING_REGISTER_FILES:
      return arg == nullptr ? -EFAULT : register_files(arg, count);
    case IORING_UNREGISTER_FILES:
      return arg != nullptr || count != 0 ? -EINVAL : unregister_files();
    case IORING_REGISTER_FILES_UPDATE:
      return files_update(arg, count);
    case IORING_REGISTER_FILES2:
      return register_files2(arg, count);
    case IORING_REGISTER_FILES_UPDATE2:
      return files_update2(arg, count);
    case IORING_REGISTER_BUFFERS2:
      return register_buffers2(arg, count);
    case IORING_REGISTER_EVENTFD:
      return register_eventfd(arg, count, false);
    case IORING_REGISTER_EVENTFD_ASYNC:
      return register_eventfd(arg, count, true);
    case IORING_UNREGISTER_EVENTFD: {
      if (arg != nullptr || count != 0) return -EINVAL;
      if (!eventfd_) return -ENXIO;
      eventfd_.reset();
      return 0;
    }
    case IORING_REGISTER_PROBE:
      return probe(arg, count);
    case IORING_REGISTER_ENABLE_RINGS:
      return arg != nullptr || count != 0 ? -EINVAL : enable();
    case IORING_REGISTER_SYNC_CANCEL:
      return arg == nullptr || count != 1 ? -EINVAL : sync_cancel(arg);
    default:
      return -EINVAL;
  }
}

int SimRing::register_buffers(void* arg, unsigned count) {
  if (has_buffers_) return -EBUSY;
  if (count == 0 || count > kMaxBuffers) return -EINVAL;
  if (!is_user_memory(arg, count * sizeof(iovec))) return -EFAULT;
  const auto* vector = static_cast<const iovec*>(arg);
  for (unsigned index = 0; index < count; ++index) {
    const bool sparse = vector[index].iov_base == nullptr;
    if (sparse && (vector[index].iov_len != 0 || !world_.has_feature(IORING_FEAT_RSRC_TAGS))) return -EFAULT;
    if (!sparse && (vector[index].iov_len == 0 || vector[index].iov_len > kMaxBufferBytes)) return -EFAULT;
    if (!is_user_memory(vector[index].iov_base, vector[index].iov_len)) return -EFAULT;
  }
  buffers_.assign(vector, vector + count);
  has_buffers_ = true;
  return 0;
}

int SimRing::register_buffers2(void* arg, unsigned bytes) {
  io_uring_rsrc_register request{};
  if (bytes != sizeof request) return -EINVAL;
  if (!copy_from_user(&request, arg, sizeof request)) return -EFAULT;
  if (request.nr == 0 || request.resv2 != 0) return -EINVAL;
  const bool sparse = (request.flags & IORING_RSRC_REGISTER_SPARSE) != 0;
  if (request.flags & ~(world_.is_since(5, 19) ? IORING_RSRC_REGISTER_SPARSE : 0u)) return -EINVAL;
  if (request.tags != 0) return -EINVAL;  // tags are not modelled
  if (sparse) {
    if (request.data != 0) return -EINVAL;
    if (has_buffers_) return -EBUSY;
    if (request.nr > kMaxBuffers) return -EINVAL;
    buffers_.assign(request.nr, iovec{});
    has_buffers_ = true;
    return 0;
  }
  return register_buffers(reinterpret_cast<void*>(request.data), request.nr);
}

int SimRing::register_files(const void* fds, unsigned count) {
  if (has_files_) return -EBUSY;
  if (count == 0) return -EINVAL;
  const bool wide = world_.has_feature(IORING_FEAT_RSRC_TAGS);
  if (count > (wide ? kMaxFixedFiles : kMaxFixedFilesBefore513)) return -EMFILE;
  if (wide) {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) == 0 && count > limit.rlim_cur) return -EMFILE;
  }
  if (fds != nullptr && !is_user_memory(fds, count * sizeof(std::int32_t))) return -EFAULT;
  std::vector<Descriptor> files(count);
  const auto* numbers = static_cast<const std::int32_t*>(fds);
  for (unsigned index = 0; numbers != nullptr && index < count; ++index) {
    if (numbers[index] == kEmptySlot) continue;
    if (world_.find(numbers[index]) != nullptr) return -EBADF;  // a ring would hold itself alive
    files[index] = Descriptor::duplicate(numbers[index]);
    if (!files[index]) return errno == EBADF ? -EBADF : -ENOMEM;
  }
  files_ = std::move(files);
  has_files_ = true;
  return 0;
}

int SimRing::register_files2(void* arg, unsigned bytes) {
  io_uring_rsrc_register request{};
  if (bytes != sizeof request) return -EINVAL;
  if (!copy_from_user(&request, arg, sizeof request)) return -EFAULT;
  if (request.nr == 0 || request.resv2 != 0) return -EINVAL;
  if (request.flags & ~(world_.is_since(5, 19) ? IORING_RSRC_REGISTER_SPARSE : 0u)) return -EINVAL;
  if (request.tags != 0) return -EINVAL;  // tags are not modelled
  if ((request.flags & IORING_RSRC_REGISTER_SPARSE) && request.data != 0) return -EINVAL;
  return register_files(reinterpret_cast<const void*>(request.data), request.nr);
}

int SimRing::unregister_files() {
  if (!has_files_) return -ENXIO;
  files_.clear();
  has_files_ = false;
  return 0;
}

int SimRing::update_files(std::uint32_t offset, const std::int32_t* fds, unsigned count) {
  if (!has_files_) return -ENXIO;
  std::uint32_t end;
  if (__builtin_add_overflow(offset, count, &end)) return -EOVERFLOW;
  if (end > files_.size()) return -EINVAL;
  if (!is_user_memory(fds, count * sizeof(std::int32_t))) return -EFAULT;
  int done = 0;
  for (unsigned index = 0; index < count; ++index, ++done) {
    int error = 0;
    if (fds[index] == kSkipSlot && world_.has_feature(IORING_FEAT_RSRC_TAGS)) continue;
    Descriptor file;
    if (fds[index] != kEmptySlot) {
      if (world_.find(fds[index]) != nullptr) error = -EBADF;
      if (error == 0) file = Descriptor::duplicate(fds[index]);
      if (error == 0 && !file) error = errno == EBADF ? -EBADF : -ENOMEM;
    }
    if (error != 0) return done > 0 ? done : error;
    files_[offset + index] = std::move(file);
  }
  return done;
}

int SimRing::files_update(void* arg, unsigned count) {
  io_uring_files_update update{};
  if (count == 0) return -EINVAL;
  if (!copy_from_user(&update, arg, sizeof update)) return -EFAULT;
  if (update.resv != 0) return -EINVAL;
  return update_files(update.offset, reinterpret_cast<const std::int32_t*>(update.fds), count);
}

int SimRing::files_update2(void* arg, unsigned bytes) {
  io_uring_rsrc_update2 update{};
  if (bytes != sizeof update) return -EINVAL;
  if (!copy_from_user(&update, arg, sizeof update)) return -EFAULT;
  if (update.nr == 0 || update.resv != 0 || update.resv2 != 0) return -EINVAL;
  if (update.tags != 0) return -EINVAL;  // tags are not modelled
  return update_files(update.offset, reinterpret_cast<const std::int32_t*>(update.data), update.nr);
}

int SimRing::install_fixed_file(unsigned slot, int fd) {
  if (!has_files_) return -ENXIO;
  if (slot >= files_.size()) return -EINVAL;
  Descriptor file = Descriptor::duplicate(fd);
  if (!file) return -ENOMEM;
  files_[slot] = std::move(file);
  return 0;
}

int SimRing::close_fixed_file(unsigned slot) {
  if (!has_files_) return -ENXIO;
  if (slot >= files_.size()) return -EINVAL;
  if (!files_[slot]) return -EBADF;
  files_[slot].reset();
  return 0;
}

int SimRing::register_eventfd(void* arg, unsigned count, bool only_async) {
  if (count != 1) return -EINVAL;
  if (eventfd_) return -EBUSY;
  std::int32_t fd;
  if (!copy_from_user(&fd, arg, sizeof fd)) return -EFAULT;
  Descriptor file = Descriptor::duplicate(fd);
  if (!file) return -errno;
  if (!is_eventfd(file.get())) return -EINVAL;
  eventfd_ = std::move(file);
  eventfd_only_async_ = only_async;
  return 0;
}

int SimRing::probe(void* arg, unsigned count) {
  if (arg == nullptr || count > 256) return -EINVAL;
  auto* probe = static_cast<io_uring_probe*>(arg);
  // Whatever the caller left there is refused, so that kernels may read it one day.
  const std::size_t bytes = sizeof(io_uring_probe) + count * sizeof(io_uring_probe_op);
  if (!is_user_memory(arg, bytes)) return -EFAULT;
  const auto* raw = static_cast<const unsigned char*>(arg);
  if (std::any_of(raw, raw + bytes, [](unsigned char byte) { return byte != 0; })) return -EINVAL;
  const auto& opcodes = world_.profile().opcodes;
  unsigned last = 0;
  for (unsigned opcode = 0; opcode < opcodes.size(); ++opcode) {
    if (opcodes[opcode]) last = opcode;
  }
  probe->last_op = static_cast<std::uint8_t>(last);
  const unsigned filled = std::min(count, last + 1);
  for (unsigned opcode = 0; opcode < filled; ++opcode) {
    probe->ops[opcode].op = static_cast<std::uint8_t>(opcode);
    if (opcodes[opcode]) probe->ops[opcode].flags = IO_URING_OP_SUPPORTED;
  }
  probe->ops_len = static_cast<std::uint8_t>(filled);
  return 0;
}

int SimRing::enable() {
  if (!disabled_) return -EBADFD;
  disabled_ = false;
  become_issuer();
  return 0;
}

int SimRing::sync_cancel(void* arg) {
  io_uring_sync_cancel_reg request{};
  if (!copy_from_user(&request, arg, sizeof request)) return -EFAULT;
  std::uint32_t known =
      IORING_ASYNC_CANCEL_ALL | IORING_ASYNC_CANCEL_FD | IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_FD_FIXED;
  if (world_.profile().semantics.cancel_by_op) known |= uapi::kAsyncCancelUserdata | uapi::kAsyncCancelOp;
  if (request.flags & ~known) return -EINVAL;
  CancelMatch match;
  match.user_data = request.addr;
  match.flags = request.flags;
  if (request.flags & IORING_ASYNC_CANCEL_FD) {
    const bool fixed = (request.flags & IORING_ASYNC_CANCEL_FD_FIXED) != 0;
    match.fd = fixed ? fixed_file(static_cast<unsigned>(request.fd)) : request.fd;
    if (match.fd < 0 || ::fcntl(match.fd, F_GETFD) < 0) return -EBADF;
  }
  // A request that is being carried out would be waited for; a simulated worker is never caught at it.
  return cancel(match, nullptr);
}

}  // namespace assay::internal
