// PIPE: a pipe, of ordinary descriptors or of slots of the file table (6.16). Follows io_uring/openclose.c.

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "assay/mocks/sim/operations/direct_descriptor.h"
#include "assay/mocks/sim/operations/finish.h"
#include "assay/mocks/sim/operations/operation.h"
#include "assay/mocks/sim/user_memory.h"

namespace assay::internal {

namespace {

constexpr std::uint32_t kAnySlot = ~0u;                                            // IORING_FILE_INDEX_ALLOC
constexpr std::uint32_t kKnownFlags = O_CLOEXEC | O_NONBLOCK | O_DIRECT | O_EXCL;  // O_EXCL: a notification pipe

/// Both ends into the file table: two slots in a row, or any two. `fds` becomes the slots.
int install_both(SimRing& ring, std::uint32_t file_index, std::int32_t (&fds)[2]) {
  const std::uint32_t indices[2] = {file_index, file_index == kAnySlot ? kAnySlot : file_index + 1};
  std::int32_t slots[2];
  for (int end = 0; end < 2; ++end) {
    slots[end] = ring.install_direct_file(indices[end], fds[end]);
    if (slots[end] < 0) {
      if (end == 1) ring.close_fixed_file(file_index == kAnySlot ? static_cast<unsigned>(slots[0]) : file_index - 1);
      return slots[end];
    }
  }
  fds[0] = slots[0];
  fds[1] = slots[1];
  return 0;
}

int prepare_pipe(SimRing&, Request& request) {
  const io_uring_sqe& sqe = request.sqe();
  if (sqe.fd != 0 || sqe.off != 0 || sqe.addr3 != 0) return -EINVAL;
  return static_cast<std::uint32_t>(sqe.rw_flags) & ~kKnownFlags ? -EINVAL : 0;
}

Outcome issue_pipe(SimRing& ring, Request& request) {
  const io_uring_sqe& sqe = request.sqe();
  std::int32_t ends[2];
  if (::pipe2(ends, sqe.rw_flags) != 0) return finish(ring, request, -errno);
  std::int32_t told[2] = {ends[0], ends[1]};
  int result = 0;
  if (sqe.file_index != 0) {
    result = (sqe.rw_flags & O_CLOEXEC) != 0 ? -EINVAL : install_both(ring, sqe.file_index, told);
  }
  if (result == 0 && !copy_to_user(sqe.addr, told, sizeof told)) result = -EFAULT;
  if (sqe.file_index != 0 || result != 0) {
    ::close(ends[0]);
    ::close(ends[1]);
  }
  return finish(ring, request, result);
}

}  // namespace

extern const Operation kPipe = {.prepare = prepare_pipe, .issue = issue_pipe};

}  // namespace assay::internal
