#include <fcntl.h>

#include <cerrno>

#include "assay/mocks/sim/operations/operation.h"
#include "assay/mocks/sim/ring.h"

namespace assay::internal {

namespace {

std::uint32_t known_flags(const SimWorld& world) {
  std::uint32_t known = 0;
  const Semantics& semantics = world.profile().semantics;
  if (semantics.cancel_matching) known |= IORING_ASYNC_CANCEL_ALL | IORING_ASYNC_CANCEL_FD | IORING_ASYNC_CANCEL_ANY;
  if (semantics.cancel_matching && world.is_since(6, 0)) known |= IORING_ASYNC_CANCEL_FD_FIXED;
  if (semantics.cancel_by_op) known |= uapi::kAsyncCancelUserdata | uapi::kAsyncCancelOp;
  return known;
}

int prepare_async_cancel(SimRing& ring, Request& request) {
  const io_uring_sqe& sqe = request.sqe();
  const std::uint32_t flags = sqe.cancel_flags;
  if (sqe.off != 0 || (ring.world().is_since(5, 15) && sqe.splice_fd_in != 0)) return -EINVAL;
  if (flags & ~known_flags(ring.world())) return -EINVAL;
  if (flags & IORING_ASYNC_CANCEL_ANY) {
    if (flags & (IORING_ASYNC_CANCEL_FD | uapi::kAsyncCancelOp)) return -EINVAL;
  }
  // Before there were flags the opcode's other fields had to be clear.
  if (!ring.world().profile().semantics.cancel_matching && (sqe.len != 0 || sqe.ioprio != 0)) return -EINVAL;
  return 0;
}

Outcome issue_async_cancel(SimRing& ring, Request& request) {
  CancelMatch match;
  match.user_data = request.sqe().addr;
  match.flags = request.sqe().cancel_flags;
  match.opcode = static_cast<std::uint8_t>(request.sqe().len);
  if (match.flags & IORING_ASYNC_CANCEL_FD) {
    const bool fixed =
        (request.sqe().flags & IOSQE_FIXED_FILE) != 0 || (match.flags & IORING_ASYNC_CANCEL_FD_FIXED) != 0;
    match.fd = fixed ? ring.fixed_file(static_cast<unsigned>(request.sqe().fd)) : request.sqe().fd;
    if (match.fd < 0 || ::fcntl(match.fd, F_GETFD) < 0) {
      ring.fail(request);
      request.result = -EBADF;
      return Outcome::kDone;
    }
  }
  request.result = ring.cancel(match, &request);
  if (request.result < 0) ring.fail(request);
  return Outcome::kDone;
}

}  // namespace

extern const Operation kAsyncCancel = {.prepare = prepare_async_cancel, .issue = issue_async_cancel};

}  // namespace assay::internal
