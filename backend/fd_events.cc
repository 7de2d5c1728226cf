#include "assay/backend/fd_events.h"

#include <cerrno>
#include <utility>

#include "assay/backend/fd_event.h"

namespace assay::internal {

void FdEvents::removed(FdEvent& event) noexcept {
  --size_;
  forget_doubt(event);
  if (event.arm_position_ == FdEvent::kNowhere) return;
  to_arm_[event.arm_position_] = nullptr;
  event.arm_position_ = FdEvent::kNowhere;
}

void FdEvents::arm_later(FdEvent& event) {
  if (event.arm_position_ != FdEvent::kNowhere) return;
  event.arm_position_ = to_arm_.size();
  to_arm_.push_back(&event);
}

void FdEvents::arm_all() {
  // Queueing calls nobody back, so the list does not change meanwhile.
  for (FdEvent* event : to_arm_) {
    if (event == nullptr) continue;
    event->arm_position_ = FdEvent::kNowhere;
    (void)requests_.queue(*event, RequestOwner::kEvent);
  }
  to_arm_.clear();
}

void FdEvents::doubt(FdEvent& event) {
  event.found_ = 0;
  event.awaits_reap_ = false;
  if (is_doubtful(event)) return;
  event.doubt_position_ = doubtful_.size();
  doubtful_.push_back(&event);
}

void FdEvents::forget_doubt(FdEvent& event) noexcept {
  if (!is_doubtful(event)) return;
  doubtful_[event.doubt_position_] = nullptr;
  event.doubt_position_ = FdEvent::kNowhere;
}

void FdEvents::trust(FdEvent& event) {
  forget_doubt(event);
  if (!event.in_flight()) arm_later(event);
}

bool FdEvents::is_doubtful(const FdEvent& event) const noexcept { return event.doubt_position_ != FdEvent::kNowhere; }

void FdEvents::drop_holes() {
  std::size_t kept = 0;
  for (FdEvent* event : doubtful_) {
    if (event == nullptr) continue;
    event->doubt_position_ = kept;
    doubtful_[kept++] = event;
  }
  doubtful_.resize(kept);
}

bool FdEvents::look_at_doubtful() {
  drop_holes();
  if (doubtful_.empty()) return true;
  polls_.clear();
  for (const FdEvent* event : doubtful_)
    polls_.push_back({.fd = event->fd_, .events = event->poll_events(), .revents = 0});
  const int saved_errno = errno;
  const int answered = ::poll(polls_.data(), polls_.size(), 0);
  errno = saved_errno;
  ++looks_;
  // Nothing is known of any then (ENOMEM), so all stay as they are; a turn that does not wait asks again.
  if (answered < 0) return false;
  // A readiness that came up before this poll(2) has its completion in the CQ by now, unless the kernel says that it
  // has work to do first.
  const bool nothing_on_its_way = !requests_.has_completed() && !requests_.ring().cq_needs_enter();
  bool any_ready = false;
  for (std::size_t index = 0; index < polls_.size(); ++index) {
    FdEvent& event = *doubtful_[index];
    // A descriptor that was closed under its event is not open (POLLNVAL); the poll in the ring still has the file.
    event.found_ = static_cast<short>(polls_[index].revents & ~POLLNVAL);
    event.awaits_reap_ = event.found_ == 0;
    if (event.found_ != 0) any_ready = true;
    if (event.found_ == 0 && nothing_on_its_way) trust(event);
  }
  return !any_ready && nothing_on_its_way;
}

void FdEvents::tell_found() {
  // Those that become doubtful meanwhile come behind, and have not been asked for.
  for (std::size_t index = 0, count = doubtful_.size(); index < count; ++index) {
    FdEvent* event = doubtful_[index];
    if (event == nullptr || event->found_ == 0) continue;
    event->found_ready(static_cast<unsigned>(std::exchange(event->found_, short{0})));
  }
}

void FdEvents::reaped_all() {
  for (FdEvent* event : doubtful_) {
    if (event != nullptr && event->awaits_reap_) trust(*event);
  }
}

}  // namespace assay::internal
