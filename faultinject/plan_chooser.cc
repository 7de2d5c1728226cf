#include "assay/faultinject/plan_chooser.h"

#include <optional>
#include <utility>

namespace assay {

PlanChooser::PlanChooser(std::shared_ptr<FaultSchedule> schedule, std::uint64_t seed)
    : schedule_(std::move(schedule)), rest_(seed) {
  schedule_->set_reaches_completions();
}

std::uint64_t PlanChooser::choose(const Choice& choice) {
  // The seed is asked first and always, so that a rule that fires does not shift what the seed decides elsewhere.
  const std::uint64_t usual = rest_.choose(choice);
  const auto fires = [&](FaultPointId point) {
    return schedule_->cross({.point = point, .sqe = choice.sqe, .limit = choice.limit});
  };
  switch (choice.point) {
    case ChoicePoint::kCompletionOrder:
      if (choice.limit < 2) return usual;
      return fires(FaultPointId::kCqeReorder) ? choice.limit - 1 : usual;
    case ChoicePoint::kCompletionLater:
    case ChoicePoint::kNotificationLater:
      return fires(FaultPointId::kCqeLater) ? 1 : usual;
    case ChoicePoint::kTransferLength: {
      if (choice.limit < 2) return usual;
      const std::optional<FaultFiring> firing = fires(FaultPointId::kCqeShort);
      return firing.has_value() ? firing->amount : usual;
    }
    case ChoicePoint::kResultError: {
      const std::optional<FaultFiring> firing = fires(FaultPointId::kCqeErrno);
      return firing.has_value() ? static_cast<std::uint64_t>(firing->error) : usual;
    }
    case ChoicePoint::kMultishotEnd:
      return fires(FaultPointId::kCqeMultishotEnd) ? 1 : usual;
    case ChoicePoint::kOverflowAllocation:
      return fires(FaultPointId::kCqeDrop) ? 1 : usual;
    case ChoicePoint::kCqFull:
      return fires(FaultPointId::kCqeFull) ? 1 : usual;
  }
  return usual;
}

}  // namespace assay
