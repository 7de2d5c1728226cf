#include "assay/faultinject/fault_schedule.h"

#include <algorithm>

#include "assay/faultinject/live_control.h"

namespace assay {
namespace {

// A result that a fault gives is, without op=, for requests on files. A cancelation or a timeout that failed would be
// another matter, and a CLOSE that was not carried out would leave the program with a descriptor that it rightly takes
// for closed.
bool acts_on_file(std::uint8_t opcode) {
  switch (opcode) {
    case IORING_OP_NOP:
    case IORING_OP_POLL_REMOVE:
    case IORING_OP_TIMEOUT:
    case IORING_OP_TIMEOUT_REMOVE:
    case IORING_OP_ASYNC_CANCEL:
    case IORING_OP_LINK_TIMEOUT:
    case IORING_OP_CLOSE:
    case IORING_OP_FILES_UPDATE:
    case IORING_OP_PROVIDE_BUFFERS:
    case IORING_OP_REMOVE_BUFFERS:
    case IORING_OP_MSG_RING:
    case uapi::kOpFutexWait:
    case uapi::kOpFutexWake:
    case uapi::kOpFutexWaitv:
    case uapi::kOpNop128:
      return false;
    default:
      return true;
  }
}

bool is_a_result(FaultPointId point) {
  switch (point) {
    case FaultPointId::kCqeErrno:
    case FaultPointId::kCqeEintr:
    case FaultPointId::kCqeEagain:
    case FaultPointId::kCqeRefused:
      return true;
    default:
      return false;
  }
}

bool concerns_any_request(const FaultCrossing& crossing) {
  return is_a_result(crossing.point) && crossing.sqe != nullptr && !acts_on_file(crossing.sqe->opcode);
}

bool lets_through(const FaultRule& rule, const FaultCrossing& crossing) {
  if (rule.point != crossing.point) return false;
  if (crossing.sqe != nullptr) {
    if (rule.op.has_value() && *rule.op != crossing.sqe->opcode) return false;
    if (rule.fd.has_value() && *rule.fd != crossing.sqe->fd) return false;
    if (rule.user_data.has_value() && *rule.user_data != crossing.sqe->user_data) return false;
  } else {
    if (rule.op.has_value() && *rule.op != crossing.op) return false;
    if (rule.fd.has_value() || rule.user_data.has_value()) return false;
  }
  if (concerns_any_request(crossing) && !rule.op.has_value()) return false;
  const std::uint64_t left = std::max<std::uint64_t>(rule.bytes, rule.k);
  return left == 0 || left < crossing.limit;
}

// What is left where neither rule nor libfiu says: half, which is less than the limit and more than nothing.
std::uint64_t amount_of(std::uint64_t wanted, std::uint64_t limit) {
  if (limit < 2) return limit;
  return wanted == 0 ? limit / 2 : std::min(wanted, limit - 1);
}

std::string times(std::uint64_t count) {
  if (count == 0) return "never";
  if (count == 1) return "once";
  return std::to_string(count) + " times";
}

}  // namespace

std::uint64_t FaultReport::fired() const {
  std::uint64_t sum = 0;
  for (const std::uint64_t count : firings) sum += count;
  return sum;
}

bool FaultReport::every_rule_fired() const {
  return std::all_of(rules.begin(), rules.end(), [](const FaultRuleReport& rule) { return rule.firings > 0; });
}

std::string FaultReport::text() const {
  std::string lines;
  for (const FaultRuleReport& rule : rules) {
    lines +=
        format_fault_rule(rule.rule) + " crossed " + times(rule.crossings) + ", fired " + times(rule.firings) + "\n";
  }
  if (sqpoll_rings != 0) {
    lines += "rings with SQPOLL, where SQEs could not be rewritten: " + std::to_string(sqpoll_rings) + "\n";
  }
  return lines;
}

FaultSchedule::FaultSchedule(FaultPlan plan, bool ask_libfiu) : ask_libfiu_(ask_libfiu) {
  if (ask_libfiu_) live_control_start();
  append(plan, 0);
}

void FaultSchedule::append(const FaultPlan& plan, std::uint64_t added) {
  Random seeds(plan.seed);
  for (const FaultRule& rule : plan.rules) {
    entries_.push_back({.rule = rule, .added = added, .in_force = true, .random = Random(seeds.next())});
  }
}

bool FaultSchedule::fires_at(Entry& entry, std::uint64_t number) {
  const FaultTiming& when = entry.rule.when;
  if (when.nth != 0 && number != when.nth) return false;
  if (when.every != 0 && number % when.every != 0) return false;
  if (when.from != 0 && number < when.from) return false;
  if (when.to != 0 && number > when.to) return false;
  if (when.probability >= 1) return true;
  constexpr double kTwoTo53 = 9007199254740992.0;
  return static_cast<double>(entry.random.next() >> 11) / kTwoTo53 < when.probability;
}

std::optional<FaultFiring> FaultSchedule::cross(const FaultCrossing& crossing) {
  const auto index = static_cast<std::size_t>(crossing.point);
  const FaultPoint& point = fault_point(crossing.point);
  // What a rule without filters would count.
  const bool counted = !is_standing(point) && !concerns_any_request(crossing);
  std::optional<FaultFiring> firing;
  {
    const std::lock_guard lock(mutex_);
    bool crossed = counted;
    for (Entry& entry : entries_) {
      if (!entry.in_force || !lets_through(entry.rule, crossing)) continue;
      crossed = true;
      const bool fires = fires_at(entry, ++entry.crossings);
      if (!fires || firing.has_value()) continue;
      ++entry.firings;
      const std::uint64_t wanted = std::max<std::uint64_t>(entry.rule.bytes, entry.rule.k);
      firing = FaultFiring{.error = entry.rule.error, .amount = amount_of(wanted, crossing.limit)};
    }
    if (crossed) ++totals_.crossings[index];
  }
  // Outside the lock: libfiu may call back into the program.
  if (!firing.has_value() && ask_libfiu_ && counted) {
    if (const std::uint64_t value = live_control_asks(point); value != 0) {
      firing = FaultFiring{.error = static_cast<int>(value), .amount = amount_of(value, crossing.limit)};
    }
  }
  if (firing.has_value()) {
    const std::lock_guard lock(mutex_);
    ++totals_.firings[index];
  }
  return firing;
}

bool FaultSchedule::has_rule(FaultPointId point) const {
  const std::lock_guard lock(mutex_);
  return std::any_of(entries_.begin(), entries_.end(),
                     [point](const Entry& entry) { return entry.in_force && entry.rule.point == point; });
}

std::vector<FaultRule> FaultSchedule::rules() const {
  const std::lock_guard lock(mutex_);
  std::vector<FaultRule> rules;
  for (const Entry& entry : entries_) {
    if (entry.in_force) rules.push_back(entry.rule);
  }
  return rules;
}

std::uint64_t FaultSchedule::add(const FaultPlan& plan) {
  const std::lock_guard lock(mutex_);
  append(plan, ++additions_);
  return additions_;
}

void FaultSchedule::remove(std::uint64_t added) {
  const std::lock_guard lock(mutex_);
  for (Entry& entry : entries_) {
    if (entry.added == added) entry.in_force = false;
  }
}

void FaultSchedule::count_sqpoll_ring() {
  const std::lock_guard lock(mutex_);
  ++totals_.sqpoll_rings;
}

FaultReport FaultSchedule::report() const {
  const std::lock_guard lock(mutex_);
  FaultReport report = totals_;
  for (const Entry& entry : entries_) {
    report.rules.push_back({.rule = entry.rule, .crossings = entry.crossings, .firings = entry.firings});
  }
  return report;
}

}  // namespace assay
