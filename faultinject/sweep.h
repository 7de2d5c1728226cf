#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "assay/backend/result.h"
#include "assay/faultinject/scenario.h"
#include "assay/faultinject/schedule_space.h"

namespace assay {

/// How a sweep is run.
struct SweepOptions {
  /// The kernel's spelling.
  std::string kernel = "sim:linux-6.18,strict";
  ScheduleSpaceOptions schedules = {};
  /// Processes that run schedules side by side; 0 is one a CPU.
  unsigned jobs = 0;
  /// This shard's schedules, of `shards`: those whose number leaves `shard` (from 0) when divided. Shards merge.
  unsigned shard = 0;
  unsigned shards = 1;
  /// A schedule that takes longer hangs.
  std::chrono::milliseconds limit = std::chrono::seconds(5);
  /// How many findings of one scenario are shrunk and told, each of another kind; the others of their kind are counted.
  unsigned findings = 20;
};

/// Something that does not hold, and the plan under which it does not.
struct SweepFinding {
  enum class Kind { kViolation, kStuck, kCrash, kHang };

  std::string scenario;
  Kind kind = Kind::kViolation;
  /// The violation, why it is stuck, or the signal and what was written to standard error.
  std::string what;
  /// The smallest plan that was found to show it.
  FaultPlan plan;
  /// Schedules of this sweep that showed the same, this one included.
  std::uint64_t schedules = 1;
};

/// "violation", "stuck", "crash" or "hang".
std::string_view finding_kind_name(SweepFinding::Kind kind);

/// What came of one scenario.
struct ScenarioReport {
  std::string scenario;
  /// The opcodes for want of which it was left out, as "FUTEX_WAIT, WRITE"; empty where it was run.
  std::string lacks = {};
  /// Crossings of all points in the run without faults.
  std::uint64_t crossings = 0;
  /// Schedules with one fault, with two and with random ones that were run; all of this shard's.
  std::uint64_t singles = 0;
  std::uint64_t pairs = 0;
  std::uint64_t random = 0;
  /// Those in which every rule fired. A rule of a pair that another fault keeps from being crossed does not fire.
  std::uint64_t fired = 0;
  /// Schedules that found something.
  std::uint64_t failed = 0;
  double seconds = 0;
  std::vector<SweepFinding> findings;

  std::uint64_t schedules() const noexcept { return singles + pairs + random; }
};

/// What came of a sweep.
struct SweepReport {
  std::string kernel;
  std::uint64_t seed = 0;
  unsigned shard = 0;
  unsigned shards = 1;
  std::vector<ScenarioReport> scenarios;

  bool found_nothing() const noexcept;
  std::uint64_t schedules() const noexcept;
};

/// How far a sweep is, for whoever shows it: `done` of `all` schedules of the scenario, and findings so far.
using SweepProgress =
    std::function<void(const std::string& scenario, std::uint64_t done, std::uint64_t all, std::uint64_t findings)>;

/// Runs every schedule of every scenario, in child processes that run many each: one that crashes, hangs or is stuck is
/// run again by itself and is one finding, and the others go on. What is found is shrunk to a smallest plan.
///
/// EINVAL where the kernel's spelling or the options are wrong, or where a scenario does not pass without faults, which
/// is then told.
Result<SweepReport> sweep(std::span<const Scenario> scenarios, const SweepOptions& options,
                          const SweepProgress& progress = {});

}  // namespace assay
