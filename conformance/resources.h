#pragma once

#include <map>
#include <string>

namespace assay::conformance {

/// What a process holds of the kernel: open descriptors, and mappings that are shared with it, as ring memory is.
/// Private memory is left out: allocators take it and keep it as they please.
struct Resources {
  /// What each open fd refers to.
  std::map<int, std::string> fds;
  /// How many shared mappings there are of each file or object.
  std::map<std::string, int> mappings;
};

/// What this process holds now. Source: proc(5).
Resources held_resources();

/// What is left over in `after`, or missing from it, a line each; empty when nothing is.
std::string resource_difference(const Resources& before, const Resources& after);

}  // namespace assay::conformance
