#include "assay/faultinject/scenario.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <iostream>
#include <numeric>
#include <utility>

#include "assay/backend/linux_kernel.h"
#include "assay/backend/uapi_names.h"
#include "assay/faultinject/fault_kernel.h"
#include "assay/faultinject/plan_chooser.h"
#include "assay/faultinject/trace_kernel.h"
#include "assay/mocks/sim_kernel.h"

namespace assay {
namespace {

using namespace std::chrono_literals;

// On a real clock nothing has gone on for that long when a program is taken to be stuck.
constexpr std::chrono::nanoseconds kRealIdleTime = 5s;

bool hides_opcode(const std::vector<FaultRule>& rules, std::uint8_t opcode) {
  return std::any_of(rules.begin(), rules.end(), [opcode](const FaultRule& rule) {
    return rule.point == FaultPointId::kRegisterOpcodeAbsent && rule.op == opcode;
  });
}

// Which of the lowest descriptors are open: asking for each costs less than reading a directory of proc(5).
class OpenDescriptors {
 public:
  OpenDescriptors() {
    for (int fd = 0; fd < kLooked; ++fd) open_[static_cast<std::size_t>(fd)] = ::fcntl(fd, F_GETFD) >= 0;
  }

  /// "3, 5" for those that are open and were not before.
  std::string beyond(const OpenDescriptors& before) const {
    std::string text;
    for (std::size_t fd = 0; fd < open_.size(); ++fd) {
      if (!open_[fd] || before.open_[fd]) continue;
      if (!text.empty()) text += ", ";
      text += std::to_string(fd);
    }
    return text;
  }

 private:
  static constexpr int kLooked = 128;
  std::array<bool, kLooked> open_{};
};

}  // namespace

bool ScenarioRun::ended(std::string_view what, int error) {
  if (error == 0) return true;
  if (!allows(error)) {
    violated(std::string(what) + " ended with " + errno_name(error) + ", which no fault of this run gives");
  }
  return false;
}

bool ScenarioRun::allows(int error) const {
  const int positive = error < 0 ? -error : error;
  const FaultReport report = schedule_.report();
  if (positive == EBADR && profile_.semantics.overflow_drops && report.firings_of(FaultPointId::kCqeFull) != 0) {
    return true;  // what has no room is lost
  }
  return std::any_of(report.rules.begin(), report.rules.end(),
                     [&](const FaultRuleReport& rule) { return rule.firings > 0 && fault_tells(rule.rule, positive); });
}

bool ScenarioRun::fired(FaultPointId point) const { return schedule_.report().firings_of(point) != 0; }

bool ScenarioRun::fired_any_of(std::initializer_list<FaultPointId> points) const {
  return std::any_of(points.begin(), points.end(), [this](FaultPointId point) { return fired(point); });
}

bool ScenarioRun::hides(std::uint8_t opcode) const { return hides_opcode(schedule_.rules(), opcode); }

std::uint64_t ScheduleResult::crossings() const {
  return std::accumulate(faults.crossings.begin(), faults.crossings.end(), std::uint64_t{0});
}

Result<ScenarioKernel> ScenarioKernel::find(const std::string& spelling) {
  Result<KernelSpec> spec = parse_kernel_spec(spelling);
  if (!spec) return spec.error();
  ScenarioKernel kernel;
  kernel.spec_ = *spec;
  kernel.name_ = format_kernel_spec(*spec);
  Result<Profile> profile = profile_of(*spec);
  if (!profile) return profile.error();
  kernel.profile_ = *std::move(profile);
  return kernel;
}

std::string lacking_opcodes(const Scenario& scenario, const ScenarioKernel& kernel) {
  std::string names;
  for (const std::uint8_t opcode : scenario.opcodes) {
    if (kernel.profile().opcodes[opcode]) continue;
    names += (names.empty() ? "" : ", ") + uapi_name(UapiClass::kOpcode, opcode);
  }
  return names;
}

Result<ScheduleResult> run_schedule(const Scenario& scenario, const ScenarioKernel& kernel, const FaultPlan& plan,
                                    const ScheduleOptions& options) {
  const OpenDescriptors before;
  ScheduleResult result;
  {
    const auto schedule = std::make_shared<FaultSchedule>(plan);
    const KernelSpec& spec = kernel.spec();
    std::unique_ptr<PlanChooser> chooser;
    std::unique_ptr<SimKernel> sim;
    if (spec.simulated) {
      chooser = std::make_unique<PlanChooser>(schedule, spec.seed);
      sim = std::make_unique<SimKernel>(SimOptions{.profile = kernel.profile(),
                                                   .real_clock = spec.real_clock,
                                                   .live = spec.live,
                                                   .strict = spec.strict,
                                                   .seed = spec.seed,
                                                   .chooser = chooser.get(),
                                                   .name = kernel.name()});
    }
    Kernel& base = sim != nullptr ? static_cast<Kernel&>(*sim) : LinuxKernel::instance();
    Result<std::unique_ptr<FaultKernel>> faults = FaultKernel::create(base, schedule);
    if (!faults) return faults.error();
    Kernel* top = faults->get();
    std::ofstream trace_file;
    std::unique_ptr<TraceKernel> trace;
    if (!options.trace.empty()) {
      if (options.trace != "-") {
        trace_file.open(options.trace);
        if (!trace_file) return Error::from_errno(errno, "trace: cannot write '" + options.trace + "'");
      }
      trace = std::make_unique<TraceKernel>(*top, options.trace == "-" ? std::cerr : trace_file);
      top = trace.get();
    }
    const bool hides_cancel = hides_opcode(plan.rules, IORING_OP_ASYNC_CANCEL);
    LedgerOptions ledger_options{.when_stuck = options.when_stuck,
                                 .can_cancel = !hides_cancel && kernel.profile().opcodes[IORING_OP_ASYNC_CANCEL]};
    const bool virtual_clock = spec.simulated && !spec.real_clock && !spec.live;
    if (!virtual_clock) ledger_options.idle_time = kRealIdleTime;
    LedgerKernel ledger(*top, std::move(ledger_options));

    ScenarioRun run(ledger, kernel.profile(), *schedule);
    scenario.body(run);
    result.violations = run.take_violations();
    result.ledger = ledger.finish();
    for (const std::string& violation : result.ledger.violations) result.violations.push_back(violation);
    result.faults = schedule->report();
  }
  if (const std::string left = OpenDescriptors().beyond(before); !left.empty()) {
    result.violations.push_back("descriptors were left open: " + left);
  }
  return result;
}

}  // namespace assay
