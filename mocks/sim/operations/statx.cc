// STATX. Follows io_uring/statx.c.

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "assay/mocks/sim/operations/finish.h"
#include "assay/mocks/sim/operations/operation.h"
#include "assay/mocks/sim/user_memory.h"

namespace assay::internal {

namespace {

int prepare_statx(SimRing& ring, Request& request) {
  const io_uring_sqe& sqe = request.sqe();
  if (sqe.buf_index != 0 || has_second_descriptor(ring, sqe)) return -EINVAL;
  if (sqe.flags & IOSQE_FIXED_FILE) return -EBADF;
  const int error = copy_path_from_user(&request.path, sqe.addr);
  const bool may_be_empty = (sqe.statx_flags & AT_EMPTY_PATH) != 0;
  return error == -ENOENT && may_be_empty ? 0 : error;
}

// The library's statx(2) has a type of its own for the mask and the buffer; ours are the caller's as they stand.
Outcome issue_statx(SimRing& ring, Request& request) {
  const io_uring_sqe& sqe = request.sqe();
  const long result = ::syscall(SYS_statx, sqe.fd, request.path.c_str(), sqe.statx_flags, sqe.len, sqe.addr2);
  return finish_without_cutting(ring, request, result < 0 ? -errno : 0);
}

}  // namespace

extern const Operation kStatx = {.prepare = prepare_statx, .issue = issue_statx, .always_in_worker = true};

}  // namespace assay::internal
