#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "assay/backend/result.h"
#include "assay/faultinject/fault_points.h"

namespace assay {

/// At which crossings of its point a rule fires. Crossings are counted from 1, per rule, and only those that the rule's
/// filters let through. Every condition that is set must hold; with none set, a rule fires at every crossing.
struct FaultTiming {
  /// Exactly this crossing; 0 is unset.
  std::uint64_t nth = 0;
  /// Each crossing whose number is a multiple of this; 0 is unset.
  std::uint64_t every = 0;
  /// Not before this crossing; 0 is unset.
  std::uint64_t from = 0;
  /// Not after this crossing; 0 is unset.
  std::uint64_t to = 0;
  /// With this probability, decided by the plan's seed; 1 is always.
  double probability = 1.0;

  friend bool operator==(const FaultTiming&, const FaultTiming&) = default;
};

/// One rule of a plan: a point, when it fires, and how.
struct FaultRule {
  FaultPointId point = FaultPointId::kEnterEintr;
  FaultTiming when = {};

  /// The opcode of the request or registration that is meant, by the point's table of names.
  std::optional<std::uint32_t> op = {};
  /// The fd in the SQE.
  std::optional<std::int32_t> fd = {};
  /// The user_data in the SQE.
  std::optional<std::uint64_t> user_data = {};

  /// Positive errno; 0 is unset.
  int error = 0;
  /// Bytes that a short transfer moves; 0 is half of what was asked.
  std::uint64_t bytes = 0;
  /// SQEs that are taken; 0 is half of what was offered.
  std::uint32_t k = 0;
  /// IORING_FEAT_* mask that is hidden.
  std::uint32_t bit = 0;

  friend bool operator==(const FaultRule&, const FaultRule&) = default;
};

/// What goes wrong in a run, as data. Text form: items joined by ',', each a rule or `seed=N`; a rule is a point's name
/// (without "assay/") and its settings, each after a ':'.
///
///     enter/eintr:nth=3,cqe/short:every=2:bytes=7,cqe/errno:nth=1:op=READ:errno=EIO,seed=42
///
/// Settings: nth= every= from= to= prob= (when); op= fd= user_data= (which requests); errno= bytes= k= bit= (how).
/// `assay faults` lists the points and what each takes.
struct FaultPlan {
  std::vector<FaultRule> rules = {};
  /// Decides prob=. The same seed and the same crossings give the same firings.
  std::uint64_t seed = 0;

  bool empty() const noexcept { return rules.empty(); }
  friend bool operator==(const FaultPlan&, const FaultPlan&) = default;
};

/// Reads the text form, or the JSON form where the text begins with '{'; the empty text is the empty plan. EINVAL with
/// one line that names the offending part and what would be right.
Result<FaultPlan> parse_fault_plan(std::string_view text);

/// Writes the text form, which parses back to an equal plan.
std::string format_fault_plan(const FaultPlan& plan);

/// The same in JSON, for programs: {"seed":3,"rules":[{"point":"enter/take","nth":2,"k":1}]}. Rules have the settings
/// of the text form.
Result<FaultPlan> parse_fault_plan_json(std::string_view text);
std::string format_fault_plan_json(const FaultPlan& plan);
std::string format_fault_rule(const FaultRule& rule);

/// Says what is wrong with a rule, as parse_fault_plan would: a setting that its point does not take, lacks, or that
/// makes no sense. For plans that were made in code.
Result<void> check_fault_rule(const FaultRule& rule);

/// Whether the users of a backend may rightly see that errno, positive, because the rule fired.
bool fault_tells(const FaultRule& rule, int error);

/// "EIO" for 5 (or -5); a number where Linux has no name for it.
std::string errno_name(int error);
/// 5 for "EIO" or "5"; nothing where it is neither.
std::optional<int> errno_from_name(std::string_view name);

}  // namespace assay
