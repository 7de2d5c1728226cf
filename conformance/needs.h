#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "assay/backend/kernel.h"
#include "assay/mocks/profile.h"

namespace assay::conformance {

/// What a behaviour needs of a kernel to be tried at all. Where the kernel lacks it, the test is skipped, and the skip
/// names what is lacking.
struct Needs {
  /// IORING_OP_*.
  std::vector<std::uint8_t> opcodes;
  /// Masks of IORING_FEAT_*, IORING_SETUP_*, IORING_ENTER_*.
  std::uint32_t features = 0;
  std::uint32_t setup_flags = 0;
  std::uint32_t enter_flags = 0;
  /// IORING_REGISTER_*.
  std::vector<std::uint32_t> register_ops;
  /// Switches of Semantics that must be on, and those that must be off: one behaviour for each way a kernel may go.
  std::vector<bool Semantics::*> switches_on;
  std::vector<bool Semantics::*> switches_off;
  /// The upstream release since which, and before which, a kernel does so: for what no bit and no switch tells.
  KernelVersion since{};
  KernelVersion until{};
  /// Features that must be absent: behaviours of kernels that cannot do better yet.
  std::uint32_t without_features = 0;
  /// Threads, signals or timers outside the kernel take part, so time must be real.
  bool real_clock = false;
};

/// What `profile` lacks of `needs`: "needs IORING_FEAT_EXT_ARG", several joined by ", ". Empty when it lacks nothing.
std::string missing_needs(const Needs& needs, const Profile& profile);

/// Asks the kernel itself whether it lacks what its profile says it lacks, by set-up, by IORING_REGISTER_PROBE and by a
/// trial submission. Returns what is there after all, in words, or nothing: a skip that the kernel contradicts would
/// hide a behaviour for ever.
std::string contradicted_needs(const Needs& needs, const Profile& profile, Kernel& kernel);

}  // namespace assay::conformance
