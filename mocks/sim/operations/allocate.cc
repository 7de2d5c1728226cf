// FALLOCATE and FTRUNCATE, which change how long a file is. Follows io_uring/sync.c and io_uring/truncate.c.

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "assay/mocks/sim/operations/finish.h"
#include "assay/mocks/sim/operations/operation.h"

namespace assay::internal {

namespace {

int prepare_fallocate(SimRing& ring, Request& request) {
  const io_uring_sqe& sqe = request.sqe();
  return sqe.buf_index != 0 || sqe.rw_flags != 0 || has_second_descriptor(ring, sqe) ? -EINVAL : 0;
}

Outcome issue_fallocate(SimRing& ring, Request& request) {
  const io_uring_sqe& sqe = request.sqe();
  const int result =
      ::fallocate(request.fd, static_cast<int>(sqe.len), static_cast<off_t>(sqe.off), static_cast<off_t>(sqe.addr));
  return finish_without_cutting(ring, request, result < 0 ? -errno : 0);
}

int prepare_ftruncate(SimRing&, Request& request) {
  const io_uring_sqe& sqe = request.sqe();
  const bool clean = sqe.rw_flags == 0 && sqe.addr == 0 && sqe.len == 0 && sqe.buf_index == 0 &&
                     sqe.splice_fd_in == 0 && sqe.addr3 == 0;
  return clean ? 0 : -EINVAL;
}

Outcome issue_ftruncate(SimRing& ring, Request& request) {
  const int result = ::ftruncate(request.fd, static_cast<off_t>(request.sqe().off));
  return finish_without_cutting(ring, request, result < 0 ? -errno : 0);
}

}  // namespace

extern const Operation kFallocate = {
    .prepare = prepare_fallocate, .issue = issue_fallocate, .needs_file = true, .always_in_worker = true};
extern const Operation kFtruncate = {
    .prepare = prepare_ftruncate, .issue = issue_ftruncate, .needs_file = true, .always_in_worker = true};

}  // namespace assay::internal
