#include "assay/faultinject/kernel_stack.h"

#include <cerrno>
#include <fstream>
#include <iostream>
#include <utility>

#include "assay/backend/linux_kernel.h"
#include "assay/faultinject/live_control.h"
#include "assay/faultinject/plan_chooser.h"
#include "assay/faultinject/trace_kernel.h"
#include "assay/mocks/profile.h"
#include "assay/mocks/sim_kernel.h"

namespace assay {

// In the order in which each needs those before it, so that they go in reverse.
struct KernelStack::Layers {
  KernelSpec spec;
  FaultPlan plan;
  std::shared_ptr<FaultSchedule> schedule;  // null without a fault layer
  std::unique_ptr<PlanChooser> chooser;     // null without a fault layer, and over Linux
  std::unique_ptr<SimKernel> sim;           // null over Linux
  std::unique_ptr<FaultKernel> faults;
  std::ofstream trace_file;
  std::unique_ptr<TraceKernel> trace;
  Kernel* top = &LinuxKernel::instance();
};

namespace {

// As a shell takes it back. Neither plans nor kernels contain a quote, but a profile's path may contain anything else.
std::string shell_quoted(const std::string& text) {
  constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=.,:/";
  return text.find_first_not_of(kPlain) == std::string::npos ? text : "'" + text + "'";
}

}  // namespace

Result<Profile> profile_of(const KernelSpec& spec) {
  Result<Profile> profile = find_profile(spec.simulated ? std::string_view(spec.profile) : "linux-running");
  if (!profile) return profile;
  for (const KernelSpec::BitChange& change : spec.bits) {
    if (Result<void> set = set_profile_bit(*profile, change.bit, change.on); !set) return set.error();
  }
  return profile;
}

KernelStack::KernelStack(std::unique_ptr<Layers> layers) : layers_(std::move(layers)) {}
KernelStack::~KernelStack() = default;

Kernel& KernelStack::top() noexcept { return *layers_->top; }
std::string KernelStack::name() const { return format_kernel_spec(layers_->spec); }
const KernelSpec& KernelStack::spec() const noexcept { return layers_->spec; }
const FaultPlan& KernelStack::plan() const noexcept { return layers_->plan; }
SimKernel* KernelStack::sim() noexcept { return layers_->sim.get(); }
FaultKernel* KernelStack::faults() noexcept { return layers_->faults.get(); }

FaultReport KernelStack::report() const {
  return layers_->schedule != nullptr ? layers_->schedule->report() : FaultReport{};
}

std::string KernelStack::replay_options() const {
  std::string options = "--kernel " + shell_quoted(name());
  if (!layers_->plan.empty()) options += " --plan " + shell_quoted(format_fault_plan(layers_->plan));
  return options;
}

Result<std::unique_ptr<KernelStack>> open_kernel_stack(const KernelStackOptions& options) {
  auto layers = std::make_unique<KernelStack::Layers>();
  Result<KernelSpec> spec = parse_kernel_spec(options.kernel);
  if (!spec) return spec.error();
  Result<FaultPlan> plan = parse_fault_plan(options.plan);
  if (!plan) return plan.error();
  const std::uint64_t seed = options.seed.value_or(0);
  if (spec->simulated && spec->seed == 0) spec->seed = seed;
  if (!plan->empty() && plan->seed == 0) plan->seed = seed;
  layers->spec = *spec;
  layers->plan = *plan;

  const bool faulty = !plan->empty() || live_control_is_on();
  if (faulty) layers->schedule = std::make_shared<FaultSchedule>(*plan, live_control_is_on());
  if (spec->simulated) {
    Result<Profile> profile = profile_of(*spec);
    if (!profile) return profile.error();
    if (faulty) layers->chooser = std::make_unique<PlanChooser>(layers->schedule, spec->seed);
    layers->sim = std::make_unique<SimKernel>(SimOptions{.profile = std::move(*profile),
                                                         .real_clock = spec->real_clock,
                                                         .live = spec->live,
                                                         .strict = spec->strict,
                                                         .seed = spec->seed,
                                                         .chooser = layers->chooser.get(),
                                                         .name = format_kernel_spec(*spec)});
    layers->top = layers->sim.get();
  }
  if (faulty) {
    Result<std::unique_ptr<FaultKernel>> faults = FaultKernel::create(*layers->top, layers->schedule);
    if (!faults) return faults.error();
    layers->faults = std::move(*faults);
    layers->top = layers->faults.get();
  }
  if (!options.trace.empty()) {
    std::ostream* out = &std::cerr;
    if (options.trace != "-") {
      layers->trace_file.open(options.trace, std::ios::out | std::ios::trunc);
      if (!layers->trace_file) return Error::from_errno(errno, "trace: cannot write '" + options.trace + "'");
      out = &layers->trace_file;
    }
    layers->trace = std::make_unique<TraceKernel>(*layers->top, *out);
    layers->top = layers->trace.get();
  }
  return std::unique_ptr<KernelStack>(new KernelStack(std::move(layers)));
}

}  // namespace assay
