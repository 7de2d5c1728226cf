// What a user can have done in a turn of the reference backend beside callbacks: hooks around the wait, operations that
// are left to the next turn, warnings.

#include <gtest/gtest.h>
#include <poll.h>

#include <cerrno>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "assay/conformance/backend_suites.h"
#include "assay/conformance/reference_actions.h"
#include "assay/conformance/ring_actions.h"

namespace assay::conformance {
namespace {

class Nop final : public Operation {
 public:
  explicit Nop(Owed& owed) : told_(owed.callback()) {}
  bool prepared() const { return prepared_; }

 private:
  void prepare(io_uring_sqe& sqe) override {
    prepared_ = true;
    io_uring_prep_nop(&sqe);
  }
  void complete(const assay::Completion& completion) override { told_(completion.res); }

  OperationCallback told_;
  bool prepared_ = false;
};

/// Runs the loop until `done`.
template <typename Done>
void run_until(Backend& backend, Done done) {
  for (int turns = 0; !done() && turns < 1000; ++turns) must(backend.loop(LoopMode::kOnce));
  EXPECT_TRUE(done());
}

void hooks_run_around_the_wait(BackendScenario& s) {
  std::string order;
  BackendOptions options;
  options.before_wait = [&] { order += 'b'; };
  options.after_wait = [&] { order += 'a'; };
  const std::unique_ptr<Backend> backend = must(Backend::create(s.kernel(), options));
  Owed& owed = s.owe("the NOP");
  Nop nop(owed);
  must(backend->submit(nop));
  bool told = false;
  Timer timer(*backend, [&] {
    order += 't';
    told = true;
  });
  must(timer.start_after(s.moment()));
  run_until(*backend, [&] { return told && owed.done(); });
  const std::uint64_t turns = backend->counters().turns;
  // In each turn one of each, and callbacks only behind both.
  EXPECT_EQ(std::erase(order, 't'), 1u);
  std::string expected;
  for (std::uint64_t turn = 0; turn < turns; ++turn) expected += "ba";
  EXPECT_EQ(order, expected);
  // Turns that do not wait have them too; hooks alone are nothing that happened.
  order.clear();
  backend->receive_messages([](std::uint32_t) {});
  EXPECT_EQ(must(backend->loop(LoopMode::kNonblock)), LoopStatus::kNothingToDo);
  EXPECT_EQ(order, "ba");
}

void what_a_hook_starts_goes_along(BackendScenario& s) {
  Owed& owed = s.owe("the NOP");
  Nop nop(owed);
  Backend* target = nullptr;
  std::uint64_t turn = 0;
  BackendOptions options;
  options.before_wait = [&] {
    if (turn != 0) return;
    turn = target->counters().turns;
    must(target->submit(nop));
  };
  options.after_wait = [&] {
    if (target->counters().turns != turn) return;
    EXPECT_TRUE(nop.prepared()) << "the turn whose hook queued it did not submit it";
  };
  const std::unique_ptr<Backend> backend = must(Backend::create(s.kernel(), options));
  target = backend.get();
  Timer keeps_it_going(*backend, [] {});
  must(keeps_it_going.start_after(std::chrono::hours(1)));
  run_until(*backend, [&] { return owed.done(); });
}

void hooks_may_not_run_the_loop(BackendScenario& s) {
  Backend* target = nullptr;
  std::vector<Error> errors;
  BackendOptions options;
  options.before_wait = options.after_wait = [&] { errors.push_back(target->loop(LoopMode::kNonblock).error()); };
  const std::unique_ptr<Backend> backend = must(Backend::create(s.kernel(), options));
  target = backend.get();
  backend->post([] {});
  must(backend->loop(LoopMode::kNonblock));
  ASSERT_GE(errors.size(), 2u);
  for (const Error& error : errors) EXPECT_EQ(error, std::errc::device_or_resource_busy);
}

void the_next_turn_takes_what_is_for_it(BackendScenario& s) {
  BackendOptions options;
  options.max_submit = 1;  // every request is a full batch
  const std::unique_ptr<Backend> backend = must(Backend::create(s.kernel(), options));
  must(backend->loop(LoopMode::kNonblock));
  Owed &now = s.owe("the NOP of this turn"), &next = s.owe("the NOP of the next turn");
  Nop first(now), second(next);
  must(backend->submit_next_turn(second));
  EXPECT_TRUE(second.in_flight());
  EXPECT_EQ(backend->submit_next_turn(second).error(), std::errc::operation_in_progress);
  EXPECT_EQ(backend->submit(second).error(), std::errc::operation_in_progress);
  must(backend->submit_now(first));
  must(backend->submit_outstanding());
  EXPECT_TRUE(first.prepared());
  EXPECT_FALSE(second.prepared()) << "a submission took it along";
  run_until(*backend, [&] { return now.done() && next.done(); });
  EXPECT_EQ(next.res, 0);
}

void from_a_callback_it_is_the_turn_after(BackendScenario& s) {
  Backend& backend = reference_backend(s);
  Owed& owed = s.owe("the NOP");
  Nop nop(owed);
  std::uint64_t queued = 0;
  Timer timer(backend, [&] {
    queued = backend.counters().turns;
    must(backend.submit_next_turn(nop));
    must(backend.submit_outstanding());
    EXPECT_FALSE(nop.prepared());
  });
  must(timer.start_after(s.moment()));
  s.run_until(owed);
  EXPECT_GT(backend.counters().turns, queued);
}

// Queued when it is known already that there is a turn that waits, which must not wait for something else first.
void a_turn_does_not_wait_before_the_next(BackendScenario& s) {
  Owed& owed = s.owe("the NOP");
  Nop nop(owed);
  Backend* target = nullptr;
  bool queued = false;
  BackendOptions options;
  options.before_wait = [&] {
    if (!std::exchange(queued, true)) must(target->submit_next_turn(nop));
  };
  const std::unique_ptr<Backend> backend = must(Backend::create(s.kernel(), options));
  target = backend.get();
  const Pipe idle = make_pipe();
  FdEvent keeps_it_going(*backend, idle.read_end.get(), {.read = true}, [](const Readiness&) {});
  must(keeps_it_going.add());
  run_until(*backend, [&] { return owed.done(); });
  EXPECT_EQ(owed.res, 0);
}

void what_waits_for_the_next_turn_is_cancelled(BackendScenario& s) {
  std::unique_ptr<Backend> backend = must(Backend::create(s.kernel()));
  Owed &cancelled = s.owe("the one that is cancelled"), &destroyed = s.owe("the one that the end takes by surprise");
  Nop first(cancelled), second(destroyed);
  must(backend->submit_next_turn(first));
  must(backend->cancel(first));
  run_until(*backend, [&] { return cancelled.done(); });
  EXPECT_EQ(cancelled.res, -ECANCELED);
  EXPECT_FALSE(first.prepared());
  must(backend->submit_next_turn(second));
  backend.reset();
  EXPECT_EQ(destroyed.res, -ECANCELED);
  EXPECT_FALSE(second.prepared());
}

void an_overflow_is_warned_of(BackendScenario& s) {
  std::vector<std::string> warnings;
  BackendOptions options;
  options.capacity = 4;
  options.sq_entries = 4;
  options.on_warning = [&](std::string_view text) { warnings.emplace_back(text); };
  const std::unique_ptr<Backend> backend = must(Backend::create(s.kernel(), options));
  std::deque<Nop> nops;
  std::vector<Owed*> owed;
  for (int i = 0; i < 64; ++i) {
    owed.push_back(&s.owe("a NOP"));
    nops.emplace_back(*owed.back());
    must(backend->submit(nops.back()));
  }
  const auto all_done = [&] {
    for (const Owed* each : owed) {
      if (!each->done()) return false;
    }
    return true;
  };
  run_until(*backend, all_done);
  EXPECT_EQ(warnings.size(), backend->counters().overflows == 0 ? 0u : 1u);
  for (const std::string& warning : warnings) EXPECT_NE(warning.find("`capacity` 4"), std::string::npos) << warning;
}

}  // namespace

void internal::add_reference_turns(BackendBehaviours& behaviours) {
  const auto add = [&](const char* suite, const char* name, void (*body)(BackendScenario&)) {
    behaviours.push_back({.suite = suite, .name = name, .capabilities = {Capability::kReference}, .body = body});
  };
  add("ReferenceHooks", "RunAroundTheWait", hooks_run_around_the_wait);
  add("ReferenceHooks", "WhatOneStartsGoesAlong", what_a_hook_starts_goes_along);
  add("ReferenceHooks", "MayNotRunTheLoop", hooks_may_not_run_the_loop);
  add("ReferenceNextTurn", "TakesWhatIsForIt", the_next_turn_takes_what_is_for_it);
  add("ReferenceNextTurn", "IsTheOneAfterACallback", from_a_callback_it_is_the_turn_after);
  add("ReferenceNextTurn", "IsNotWaitedFor", a_turn_does_not_wait_before_the_next);
  add("ReferenceNextTurn", "IsCancelled", what_waits_for_the_next_turn_is_cancelled);
  add("ReferenceWarnings", "AnOverflowIsWarnedOf", an_overflow_is_warned_of);
}

}  // namespace assay::conformance
