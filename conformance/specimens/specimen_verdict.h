#pragma once

#include <optional>

#include "assay/backend/result.h"
#include "assay/conformance/specimens/specimen.h"
#include "assay/faultinject/sweep.h"

namespace assay::conformance {

/// How specimens are judged.
struct VerdictOptions {
  /// Pairs of faults beside the single ones, at most.
  std::uint64_t pairs = 500;
  std::uint64_t seed = 1;
  /// Processes side by side; 0 is one a CPU.
  unsigned jobs = 0;
  /// A schedule that takes longer hangs.
  std::chrono::milliseconds limit = std::chrono::seconds(10);
};

/// What came of the schedules of a scenario.
struct Verdict {
  /// The first that did not hold, shrunk; the plan is empty where it needs no fault.
  std::optional<SweepFinding> finding;
  /// Schedules that were run until then.
  std::uint64_t schedules = 0;
};

/// Runs the scenario without faults, under single ones and under pairs, in child processes, until something does not
/// hold. EINVAL where the kernel's spelling is wrong.
Result<Verdict> judge(const Scenario& scenario, const std::string& kernel, const VerdictOptions& options = {});

}  // namespace assay::conformance
