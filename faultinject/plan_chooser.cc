#include "assay/faultinject/plan_chooser.h"

#include <cerrno>
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
      return fires(FaultPointId::kCqeLater) ? 1 : usual;
    case ChoicePoint::kNotificationLater:
      return fires(FaultPointId::kCqeNotifLate) ? 1 : usual;
    case ChoicePoint::kTransferLength: {
      if (choice.limit < 2) return usual;
      const std::optional<FaultFiring> firing = fires(FaultPointId::kCqeShort);
      return firing.has_value() ? firing->amount : usual;
    }
    case ChoicePoint::kResultError: {
      // Each is a crossing of all three.
      const std::optional<FaultFiring> firing = fires(FaultPointId::kCqeErrno);
      const bool interrupted = fires(FaultPointId::kCqeEintr).has_value();
      const bool refused = fires(FaultPointId::kCqeEagain).has_value();
      if (firing.has_value()) return static_cast<std::uint64_t>(firing->error);
      if (interrupted) return EINTR;
      return refused ? EAGAIN : usual;
    }
    case ChoicePoint::kMultishotEnd:
      return fires(FaultPointId::kCqeMultishotEnd) ? 1 : usual;
    case ChoicePoint::kOverflowAllocation:
      return fires(FaultPointId::kCqeDrop) ? 1 : usual;
    case ChoicePoint::kCqFull:
      return fires(FaultPointId::kCqeFull) ? 1 : usual;
    case ChoicePoint::kOpcodeRefused:
      return fires(FaultPointId::kCqeRefused) ? 1 : usual;
    case ChoicePoint::kEndOfFile:
      return fires(FaultPointId::kCqeEof) ? 1 : usual;
    case ChoicePoint::kCompletionHeld:
      return fires(FaultPointId::kCqeHeld) ? 1 : usual;
    case ChoicePoint::kForeignCompletion:
      return fires(FaultPointId::kCqeForeign) ? 1 : usual;
    case ChoicePoint::kBuffersGone:
      return fires(FaultPointId::kCqeEnobufs) ? 1 : usual;
    case ChoicePoint::kCancelResult:
      if (fires(FaultPointId::kCqeCancelEnoent)) return 1;
      return fires(FaultPointId::kCqeCancelEalready) ? 2 : usual;
    case ChoicePoint::kCancelOrder:
      return fires(FaultPointId::kCqeCancelOrder) ? 1 : usual;
    case ChoicePoint::kPollThreadLate:
      return fires(FaultPointId::kPollerLate) ? 1 : usual;
    case ChoicePoint::kSqHeadLate:
      return fires(FaultPointId::kPollerHeadLate) ? 1 : usual;
    case ChoicePoint::kPollThreadSleeps:
      return fires(FaultPointId::kPollerAsleep) ? 1 : usual;
  }
  return usual;
}

}  // namespace assay
