// What a run of the loop comes to, and how it ends.

#include <gtest/gtest.h>

#include <array>

#include "assay/conformance/backend_scenario.h"
#include "assay/conformance/backend_suites.h"
#include "assay/conformance/ring_actions.h"

namespace assay::conformance {
namespace {

using C = Capability;

void says_no_events_when_there_is_nothing(BackendScenario& s) {
  EXPECT_EQ(s.run(RunMode::kNonBlock), RunResult::kNoEvents);
  EXPECT_EQ(s.run(RunMode::kOnce), RunResult::kNoEvents);
  EXPECT_EQ(s.run(RunMode::kUntilIdle), RunResult::kNoEvents);
}

void says_nothing_to_do_when_nothing_is_due(BackendScenario& s) {
  Pipe pipe = make_pipe();
  Told& told = s.tell();
  s.fd_event(pipe.read_end.get(), kReadable, told.callback());
  for (int turns = 0; turns < 5; ++turns) EXPECT_EQ(s.run(RunMode::kNonBlock), RunResult::kNothingToDo);
  EXPECT_EQ(told.calls(), 0u);
}

void says_had_events_when_a_callback_ran(BackendScenario& s) {
  Pipe pipe = make_pipe();
  write_text(pipe.write_end.get(), "x");
  Told& told = s.tell();
  s.fd_event(pipe.read_end.get(), kReadable, told.callback());
  EXPECT_EQ(s.run(RunMode::kOnce), RunResult::kHadEvents);
  EXPECT_EQ(told.calls(), 1u);
}

void runs_until_nothing_is_left(BackendScenario& s) {
  std::array<Pipe, 3> pipes{make_pipe(), make_pipe(), make_pipe()};
  Told& told = s.tell();
  for (Pipe& pipe : pipes) {
    write_text(pipe.write_end.get(), "x");
    s.fd_event(pipe.read_end.get(), kReadable, told.callback());
  }
  EXPECT_EQ(s.run(RunMode::kUntilIdle), RunResult::kHadEvents);
  EXPECT_EQ(told.calls(), 3u);
  EXPECT_EQ(s.run(RunMode::kUntilIdle), RunResult::kNoEvents);
}

void goes_on_while_callbacks_add_events(BackendScenario& s) {
  Pipe pipe = make_pipe();
  write_text(pipe.write_end.get(), "x");
  Told& told = s.tell();
  EventId event{};
  event = s.fd_event(pipe.read_end.get(), kReadable, told.callback([&](unsigned) {
    if (told.calls() < 5) must(s.backend().add_event(event));
  }));
  EXPECT_EQ(s.run(RunMode::kUntilIdle), RunResult::kHadEvents);
  EXPECT_EQ(told.calls(), 5u);
}

void is_not_kept_alive_by_a_deleted_event(BackendScenario& s) {
  Pipe pipe = make_pipe();
  Told& told = s.tell();
  const EventId event = s.fd_event(pipe.read_end.get(), kReadable | kPersist, told.callback());
  EXPECT_EQ(s.run(RunMode::kNonBlock), RunResult::kNothingToDo);
  must(s.backend().delete_event(event));
  EXPECT_EQ(s.run(RunMode::kUntilIdle), RunResult::kNoEvents);
  EXPECT_EQ(told.calls(), 0u);
}

void break_ends_a_run(BackendScenario& s) {
  Pipe pipe = make_pipe();
  write_text(pipe.write_end.get(), "x");
  Told& told = s.tell();
  s.fd_event(pipe.read_end.get(), kReadable | kPersist, told.callback([&](unsigned) {
    if (told.calls() == 3) must(s.backend().break_loop());
  }));
  EXPECT_EQ(s.run(RunMode::kUntilIdle), RunResult::kHadEvents);
  EXPECT_EQ(told.calls(), 3u);
}

// All four are completed at once, and the first callback breaks. Whatever the loop has taken off the CQ by then must
// not be forgotten with the run.
void break_loses_nothing(BackendScenario& s) {
  std::array<Pipe, 4> pipes{make_pipe(), make_pipe(), make_pipe(), make_pipe()};
  std::array<Told*, 4> told{};
  for (std::size_t i = 0; i < pipes.size(); ++i) {
    write_text(pipes[i].write_end.get(), "x");
    told[i] = &s.tell();
    s.fd_event(pipes[i].read_end.get(), kReadable,
               told[i]->callback([&](unsigned) { must(s.backend().break_loop()); }));
  }
  int runs = 0;
  while (s.run(RunMode::kUntilIdle) != RunResult::kNoEvents && runs < 10) ++runs;
  EXPECT_GE(runs, 1);
  for (const Told* each : told) EXPECT_EQ(each->calls(), 1u);
}

void break_between_runs_loses_nothing(BackendScenario& s) {
  Pipe pipe = make_pipe();
  write_text(pipe.write_end.get(), "x");
  Told& told = s.tell();
  s.fd_event(pipe.read_end.get(), kReadable, told.callback());
  must(s.backend().break_loop());
  s.run_until(told, 1);
  EXPECT_EQ(s.run(RunMode::kUntilIdle), RunResult::kNoEvents);
  EXPECT_EQ(told.calls(), 1u);
}

void a_turn_without_waiting_does_not_wait(BackendScenario& s) {
  Told& told = s.tell();
  const auto start = s.now();
  const EventId timer = s.timer(std::chrono::hours(1), told.callback());
  for (int turns = 0; turns < 5; ++turns) EXPECT_EQ(s.run(RunMode::kNonBlock), RunResult::kNothingToDo);
  EXPECT_LT(s.now() - start, std::chrono::seconds(30));
  must(s.backend().delete_event(timer));
}

// Turns have an order that users can rely on: what time brought, then what signals brought, then completions.
void tells_timers_then_signals_then_completions(BackendScenario& s) {
  std::string order;
  Told& signalled = s.tell();
  s.signal(SIGUSR1, signalled.callback([&](unsigned) { order += 's'; }));
  s.settle();
  Owed& nop = s.owe("the NOP");
  const OperationId operation = must(s.backend().make_operation([](io_uring_sqe& sqe) { io_uring_prep_nop(&sqe); },
                                                                nop.callback([&](int) { order += 'c'; })));
  must(s.backend().submit(operation));
  ::raise(SIGUSR1);
  s.timer(std::chrono::nanoseconds(0), [&](unsigned) { order += 't'; });
  s.run_until([&] { return order.size() >= 3; });
  EXPECT_EQ(order, "tsc");
}

void counts_only_the_users_own_callbacks(BackendScenario& s) {
  // With a signal, a wake-up and a timer in use, a loop has sources of its own in the ring. None of them may make a
  // turn claim that it had events.
  Told& told = s.tell();
  s.signal(SIGUSR1, told.callback());
  must(s.backend().make_waker())();
  s.settle();
  for (int turns = 0; turns < 5; ++turns) EXPECT_EQ(s.run(RunMode::kNonBlock), RunResult::kNothingToDo);
  EXPECT_EQ(told.calls(), 0u);
}

}  // namespace

void internal::add_backend_loop(BackendBehaviours& behaviours) {
  const auto add = [&](const char* name, CapabilitySet capabilities, void (*body)(BackendScenario&),
                       FaultPoints cannot_carry = {}) {
    behaviours.push_back({.suite = "BackendLoop",
                          .name = name,
                          .capabilities = capabilities,
                          .body = body,
                          .cannot_carry = cannot_carry});
  };
  // A call that fails can put what belongs to one turn into two.
  const FaultPoints splits_turns{FaultPointId::kEnterEintr, FaultPointId::kEnterEintrMasked, FaultPointId::kEnterEagain,
                                 FaultPointId::kEnterEbusy, FaultPointId::kEnterTake,        FaultPointId::kCqeLater,
                                 FaultPointId::kCqeReorder};
  add("SaysNoEventsWhenThereIsNothing", {}, says_no_events_when_there_is_nothing);
  add("SaysNothingToDoWhenNothingIsDue", {C::kFdEvents}, says_nothing_to_do_when_nothing_is_due);
  add("SaysHadEventsWhenACallbackRan", {C::kFdEvents}, says_had_events_when_a_callback_ran);
  add("RunsUntilNothingIsLeft", {C::kFdEvents}, runs_until_nothing_is_left);
  add("GoesOnWhileCallbacksAddEvents", {C::kFdEvents}, goes_on_while_callbacks_add_events);
  add("IsNotKeptAliveByADeletedEvent", {C::kPersistentFdEvents}, is_not_kept_alive_by_a_deleted_event);
  add("BreakEndsARun", {C::kBreak, C::kPersistentFdEvents}, break_ends_a_run);
  add("BreakLosesNothing", {C::kBreak, C::kFdEvents}, break_loses_nothing);
  add("BreakBetweenRunsLosesNothing", {C::kBreak, C::kFdEvents}, break_between_runs_loses_nothing);
  add("ATurnWithoutWaitingDoesNotWait", {C::kTimers}, a_turn_without_waiting_does_not_wait);
  add("TellsTimersThenSignalsThenCompletions", {C::kTurnOrder, C::kTimers, C::kSignals, C::kUserOperations},
      tells_timers_then_signals_then_completions, splits_turns);
  add("CountsOnlyTheUsersOwnCallbacks", {C::kSignals, C::kWake}, counts_only_the_users_own_callbacks);
}

}  // namespace assay::conformance
