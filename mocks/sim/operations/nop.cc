#include "assay/mocks/sim/operations/families.h"
#include "assay/mocks/sim/ring.h"

namespace assay::internal {

int prepare_nop(SimRing& ring, Request& request) {
  if (!ring.world().is_since(6, 10)) return 0;  // earlier kernels do not look at any field
  if (request.sqe().rw_flags & ~static_cast<int>(uapi::kNopInjectResult)) return -EINVAL;
  return 0;
}

Outcome issue_nop(SimRing& ring, Request& request) {
  request.result = 0;
  if (ring.world().is_since(6, 10) && (static_cast<unsigned>(request.sqe().rw_flags) & uapi::kNopInjectResult)) {
    request.result = static_cast<std::int32_t>(request.sqe().len);
    if (request.result < 0) ring.fail(request);
  }
  return Outcome::kDone;
}

}  // namespace assay::internal
