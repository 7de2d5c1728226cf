#pragma once

#include <cstdint>
#include <vector>

#include "assay/faultinject/fault_plan.h"
#include "assay/faultinject/scenario.h"

namespace assay {

/// How much of the schedules of a scenario is run.
struct ScheduleSpaceOptions {
  /// Each fault once, at each crossing of its point.
  bool singles = true;
  /// Pairs of these: all if they are no more than this, else so many of them, which the seed picks.
  std::uint64_t pairs = 5'000;
  /// Plans of one to six rules that the seed makes up.
  std::uint64_t random = 0;
  std::uint64_t seed = 1;
};

/// Every fault that a plan can hold at one crossing, for what the run without faults has crossed: a rule for each
/// crossing of each point, and for each errno, number of SQEs and length that is worth trying there. Capabilities that
/// are absent, and features, are tried one by one as well, where the run has used them.
std::vector<FaultRule> single_faults(const ScheduleResult& without_faults, const ScenarioKernel& kernel);

/// The schedules of one scenario, numbered from 0: those with one fault, then pairs, then random ones. The same options
/// and the same run without faults give the same plans.
class ScheduleSpace {
 public:
  ScheduleSpace(std::vector<FaultRule> singles, const ScheduleSpaceOptions& options);

  std::uint64_t size() const noexcept { return singles_run_ + pairs_run_ + options_.random; }
  std::uint64_t singles() const noexcept { return singles_run_; }
  std::uint64_t pairs() const noexcept { return pairs_run_; }
  /// False where the pairs are a sample of all.
  bool pairs_are_all() const noexcept { return pairs_run_ == all_pairs_; }
  FaultPlan plan(std::uint64_t number) const;

 private:
  FaultPlan pair(std::uint64_t number) const;
  FaultPlan random_plan(std::uint64_t number) const;

  std::vector<FaultRule> singles_;
  ScheduleSpaceOptions options_;
  std::uint64_t singles_run_ = 0;
  std::uint64_t all_pairs_ = 0;
  std::uint64_t pairs_run_ = 0;
};

}  // namespace assay
