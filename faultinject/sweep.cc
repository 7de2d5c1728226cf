#include "assay/faultinject/sweep.h"

#include <sched.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <utility>

#include "assay/faultinject/schedule_runner.h"
#include "assay/faultinject/shrink.h"

namespace assay {
namespace {

using Clock = std::chrono::steady_clock;

constexpr unsigned kQuestionsToAHang = 6;

using internal::ScheduleOutcome;
using internal::ScheduleRunner;

unsigned cpus() {
  cpu_set_t set;
  return ::sched_getaffinity(0, sizeof set, &set) == 0 ? static_cast<unsigned>(CPU_COUNT(&set)) : 1;
}

// What two findings have in common that are of one kind: how they begin, whatever the numbers in it.
std::string kind_of(const ScheduleOutcome& outcome) {
  std::string text = std::string(finding_kind_name(*outcome.kind)) + ": ";
  for (const char c : outcome.what.substr(0, outcome.what.find('\n'))) {
    if (std::isdigit(static_cast<unsigned char>(c)) == 0) text += c;
  }
  return text;
}

// Which of the scenario's schedules this shard runs.
std::vector<std::uint64_t> numbers_of_shard(const ScheduleSpace& space, const SweepOptions& options) {
  std::vector<std::uint64_t> numbers;
  for (std::uint64_t number = options.shard; number < space.size(); number += options.shards) numbers.push_back(number);
  return numbers;
}

void count(const ScheduleSpace& space, const std::vector<std::uint64_t>& numbers, ScenarioReport& report) {
  for (const std::uint64_t number : numbers) {
    if (number < space.singles()) {
      ++report.singles;
    } else if (number < space.singles() + space.pairs()) {
      ++report.pairs;
    } else {
      ++report.random;
    }
  }
}

class ScenarioSweep {
 public:
  ScenarioSweep(const Scenario& scenario, const ScenarioKernel& kernel, const SweepOptions& options)
      : scenario_(scenario),
        kernel_(kernel),
        options_(options),
        runner_(scenario, kernel, {.jobs = options.jobs != 0 ? options.jobs : cpus(), .limit = options.limit}) {}

  Result<ScenarioReport> run(const SweepProgress& progress) {
    const Clock::time_point begin = Clock::now();
    ScenarioReport report{.scenario = scenario_.name, .lacks = lacking_opcodes(scenario_, kernel_)};
    if (!report.lacks.empty()) return report;
    // First in a child, since a scenario that does not pass by itself may do anything.
    const ScheduleOutcome plain = runner_.run_one({});
    if (plain.kind) {
      return Error::invalid("scenario " + scenario_.name + " does not pass without faults: " + plain.what);
    }
    const Result<ScheduleResult> without_faults = run_schedule(scenario_, kernel_, {});
    if (!without_faults) return without_faults.error();
    report.crossings = without_faults->crossings();

    const ScheduleSpace space(single_faults(*without_faults, kernel_), options_.schedules);
    const std::vector<std::uint64_t> numbers = numbers_of_shard(space, options_);
    count(space, numbers, report);
    const auto plan = [&space](std::uint64_t number) { return space.plan(number); };
    const auto tell = [&](std::uint64_t done) {
      if (progress) progress(scenario_.name, done, numbers.size(), 0);
    };
    const std::vector<ScheduleOutcome> outcomes = runner_.run(numbers, plan, &report.fired, tell);
    report.failed = outcomes.size();
    tell_findings(outcomes, space, report);
    if (progress) progress(scenario_.name, numbers.size(), numbers.size(), report.failed);
    report.seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    return report;
  }

 private:
  void tell_findings(const std::vector<ScheduleOutcome>& outcomes, const ScheduleSpace& space, ScenarioReport& report) {
    std::map<std::string, std::size_t> known;
    for (const ScheduleOutcome& outcome : outcomes) {
      const std::string kind = kind_of(outcome);
      if (const auto found = known.find(kind); found != known.end()) {
        ++report.findings[found->second].schedules;
        continue;
      }
      if (report.findings.size() >= options_.findings) continue;
      known.emplace(kind, report.findings.size());
      report.findings.push_back({.scenario = scenario_.name,
                                 .kind = *outcome.kind,
                                 .what = outcome.what,
                                 .plan = space.plan(outcome.number)});
      shrink_finding(report.findings.back(), kind);
    }
  }

  void shrink_finding(SweepFinding& finding, const std::string& kind) {
    // Each answer of one that hangs takes all of the time that a schedule may take.
    unsigned left = finding.kind == SweepFinding::Kind::kHang ? kQuestionsToAHang : ~0u;
    finding.plan = internal::shrink(finding.plan, [&](const FaultPlan& plan) {
      if (left == 0) return false;
      --left;
      ScheduleOutcome outcome = runner_.run_one(plan);
      if (!outcome.kind || kind_of(outcome) != kind) return false;
      finding.what = std::move(outcome.what);
      return true;
    });
  }

  const Scenario& scenario_;
  const ScenarioKernel& kernel_;
  const SweepOptions& options_;
  ScheduleRunner runner_;
};

}  // namespace

std::string_view finding_kind_name(SweepFinding::Kind kind) {
  switch (kind) {
    case SweepFinding::Kind::kViolation:
      return "violation";
    case SweepFinding::Kind::kStuck:
      return "stuck";
    case SweepFinding::Kind::kCrash:
      return "crash";
    case SweepFinding::Kind::kHang:
      return "hang";
  }
  return "";
}

bool SweepReport::found_nothing() const noexcept {
  return std::all_of(scenarios.begin(), scenarios.end(),
                     [](const ScenarioReport& report) { return report.failed == 0; });
}

std::uint64_t SweepReport::schedules() const noexcept {
  std::uint64_t sum = 0;
  for (const ScenarioReport& report : scenarios) sum += report.schedules();
  return sum;
}

Result<SweepReport> sweep(std::span<const Scenario> scenarios, const SweepOptions& options,
                          const SweepProgress& progress) {
  if (options.shards == 0 || options.shard >= options.shards) {
    return Error::invalid("shard " + std::to_string(options.shard) + " of " + std::to_string(options.shards) +
                          ": there is no such shard; they are numbered from 0");
  }
  Result<ScenarioKernel> kernel = ScenarioKernel::find(options.kernel);
  if (!kernel) return kernel.error();
  SweepReport report{.kernel = kernel->name(),
                     .seed = options.schedules.seed,
                     .shard = options.shard,
                     .shards = options.shards,
                     .scenarios = {}};
  for (const Scenario& scenario : scenarios) {
    Result<ScenarioReport> told = ScenarioSweep(scenario, *kernel, options).run(progress);
    if (!told) return told.error();
    report.scenarios.push_back(*std::move(told));
  }
  return report;
}

}  // namespace assay
