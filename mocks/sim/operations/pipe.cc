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

/// Both ends into the file table: two slots in a row, or any two. `slots` becomes what is told of them.
int install_both(SimRing& ring, std::uint32_t file_index, const std::int32_t (&ends)[2], std::int32_t (&slots)[2]) {
  const bool chosen = file_index == kAnySlot;
  slots[0] = slots[1] = -1;
  for (std::uint32_t end = 0; end < 2; ++end) {
    const std::uint32_t index = chosen ? kAnySlot : file_index + end;
    const int slot = ring.install_direct_file(index, ends[end]);
    if (slot < 0) return slot;
    // A slot that was asked for is 0 to whoever installs it, and some kernels took that for its number.
    slots[end] = chosen || !ring.world().semantics().pipe_tells_slots ? slot : static_cast<std::int32_t>(index - 1);
  }
  return 0;
}

/// Empties what are held to be the pipe's slots.
void remove_both(SimRing& ring, const std::int32_t (&slots)[2]) {
  for (const std::int32_t slot : slots) {
    if (slot >= 0) ring.close_fixed_file(static_cast<unsigned>(slot));
  }
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
  int result = 0;
  if (sqe.file_index == 0) {
    if (!copy_to_user(sqe.addr, ends, sizeof ends)) result = -EFAULT;
  } else if ((sqe.rw_flags & O_CLOEXEC) != 0) {
    result = -EINVAL;
  } else {
    std::int32_t slots[2];
    result = install_both(ring, sqe.file_index, ends, slots);
    if (result == 0 && !copy_to_user(sqe.addr, slots, sizeof slots)) result = -EFAULT;
    if (result != 0) remove_both(ring, slots);
  }
  if (sqe.file_index != 0 || result != 0) {
    ::close(ends[0]);
    ::close(ends[1]);
  }
  return finish(ring, request, result);
}

}  // namespace

extern const Operation kPipe = {.prepare = prepare_pipe, .issue = issue_pipe};

}  // namespace assay::internal
