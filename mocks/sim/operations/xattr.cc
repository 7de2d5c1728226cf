// Extended attributes: FSETXATTR, SETXATTR, FGETXATTR and GETXATTR. Follows io_uring/xattr.c.
//
// The name and the value to set are copied at submission, the path of SETXATTR and GETXATTR too.

#include <linux/limits.h>
#include <sys/xattr.h>

#include <cerrno>
#include <cstring>

#include "assay/mocks/sim/operations/finish.h"
#include "assay/mocks/sim/operations/operation.h"
#include "assay/mocks/sim/user_memory.h"

namespace assay::internal {

namespace {

/// Names are 1 to 255 characters; else -ERANGE.
int copy_name(Request& request) {
  const int error = copy_path_from_user(&request.other_path, request.sqe().addr);
  if (error == -ENOENT || error == -ENAMETOOLONG) return -ERANGE;
  if (error != 0) return error;
  return request.other_path.size() > XATTR_NAME_MAX ? -ERANGE : 0;
}

// Only where the operation is on a path is an index of the file table refused; before 6.13 everywhere.
bool refuses_fixed_file(SimRing& ring, const io_uring_sqe& sqe, bool by_path) {
  return (sqe.flags & IOSQE_FIXED_FILE) != 0 && (by_path || !ring.world().is_since(6, 13));
}

int prepare_get(SimRing& ring, Request& request, bool by_path) {
  const io_uring_sqe& sqe = request.sqe();
  if (refuses_fixed_file(ring, sqe, by_path)) return -EBADF;
  if (sqe.xattr_flags != 0) return -EINVAL;
  if (const int error = copy_name(request); error != 0) return error;
  return by_path ? copy_path_from_user(&request.path, sqe.addr3) : 0;
}

int prepare_set(SimRing& ring, Request& request, bool by_path) {
  const io_uring_sqe& sqe = request.sqe();
  if (refuses_fixed_file(ring, sqe, by_path)) return -EBADF;
  if (sqe.xattr_flags & ~std::uint32_t{XATTR_CREATE | XATTR_REPLACE}) return -EINVAL;
  if (const int error = copy_name(request); error != 0) return error;
  if (sqe.len > XATTR_SIZE_MAX) return -E2BIG;
  request.bytes.resize(sqe.len);
  if (!copy_from_user(request.bytes.data(), sqe.addr2, sqe.len)) return -EFAULT;
  return by_path ? copy_path_from_user(&request.path, sqe.addr3) : 0;
}

int prepare_fsetxattr(SimRing& ring, Request& request) { return prepare_set(ring, request, false); }
int prepare_setxattr(SimRing& ring, Request& request) { return prepare_set(ring, request, true); }
int prepare_fgetxattr(SimRing& ring, Request& request) { return prepare_get(ring, request, false); }
int prepare_getxattr(SimRing& ring, Request& request) { return prepare_get(ring, request, true); }

Outcome issue_fsetxattr(SimRing& ring, Request& request) {
  const int result = ::fsetxattr(request.fd, request.other_path.c_str(), request.bytes.data(), request.bytes.size(),
                                 static_cast<int>(request.sqe().xattr_flags));
  return finish_without_cutting(ring, request, result < 0 ? -errno : 0);
}

Outcome issue_setxattr(SimRing& ring, Request& request) {
  const int result = ::setxattr(request.path.c_str(), request.other_path.c_str(), request.bytes.data(),
                                request.bytes.size(), static_cast<int>(request.sqe().xattr_flags));
  return finish_without_cutting(ring, request, result < 0 ? -errno : 0);
}

Outcome issue_fgetxattr(SimRing& ring, Request& request) {
  const io_uring_sqe& sqe = request.sqe();
  const ssize_t result =
      ::fgetxattr(request.fd, request.other_path.c_str(), reinterpret_cast<void*>(sqe.addr2), sqe.len);
  return finish_without_cutting(ring, request, result < 0 ? -errno : result);
}

Outcome issue_getxattr(SimRing& ring, Request& request) {
  const io_uring_sqe& sqe = request.sqe();
  const ssize_t result =
      ::getxattr(request.path.c_str(), request.other_path.c_str(), reinterpret_cast<void*>(sqe.addr2), sqe.len);
  return finish_without_cutting(ring, request, result < 0 ? -errno : result);
}

}  // namespace

extern const Operation kFsetxattr = {
    .prepare = prepare_fsetxattr, .issue = issue_fsetxattr, .needs_file = true, .always_in_worker = true};
extern const Operation kSetxattr = {.prepare = prepare_setxattr, .issue = issue_setxattr, .always_in_worker = true};
extern const Operation kFgetxattr = {
    .prepare = prepare_fgetxattr, .issue = issue_fgetxattr, .needs_file = true, .always_in_worker = true};
extern const Operation kGetxattr = {.prepare = prepare_getxattr, .issue = issue_getxattr, .always_in_worker = true};

}  // namespace assay::internal
