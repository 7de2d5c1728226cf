#include "assay/conformance/backend_under_test.h"

#include <array>

namespace assay::conformance {
namespace {

// In the order of Capability.
constexpr std::array<std::string_view, kCapabilityCount> kNames = {
    "break",
    "fd-events",
    "persistent-fd-events",
    "fd-event-timeouts",
    "timers",
    "exact-timers",
    "signals",
    "read-write",
    "open-close",
    "vectored",
    "user-operations",
    "in-flight-refusal",
    "chains",
    "cancel",
    "wake",
    "post",
    "turn-order",
    "backlog",
    "destroy-in-flight",
    "creation-errors",
    "interruptions",
    "refusals",
    "partial-submissions",
    "lost-completions",
    "prompt-turns",
    "reference",
};

}  // namespace

std::string_view capability_name(Capability capability) { return kNames[static_cast<std::size_t>(capability)]; }

std::string CapabilitySet::to_string() const {
  std::string text;
  for (std::size_t i = 0; i < kCapabilityCount; ++i) {
    if (!bits_.test(i)) continue;
    if (!text.empty()) text += ", ";
    text += kNames[i];
  }
  return text;
}

}  // namespace assay::conformance
