// Signals as events. Each test puts back what it changed of the process.

#include <gtest/gtest.h>
#include <pthread.h>

#include <cerrno>
#include <csignal>
#include <thread>

#include "assay/conformance/backend_scenario.h"
#include "assay/conformance/backend_suites.h"
#include "assay/conformance/ring_actions.h"

namespace assay::conformance {
namespace {

using C = Capability;

constexpr int kSignal = SIGUSR1;
constexpr int kOther = SIGUSR2;

volatile std::sig_atomic_t handled = 0;

void count_signal(int /*signal*/) { handled = handled + 1; }

/// Installs a handler of the user's own for a scope.
class OwnHandler {
 public:
  explicit OwnHandler(int number) : number_(number) {
    struct sigaction action {};
    action.sa_handler = count_signal;
    action.sa_flags = SA_NODEFER;
    ::sigaction(number, &action, &previous_);
    handled = 0;
  }
  OwnHandler(const OwnHandler&) = delete;
  OwnHandler& operator=(const OwnHandler&) = delete;
  ~OwnHandler() { ::sigaction(number_, &previous_, nullptr); }

  bool is_in_force() const {
    struct sigaction now {};
    ::sigaction(number_, nullptr, &now);
    return now.sa_handler == count_signal && (now.sa_flags & SA_NODEFER) != 0;
  }

