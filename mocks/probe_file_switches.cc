// What operations on files, and waits for futexes, do: no feature bit tells.

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "assay/backend/uapi.h"
#include "assay/mocks/probe_trial.h"

namespace assay::internal {
namespace {

/// Opens a directory into a slot of a file table that is not there. What an older kernel opens instead is closed.
std::optional<int> try_open_direct(Kernel& kernel, std::uint32_t file_index) {
  const std::optional<int> result = try_sqe(kernel, [file_index](io_uring_sqe& sqe) {
    sqe.opcode = IORING_OP_OPENAT;
    sqe.fd = AT_FDCWD;
    sqe.addr = reinterpret_cast<std::uintptr_t>("/");
    sqe.open_flags = O_RDONLY | O_DIRECTORY;
    sqe.file_index = file_index;
  });
  if (result && *result >= 0) ::close(*result);
  return result;
}

std::optional<int> try_statx(Kernel& kernel, std::int32_t second_descriptor) {
  struct statx status;
  return try_sqe(kernel, [&status, second_descriptor](io_uring_sqe& sqe) {
    sqe.opcode = IORING_OP_STATX;
    sqe.fd = AT_FDCWD;
    sqe.addr = reinterpret_cast<std::uintptr_t>("/");
    sqe.addr2 = reinterpret_cast<std::uintptr_t>(&status);
    sqe.len = STATX_TYPE;
    sqe.splice_fd_in = second_descriptor;  // file_index, by its other name
  });
}

/// STATX with a field that means nothing to it, where STATX itself is there.
Verdict try_second_descriptor(Kernel& kernel) {
  if (try_statx(kernel, 0) != 0) return std::nullopt;
  const std::optional<int> result = try_statx(kernel, 1);
  return result ? Verdict(*result == -EINVAL) : std::nullopt;
}

/// A wait for a futex that nobody wakes, for a nanosecond.
Verdict try_limited_futex(Kernel& kernel) {
  constexpr std::uint64_t kLimit = 2;
  static constexpr __kernel_timespec kNanosecond = {0, 1};
  static constexpr std::uint32_t kWord = 0;
  Result<Ring> ring = Ring::create(kernel, {.sq_entries = 4});
  if (!ring) return std::nullopt;
  io_uring_sqe* wait = ring->get_sqe();
  *wait = {};
  wait->opcode = uapi::kOpFutexWait;
  wait->flags = IOSQE_IO_LINK;
  wait->fd = 2 | 128;  // 32 bits, private
  wait->addr = reinterpret_cast<std::uintptr_t>(&kWord);
  wait->addr3 = ~std::uint32_t{0};
  wait->user_data = 1;
  io_uring_sqe* limit = ring->get_sqe();
  *limit = {};
  limit->opcode = IORING_OP_LINK_TIMEOUT;
  limit->fd = -1;
  limit->addr = reinterpret_cast<std::uintptr_t>(&kNanosecond);
  limit->len = 1;
  limit->user_data = kLimit;
  if (ring->submit() < 1) return std::nullopt;
  for (const TrialCompletion& completion : run_trial(*ring, 2)) {
    if (completion.user_data != kLimit) continue;
    // Anything else than these two is of a kernel without such waits.
    if (completion.res == -ETIME) return true;
    if (completion.res == 1) return false;
  }
  return std::nullopt;
}

/// A read that would block, of a file that is not to block.
Verdict try_nonblocking_read(Kernel& kernel) {
  const TrialFds pipe = TrialFds::pipe(O_NONBLOCK);
  char byte = 0;
  const iovec buffer{&byte, 1};
  Result<Ring> ring = Ring::create(kernel, {.sq_entries = 4});
  if (!pipe || !ring) return std::nullopt;
  io_uring_sqe& read = next_sqe(*ring, IORING_OP_READV, 1);
  read.fd = pipe[0];
  read.addr = reinterpret_cast<std::uintptr_t>(&buffer);
  read.len = 1;
  if (ring->submit() != 1) return std::nullopt;
  const bool waits = ring->peek_cqe() == nullptr;
  // The read must not outlive its buffer: a ring goes away some time after it is closed.
  if (waits && ::write(pipe[1], "x", 1) == 1) run_trial(*ring, 1);
  return waits;
}

/// What a pipe cannot be is synced, and a NOP is linked to that.
Verdict try_failed_fsync(Kernel& kernel) {
  const TrialFds pipe = TrialFds::pipe();
  Result<Ring> ring = Ring::create(kernel, {.sq_entries = 4});
  if (!pipe || !ring) return std::nullopt;
  io_uring_sqe& sync = next_sqe(*ring, IORING_OP_FSYNC, 1);
  sync.fd = pipe[0];
  sync.flags = IOSQE_IO_LINK;
  next_sqe(*ring, IORING_OP_NOP, 2);
  const std::vector<TrialCompletion> completions = run_trial(*ring, 2);
  const auto synced = find_completion(completions, 1);
  const auto next = find_completion(completions, 2);
  if (!synced || synced->res != -EINVAL || !next) return std::nullopt;
  return next->res == -ECANCELED;
}

/// A pipe into two slots of a file table.
Verdict try_pipe_slots(Kernel& kernel) {
  Result<Ring> ring = Ring::create(kernel, {.sq_entries = 4});
  const std::array<std::int32_t, 4> nothing = {-1, -1, -1, -1};
  if (!ring || ring->register_files(nothing) != 0) return std::nullopt;
  std::array<std::int32_t, 2> told = {-1, -1};
  io_uring_sqe& pipe = next_sqe(*ring, uapi::kOpPipe, 1);
  pipe.fd = 0;
  pipe.addr = reinterpret_cast<std::uintptr_t>(told.data());
  pipe.file_index = 2;  // counted from one
  const auto made = find_completion(run_trial(*ring, 1), 1);
  if (!made || made->res != 0) return std::nullopt;
  return told[0] == 1 && told[1] == 2;
}

}  // namespace

std::vector<SwitchTrial> try_file_switches(Kernel& kernel) {
  const std::optional<int> at_slot = try_open_direct(kernel, 1);
  const std::optional<int> anywhere = try_open_direct(kernel, IORING_FILE_INDEX_ALLOC);
  return {
      {&Semantics::nonblocking_files_wait, try_nonblocking_read(kernel)},
      {&Semantics::failed_fsync_cuts_chain, try_failed_fsync(kernel)},
      {&Semantics::direct_descriptors, at_slot ? Verdict(*at_slot == -ENXIO) : std::nullopt},
      {&Semantics::direct_allocation, anywhere ? Verdict(*anywhere == -ENFILE) : std::nullopt},
      {&Semantics::pipe_tells_slots, try_pipe_slots(kernel)},
      {&Semantics::second_descriptor_refused, try_second_descriptor(kernel)},
      {&Semantics::link_timeout_tells_etime, try_limited_futex(kernel)},
  };
}

}  // namespace assay::internal
