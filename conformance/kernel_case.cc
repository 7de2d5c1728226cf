#include "assay/conformance/kernel_case.h"

#include <unistd.h>

#include <fstream>
#include <iostream>
#include <utility>

#include "assay/faultinject/kernel_stack.h"

namespace assay::conformance {
namespace {

constexpr char kStandardError[] = "-";

/// Where one kernel writes before its trace is collected.
std::string partial_trace(const std::string& trace) {
  return trace.empty() || trace == kStandardError ? trace : trace + ".part";
}

Result<OpenedKernel> open_stack(KernelSpec spec, const KernelCaseOptions& options, bool real_clock) {
  if (spec.simulated) {
    spec.strict = true;
    spec.real_clock = spec.real_clock || real_clock;
  }
  KernelStackOptions stack_options{
      .kernel = format_kernel_spec(spec), .plan = options.plan, .trace = partial_trace(options.trace)};
  if (options.seed != 0) stack_options.seed = options.seed;
  Result<std::unique_ptr<KernelStack>> stack = open_kernel_stack(stack_options);
  if (!stack) return stack.error();
  const std::shared_ptr<KernelStack> owner = std::move(*stack);
  return OpenedKernel{.kernel = std::shared_ptr<Kernel>(owner, &owner->top()), .stack = owner.get()};
}

}  // namespace

Result<KernelCase> find_kernel_case(std::string_view name, const KernelCaseOptions& options) {
  Result<KernelSpec> spec = parse_kernel_spec(name);
  if (!spec) return spec.error();
  Result<Profile> profile = profile_of(*spec);
  if (!profile) return profile.error();
  // One is opened and given back at once: a plan that this kernel cannot carry out is found here, not in every test.
  KernelCaseOptions untraced = options;
  untraced.trace.clear();
  if (Result<OpenedKernel> opened = open_stack(*spec, untraced, false); !opened) return opened.error();
  return KernelCase{.name = std::string(name),
                    .profile = std::move(*profile),
                    .simulated = spec->simulated,
                    .options = options,
                    .open = [spec = *spec, options](bool real_clock) { return open_stack(spec, options, real_clock); }};
}

void collect_trace(const KernelCaseOptions& options, std::string_view heading) {
  if (options.trace.empty()) return;
  if (options.trace == kStandardError) {
    std::cerr << "# " << heading << std::endl;
    return;
  }
  const std::string part = partial_trace(options.trace);
  std::ifstream from(part);
  std::ofstream to(options.trace, std::ios::app);
  to << "# " << heading << '\n';
  if (from.peek() != std::ifstream::traits_type::eof()) to << from.rdbuf();
  ::unlink(part.c_str());
}

Result<KernelCase> with_plan(const KernelCase& kernel_case, std::string plan) {
  KernelCaseOptions options = kernel_case.options;
  options.plan = std::move(plan);
  return find_kernel_case(kernel_case.name, options);
}

std::vector<std::string> default_kernel_names() {
  std::vector<std::string> names{"linux"};
  for (const std::string& profile : profile_names()) names.push_back("sim:" + profile);
  return names;
}

}  // namespace assay::conformance
