#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "assay/backend/kernel.h"
#include "assay/backend/result.h"
#include "assay/faultinject/fault_plan.h"
#include "assay/faultinject/fault_schedule.h"
#include "assay/faultinject/kernel_stack.h"
#include "assay/faultinject/ledger.h"
#include "assay/mocks/profile.h"

namespace assay {

/// What the body of a scenario has: the kernel that it runs on, and where it states what must hold.
///
/// A run may go wrong in the ways that its faults allow, and in no other: an errno that reaches the backend's user must
/// be one that a fault gave, which `allows` knows; a fault that a backend has to bear, such as -EINTR from enter,
/// allows nothing.
class ScenarioRun {
 public:
  ScenarioRun(Kernel& kernel, const Profile& profile, const FaultSchedule& schedule)
      : kernel_(kernel), profile_(profile), schedule_(schedule) {}
  ScenarioRun(const ScenarioRun&) = delete;
  ScenarioRun& operator=(const ScenarioRun&) = delete;

  Kernel& kernel() noexcept { return kernel_; }
  const Profile& profile() const noexcept { return profile_; }

  /// Something that must not be.
  void violated(std::string what) { violations_.push_back(std::move(what)); }
  /// What must hold, and in words what is wrong where it does not. Returns whether it holds.
  bool expect(bool holds, std::string_view what) {
    if (!holds) violated(std::string(what));
    return holds;
  }
  /// An operation of the backend, or the backend itself, ended with this errno, of either sign: a violation unless a
  /// fault allows it. 0 is success. Returns whether it was success.
  bool ended(std::string_view what, int error);
  /// The same for what gives a Result.
  template <typename T>
  bool ended(std::string_view what, const Result<T>& result) {
    return ended(what, result ? 0 : result.error().code.value());
  }

  /// Whether a fault of this run lets users see that errno, of either sign.
  bool allows(int error) const;
  /// Whether the point fired in this run.
  bool fired(FaultPointId point) const;
  /// Whether any of its points did that end requests early: what is linked to them, or waits for them, may end with
  /// -ECANCELED or bring less.
  bool fired_any_of(std::initializer_list<FaultPointId> points) const;

  /// Whether the plan says that the kernel has no such opcode.
  bool hides(std::uint8_t opcode) const;

  std::vector<std::string> take_violations() { return std::move(violations_); }

 private:
  Kernel& kernel_;
  const Profile& profile_;
  const FaultSchedule& schedule_;
  std::vector<std::string> violations_;
};

/// A program over a kernel, and what must hold whatever the kernel legally does.
struct Scenario {
  /// In options and reports: "echo".
  std::string name;
  /// What it does, in a sentence.
  std::string tells;
  /// Does it, from the creation of what it needs to its end. Whatever it opens it closes.
  std::function<void(ScenarioRun& run)> body;
  /// Opcodes that it cannot do without: where a kernel lacks one, a sweep leaves it out, and says so.
  std::vector<std::uint8_t> opcodes = {};
};

/// The kernel that schedules run on: read once, opened anew for each.
class ScenarioKernel {
 public:
  /// `spelling` is as everywhere (kernel_stack.h). EINVAL with one line for what a person misspelled.
  static Result<ScenarioKernel> find(const std::string& spelling);

  const std::string& name() const noexcept { return name_; }
  bool simulated() const noexcept { return spec_.simulated; }
  const KernelSpec& spec() const noexcept { return spec_; }
  /// Of the running kernel, what it announces.
  const Profile& profile() const noexcept { return profile_; }

 private:
  std::string name_;
  KernelSpec spec_;
  Profile profile_;
};

/// The opcodes for want of which the scenario cannot be run on the kernel, as "FUTEX_WAIT, WRITE"; empty where it can.
std::string lacking_opcodes(const Scenario& scenario, const ScenarioKernel& kernel);

/// What came of one run of a scenario under one plan: a schedule.
struct ScheduleResult {
  /// What does not hold, the scenario's own first, then the ledger's, then descriptors that were left open.
  std::vector<std::string> violations;
  FaultReport faults;
  LedgerReport ledger;

  bool passed() const noexcept { return violations.empty(); }
  /// Crossings of all points.
  std::uint64_t crossings() const;
};

/// How a schedule is run.
struct ScheduleOptions {
  /// See LedgerOptions; where it is unset a program that is stuck takes the process with it.
  std::function<void(const std::string& why)> when_stuck = {};
  /// A file that every call, SQE and CQE is written to; "-" is standard error, empty is none.
  std::string trace = {};
};

/// Runs the scenario once. In this process: what crashes or hangs takes it along (sweep.h runs schedules in children).
/// EINVAL where the kernel cannot truthfully carry the plan.
Result<ScheduleResult> run_schedule(const Scenario& scenario, const ScenarioKernel& kernel, const FaultPlan& plan,
                                    const ScheduleOptions& options = {});

}  // namespace assay
