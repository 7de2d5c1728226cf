#include <cerrno>

#include "assay/mocks/sim/operations/families.h"
#include "assay/mocks/sim/ring.h"

namespace assay::internal {

int prepare_files_update(SimRing&, Request& request) {
  const io_uring_sqe& sqe = request.sqe();
  if (sqe.flags & IOSQE_FIXED_FILE) return -EINVAL;
  if (sqe.rw_flags != 0 || sqe.splice_fd_in != 0 || sqe.len == 0) return -EINVAL;
  return 0;
}

Outcome issue_files_update(SimRing& ring, Request& request) {
  const auto* fds = reinterpret_cast<const std::int32_t*>(request.sqe().addr);
  // Letting the kernel choose the slots (5.19) is not modelled.
  request.result = request.sqe().off > ~0u - 1
                       ? -EINVAL
                       : ring.update_files(static_cast<std::uint32_t>(request.sqe().off), fds, request.sqe().len);
  if (request.result < 0) ring.fail(request);
  return Outcome::kDone;
}

}  // namespace assay::internal
