// What changes directories: RENAMEAT, UNLINKAT, MKDIRAT, SYMLINKAT and LINKAT. Follows io_uring/fs.c.
//
// All of them always go to a worker, and all take ordinary directories only. The paths are copied at submission.

#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "assay/mocks/sim/operations/finish.h"
#include "assay/mocks/sim/operations/operation.h"
#include "assay/mocks/sim/user_memory.h"

namespace assay::internal {

namespace {

int copy_paths(Request& request) {
  if (const int error = copy_path_from_user(&request.path, request.sqe().addr); error != 0) return error;
  return copy_path_from_user(&request.other_path, request.sqe().addr2);
}

std::int64_t result_of(long value) { return value < 0 ? -errno : value; }

int prepare_renameat(SimRing&, Request& request) {
  const io_uring_sqe& sqe = request.sqe();
  if (sqe.buf_index != 0 || sqe.splice_fd_in != 0) return -EINVAL;
  if (sqe.flags & IOSQE_FIXED_FILE) return -EBADF;
  return copy_paths(request);
}

Outcome issue_renameat(SimRing& ring, Request& request) {
  const io_uring_sqe& sqe = request.sqe();
  return finish_without_cutting(
      ring, request,
      result_of(::syscall(SYS_renameat2, sqe.fd, request.path.c_str(), static_cast<std::int32_t>(sqe.len),
                          request.other_path.c_str(), sqe.rename_flags)));
}

int prepare_unlinkat(SimRing&, Request& request) {
  const io_uring_sqe& sqe = request.sqe();
  if (sqe.off != 0 || sqe.len != 0 || sqe.buf_index != 0 || sqe.splice_fd_in != 0) return -EINVAL;
  if (sqe.flags & IOSQE_FIXED_FILE) return -EBADF;
  if (sqe.unlink_flags & ~std::uint32_t{AT_REMOVEDIR}) return -EINVAL;
  return copy_path_from_user(&request.path, sqe.addr);
}

Outcome issue_unlinkat(SimRing& ring, Request& request) {
  const io_uring_sqe& sqe = request.sqe();
  return finish_without_cutting(
      ring, request, result_of(::unlinkat(sqe.fd, request.path.c_str(), static_cast<int>(sqe.unlink_flags))));
}

int prepare_mkdirat(SimRing&, Request& request) {
  const io_uring_sqe& sqe = request.sqe();
  if (sqe.off != 0 || sqe.rw_flags != 0 || sqe.buf_index != 0 || sqe.splice_fd_in != 0) return -EINVAL;
  if (sqe.flags & IOSQE_FIXED_FILE) return -EBADF;
  return copy_path_from_user(&request.path, sqe.addr);
}

Outcome issue_mkdirat(SimRing& ring, Request& request) {
  const io_uring_sqe& sqe = request.sqe();
  return finish_without_cutting(ring, request,
                                result_of(::mkdirat(sqe.fd, request.path.c_str(), static_cast<mode_t>(sqe.len))));
}

int prepare_symlinkat(SimRing&, Request& request) {
  const io_uring_sqe& sqe = request.sqe();
  if (sqe.len != 0 || sqe.rw_flags != 0 || sqe.buf_index != 0 || sqe.splice_fd_in != 0) return -EINVAL;
  if (sqe.flags & IOSQE_FIXED_FILE) return -EBADF;
  return copy_paths(request);
}

Outcome issue_symlinkat(SimRing& ring, Request& request) {
  return finish_without_cutting(
      ring, request, result_of(::symlinkat(request.path.c_str(), request.sqe().fd, request.other_path.c_str())));
}

int prepare_linkat(SimRing&, Request& request) {
  const io_uring_sqe& sqe = request.sqe();
  if (sqe.buf_index != 0 || sqe.splice_fd_in != 0) return -EINVAL;
  if (sqe.flags & IOSQE_FIXED_FILE) return -EBADF;
  const bool may_be_empty = (sqe.hardlink_flags & AT_EMPTY_PATH) != 0;
  const int error = copy_path_from_user(&request.path, sqe.addr);
  if (error != 0 && !(error == -ENOENT && may_be_empty)) return error;
  return copy_path_from_user(&request.other_path, sqe.addr2);
}

Outcome issue_linkat(SimRing& ring, Request& request) {
  const io_uring_sqe& sqe = request.sqe();
  return finish_without_cutting(ring, request,
                                result_of(::linkat(sqe.fd, request.path.c_str(), static_cast<std::int32_t>(sqe.len),
                                                   request.other_path.c_str(), static_cast<int>(sqe.hardlink_flags))));
}

}  // namespace

extern const Operation kRenameat = {.prepare = prepare_renameat, .issue = issue_renameat, .always_in_worker = true};
extern const Operation kUnlinkat = {.prepare = prepare_unlinkat, .issue = issue_unlinkat, .always_in_worker = true};
extern const Operation kMkdirat = {.prepare = prepare_mkdirat, .issue = issue_mkdirat, .always_in_worker = true};
extern const Operation kSymlinkat = {.prepare = prepare_symlinkat, .issue = issue_symlinkat, .always_in_worker = true};
extern const Operation kLinkat = {.prepare = prepare_linkat, .issue = issue_linkat, .always_in_worker = true};

}  // namespace assay::internal
