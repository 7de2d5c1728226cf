#pragma once

namespace assay::internal {

/// Whether the calling thread has this capability (CAP_*) in force.
bool has_capability(int capability);

}  // namespace assay::internal
