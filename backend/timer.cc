#include "assay/backend/timer.h"

#include "assay/backend/backend.h"

namespace assay {

static_assert(sizeof(Timer) <= 128);

namespace {

[[gnu::cold]] Error backend_is_gone() { return Error::from_errno(ECANCELED, "Timer: the backend is gone"); }

}  // namespace

Result<void> Timer::start_after(std::chrono::nanoseconds delay) {
  if (backend() == nullptr) [[unlikely]]
    return backend_is_gone();
  return start_at(internal::deadline_after(backend()->now(), delay));
}

Result<void> Timer::start_at(std::chrono::nanoseconds deadline) {
  if (backend() == nullptr) [[unlikely]]
    return backend_is_gone();
  repeats_ = false;
  backend()->timers_.add(*this, deadline);
  return {};
}

Result<void> Timer::start_every(std::chrono::nanoseconds interval) {
  if (interval <= std::chrono::nanoseconds{0})
    return Error::invalid("Timer::start_every: the interval must be positive");
  if (auto started = start_after(interval); !started) return started;
  interval_ = interval;
  repeats_ = true;
  return {};
}

Result<void> Timer::stop() {
  if (backend() == nullptr || !backend()->timers_.remove(*this)) {
    return Error::from_errno(ENOENT, "Timer::stop: the timer is not armed");
  }
  return {};
}

void Timer::expired() {
  if (repeats_) {
    const auto now = backend()->now();
    auto next = internal::deadline_after(deadline(), interval_);
    if (next <= now) next = internal::deadline_after(next, (now - next) / interval_ * interval_ + interval_);
    backend()->timers_.add(*this, next);
  }
  backend()->about_to_call();
  callback_.run();
}

}  // namespace assay
