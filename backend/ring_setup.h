#pragma once

#include <string>
#include <vector>

#include "assay/backend/backend_options.h"
#include "assay/backend/ring.h"
#include "assay/backend/sq_group.h"

namespace assay::internal {

/// A ring for a backend, and which options it could not have.
struct RingSetup {
  Ring ring;
  /// One line an option: what was asked for, and what was had instead or why not.
  std::vector<std::string> unmet;
  /// The ring's place in its SQPOLL group, to be given up before the ring is.
  SqGroupPlace place;
};

/// Sets up the ring that the options ask for, or the nearest that this kernel gives. Flags that it refuses (EINVAL) are
/// left out, newest first; then, down to min_capacity, the size is halved. The error is that of the last try.
Result<RingSetup> set_up_ring(Kernel& kernel, const BackendOptions& options);

}  // namespace assay::internal
