// io_uring_register(2), as far as one ring is concerned. Follows io_uring/register.c; files and
// buffers stand in registration/.

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "assay/mocks/sim/operations/operation.h"
#include "assay/mocks/sim/registration/query.h"
#include "assay/mocks/sim/ring.h"
#include "assay/mocks/sim/user_memory.h"

namespace assay::internal {

namespace {

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
  if (const int error = may_register(opcode); error != 0) return error;
  switch (opcode) {
    case IORING_REGISTER_BUFFERS:
      return arg == nullptr ? -EFAULT : register_buffers(UserArray<iovec>(arg), count, kNoTags);
    case IORING_UNREGISTER_BUFFERS:
      return arg != nullptr || count != 0 ? -EINVAL : unregister_buffers();
    case IORING_REGISTER_FILES:
      return arg == nullptr ? -EFAULT : register_files(UserArray<std::int32_t>(arg), count, kNoTags);
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
    case IORING_REGISTER_BUFFERS_UPDATE:
      return update_buffers(arg, count);
    case IORING_REGISTER_FILE_ALLOC_RANGE:
      return set_file_alloc_range(arg, count);
    case uapi::kRegisterCloneBuffers:
      return clone_buffers(arg, count);
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
    case IORING_REGISTER_PERSONALITY:
      return arg != nullptr || count != 0 ? -EINVAL : personalities_.add();
    case IORING_UNREGISTER_PERSONALITY:
      return arg != nullptr ? -EINVAL : personalities_.remove(count);
    case IORING_REGISTER_RESTRICTIONS:
      return register_restrictions(arg, count);
    case IORING_REGISTER_IOWQ_AFF:
      return arg == nullptr || count == 0 ? -EINVAL : register_worker_affinity(arg, count);
    case IORING_UNREGISTER_IOWQ_AFF:
      return arg != nullptr || count != 0 ? -EINVAL : 0;
    case IORING_REGISTER_IOWQ_MAX_WORKERS:
      return arg == nullptr || count != 2 ? -EINVAL : register_max_workers(arg);
    case uapi::kRegisterNapi:
      return arg == nullptr || count != 1 ? -EINVAL : register_napi(arg);
    case uapi::kUnregisterNapi:
      return count != 1 ? -EINVAL : unregister_napi(arg);
    case uapi::kRegisterClock:
      return arg == nullptr || count != 0 ? -EINVAL : register_clock(arg);
    case uapi::kRegisterResizeRings:
      return arg == nullptr || count != 1 ? -EINVAL : resize(arg);
    case uapi::kRegisterMemRegion:
      return arg == nullptr || count != 1 ? -EINVAL : register_memory_region(arg);
    case uapi::kRegisterQuery:
      return answer_queries(world_.profile(), arg, count);
    case IORING_REGISTER_ENABLE_RINGS:
      return arg != nullptr || count != 0 ? -EINVAL : enable();
    case IORING_REGISTER_PBUF_RING:
      return register_buffer_ring(arg, count);
    case IORING_UNREGISTER_PBUF_RING:
      return unregister_buffer_ring(arg, count);
    case uapi::kRegisterPbufStatus:
      return buffer_ring_status(arg, count);
    case IORING_REGISTER_SYNC_CANCEL:
      return arg == nullptr || count != 1 ? -EINVAL : sync_cancel(arg);
    default:
      return -EINVAL;
  }
}

int SimRing::may_register(unsigned opcode) const {
  if (issued_by_other()) return -EEXIST;
  return restrictions_.forbids_registration(opcode) ? -EACCES : 0;
}

int SimRing::register_restrictions(const void* arg, unsigned count) {
  if (!disabled_) return -EBADFD;
  if (restrictions_.registered()) return -EBUSY;
  return restrictions_.parse(world_.profile(), arg, count);
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
  eventfd_told_deferred_ = false;
  return 0;
}

int SimRing::probe(void* arg, unsigned count) {
  if (arg == nullptr || count > 256) return -EINVAL;
  const std::size_t bytes = sizeof(io_uring_probe) + count * sizeof(io_uring_probe_op);
  // In words, which are as aligned as the structure wants to be.
  std::vector<std::uint64_t> copy(bytes / sizeof(std::uint64_t));
  if (!copy_from_user(copy.data(), arg, bytes)) return -EFAULT;
  // Whatever the caller left there is refused, so that kernels may read it one day.
  if (std::any_of(copy.begin(), copy.end(), [](std::uint64_t word) { return word != 0; })) return -EINVAL;
  auto* probe = reinterpret_cast<io_uring_probe*>(copy.data());
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
  return copy_to_user(reinterpret_cast<std::uint64_t>(arg), copy.data(), bytes) ? 0 : -EFAULT;
}

int SimRing::enable() {
  if (!disabled_) return -EBADFD;
  disabled_ = false;
  restrictions_.enforce();
  become_issuer();
  return 0;
}

int SimRing::sync_cancel(void* arg) {
  uapi::SyncCancel request{};
  if (!copy_from_user(&request, arg, sizeof request)) return -EFAULT;
  const bool by_op = world_.profile().semantics.cancel_by_op;
  std::uint32_t known =
      IORING_ASYNC_CANCEL_ALL | IORING_ASYNC_CANCEL_FD | IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_FD_FIXED;
  if (by_op) known |= uapi::kAsyncCancelUserdata | uapi::kAsyncCancelOp;
  if (request.flags & ~known) return -EINVAL;
  const auto used = [](auto word) { return word != 0; };
  if (std::any_of(std::begin(request.pad), std::end(request.pad), used) ||
      std::any_of(std::begin(request.pad2), std::end(request.pad2), used) || (!by_op && request.opcode != 0)) {
    return -EINVAL;
  }
  CancelMatch match;
  match.user_data = request.addr;
  match.flags = request.flags;
  match.opcode = request.opcode;
  if (request.flags & IORING_ASYNC_CANCEL_FD) {
    const bool fixed = (request.flags & IORING_ASYNC_CANCEL_FD_FIXED) != 0;
    match.fd = fixed ? fixed_file(static_cast<unsigned>(request.fd)) : request.fd;
    if (match.fd < 0 || ::fcntl(match.fd, F_GETFD) < 0) return -EBADF;
  }
  // A request that is being carried out would be waited for; a simulated worker is never caught at it.
  return cancel(match, nullptr);
}

}  // namespace assay::internal
