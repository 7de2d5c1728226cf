#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "assay/faultinject/fault_plan.h"
#include "assay/faultinject/scenario.h"
#include "assay/faultinject/sweep.h"

namespace assay::internal {

/// What a schedule in a child process came to.
struct ScheduleOutcome {
  std::uint64_t number = 0;
  /// What was found, if anything.
  std::optional<SweepFinding::Kind> kind = {};
  std::string what = {};
};

/// Runs schedules in child processes, many a child, several children side by side.
///
/// A child tells of each schedule that found something, and counts the others. What kills it, or takes too long, is
/// charged to the schedule that it was at; a new child goes on behind that one.
class ScheduleRunner {
 public:
  struct Options {
    unsigned jobs = 1;
    std::chrono::milliseconds limit = std::chrono::seconds(5);
  };
  /// Called in the parent now and then, with how many schedules are done.
  using Tell = std::function<void(std::uint64_t done)>;

  ScheduleRunner(const Scenario& scenario, const ScenarioKernel& kernel, const Options& options)
      : scenario_(scenario), kernel_(kernel), options_(options) {}

  /// Runs the schedules of these numbers, and returns those that found something, in order. `plan` is called in the
  /// children. `fired` is how many had each rule fire.
  std::vector<ScheduleOutcome> run(const std::vector<std::uint64_t>& numbers,
                                   const std::function<FaultPlan(std::uint64_t)>& plan, std::uint64_t* fired,
                                   const Tell& tell = {});
  /// Runs one in a child of its own.
  ScheduleOutcome run_one(const FaultPlan& plan);

 private:
  const Scenario& scenario_;
  const ScenarioKernel& kernel_;
  Options options_;
};

}  // namespace assay::internal
