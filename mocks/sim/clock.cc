#include "assay/mocks/sim/clock.h"

namespace assay::internal {

namespace {

constexpr Nanoseconds kSecond = 1'000'000'000;
// The machine has slept for an hour since it booted, and booted in the night of 14 November 2023.
constexpr Nanoseconds kBoottimeOffset = 3600 * kSecond;
constexpr Nanoseconds kRealtimeOffset = 1'699'999'000 * kSecond;

Nanoseconds saturating_add(Nanoseconds left, Nanoseconds right) {
  Nanoseconds sum;
  if (!__builtin_add_overflow(left, right, &sum)) return sum;
  return right > 0 ? kNever : std::numeric_limits<Nanoseconds>::min();
}

}  // namespace

Nanoseconds to_nanoseconds(std::int64_t seconds, std::int64_t nanoseconds) {
  Nanoseconds whole;
  if (__builtin_mul_overflow(seconds, kSecond, &whole)) {
    return seconds > 0 ? kNever : std::numeric_limits<Nanoseconds>::min();
  }
  return saturating_add(whole, nanoseconds);
}

Nanoseconds SimClock::now(clockid_t clock) const {
  if (real_) {
    timespec time{};
    ::clock_gettime(clock, &time);
    return to_nanoseconds(time.tv_sec, time.tv_nsec);
  }
  switch (clock) {
    case CLOCK_REALTIME:
      return virtual_now_ + kRealtimeOffset;
    case CLOCK_BOOTTIME:
      return virtual_now_ + kBoottimeOffset;
    default:
      return virtual_now_;
  }
}

Nanoseconds SimClock::deadline(clockid_t clock, Nanoseconds time, bool absolute) const {
  if (!absolute) return saturating_add(now(), time);
  if (clock == CLOCK_MONOTONIC || time == kNever) return time;
  return saturating_add(now(), saturating_add(time, -now(clock)));
}

void SimClock::advance_to(Nanoseconds instant) {
  if (!real_ && instant > virtual_now_) virtual_now_ = instant;
}

}  // namespace assay::internal
