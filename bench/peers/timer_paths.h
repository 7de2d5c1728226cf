#pragma once

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <thread>

#include "assay/bench/bench_list.h"
#include "assay/bench/call_counter.h"
#include "assay/bench/setup.h"

namespace assay::bench {

/// Random delays, in an order that is the same in every run. Drawing one takes a nanosecond or two, since it is part of
/// what is measured.
class TimerDelays {
 public:
  TimerDelays(std::chrono::nanoseconds shortest, std::chrono::nanoseconds longest)
      : shortest_(shortest), range_(static_cast<std::uint64_t>((longest - shortest).count())) {}
  std::chrono::nanoseconds next() noexcept {
    // Marsaglia's xorshift64. Its upper 24 bits times the range, which is less than 2^40 ns.
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return shortest_ + std::chrono::nanoseconds(static_cast<std::int64_t>((state_ >> 40) * range_ >> 24));
  }

 private:
  std::chrono::nanoseconds shortest_;
  std::uint64_t range_;
  std::uint64_t state_ = 88'172'645'463'325'252;
};

// Both paths are of a peer's Timers, a class with these members, whose callbacks count:
//
//   explicit Timers(unsigned count);
//   // Calls `start_them` where starting a timer does not read the clock, in a callback if that takes one. A turn of
//   // the loop belongs to it.
//   void in_loop(auto start_them);
//   // Arms the timer, or moves it when it is armed, by what the peer has for that.
//   void start(unsigned i, std::chrono::nanoseconds delay);
//   // Runs the loop until no timer is armed.
//   void fire_all();
//   std::uint64_t fired() const;
//   bool armed(unsigned i) const;

/// A timer among many that is moved, as that of a connection where something happened. A round moves a thousand of
/// them, or all if they are fewer, one after the other: more would last for seconds.
template <typename Timers>
class MovedTimers final : public Path {
 public:
  explicit MovedTimers(unsigned count) : count_(count), timers_(count) {
    timers_.in_loop([this] {
      for (unsigned i = 0; i < count_; ++i) timers_.start(i, delays_.next());
    });
  }

  Ran run(std::uint64_t rounds) override {
    const std::uint64_t a_round = count_ < kAtATime ? count_ : kAtATime;
    for (std::uint64_t round = 0; round < rounds; ++round) {
      timers_.in_loop([this, a_round] {
        for (std::uint64_t moved = 0; moved < a_round; ++moved) {
          timers_.start(next_, delays_.next());
          if (++next_ == count_) next_ = 0;
        }
      });
    }
    if (timers_.fired() != 0) give_up("a timer that fired early", EIO);
    return {.operations = rounds * a_round};
  }

 private:
  static constexpr std::uint64_t kAtATime = 1000;

  const unsigned count_;
  // As limits of idle connections are; none comes due while it is measured.
  TimerDelays delays_{std::chrono::minutes(2), std::chrono::minutes(4)};
  unsigned next_ = 0;
  Timers timers_;
};

/// Timers that have come due, all of them, when the loop runs: only its time counts.
template <typename Timers>
class FiredTimers final : public Path {
 public:
  explicit FiredTimers(unsigned count) : count_(count), timers_(count) {}

  Ran run(std::uint64_t rounds) override {
    Ran ran;
    for (; rounds != 0; --rounds) {
      const std::uint64_t fired_before = timers_.fired();
      {
        const Uncounted arming;
        timers_.in_loop([this] {
          for (unsigned i = 0; i < count_; ++i) timers_.start(i, delays_.next());
        });
        if (timers_.fired() != fired_before) give_up("a timer that fired too soon to be measured", EIO);
        std::this_thread::sleep_for(kLongest + kCoarseness);
      }
      const auto start = std::chrono::steady_clock::now();
      timers_.fire_all();
      ran.time += std::chrono::steady_clock::now() - start;
      if (timers_.fired() - fired_before != count_) give_up("a timer that did not fire", EIO);
      for (unsigned i = 0; i < count_; ++i) {
        if (timers_.armed(i)) give_up("a timer that is armed still", EIO);
      }
      ran.operations += count_;
    }
    return ran;
  }

 private:
  static constexpr std::chrono::milliseconds kLongest{9};
  // Some clocks are those of the last tick, and some count milliseconds.
  static constexpr std::chrono::milliseconds kCoarseness{11};

  const unsigned count_;
  TimerDelays delays_{std::chrono::milliseconds(1), kLongest};
  Timers timers_;
};

}  // namespace assay::bench
