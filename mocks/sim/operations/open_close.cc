// OPENAT, OPENAT2 and CLOSE, of ordinary descriptors and of slots of the file table. Follows io_uring/openclose.c.

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "assay/mocks/sim/operations/direct_descriptor.h"
#include "assay/mocks/sim/operations/finish.h"
#include "assay/mocks/sim/operations/operation.h"
#include "assay/mocks/sim/user_memory.h"

namespace assay::internal {

namespace {

constexpr std::size_t kFirstHowBytes = 24;     // OPEN_HOW_SIZE_VER0
constexpr std::uint64_t kTmpfile = 020000000;  // __O_TMPFILE, which O_TMPFILE has with O_DIRECTORY

/// struct open_how as it came with 5.6: a longer one must have nothing but zeros behind it.
int copy_how(Request& request) {
  const io_uring_sqe& sqe = request.sqe();
  static const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  if (sqe.len < kFirstHowBytes) return -EINVAL;
  if (sqe.len > page) return -E2BIG;
  request.bytes.resize(sqe.len);
  if (!copy_from_user(request.bytes.data(), sqe.addr2, sqe.len)) return -EFAULT;
  const auto known = request.bytes.begin() + sizeof(open_how);
  const bool clean = std::all_of(known, request.bytes.end(), [](std::byte byte) { return byte == std::byte{0}; });
  return clean ? 0 : -E2BIG;
}

open_how how_of(const Request& request) {
  open_how how{};
  std::memcpy(&how, request.bytes.data(), sizeof how);
  return how;
}

int prepare_open(SimRing& ring, Request& request, std::uint64_t flags) {
  const io_uring_sqe& sqe = request.sqe();
  if (sqe.buf_index != 0) return -EINVAL;
  if (sqe.flags & IOSQE_FIXED_FILE) return -EBADF;
  if (const int error = copy_path_from_user(&request.path, sqe.addr); error != 0) return error;
  if (is_direct(ring, request) && (flags & O_CLOEXEC) != 0) return -EINVAL;  // a slot has no such flag
  // What the kernel's caches know may be opened at once. What changes the directory never is.
  if ((flags & (O_CREAT | O_TRUNC | kTmpfile)) != 0 || !ring.world().semantics().open_at_once)
    request.force_worker = true;
  return 0;
}

Outcome opened(SimRing& ring, Request& request, long fd) {
  if (fd < 0) return finish(ring, request, -errno);
  if (!is_direct(ring, request)) return finish(ring, request, fd);
  const int result = ring.install_direct_file(request.sqe().file_index, static_cast<int>(fd));
  ::close(static_cast<int>(fd));
  return finish(ring, request, result);
}

int prepare_openat(SimRing& ring, Request& request) { return prepare_open(ring, request, request.sqe().open_flags); }

Outcome issue_openat(SimRing& ring, Request& request) {
  const io_uring_sqe& sqe = request.sqe();
  return opened(ring, request,
                ::openat(sqe.fd, request.path.c_str(), static_cast<int>(sqe.open_flags), static_cast<mode_t>(sqe.len)));
}

int prepare_openat2(SimRing& ring, Request& request) {
  const int error = copy_how(request);
  return error != 0 ? error : prepare_open(ring, request, how_of(request).flags);
}

Outcome issue_openat2(SimRing& ring, Request& request) {
  open_how how = how_of(request);
  return opened(ring, request, ::syscall(SYS_openat2, request.sqe().fd, request.path.c_str(), &how, sizeof how));
}

int prepare_close(SimRing& ring, Request& request) {
  const io_uring_sqe& sqe = request.sqe();
  if (sqe.off != 0 || sqe.addr != 0 || sqe.len != 0 || sqe.rw_flags != 0 || sqe.buf_index != 0) return -EINVAL;
  if (sqe.flags & IOSQE_FIXED_FILE) return -EBADF;
  return is_direct(ring, request) && sqe.fd != 0 ? -EINVAL : 0;
}

Outcome issue_close(SimRing& ring, Request& request) {
  const io_uring_sqe& sqe = request.sqe();
  if (is_direct(ring, request)) return finish(ring, request, ring.close_fixed_file(sqe.file_index - 1));
  if (ring.world().find(sqe.fd) != nullptr) return finish(ring, request, -EBADF);  // a ring cannot close rings
  return finish(ring, request, ::close(sqe.fd) == 0 ? 0 : -errno);
}

}  // namespace

extern const Operation kOpenat = {.prepare = prepare_openat, .issue = issue_openat, .may_be_in_worker = true};
extern const Operation kClose = {
    .prepare = prepare_close, .issue = issue_close, .wakes_others = true, .may_be_in_worker = true};
extern const Operation kOpenat2 = {.prepare = prepare_openat2, .issue = issue_openat2, .may_be_in_worker = true};

}  // namespace assay::internal
