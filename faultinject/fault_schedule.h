#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "assay/backend/uapi.h"
#include "assay/faultinject/fault_plan.h"
#include "assay/faultinject/random.h"

namespace assay {

/// What happened to one rule so far.
struct FaultRuleReport {
  FaultRule rule;
  /// Crossings of the rule's point that its filters let through.
  std::uint64_t crossings = 0;
  /// How often it bent something.
  std::uint64_t firings = 0;
};

/// What fired: the proof that a faulty run was one.
struct FaultReport {
  std::vector<FaultRuleReport> rules;
  /// Crossings of every point, whether or not a rule names it; what a sweep counts first. Indexed by FaultPointId.
  std::array<std::uint64_t, kFaultPoints> crossings{};
  /// Firings of every point, by rules and by libfiu. Indexed by FaultPointId.
  std::array<std::uint64_t, kFaultPoints> firings{};
  /// Rings with IORING_SETUP_SQPOLL, whose SQEs are out of reach: faults that rewrite SQEs did not apply there.
  std::uint64_t sqpoll_rings = 0;

  std::uint64_t crossings_of(FaultPointId point) const { return crossings[static_cast<std::size_t>(point)]; }
  std::uint64_t firings_of(FaultPointId point) const { return firings[static_cast<std::size_t>(point)]; }
  /// Firings of all rules and of libfiu.
  std::uint64_t fired() const;
  /// True when each rule fired at least once.
  bool every_rule_fired() const;
  /// A line a rule: "enter/eintr:nth=3 crossed 7 times, fired once".
  std::string text() const;
};

/// What crosses a point: what a rule's filters and parameters are held against.
struct FaultCrossing {
  FaultPointId point;
  /// The request, for points that concern one, or null.
  const io_uring_sqe* sqe = nullptr;
  /// The opcode, for register points.
  std::uint32_t op = 0;
  /// What the fault could take away from: bytes of a transfer, SQEs offered. A rule that would leave as much is not
  /// crossed.
  std::uint64_t limit = 0;
};

/// A rule's answer at a crossing: how it fires.
struct FaultFiring {
  /// Positive errno, for points that take one.
  int error = 0;
  /// Bytes or SQEs that are left, for points with a limit: 1 … limit - 1.
  std::uint64_t amount = 0;
};

/// Decides, crossing by crossing, what a plan does; shared by FaultKernel (calls) and PlanChooser (completions), so
/// that both act on one plan. Safe for threads; deterministic in the order of crossings.
class FaultSchedule {
 public:
  /// `ask_libfiu` also puts each crossing to libfiu under the point's name; points must then be enabled there.
  explicit FaultSchedule(FaultPlan plan, bool ask_libfiu = false);
  FaultSchedule(const FaultSchedule&) = delete;
  FaultSchedule& operator=(const FaultSchedule&) = delete;

  /// Counts the crossing and tells how it fires, if it does. The first rule that fires wins; every rule counts.
  std::optional<FaultFiring> cross(const FaultCrossing& crossing);

  /// Rules and libfiu, if any, can be told apart from a schedule that can never fire: then `cross` need not be called,
  /// unless crossings are to be counted.
  bool asks_libfiu() const noexcept { return ask_libfiu_; }
  /// True while any rule names the point.
  bool has_rule(FaultPointId point) const;
  /// Every rule now in force.
  std::vector<FaultRule> rules() const;

  /// Puts a plan's rules in force as well, until `remove`. Returns what `remove` wants.
  std::uint64_t add(const FaultPlan& plan);
  /// Takes an added plan's rules out of force; what they did stays in the report.
  void remove(std::uint64_t added);

  void count_sqpoll_ring();
  FaultReport report() const;

  /// Set once a PlanChooser on this schedule exists: then completion faults reach a simulated kernel.
  void set_reaches_completions() noexcept { reaches_completions_ = true; }
  bool reaches_completions() const noexcept { return reaches_completions_; }

 private:
  struct Entry {
    FaultRule rule;
    std::uint64_t added;  // 0 is the first plan
    bool in_force;
    std::uint64_t crossings;
    std::uint64_t firings;
    Random random;  // each rule's own generator: another rule does not change what this one does
  };

  void append(const FaultPlan& plan, std::uint64_t added);
  static bool fires_at(Entry& entry, std::uint64_t number);

  const bool ask_libfiu_;
  std::atomic<bool> reaches_completions_ = false;
  mutable std::mutex mutex_;
  std::vector<Entry> entries_;
  std::uint64_t additions_ = 0;
  FaultReport totals_;
};

}  // namespace assay
