// FIXED_FD_INSTALL: an ordinary descriptor for what is in a slot of the file table (6.8). Follows io_uring/openclose.c.

#include <fcntl.h>

#include <cerrno>

#include "assay/mocks/sim/operations/finish.h"
#include "assay/mocks/sim/operations/operation.h"

namespace assay::internal {

namespace {

int prepare_fixed_fd_install(SimRing&, Request& request) {
  const io_uring_sqe& sqe = request.sqe();
  const bool clean =
      sqe.off == 0 && sqe.addr == 0 && sqe.len == 0 && sqe.buf_index == 0 && sqe.splice_fd_in == 0 && sqe.addr3 == 0;
  if (!clean) return -EINVAL;
  if (!(sqe.flags & IOSQE_FIXED_FILE)) return -EBADF;
  if ((static_cast<std::uint32_t>(sqe.rw_flags) & ~uapi::kFixedFdNoCloexec) != 0) return -EINVAL;
  // The descriptor is the task's own, so nobody else may make it.
  return request.credentials != nullptr ? -EPERM : 0;
}

Outcome issue_fixed_fd_install(SimRing& ring, Request& request) {
  const bool stays_open = (static_cast<std::uint32_t>(request.sqe().rw_flags) & uapi::kFixedFdNoCloexec) != 0;
  const int fd = ::fcntl(request.fd, stays_open ? F_DUPFD : F_DUPFD_CLOEXEC, 0);
  return finish(ring, request, fd < 0 ? -errno : fd);
}

}  // namespace

extern const Operation kFixedFdInstall = {
    .prepare = prepare_fixed_fd_install, .issue = issue_fixed_fd_install, .needs_file = true};

}  // namespace assay::internal
