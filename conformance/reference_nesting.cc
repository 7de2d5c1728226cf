// A loop inside of another: the reference backend, turned by an event of another one whenever its pollable descriptor
// says so.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "assay/conformance/backend_suites.h"
#include "assay/conformance/reference_actions.h"
#include "assay/conformance/ring_actions.h"

namespace assay::conformance {
namespace {

/// A loop that the scenario's own turns.
class Inner {
 public:
  explicit Inner(BackendScenario& s, const BackendOptions& options = {})
      : backend(must(Backend::create(s.kernel(), options))),
        event_(reference_backend(s), must(backend->pollable_fd()), {.read = true, .persistent = true},
               [this](const Readiness& ready) { turn(ready); }) {
    must(event_.add());
  }

  Backend* operator->() const { return backend.get(); }
  std::size_t turns() const { return turns_; }
  void destroy() {
    // The descriptor goes with its loop.
    must(event_.remove());
    backend.reset();
  }

  std::unique_ptr<Backend> backend;

 private:
  void turn(const Readiness& ready) {
    EXPECT_EQ(ready.error, 0);
    ++turns_;
    const Result<LoopStatus> status = backend->loop(LoopMode::kNonblock);
    EXPECT_TRUE(status.has_value()) << status.error().message();
  }

  FdEvent event_;
  std::size_t turns_ = 0;
};

/// Nothing has to be done any more, and the outer loop is left in peace.
void expect_peace(BackendScenario& s, const Inner& inner) {
  s.settle();
  const std::size_t turns = inner.turns();
  s.settle();
  EXPECT_EQ(inner.turns(), turns) << "the outer loop spins";
}

void an_idle_loop_wakes_nobody(BackendScenario& s) {
  const Inner inner(s);
  expect_peace(s, inner);
  EXPECT_EQ(inner.backend->pollable_fd().value(), inner.backend->pollable_fd().value());
}

void a_timer_reaches_the_outer_loop(BackendScenario& s) {
  const Inner inner(s);
  const std::chrono::nanoseconds before = s.now();
  bool told = false;
  Timer timer(*inner.backend, [&] { told = true; });
  must(timer.start_after(s.moment()));
  must(inner->submit_outstanding());
  s.run_until([&] { return told; });
  EXPECT_GE(s.now() - before, s.moment()) << "never early";
  if (s.virtual_clock()) {
    EXPECT_EQ(s.now() - before, s.moment()) << "nor late";
  }
  expect_peace(s, inner);
}

void timers_move_in_both_directions(BackendScenario& s) {
  const Inner inner(s);
  const std::chrono::nanoseconds before = s.now();
  std::vector<int> order;
  Timer late(*inner.backend, [&] { order.push_back(3); });
  Timer soon(*inner.backend, [&] { order.push_back(1); });
  Timer gone(*inner.backend, [&] { order.push_back(0); });
  must(late.start_after(4 * s.moment()));
  // On a real clock anything may take longer than a moment.
  must(gone.start_after(s.virtual_clock() ? 2 * s.moment() : std::chrono::hours(1)));
  must(inner->submit_outstanding());
  s.settle();
  // An earlier one than what the kernel knows of, then that one later, then one that never comes.
  must(soon.start_after(s.moment()));
  must(inner->submit_outstanding());
  s.settle();
  must(late.start_after(3 * s.moment()));
  must(gone.stop());
  must(inner->submit_outstanding());
  s.run_until([&] { return order.size() == 2; });
  EXPECT_EQ(order, (std::vector<int>{1, 3}));
  EXPECT_GE(s.now() - before, 3 * s.moment());
  expect_peace(s, inner);
}

void a_timer_of_its_own_callback_comes_too(BackendScenario& s) {
  const Inner inner(s);
  unsigned told = 0;
  Timer timer(*inner.backend, [&] { ++told; });
  must(timer.start_every(s.moment()));
  must(inner->submit_outstanding());
  s.run_until([&] { return told == 3; });
  must(timer.stop());
  expect_peace(s, inner);
}

void completions_reach_the_outer_loop_of(BackendScenario& s, const BackendOptions& options) {
  const Inner inner(s, options);
  for (unsigned round = 0; round < 3; ++round) {
    const Pipe pipe = make_pipe();
    Owed& told = s.owe("the poll of the inner loop");
    inner->poll(pipe.read_end.get(), POLLIN, told.callback());
    must(inner->submit_outstanding());
    s.settle();
    EXPECT_FALSE(told.done());
    write_text(pipe.write_end.get(), "x");
    s.run_until(told);
    EXPECT_EQ(told.res, POLLIN);
    expect_peace(s, inner);
  }
}

void completions_reach_the_outer_loop(BackendScenario& s) { completions_reach_the_outer_loop_of(s, {}); }
void deferred_task_work_reaches_the_outer_loop(BackendScenario& s) {
  completions_reach_the_outer_loop_of(s, {.defer_taskrun = true});
}

void an_undrained_event_is_told_in_every_turn(BackendScenario& s) {
  const Inner inner(s);
  const Pipe pipes[] = {make_pipe(), make_pipe()};
  unsigned told[] = {0, 0};
  std::vector<std::unique_ptr<FdEvent>> events;
  // Two, so that the polls are multishot where there are such.
  for (std::size_t i = 0; i < 2; ++i) {
    events.push_back(std::make_unique<FdEvent>(*inner.backend, pipes[i].read_end.get(),
                                               FdInterest{.read = true, .persistent = true},
                                               [&told, i](const Readiness&) { ++told[i]; }));
    must(events.back()->add());
  }
  must(inner->submit_outstanding());
  s.settle();
  EXPECT_EQ(told[0] + told[1], 0u);
  for (const Pipe& pipe : pipes) write_text(pipe.write_end.get(), "x");
  s.run_until([&] { return told[0] >= 5 && told[1] >= 5; });
  for (const Pipe& pipe : pipes) read_text(pipe.read_end.get(), 1);
  expect_peace(s, inner);
  const unsigned before = told[0];
  write_text(pipes[0].write_end.get(), "x");
  s.run_until([&] { return told[0] > before; });
  read_text(pipes[0].read_end.get(), 1);
}

void what_was_done_already_is_told(BackendScenario& s) {
  const Inner inner(s);
  // A bad argument, which needs no request where the kernel has none for it: the result is there before any turn.
  Owed& told = s.owe("the close of nothing");
  inner->close(closed_fd(), told.callback());
  must(inner->submit_outstanding());
  s.run_until(told);
  EXPECT_EQ(told.res, -EBADF);
  expect_peace(s, inner);
}

void posts_and_wakes_of_the_same_thread_reach_it(BackendScenario& s) {
  const Inner inner(s);
  bool posted = false;
  inner->post([&] { posted = true; });
  s.run_until([&] { return posted; });
  const std::size_t turns = inner.turns();
  inner->wake();
  s.run_until([&] { return inner.turns() > turns; });
  inner->loop_break();
  expect_peace(s, inner);
}

void a_post_from_another_thread_reaches_it(BackendScenario& s) {
  const Inner inner(s);
  for (unsigned round = 0; round < 3; ++round) {
    bool posted = false;
    std::thread poster([&] { inner->post([&posted] { posted = true; }); });
    s.run_until([&] { return posted; });
    poster.join();
  }
  expect_peace(s, inner);
}

void the_inner_loop_may_be_destroyed_by_the_outer_callback(BackendScenario& s) {
  std::unique_ptr<Backend> inner = must(Backend::create(s.kernel()));
  const Pipe pipe = make_pipe();
  Owed& told = s.owe("the poll of the inner loop");
  std::unique_ptr<FdEvent> event;
  event = std::make_unique<FdEvent>(reference_backend(s), must(inner->pollable_fd()),
                                    FdInterest{.read = true, .persistent = true}, [&](const Readiness&) {
                                      inner.reset();
                                      event.reset();
                                    });
  must(event->add());
  inner->poll(pipe.read_end.get(), POLLIN, told.callback());
  inner->wake();
  s.run_until([&] { return inner == nullptr; });
  EXPECT_EQ(told.res, -ECANCELED);
  s.settle();
}

void the_inner_loop_may_be_destroyed_by_itself(BackendScenario& s) {
  Inner inner(s);
  Timer timer(*inner.backend, [&] { inner.destroy(); });
  must(timer.start_after(s.moment()));
  must(inner->submit_outstanding());
  s.run_until([&] { return inner.backend == nullptr; });
  s.settle();
}

// The descriptor stays the same, and works, when another ring takes the place of one whose completions were dropped.
void dropped_completions_leave_it_nested(BackendScenario& s) {
  const Inner inner(s);
  const int fd = must(inner->pollable_fd());
  struct Nop final : Operation {
    explicit Nop(Owed& owed) : told(owed.callback()) {}
    void prepare(io_uring_sqe& sqe) override { io_uring_prep_nop(&sqe); }
    void complete(const assay::Completion& completion) override { told(completion.res); }
    OperationCallback told;
  };
  Owed& lost = s.owe("the NOP whose completion is dropped");
  Nop nop(lost);
  bool due = false;
  Timer timer(*inner.backend, [&] { due = true; });
  {
    const FaultScope scope = s.inject("cqe/full:nth=1:op=NOP,cqe/drop:nth=1");
    must(inner->submit(nop));
    must(timer.start_after(s.moment()));
    must(inner->submit_outstanding());
    s.run_until([&] { return lost.done() && due; });
  }
  EXPECT_EQ(lost.res, -EBADR);
  EXPECT_EQ(inner->counters().recoveries, 1u);
  EXPECT_EQ(must(inner->pollable_fd()), fd);
  const Pipe pipe = make_pipe();
  Owed& told = s.owe("the poll of the inner loop");
  inner->poll(pipe.read_end.get(), POLLIN, told.callback());
  must(inner->submit_outstanding());
  s.settle();
  write_text(pipe.write_end.get(), "x");
  s.run_until(told);
  expect_peace(s, inner);
}

}  // namespace

void internal::add_reference_nesting(BackendBehaviours& behaviours) {
  const auto add = [&](const char* name, void (*body)(BackendScenario&), Needs needs = {}) {
    needs.opcodes = {IORING_OP_TIMEOUT};
    needs.register_ops = {IORING_REGISTER_EVENTFD};
    behaviours.push_back({.suite = "ReferenceNesting",
                          .name = name,
                          .capabilities = {Capability::kReference},
                          .body = body,
                          .needs = std::move(needs)});
  };
  add("AnIdleLoopWakesNobody", an_idle_loop_wakes_nobody);
  add("ATimerReachesTheOuterLoop", a_timer_reaches_the_outer_loop);
  add("TimersMoveInBothDirections", timers_move_in_both_directions);
  add("ATimerThatRepeatsComesEachTime", a_timer_of_its_own_callback_comes_too);
  add("CompletionsReachTheOuterLoop", completions_reach_the_outer_loop);
  add("DeferredTaskWorkReachesTheOuterLoop", deferred_task_work_reaches_the_outer_loop,
      {.setup_flags = IORING_SETUP_DEFER_TASKRUN});
  add("AnUndrainedEventIsToldInEveryTurn", an_undrained_event_is_told_in_every_turn);
  add("WhatWasDoneAlreadyIsTold", what_was_done_already_is_told);
  add("PostsAndWakesOfTheSameThreadReachIt", posts_and_wakes_of_the_same_thread_reach_it);
  add("APostFromAnotherThreadReachesIt", a_post_from_another_thread_reaches_it, {.real_clock = true});
  add("TheInnerLoopMayBeDestroyedByTheOuterCallback", the_inner_loop_may_be_destroyed_by_the_outer_callback);
  add("TheInnerLoopMayBeDestroyedByItself", the_inner_loop_may_be_destroyed_by_itself);
  behaviours.push_back({.suite = "ReferenceNesting",
                        .name = "DroppedCompletionsLeaveItNested",
                        .capabilities = {Capability::kReference, Capability::kLostCompletions},
                        .body = dropped_completions_leave_it_nested,
                        .needs = {.switches_on = {&Semantics::ebadr_after_drop}},
                        .own_plan = kFaultLayer,
                        .injects = "cqe/full:nth=1:op=NOP,cqe/drop:nth=1"});
}

}  // namespace assay::conformance
