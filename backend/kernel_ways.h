#pragma once

#include <string>
#include <vector>

#include "assay/backend/kernel_support.h"
#include "assay/backend/uapi_names.h"

namespace assay {

/// One line of what a Backend does in which way on a kernel: "persistent events: multishot poll".
struct KernelWay {
  std::string what;
  std::string way;
  /// What of the kernel decided it.
  std::string why;
  /// The upstream release that brought this way.
  KernelVersion since;

  friend bool operator==(const KernelWay&, const KernelWay&) = default;
};

namespace internal {

/// Decides every way by the opcodes and features.
void choose_ways(KernelSupport& support);

/// The table, as it came out for this kernel: the loop's ways, then each operation's.
std::vector<KernelWay> ways_taken(const KernelSupport& support);

}  // namespace internal
}  // namespace assay
