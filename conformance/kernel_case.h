#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "assay/backend/kernel.h"
#include "assay/backend/result.h"
#include "assay/mocks/profile.h"

namespace assay {
class KernelStack;
}

namespace assay::conformance {

/// A kernel that was opened for one test, and its layers where it has any.
struct OpenedKernel {
  std::shared_ptr<Kernel> kernel;
  /// Null for a kernel that somebody else supplied.
  KernelStack* stack = nullptr;
};

/// What is the same for every kernel of a run.
struct KernelCaseOptions {
  /// Faults that bend the kernel's calls, as faultinject/fault_plan.h spells them. Empty: none.
  std::string plan;
  /// Seeds whatever a simulated kernel or a plan may choose. 0 makes every choice the usual one.
  std::uint64_t seed = 0;
  /// The file to which every call, SQE and CQE of all tests is written, a heading before each test; "-" is standard
  /// error, empty is none.
  std::string trace;
  /// The time that bodies let pass where it is real: long enough that this machine gets a few calls done in it.
  std::chrono::milliseconds moment{2};
};

/// One column of the table that suites are run over: a kernel, what it says of itself, and how a fresh one is opened.
///
/// Every test opens its own and gives it back, so that no test sees what another left behind. Whoever tests a kernel of
/// their own fills this in by hand.
struct KernelCase {
  /// As people spell it and tables show it: "linux", "sim:linux-6.12.0".
  std::string name;
  /// What it offers. A behaviour that needs more is skipped on it; where it claims to offer it, it is held to it.
  Profile profile;
  /// In process, on virtual time unless a behaviour asks for the real clock.
  bool simulated = false;
  KernelCaseOptions options;
  /// Opens one. `real_clock` is asked for by behaviours in which threads or timers outside the kernel take part; the
  /// running kernel has no other.
  std::function<Result<OpenedKernel>(bool real_clock)> open;
};

/// The kernel of that spelling, with strict mode on where it is simulated. EINVAL is a bad spelling or plan, with one
/// line that says what is wrong; anything else says that this kernel is not available here, which is only ever true of
/// the running one and of its recorded profile.
Result<KernelCase> find_kernel_case(std::string_view name, const KernelCaseOptions& options = {});

/// Adds what the last kernel that was opened with these options wrote to their trace file, under a heading. A kernel
/// begins its trace anew whenever it is opened, and a run opens one for every test.
void collect_trace(const KernelCaseOptions& options, std::string_view heading);

/// The same kernel under a plan. EINVAL where the plan is bad, or asks for more than this kernel can truthfully do.
Result<KernelCase> with_plan(const KernelCase& kernel_case, std::string plan);

/// The table: "linux", and "sim:NAME" for each profile that there is.
std::vector<std::string> default_kernel_names();

}  // namespace assay::conformance
