#include "assay/backend/fd_event.h"

#include <poll.h>

#include "assay/backend/backend.h"

namespace assay {

FdEvent::FdEvent(Backend& owner, int fd, FdInterest interest, UniqueFunction<void(Readiness)> callback)
    : Attachment(owner), fd_(fd), interest_(interest), callback_(std::move(callback)) {}

FdEvent::~FdEvent() {
  if (added_) leave();
}

Result<void> FdEvent::add(std::optional<std::chrono::nanoseconds> timeout) {
  if (backend() == nullptr) return Error::from_errno(ECANCELED, "FdEvent::add: the backend is gone");
  if (!interest_.read && !interest_.write) return Error::invalid("FdEvent::add: neither read nor write was asked for");
  if (fd_ < 0) return Error::from_errno(EBADF, "FdEvent::add: descriptor " + std::to_string(fd_));
  if (!added_) {
    added_ = true;
    timeout_ = std::chrono::nanoseconds{-1};
    backend()->fd_events_.added();
    queue_to_arm();
  }
  if (timeout) {
    timeout_ = *timeout;
    backend()->timers_.add(timer_, internal::deadline_after(backend()->now(), *timeout));
  }
  return {};
}

Result<void> FdEvent::remove() {
  if (!added_) return Error::from_errno(ENOENT, "FdEvent::remove: the event is not added");
  leave();
  return {};
}

void FdEvent::leave() {
  added_ = false;
  if (backend() == nullptr) return;
  backend()->fd_events_.removed(*this);
  backend()->timers_.remove(timer_);
  backend()->requests_.abandon(*this);
}

void FdEvent::backend_gone() { leave(); }

void FdEvent::drained() {
  drains_ = true;
  if (added_) backend()->fd_events_.trust(*this);
}

void FdEvent::queue_to_arm() {
  if (!in_flight()) backend()->fd_events_.arm_later(*this);
}

short FdEvent::poll_events() const noexcept {
  return static_cast<short>((interest_.read ? POLLIN : 0) | (interest_.write ? POLLOUT : 0));
}

// Level-triggered, a multishot poll costs a poll(2) a turn and saves an SQE and a CQE an event: not worth it for one
// event alone, unless nobody has to ask.
bool FdEvent::wants_multishot() {
  if (!stays() || multishot_refused_ || !backend()->requests_.support().multishot_poll) return false;
  if (interest_.edge_triggered) return true;
  // The poll thread posts when it likes, so that nobody could tell an old completion from a new one.
  if ((backend()->ring().setup_flags() & IORING_SETUP_SQPOLL) != 0) return false;
  return drains_ || backend()->fd_events_.are_several_active();
}

void FdEvent::prepare(io_uring_sqe& sqe) {
  const auto mask = static_cast<unsigned>(poll_events());
  multishot_ = wants_multishot();
  if (multishot_) {
    io_uring_prep_poll_multishot(&sqe, fd_, mask);
  } else {
    io_uring_prep_poll_add(&sqe, fd_, mask);
  }
}

void FdEvent::complete(const Completion& completion) {
  if (completion.res < 0) {
    switch (-completion.res) {
      case EINTR:
      case EAGAIN:
      case ECANCELED:
      case EBADR:
        // The poll was undone, or its completion lost, and nothing is known of the file: polling again shows its state.
        queue_to_arm();
        return;
      case EINVAL:
        if (multishot_) {
          multishot_refused_ = true;  // this kernel has no multishot poll after all
          queue_to_arm();
          return;
        }
        [[fallthrough]];
      default:
        // Polling again would only fail again, every turn.
        tell({.read = interest_.read, .write = interest_.write, .error = completion.res}, false);
        return;
    }
  }
  internal::FdEvents& events = backend()->fd_events_;
  if (events.is_doubtful(*this)) {
    // It is asked for anyway, and this may be of before the callback ran.
    awaits_reap_ = false;
    return;
  }
  // What is neither was not asked for; a oneshot poll is over all the same, the event is not.
  if (!tell_mask(static_cast<unsigned>(completion.res)) && !completion.more()) queue_to_arm();
}

void FdEvent::timed_out() { tell({.timed_out = true}, stays()); }

// False when that is nothing that was asked for.
bool FdEvent::tell_mask(unsigned mask) {
  Readiness ready;
  ready.hang_up = (mask & POLLHUP) != 0;
  ready.file_error = (mask & POLLERR) != 0;
  const bool both = ready.hang_up || ready.file_error;
  ready.read = interest_.read && (both || (mask & (POLLIN | POLLPRI)) != 0);
  ready.write = interest_.write && (both || (mask & POLLOUT) != 0);
  if (!ready.read && !ready.write) return false;
  internal::FdEvents& events = backend()->fd_events_;
  events.was_told();
  // Before the callback, which may say that it has drained the file. A poll that has ended is armed only when the file
  // was found not ready: until then it would end again at once.
  if (stays() && !interest_.edge_triggered && (in_flight() || wants_multishot())) events.doubt(*this);
  tell(ready, stays());
  return true;
}

void FdEvent::tell(const Readiness& ready, bool stays) {
  Backend& owner = *backend();
  if (!stays) {
    leave();
  } else if (timeout_ >= std::chrono::nanoseconds{0}) {
    owner.timers_.add(timer_, internal::deadline_after(owner.now(), timeout_));
  }
  owner.about_to_call();
  if (!callback_.run(ready)) return;
  if (added_ && !owner.fd_events_.is_doubtful(*this)) queue_to_arm();
}

}  // namespace assay
