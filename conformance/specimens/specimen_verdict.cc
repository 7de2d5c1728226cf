#include "assay/conformance/specimens/specimen_verdict.h"

#include <sched.h>

#include <numeric>
#include <utility>

#include "assay/faultinject/schedule_runner.h"
#include "assay/faultinject/shrink.h"

namespace assay::conformance {
namespace {

using assay::internal::ScheduleOutcome;
using assay::internal::ScheduleRunner;

// A defect shows early, most of the time; what is run beyond is time lost.
constexpr std::uint64_t kAtOnce = 64;

unsigned cpus() {
  cpu_set_t set;
  return ::sched_getaffinity(0, sizeof set, &set) == 0 ? static_cast<unsigned>(CPU_COUNT(&set)) : 1;
}

SweepFinding finding_of(const Scenario& scenario, ScheduleOutcome outcome, FaultPlan plan) {
  return {.scenario = scenario.name, .kind = *outcome.kind, .what = std::move(outcome.what), .plan = std::move(plan)};
}

}  // namespace

Result<Verdict> judge(const Scenario& scenario, const std::string& kernel_name, const VerdictOptions& options) {
  const Result<ScenarioKernel> kernel = ScenarioKernel::find(kernel_name);
  if (!kernel) return kernel.error();
  ScheduleRunner runner(scenario, *kernel, {.jobs = options.jobs != 0 ? options.jobs : cpus(), .limit = options.limit});
  Verdict verdict{.finding = {}, .schedules = 1};
  if (ScheduleOutcome plain = runner.run_one({}); plain.kind) {
    verdict.finding = finding_of(scenario, std::move(plain), {});
    return verdict;
  }
  const Result<ScheduleResult> without_faults = run_schedule(scenario, *kernel, {});
  if (!without_faults) return without_faults.error();
  const ScheduleSpace space(single_faults(*without_faults, *kernel), {.pairs = options.pairs, .seed = options.seed});
  const auto plan = [&space](std::uint64_t number) { return space.plan(number); };
  for (std::uint64_t begin = 0; begin < space.size(); begin += kAtOnce) {
    std::vector<std::uint64_t> numbers(std::min(kAtOnce, space.size() - begin));
    std::iota(numbers.begin(), numbers.end(), begin);
    std::uint64_t fired = 0;
    std::vector<ScheduleOutcome> outcomes = runner.run(numbers, plan, &fired);
    verdict.schedules += numbers.size();
    if (outcomes.empty()) continue;
    const FaultPlan first = space.plan(outcomes.front().number);
    verdict.finding = finding_of(scenario, std::move(outcomes.front()), first);
    verdict.finding->plan = assay::internal::shrink(first, [&](const FaultPlan& smaller) {
      ScheduleOutcome outcome = runner.run_one(smaller);
      if (!outcome.kind || *outcome.kind != verdict.finding->kind) return false;
      verdict.finding->what = std::move(outcome.what);
      return true;
    });
    break;
  }
  return verdict;
}

}  // namespace assay::conformance
