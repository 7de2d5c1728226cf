#include "assay/conformance/backend_suites.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "assay/conformance/assay_backend_adapter.h"
#include "assay/conformance/backend_scenario.h"
#include "assay/conformance/behaviour.h"
#include "assay/faultinject/fault_plan.h"
#include "assay/faultinject/kernel_stack.h"

namespace assay::conformance {
namespace {

using Id = FaultPointId;

/// What a loop must claim for it to be held to a behaviour while `point` is bent.
CapabilitySet capabilities_for(FaultPointId point) {
  switch (point) {
    case Id::kEnterEintr:
    case Id::kEnterEintrMasked:
      return {Capability::kInterruptions};
    case Id::kEnterEagain:
    case Id::kEnterEbusy:
      return {Capability::kRefusals};
    case Id::kEnterTake:
      return {Capability::kPartialSubmissions};
    default:
      return {};
  }
}

FaultPlan plan_of(const std::string& text) {
  // It was parsed when the kernel's case was made.
  Result<FaultPlan> plan = parse_fault_plan(text);
  return plan ? std::move(*plan) : FaultPlan{};
}

/// Whether whatever happens by the plan can be kept from the users of a loop on this kernel.
bool can_be_survived(const FaultRule& rule, const Profile& profile) {
  // A kernel that drops what its CQ has no room for (before 5.5) does so without a word.
  if (rule.point == Id::kCqeFull) return (profile.features & IORING_FEAT_NODROP) != 0;
  return true;
}

bool carries(const BackendBehaviour& behaviour, const FaultPlan& plan, const Profile& profile) {
  return std::all_of(plan.rules.begin(), plan.rules.end(), [&](const FaultRule& rule) {
    const auto& opcodes = behaviour.needs.opcodes;
    // A plan that takes away what the behaviour is about makes another kernel of this one.
    if (rule.point == Id::kRegisterOpcodeAbsent &&
        std::find(opcodes.begin(), opcodes.end(), rule.op) != opcodes.end()) {
      return false;
    }
    return can_be_survived(rule, profile) && carried_by_default().contains(rule.point) &&
           !behaviour.cannot_carry.contains(rule.point);
  });
}

/// Whether a rule had the occasion to fire: what is crossed too rarely proves nothing.
bool was_due(const FaultRuleReport& report) {
  const FaultTiming& when = report.rule.when;
  if (when.probability < 1.0) return false;
  return report.crossings >= std::max({when.nth, when.every, when.from, std::uint64_t{1}});
}

/// Runs a body in its scenario, and then asks whether the faults came to pass.
void run_body(const BackendBehaviour& behaviour, const BackendSubject& backend, KernelUnderTest& subject) {
  FaultKernel* faults = subject.stack() != nullptr ? subject.stack()->faults() : nullptr;
  const bool virtual_clock = subject.simulated() && !behaviour.needs.real_clock;
  try {
    BackendScenario scenario(subject.kernel(), subject.profile(), subject.simulated(), virtual_clock, faults, backend,
                             subject.kernel_case().options.moment);
    behaviour.body(scenario);
  } catch (const std::exception& exception) {
    ADD_FAILURE() << exception.what();
  }
  if (faults == nullptr) return;
  const FaultReport report = faults->report();
  // What a body injected beyond the plan is the scenario's to ask after.
  const std::size_t planned = subject.stack()->plan().rules.size();
  for (std::size_t i = 0; i < planned; ++i) {
    const FaultRuleReport& rule = report.rules[i];
    if (behaviour.own_plan == kFaultLayer) continue;
    const bool must_fire = !behaviour.own_plan.empty() || was_due(rule);
    if (must_fire && rule.firings == 0) ADD_FAILURE() << "the fault never came to pass: " << report.text();
  }
}

void register_one(const BackendBehaviour& behaviour, const BackendCase& backend_case, const KernelCase& kernel,
                  const BackendSuiteOptions& options) {
  const FaultPlan plan = plan_of(kernel.options.plan);
  CapabilitySet needed = behaviour.capabilities;
  if (behaviour.own_plan.empty()) {
    for (const FaultRule& rule : plan.rules) needed = needed | capabilities_for(rule.point);
  }
  const CapabilitySet lacking = needed - backend_case.backend.claims;
  std::string skip_reason;
  if (!lacking.empty() && !options.ignore_claims) {
    skip_reason = "not claimed: " + lacking.to_string();
  } else if (!behaviour.injects.empty()) {
    if (const Result<KernelCase> bent = with_plan(kernel, behaviour.injects); !bent) {
      skip_reason = bent.error().message();
    }
  }
  std::string case_name = backend_case.backend.name + " " + kernel.name;
  if (behaviour.own_plan.empty() && !plan.empty()) case_name += " " + kernel.options.plan;
  register_test({.suite = behaviour.suite,
                 .name = behaviour.name,
                 .needs = behaviour.needs,
                 .body = [behaviour, backend = backend_case.backend](
                             KernelUnderTest& subject) { run_body(behaviour, backend, subject); },
                 .file = behaviour.file,
                 .line = behaviour.line,
                 .skip_reason = std::move(skip_reason)},
                kernel, case_name);
}

}  // namespace

FaultPoints carried_by_default() {
  return {Id::kEnterEintr,
          Id::kEnterEintrMasked,
          Id::kEnterEagain,
          Id::kEnterEbusy,
          Id::kEnterTake,
          Id::kCqeShort,
          Id::kCqeFull,
          Id::kCqeMultishotEnd,
          Id::kCqeLater,
          Id::kCqeReorder,
          Id::kRegisterErrno,
          Id::kSetupFeatureAbsent,
          Id::kRegisterOpcodeAbsent};
}

const std::vector<BackendBehaviour>& backend_behaviours() {
  static const std::vector<BackendBehaviour> behaviours = [] {
    std::vector<BackendBehaviour> all;
    internal::add_backend_loop(all);
    internal::add_backend_fd_events(all);
    internal::add_backend_level_triggered(all);
    internal::add_backend_timers(all);
    internal::add_backend_signals(all);
    internal::add_backend_files(all);
    internal::add_backend_operations(all);
    internal::add_backend_chains(all);
    internal::add_backend_wake(all);
    internal::add_backend_life(all);
    internal::add_backend_faults(all);
    internal::add_reference_life(all);
    internal::add_reference_receives(all);
    internal::add_reference_received_messages(all);
    internal::add_reference_own_memory(all);
    internal::add_reference_recovery(all);
    internal::add_reference_files(all);
    internal::add_reference_sockets(all);
    internal::add_reference_messages(all);
    internal::add_reference_accept(all);
    internal::add_reference_poll_thread(all);
    internal::add_reference_registered_files(all);
    internal::add_reference_waits(all);
    internal::add_reference_nesting(all);
    internal::add_reference_destruction(all);
    internal::add_reference_turns(all);
    return all;
  }();
  return behaviours;
}

const std::vector<std::string>& standard_backend_plans() {
  static const std::vector<std::string> plans = {
      "",
      "enter/eintr:every=2",
      "enter/eintr-masked",
      "enter/eagain:every=3",
      "enter/ebusy:every=3",
      "enter/take:k=1",
      "cqe/short:bytes=1",
      "cqe/later,cqe/reorder",
      "cqe/full:every=2",
      "cqe/multishot-end:every=2",
      "setup/feature-absent:bit=EXT_ARG",
  };
  return plans;
}

std::vector<BackendCase> standard_backend_cases(const BackendSubject& backend, std::span<const KernelCase> kernels) {
  std::vector<BackendCase> cases;
  for (const KernelCase& kernel : kernels) {
    cases.push_back({kernel, backend});
    if (!kernel.options.plan.empty()) continue;
    for (const std::string& plan : standard_backend_plans()) {
      if (plan.empty()) continue;
      // A plan that asks for more than this kernel can truthfully do is refused, and is no case.
      if (Result<KernelCase> bent = with_plan(kernel, plan)) cases.push_back({std::move(*bent), backend});
    }
  }
  return cases;
}

void register_backend_suites(std::span<const BackendCase> cases, const BackendSuiteOptions& options) {
  for (const BackendBehaviour& behaviour : backend_behaviours()) {
    std::map<std::string, bool> able;  // what was found of a kernel without a plan holds for those with one
    for (const BackendCase& backend_case : cases) {
      // The reference backend's own interface is nothing that another loop could fall short of.
      const bool its_own = behaviour.capabilities.contains(Capability::kReference);
      if (its_own && !backend_case.backend.claims.contains(Capability::kReference)) continue;
      const KernelCase& kernel = backend_case.kernel;
      const bool plain = kernel.options.plan.empty();
      if (!behaviour.own_plan.empty()) {
        if (!plain || !options.own_plans) continue;
        if (Result<KernelCase> bent = with_plan(kernel, behaviour.own_plan)) {
          register_one(behaviour, backend_case, *bent, options);
        }
        continue;
      }
      if (!carries(behaviour, plan_of(kernel.options.plan), kernel.profile)) continue;
      // What the kernel or the backend cannot do at all is skipped once, in the case without a plan.
      const auto [known, is_new] = able.try_emplace(kernel.name);
      if (is_new) known->second = missing_needs(behaviour.needs, kernel.profile).empty();
      const bool possible =
          known->second && (options.ignore_claims || (behaviour.capabilities - backend_case.backend.claims).empty());
      if (!plain && !possible) continue;
      register_one(behaviour, backend_case, kernel, options);
    }
  }
}

void register_assay_backend_suites(std::span<const KernelCase> kernels) {
  register_backend_suites(standard_backend_cases(assay_backend_subject(), kernels));
  std::vector<BackendCase> cases;
  for (const BackendSubject& subject : assay_option_sets()) {
    for (const KernelCase& kernel : kernels) {
      cases.push_back({kernel, subject});
      // Two profiles, an old and a new one, are enough for what options and plans could do to each other; neither is
      // compared with a real kernel test by test.
      const bool with_plans = kernel.name == "sim:linux-5.10.0" || kernel.name == "sim:linux-running";
      if (!with_plans || !kernel.options.plan.empty()) continue;
      for (const char* plan : {"enter/eintr:every=2", "enter/eagain:every=3", "enter/take:k=1"}) {
        if (Result<KernelCase> bent = with_plan(kernel, plan)) cases.push_back({std::move(*bent), subject});
      }
    }
  }
  register_backend_suites(cases, {.own_plans = false});
}

}  // namespace assay::conformance
