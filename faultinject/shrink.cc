#include "assay/faultinject/shrink.h"

#include <utility>

namespace assay::internal {
namespace {

constexpr unsigned kMostQuestions = 64;
// Of a rule that may fire at many crossings, these are tried by themselves.
constexpr std::uint64_t kCrossingsTried = 12;

class Shrinking {
 public:
  Shrinking(FaultPlan plan, const std::function<bool(const FaultPlan&)>& does) : plan_(std::move(plan)), does_(does) {}

  FaultPlan run() {
    while (drop_a_rule()) {
    }
    for (std::size_t i = 0; i < plan_.rules.size(); ++i) fire_once(i);
    if (plan_.seed != 0) {
      FaultPlan plan = plan_;
      plan.seed = 0;
      take(std::move(plan));
    }
    while (drop_a_rule()) {
    }
    return std::move(plan_);
  }

 private:
  bool take(FaultPlan plan) {
    if (questions_ == 0) return false;
    --questions_;
    if (!does_(plan)) return false;
    plan_ = std::move(plan);
    return true;
  }

  bool drop_a_rule() {
    for (std::size_t i = 0; i < plan_.rules.size(); ++i) {
      FaultPlan plan = plan_;
      plan.rules.erase(plan.rules.begin() + static_cast<std::ptrdiff_t>(i));
      if (take(std::move(plan))) return true;
    }
    return false;
  }

  // One crossing instead of several.
  void fire_once(std::size_t rule) {
    if (is_standing(fault_point(plan_.rules[rule].point)) || plan_.rules[rule].when.nth != 0) return;
    for (std::uint64_t nth = 1; nth <= kCrossingsTried; ++nth) {
      FaultPlan plan = plan_;
      plan.rules[rule].when = {.nth = nth};
      if (take(std::move(plan))) return;
    }
    FaultPlan plan = plan_;
    plan.rules[rule].when = {};
    take(std::move(plan));
  }

  FaultPlan plan_;
  const std::function<bool(const FaultPlan&)>& does_;
  unsigned questions_ = kMostQuestions;
};

}  // namespace

FaultPlan shrink(FaultPlan plan, const std::function<bool(const FaultPlan&)>& does) {
  return Shrinking(std::move(plan), does).run();
}

}  // namespace assay::internal
