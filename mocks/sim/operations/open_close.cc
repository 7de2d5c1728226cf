// OPENAT, OPENAT2 and CLOSE, of ordinary descriptors and of slots of the file table. Follows io_uring/openclose.c.

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "assay/mocks/sim/operations/direct_descriptor.h"
#include "assay/mocks/sim/operations/finish.h"
#include "assay/mocks/sim/operations/open_fifo.h"
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

/// What the request asks for; of OPENAT as OPENAT2 would ask for it.
open_how how_of(const Request& request) {
  open_how how{};
  if (request.opcode() == IORING_OP_OPENAT) {
    how.flags = request.sqe().open_flags;
    how.mode = request.sqe().len;
  } else {
    std::memcpy(&how, request.bytes.data(), sizeof how);
  }
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

/// Leaves a new file where the request wants it: as the fd that it is, or in a slot of the file table.
int placed(SimRing& ring, const Request& request, int fd) {
  if (!is_direct(ring, request)) return fd;
  const int result = ring.install_direct_file(request.sqe().file_index, fd);
  ::close(fd);
  return result;
}

Outcome opened(SimRing& ring, Request& request, long fd) {
  return finish(ring, request, fd < 0 ? -errno : placed(ring, request, static_cast<int>(fd)));
}

int prepare_openat(SimRing& ring, Request& request) { return prepare_open(ring, request, request.sqe().open_flags); }

int prepare_openat2(SimRing& ring, Request& request) {
  const int error = copy_how(request);
  return error != 0 ? error : prepare_open(ring, request, how_of(request).flags);
}

/// The system call of this request, asking for `how`.
long open_by(const Request& request, const open_how& how) {
  const io_uring_sqe& sqe = request.sqe();
  if (request.opcode() == IORING_OP_OPENAT) {
    return ::openat(sqe.fd, request.path.c_str(), static_cast<int>(how.flags), static_cast<mode_t>(how.mode));
  }
  return ::syscall(SYS_openat2, sqe.fd, request.path.c_str(), &how, sizeof how);
}

/// What its path leads to, found in the way that the request asks for and not opened; empty if the request itself would
/// not get as far as opening it.
Descriptor find_by_path(const Request& request, const open_how& how) {
  if ((how.flags & O_CREAT) != 0 && (how.flags & O_EXCL) != 0) return {};
  // OPENAT2 looks at what it is asked for before it looks at the path.
  const bool by_how = request.opcode() == IORING_OP_OPENAT2;
  if (by_how && ::syscall(SYS_openat2, AT_FDCWD, "", &how, sizeof how) < 0 && errno == EINVAL) return {};
  open_how found{};
  found.flags = O_PATH | O_CLOEXEC | (how.flags & (O_NOFOLLOW | O_DIRECTORY));
  found.resolve = how.resolve;
  return Descriptor::adopt(static_cast<int>(open_by(request, found)));
}

/// During submission Linux opens as if O_NONBLOCK were asked for, and clears that afterwards: a FIFO is opened for
/// reading at once, and not at all for writing where nobody reads it. What a worker opens waits.
Outcome issue_open(SimRing& ring, Request& request) {
  open_how how = how_of(request);
  const bool may_wait = (how.flags & (O_NONBLOCK | O_PATH)) == 0;
  if (!may_wait) return opened(ring, request, open_by(request, how));
  if (request.in_worker) {
    std::unique_ptr<FifoOpening> fifo = FifoOpening::start(find_by_path(request, how), how.flags);
    if (fifo == nullptr) return opened(ring, request, open_by(request, how));
    request.state = std::move(fifo);
    ring.park_for_revisits(request);
    return Outcome::kParked;
  }
  how.flags |= O_NONBLOCK;
  const long fd = open_by(request, how);
  if (fd >= 0) ::fcntl(static_cast<int>(fd), F_SETFL, ::fcntl(static_cast<int>(fd), F_GETFL) & ~O_NONBLOCK);
  return opened(ring, request, fd);
}

bool revisit_open(SimRing& ring, Request& request, bool, std::int32_t* result) {
  const int fd = static_cast<FifoOpening&>(*request.state).try_again();
  if (fd == -EAGAIN) return false;
  *result = fd < 0 ? fd : placed(ring, request, fd);
  return true;
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

extern const Operation kOpenat = {
    .prepare = prepare_openat,
    .issue = issue_open,
    .may_be_in_worker = true,
    .waits_in_worker = true,
    .revisit = revisit_open,
};
extern const Operation kClose = {
    .prepare = prepare_close, .issue = issue_close, .wakes_others = true, .may_be_in_worker = true};
extern const Operation kOpenat2 = {
    .prepare = prepare_openat2,
    .issue = issue_open,
    .may_be_in_worker = true,
    .waits_in_worker = true,
    .revisit = revisit_open,
};

}  // namespace assay::internal
