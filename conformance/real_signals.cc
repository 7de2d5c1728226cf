#include "assay/conformance/real_signals.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

// The C library of 2023 has the kernel's name for this member, older ones only their own.
#ifdef sigev_notify_thread_id
#define ASSAY_SIGEV_THREAD_ID sigev_notify_thread_id
#else
#define ASSAY_SIGEV_THREAD_ID _sigev_un._tid
#endif

namespace assay::conformance {
namespace {

volatile sig_atomic_t handled = 0;
void count_signal(int /*signal*/) { handled = handled + 1; }

}  // namespace

CountedSignal::CountedSignal() {
  handled = 0;
  struct sigaction action {};
  action.sa_handler = count_signal;
  ::sigaction(SIGUSR1, &action, &before_);
  ::pthread_sigmask(SIG_BLOCK, nullptr, &mask_before_);
}

CountedSignal::~CountedSignal() {
  ::pthread_sigmask(SIG_SETMASK, &mask_before_, nullptr);
  ::sigaction(SIGUSR1, &before_, nullptr);
}

void CountedSignal::block() {
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGUSR1);
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

sigset_t CountedSignal::mask(bool blocked) const {
  sigset_t set = mask_before_;
  blocked ? ::sigaddset(&set, SIGUSR1) : ::sigdelset(&set, SIGUSR1);
  return set;
}

void CountedSignal::send() { ::pthread_kill(::pthread_self(), SIGUSR1); }

int CountedSignal::times_handled() {
  // ThreadSanitizer puts handlers off until a call of the C library that it watches, which a wait on a ring is not;
  // this poll is one.
  ::poll(nullptr, 0, 0);
  return handled;
}

SignalTimer::SignalTimer(std::chrono::nanoseconds period) {
  struct sigevent event {};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = SIGUSR1;
  event.ASSAY_SIGEV_THREAD_ID = ::gettid();
  EXPECT_EQ(::timer_create(CLOCK_MONOTONIC, &event, &timer_), 0);
  itimerspec time{};
  time.it_value.tv_nsec = time.it_interval.tv_nsec = period.count();
  EXPECT_EQ(::timer_settime(timer_, 0, &time, nullptr), 0);
}

SignalTimer::~SignalTimer() { ::timer_delete(timer_); }

}  // namespace assay::conformance
