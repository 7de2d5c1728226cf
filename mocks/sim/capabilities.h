#pragma once

#include <cstdint>

/// Capabilities of the calling thread, by capget(2) and capset(2): sets are bits by CAP_*.
namespace assay::internal {

std::uint64_t effective_capabilities();
std::uint64_t permitted_capabilities();
/// Puts exactly these in force; those that are not permitted cannot be.
void set_effective_capabilities(std::uint64_t capabilities);

/// Whether the thread has this capability (CAP_*) in force.
bool has_capability(int capability);
/// Gives up a capability for as long as the thread does not put it in force again.
void drop_capability(int capability);

}  // namespace assay::internal
