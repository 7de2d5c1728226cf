#include "assay/backend/fd_event.h"

#include <poll.h>

#include "assay/backend/backend.h"

namespace assay {

FdEvent::FdEvent(Backend& owner, int fd, FdInterest interest, UniqueFunction<void(Readiness)> callback)
    : Attachment(owner), fd_(fd), interest_(interest), callback_(std::move(callback)) {
  multishot_ = interest.edge_triggered && owner.requests_.support().multishot_poll;
}

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
    ++backend()->fd_events_;
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
  --backend()->fd_events_;
  backend()->timers_.remove(timer_);
  backend()->forget_arming(*this);
  backend()->requests_.abandon(*this);
}

void FdEvent::backend_gone() { leave(); }

void FdEvent::queue_to_arm() {
  // The poll gets its SQE right before the next submission, so that an event which is removed before costs none, and a
  // descriptor that is closed and used again until then is not polled by mistake.
  if (arm_position_ == kNotQueued && !in_flight()) backend()->arm_later(*this);
}

void FdEvent::prepare(io_uring_sqe& sqe) {
  const unsigned mask = (interest_.read ? POLLIN : 0u) | (interest_.write ? POLLOUT : 0u);
  if (multishot_) {
    io_uring_prep_poll_multishot(&sqe, fd_, mask);
  } else {
    io_uring_prep_poll_add(&sqe, fd_, mask);
  }
}

void FdEvent::complete(const Completion& completion) {
  const bool stays = interest_.persistent || interest_.edge_triggered;
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
          multishot_ = false;  // this kernel has no multishot poll after all
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
  const auto mask = static_cast<unsigned>(completion.res);
  Readiness ready;
  ready.hang_up = (mask & POLLHUP) != 0;
  ready.file_error = (mask & POLLERR) != 0;
  const bool both = ready.hang_up || ready.file_error;
  ready.read = interest_.read && (both || (mask & (POLLIN | POLLPRI)) != 0);
  ready.write = interest_.write && (both || (mask & POLLOUT) != 0);
  if (!ready.read && !ready.write) {
    // Nothing that was asked for; a oneshot poll is over all the same, the event is not.
    if (!completion.more()) queue_to_arm();
    return;
  }
  tell(ready, stays);
}

void FdEvent::timed_out() { tell({.timed_out = true}, interest_.persistent || interest_.edge_triggered); }

void FdEvent::tell(const Readiness& ready, bool stays) {
  Backend& owner = *backend();
  if (!stays) {
    leave();
  } else if (timeout_ >= std::chrono::nanoseconds{0}) {
    owner.timers_.add(timer_, internal::deadline_after(owner.now(), timeout_));
  }
  owner.about_to_call();
  if (!callback_.run(ready)) return;
  if (added_) queue_to_arm();
}

}  // namespace assay
