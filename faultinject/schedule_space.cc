#include "assay/faultinject/schedule_space.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "assay/faultinject/hidden_features.h"
#include "assay/faultinject/random.h"

namespace assay {
namespace {

// The ways in which a rule of this point may fire: an errno each, one SQE and half of them, one byte and half of them.
std::vector<FaultRule> variants(const FaultPoint& point) {
  const FaultRule plain{.point = point.id};
  std::vector<FaultRule> rules;
  if ((point.needs & kTakesErrno) != 0) {
    for (const int error : point.sweeps) {
      if (error == 0) continue;
      rules.push_back(plain);
      rules.back().error = error;
    }
    return rules;
  }
  rules.push_back(plain);
  if ((point.takes & kTakesK) != 0) {
    rules.push_back(plain);
    rules.back().k = 1;
  }
  if ((point.takes & kTakesBytes) != 0) {
    rules.push_back(plain);
    rules.back().bytes = 1;
  }
  return rules;
}

// What is absent is absent throughout, so each is one schedule, whatever was crossed.
void add_absences(const ScheduleResult& without_faults, const ScenarioKernel& kernel, std::vector<FaultRule>& rules) {
  if (without_faults.faults.crossings_of(FaultPointId::kSetupEnosys) == 0) return;
  for (unsigned bit = 0; bit < 32; ++bit) {
    const std::uint32_t feature = 1u << bit;
    if ((kernel.profile().features & feature) == 0 || !check_hideable(feature)) continue;
    rules.push_back({.point = FaultPointId::kSetupFeatureAbsent, .bit = feature});
  }
  for (const std::uint8_t opcode : without_faults.ledger.opcodes) {
    if (opcode <= IORING_OP_POLL_REMOVE) continue;  // every kernel has these
    rules.push_back({.point = FaultPointId::kRegisterOpcodeAbsent, .op = opcode});
  }
}

}  // namespace

std::vector<FaultRule> single_faults(const ScheduleResult& without_faults, const ScenarioKernel& kernel) {
  std::vector<FaultRule> rules;
  for (const FaultPoint& point : fault_points()) {
    if (is_standing(point)) continue;
    if (point.reach == FaultReach::kSimulation && !kernel.simulated()) continue;
    if (point.id == FaultPointId::kEnterEbadr && !kernel.profile().semantics.ebadr_after_drop) continue;
    const std::uint64_t crossings = without_faults.faults.crossings_of(point.id);
    for (std::uint64_t nth = 1; nth <= crossings; ++nth) {
      for (FaultRule rule : variants(point)) {
        rule.when.nth = nth;
        rules.push_back(rule);
      }
    }
  }
  add_absences(without_faults, kernel, rules);
  return rules;
}

ScheduleSpace::ScheduleSpace(std::vector<FaultRule> singles, const ScheduleSpaceOptions& options)
    : singles_(std::move(singles)), options_(options) {
  const std::uint64_t count = singles_.size();
  singles_run_ = options_.singles ? count : 0;
  all_pairs_ = count < 2 ? 0 : count * (count - 1) / 2;
  pairs_run_ = std::min(all_pairs_, options_.pairs);
  if (singles_.empty()) options_.random = 0;
}

FaultPlan ScheduleSpace::plan(std::uint64_t number) const {
  if (number < singles_run_) return {.rules = {singles_[number]}};
  number -= singles_run_;
  if (number < pairs_run_) return pair(number);
  return random_plan(number - pairs_run_);
}

// Pairs (a, b) with a < b are numbered (0,1), (0,2), (1,2), (0,3) … A sample takes one of each stretch of equal length,
// so that none is taken twice.
FaultPlan ScheduleSpace::pair(std::uint64_t number) const {
  if (!pairs_are_all()) {
    const std::uint64_t begin = number * all_pairs_ / pairs_run_;
    const std::uint64_t end = (number + 1) * all_pairs_ / pairs_run_;
    Random random(options_.seed ^ (number << 20));
    number = begin + random.below(end - begin);
  }
  auto b = static_cast<std::uint64_t>((1 + std::sqrt(1 + 8 * static_cast<double>(number))) / 2);
  while (b * (b - 1) / 2 > number) --b;
  while ((b + 1) * b / 2 <= number) ++b;
  const std::uint64_t a = number - b * (b - 1) / 2;
  return {.rules = {singles_[a], singles_[b]}};
}

FaultPlan ScheduleSpace::random_plan(std::uint64_t number) const {
  constexpr std::uint64_t kMostRules = 6;
  Random random(options_.seed + number * 0x9e3779b97f4a7c15u);
  FaultPlan plan;
  plan.seed = 1 + random.below(1'000'000);
  for (std::uint64_t rules = 1 + random.below(kMostRules); rules != 0; --rules) {
    FaultRule rule = singles_[random.below(singles_.size())];
    if (!is_standing(fault_point(rule.point))) {
      switch (random.below(4)) {
        case 0:
          rule.when = {.every = 2 + random.below(5)};
          // A kernel that never does anything right is none: every second request may be each read of a loop that polls
          // before it reads again.
          rule.when.to = rule.when.every * (1 + random.below(10));
          break;
        case 1:
          rule.when = {.from = 1 + random.below(10)};
          rule.when.to = rule.when.from + random.below(10);
          break;
        case 2:
          rule.when = {.probability = static_cast<double>(1 + random.below(50)) / 100};
          break;
        default:
          break;  // once, as it is
      }
    }
    plan.rules.push_back(rule);
  }
  return plan;
}

}  // namespace assay
