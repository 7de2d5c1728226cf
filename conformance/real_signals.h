#pragma once

#include <signal.h>
#include <time.h>

#include <chrono>

/// Signals that this process really gets, for behaviours about waits that they interrupt.
namespace assay::conformance {

/// SIGUSR1 is counted, without SA_RESTART, for the length of a scope.
class CountedSignal {
 public:
  CountedSignal();
  CountedSignal(const CountedSignal&) = delete;
  CountedSignal& operator=(const CountedSignal&) = delete;
  ~CountedSignal();

  static void block();
  /// Everything but what this thread blocks anyway, with or without SIGUSR1.
  sigset_t mask(bool blocked) const;
  /// Sends it to this very thread: it is due before the next call returns, unless blocked.
  static void send();
  /// How often the handler ran in this scope.
  static int times_handled();

 private:
  struct sigaction before_ {};
  sigset_t mask_before_{};
};

/// Sends SIGUSR1 to the creating thread after a while, again and again, so that it cannot come too early to be noticed.
class SignalTimer {
 public:
  explicit SignalTimer(std::chrono::nanoseconds period);
  SignalTimer(const SignalTimer&) = delete;
  SignalTimer& operator=(const SignalTimer&) = delete;
  ~SignalTimer();

 private:
  timer_t timer_{};
};

}  // namespace assay::conformance