 private:
  int number_;
  struct sigaction previous_ {};
};

void is_told(BackendScenario& s) {
  Told& told = s.tell();
  s.signal(kSignal, told.callback());
  s.settle();
  EXPECT_EQ(told.calls(), 0u);
  ::raise(kSignal);
  s.run_until(told, 1);
  EXPECT_EQ(told.bits, std::vector<unsigned>{kSignalled});
}

void is_told_when_it_came_before_the_first_run(BackendScenario& s) {
  Told& told = s.tell();
  s.signal(kSignal, told.callback());
  ::raise(kSignal);
  s.run_until(told, 1);
  s.settle();
  EXPECT_EQ(told.calls(), 1u);
}

void stays_after_it_was_told(BackendScenario& s) {
  Told& told = s.tell();
  s.signal(kSignal, told.callback());
  for (std::size_t times = 1; times <= 5; ++times) {
    ::raise(kSignal);
    s.run_until(told, times);
    s.settle();
    EXPECT_EQ(told.calls(), times);
  }
}

void all_events_of_a_signal_are_told(BackendScenario& s) {
  Told &one = s.tell(), &two = s.tell(), &three = s.tell();
  s.signal(kSignal, one.callback());
  s.signal(kSignal, two.callback());
  s.signal(kSignal, three.callback());
  ::raise(kSignal);
  s.run_until([&] { return one.calls() > 0 && two.calls() > 0 && three.calls() > 0; });
  s.settle();
  EXPECT_EQ(one.calls() + two.calls() + three.calls(), 3u);
}

void signals_are_told_apart(BackendScenario& s) {
  Told &one = s.tell(), &other = s.tell();
  s.signal(kSignal, one.callback());
  s.signal(kOther, other.callback());
  ::raise(kOther);
  s.run_until(other, 1);
  s.settle();
  EXPECT_EQ(one.calls(), 0u);
  ::raise(kSignal);
  s.run_until(one, 1);
  s.settle();
  EXPECT_EQ(one.calls(), 1u);
  EXPECT_EQ(other.calls(), 1u);
}

void deleting_one_leaves_the_others(BackendScenario& s) {
  Told &deleted = s.tell(), &kept = s.tell();
  const EventId event = s.signal(kSignal, deleted.callback());
  s.signal(kSignal, kept.callback());
  s.settle();
  must(s.backend().delete_event(event));
  ::raise(kSignal);
  s.run_until(kept, 1);
  EXPECT_EQ(deleted.calls(), 0u);
  EXPECT_FALSE(s.backend().delete_event(event)) << "it is deleted already";
}

void deleted_in_its_own_callback(BackendScenario& s) {
  OwnHandler own(kSignal);
  Told& told = s.tell();
  EventId event{};
  event = s.signal(kSignal, told.callback([&](unsigned) { must(s.backend().delete_event(event)); }));
  ::raise(kSignal);
  s.run_until(told, 1);
  ::raise(kSignal);
  s.settle();
  EXPECT_EQ(told.calls(), 1u);
  EXPECT_EQ(handled, 1);
}

void restores_the_previous_disposition(BackendScenario& s) {
  OwnHandler own(kSignal);
  Told& told = s.tell();
  const EventId one = s.signal(kSignal, told.callback());
  const EventId two = s.signal(kSignal, told.callback());
  EXPECT_FALSE(own.is_in_force());
  must(s.backend().delete_event(one));
  EXPECT_FALSE(own.is_in_force()) << "another event still wants it";
  must(s.backend().delete_event(two));
  EXPECT_TRUE(own.is_in_force());
  ::raise(kSignal);
  EXPECT_EQ(handled, 1);
}

void destruction_restores_the_previous_disposition(BackendScenario& s) {
  OwnHandler own(kSignal);
  Told& told = s.tell();
  s.signal(kSignal, told.callback());
  s.settle();
  s.destroy_backend();
  EXPECT_TRUE(own.is_in_force());
}

void several_loops_are_told(BackendScenario& s) {
  auto other = s.another_backend();
  Told &here = s.tell(), &there = s.tell();
  s.signal(kSignal, here.callback());
  const EventId event = must(other->make_signal(kSignal, there.callback()));
  must(other->add_event(event));
  ::raise(kSignal);
  s.run_until(here, 1);
  for (int turns = 0; turns < 100 && there.calls() == 0; ++turns) must(other->run(RunMode::kNonBlock));
  EXPECT_EQ(here.calls(), 1u);
  EXPECT_EQ(there.calls(), 1u);
}

void the_end_of_one_loop_leaves_the_other(BackendScenario& s) {
  OwnHandler own(kSignal);
  auto other = s.another_backend();
  Told &here = s.tell(), &there = s.tell();
  s.signal(kSignal, here.callback());
  must(other->add_event(must(other->make_signal(kSignal, there.callback()))));
  must(other->run(RunMode::kNonBlock));
  other.reset();
  EXPECT_FALSE(own.is_in_force());
  ::raise(kSignal);
  s.run_until(here, 1);
  EXPECT_EQ(there.calls(), 0u);
  EXPECT_EQ(handled, 0);
  s.destroy_backend();
  EXPECT_TRUE(own.is_in_force());
}

void is_not_lost_while_the_loop_is_busy(BackendScenario& s) {
  Pipe pipe = make_pipe();
  write_text(pipe.write_end.get(), "x");
  Told& told = s.tell();
  s.signal(kSignal, told.callback());
  s.fd_event(pipe.read_end.get(), kReadable, [](unsigned) { ::raise(kSignal); });
  s.run_until(told, 1);
  EXPECT_EQ(told.calls(), 1u);
}

void a_burst_is_told_at_least_once(BackendScenario& s) {
  Told& told = s.tell();
  s.signal(kSignal, told.callback());
  s.settle();
  for (int i = 0; i < 500; ++i) ::raise(kSignal);
  s.run_until(told, 1);
  s.settle();
  EXPECT_GE(told.calls(), 1u);
  const std::size_t before = told.calls();
  ::raise(kSignal);
  s.run_until(told, before + 1);
}

void the_handler_keeps_errno(BackendScenario& s) {
  Told& told = s.tell();
  s.signal(kSignal, told.callback());
  s.settle();
  errno = EXDEV;
  // More than a pipe between the handler and the loop holds, so that a write in the handler is refused with EAGAIN.
  for (int i = 0; i < 70'000; ++i) ::raise(kSignal);
  EXPECT_EQ(errno, EXDEV);
  s.run_until(told, 1);
}

void an_event_does_not_make_turns_spin(BackendScenario& s) {
  Told& told = s.tell();
  s.signal(kSignal, told.callback());
  for (int turns = 0; turns < 10; ++turns) EXPECT_EQ(s.run(RunMode::kNonBlock), RunResult::kNothingToDo);
}

// The handler runs in the middle of the wait, on the loop's own thread.
void ends_a_wait(BackendScenario& s) {
  Told& told = s.tell();
  s.signal(kSignal, told.callback());
  s.settle();
  const pthread_t loop = ::pthread_self();
  std::jthread other([loop] { ::pthread_kill(loop, kSignal); });
  s.run_until(told, 1);
  other.join();
}

void interrupts_a_wait_harmlessly(BackendScenario& s) {
  // A signal that is none of the loop's business, with a handler that does not restart calls: every wait may end early.
  OwnHandler own(kOther);
  Told& told = s.tell();
  const pthread_t loop = ::pthread_self();
  s.timer(std::chrono::milliseconds(10), told.callback());
  std::jthread other([loop] {
    for (int i = 0; i < 50; ++i) {
      ::pthread_kill(loop, kOther);
      std::this_thread::yield();
    }
  });
  s.run_until(told, 1);
  other.join();
  EXPECT_EQ(told.calls(), 1u);
  EXPECT_GE(handled, 1);
}

}  // namespace

void internal::add_backend_signals(BackendBehaviours& behaviours) {
  const auto add = [&](const char* name, CapabilitySet capabilities, void (*body)(BackendScenario&), Needs needs = {}) {
    behaviours.push_back({.suite = "BackendSignals",
                          .name = name,
                          .capabilities = capabilities,
                          .body = body,
                          .needs = std::move(needs)});
  };
  const Needs real_clock{.real_clock = true};
  add("IsTold", {C::kSignals}, is_told);
  add("IsToldWhenItCameBeforeTheFirstRun", {C::kSignals}, is_told_when_it_came_before_the_first_run);
  add("StaysAfterItWasTold", {C::kSignals}, stays_after_it_was_told);
  add("AllEventsOfASignalAreTold", {C::kSignals}, all_events_of_a_signal_are_told);
  add("SignalsAreToldApart", {C::kSignals}, signals_are_told_apart);
  add("DeletingOneLeavesTheOthers", {C::kSignals}, deleting_one_leaves_the_others);
  add("DeletedInItsOwnCallback", {C::kSignals}, deleted_in_its_own_callback);
  add("RestoresThePreviousDisposition", {C::kSignals}, restores_the_previous_disposition);
  add("DestructionRestoresThePreviousDisposition", {C::kSignals}, destruction_restores_the_previous_disposition);
  add("SeveralLoopsAreTold", {C::kSignals}, several_loops_are_told);
  add("TheEndOfOneLoopLeavesTheOther", {C::kSignals}, the_end_of_one_loop_leaves_the_other);
  add("IsNotLostWhileTheLoopIsBusy", {C::kSignals, C::kFdEvents}, is_not_lost_while_the_loop_is_busy);
  add("ABurstIsToldAtLeastOnce", {C::kSignals}, a_burst_is_told_at_least_once);
  add("AnEventDoesNotMakeTurnsSpin", {C::kSignals}, an_event_does_not_make_turns_spin);
  // The burst takes long, and no call of the ring has a part in it: with a plan of its own it is run once a kernel.
  behaviours.push_back({.suite = "BackendSignals",
                        .name = "TheHandlerKeepsErrno",
                        .capabilities = {C::kSignals},
                        .body = the_handler_keeps_errno,
                        .own_plan = kFaultLayer});
  add("EndsAWait", {C::kSignals}, ends_a_wait, real_clock);
  add("InterruptsAWaitHarmlessly", {C::kTimers, C::kInterruptions}, interrupts_a_wait_harmlessly, real_clock);
}

}  // namespace assay::conformance
