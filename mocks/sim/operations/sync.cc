#include <unistd.h>

#include <cerrno>

#include "assay/mocks/sim/operations/families.h"
#include "assay/mocks/sim/ring.h"

namespace assay::internal {

int prepare_fsync(SimRing& ring, Request& request) {
  const io_uring_sqe& sqe = request.sqe();
  if (sqe.addr != 0 || sqe.buf_index != 0 || (ring.world().is_since(5, 16) && sqe.splice_fd_in != 0)) return -EINVAL;
  if (sqe.fsync_flags & ~IORING_FSYNC_DATASYNC) return -EINVAL;
  return 0;
}

// The kernel syncs the range [off, off + len) of files that know ranges; ours syncs all of it, which is more.
Outcome issue_fsync(SimRing& ring, Request& request) {
  const bool data_only = (request.sqe().fsync_flags & IORING_FSYNC_DATASYNC) != 0;
  request.result = (data_only ? ::fdatasync(request.fd) : ::fsync(request.fd)) == 0 ? 0 : -errno;
  if (request.result < 0 && ring.world().behaviour().failed_fsync_cuts_chain) ring.fail(request);
  return Outcome::kDone;
}

}  // namespace assay::internal
