#pragma once

#include <cstdint>
#include <ctime>
#include <limits>

namespace assay::internal {

/// Nanoseconds on the simulated CLOCK_MONOTONIC.
using Nanoseconds = std::int64_t;

inline constexpr Nanoseconds kNever = std::numeric_limits<Nanoseconds>::max();

/// A timespec as nanoseconds, saturating; not checked for being normalised, as the kernel does not check it either.
Nanoseconds to_nanoseconds(std::int64_t seconds, std::int64_t nanoseconds);

/// The clocks that timeouts run on. Virtual ones start at the same fixed instant in every run and stand still until
/// they are told to go on; real ones are the machine's.
class SimClock {
 public:
  explicit SimClock(bool real) : real_(real) {}

  bool real() const { return real_; }
  Nanoseconds now() const { return real_ ? now(CLOCK_MONOTONIC) : virtual_now_; }
  Nanoseconds now(clockid_t clock) const;
  /// The instant on CLOCK_MONOTONIC at which `clock` shows `time`, or at which `time` from now is over.
  Nanoseconds deadline(clockid_t clock, Nanoseconds time, bool absolute) const;
  /// Moves virtual time on; does nothing if that instant is past, or on the real clock.
  void advance_to(Nanoseconds instant);

 private:
  bool real_;
  Nanoseconds virtual_now_ = 1'000'000'000'000;
};

}  // namespace assay::internal
