#pragma once

#include "assay/mocks/sim/operations/operation.h"

namespace assay::internal {

/// For `Operation::issue`: READ and its kin, and each turn of READ_MULTISHOT.
Outcome issue_read(SimRing& ring, Request& request);

/// Carries out `read` on a provided buffer, which it selects and, when the request is done, uses up.
Outcome read_into_provided(SimRing& ring, Request& request, Outcome (*read)(SimRing& ring, Request& request));

}  // namespace assay::internal
