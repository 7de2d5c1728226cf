#pragma once

namespace assay::internal {

/// Whether the calling thread has this capability (CAP_*) in force.
bool has_capability(int capability);

/// Gives up a capability of the calling thread, for good.
void drop_capability(int capability);

}  // namespace assay::internal
