#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "assay/mocks/sim/operations/families.h"
#include "assay/mocks/sim/ring.h"
#include "assay/mocks/sim/user_memory.h"

namespace assay::internal {

namespace {

// file_index names a slot of the file table plus one, since 5.15; 0 means an ordinary fd.
constexpr unsigned kAllocateSlot = ~0u;

void done(SimRing& ring, Request& request, int result) {
  request.result = result;
  if (result < 0) ring.fail(request);
}

}  // namespace

int prepare_openat(SimRing& ring, Request& request) {
  const io_uring_sqe& sqe = request.sqe();
  if (sqe.flags & IOSQE_FIXED_FILE) return -EBADF;
  if (sqe.buf_index != 0) return -EINVAL;
  if (!ring.world().is_since(5, 15) && sqe.file_index != 0 && ring.world().is_since(5, 14)) return -EINVAL;
  if (ring.world().is_since(5, 15) && sqe.file_index != 0) {
    if (sqe.open_flags & O_CLOEXEC) return -EINVAL;
    // Letting the kernel choose the slot (5.19) is not modelled; kernels before take it for a slot out of range.
  }
  return copy_path_from_user(&request.path, sqe.addr);
}

Outcome issue_openat(SimRing& ring, Request& request) {
  const io_uring_sqe& sqe = request.sqe();
  const int fd = ::openat(sqe.fd, request.path.c_str(), static_cast<int>(sqe.open_flags), static_cast<mode_t>(sqe.len));
  if (fd < 0) {
    done(ring, request, -errno);
  } else if (ring.world().is_since(5, 15) && sqe.file_index != 0) {
    done(ring, request, sqe.file_index == kAllocateSlot ? -EINVAL : ring.install_fixed_file(sqe.file_index - 1, fd));
    ::close(fd);
  } else {
    done(ring, request, fd);
  }
  return Outcome::kDone;
}

int prepare_close(SimRing& ring, Request& request) {
  const io_uring_sqe& sqe = request.sqe();
  if (sqe.off != 0 || sqe.addr != 0 || sqe.len != 0 || sqe.rw_flags != 0 || sqe.buf_index != 0) return -EINVAL;
  if (sqe.flags & IOSQE_FIXED_FILE) return -EBADF;
  if (ring.world().is_since(5, 15) && sqe.file_index != 0 && sqe.fd != 0) return -EINVAL;
  return 0;
}

Outcome issue_close(SimRing& ring, Request& request) {
  const io_uring_sqe& sqe = request.sqe();
  if (ring.world().is_since(5, 15) && sqe.file_index != 0) {
    done(ring, request, ring.close_fixed_file(sqe.file_index - 1));
  } else if (ring.world().find(sqe.fd) != nullptr) {
    done(ring, request, -EBADF);  // a ring cannot close rings
  } else {
    done(ring, request, ::close(sqe.fd) == 0 ? 0 : -errno);
  }
  return Outcome::kDone;
}

}  // namespace assay::internal
