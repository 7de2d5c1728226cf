// Timers, on the kernel's own clock. On a virtual clock their times are exact.

#include <gtest/gtest.h>

#include <vector>

#include "assay/conformance/backend_scenario.h"
#include "assay/conformance/backend_suites.h"
#include "assay/conformance/ring_actions.h"

namespace assay::conformance {
namespace {

using C = Capability;
using std::chrono::nanoseconds;

void fires_after_its_time(BackendScenario& s) {
  Told& told = s.tell();
  const auto start = s.now();
  s.timer(s.moment(), told.callback());
  s.run_until(told, 1);
  EXPECT_GE(s.now() - start, s.moment());
  EXPECT_EQ(told.bits, std::vector<unsigned>{kTimedOut});
}

void fires_once(BackendScenario& s) {
  Told& told = s.tell();
  s.timer(s.moment(), told.callback());
  EXPECT_EQ(s.run(RunMode::kUntilIdle), RunResult::kHadEvents);
  EXPECT_EQ(told.calls(), 1u);
  EXPECT_EQ(s.run(RunMode::kUntilIdle), RunResult::kNoEvents);
}

/// Timers whose firings are held against their deadlines. Real time passes between reading the clock and adding a
/// timer, so a deadline is known only to lie between two others.
class Deadlines {
 public:
  explicit Deadlines(BackendScenario& s) : s_(s) {}

  void add(nanoseconds timeout) {
    const std::size_t timer = earliest_.size();
    earliest_.push_back(s_.now() + timeout);
    s_.timer(timeout, [this, timer](unsigned) { fired_.push_back(timer); });
    latest_.push_back(s_.now() + timeout);
  }

  void expect_all_in_order() const {
    ASSERT_EQ(fired_.size(), earliest_.size());
    for (std::size_t i = 1; i < fired_.size(); ++i) {
      EXPECT_LE(earliest_[fired_[i - 1]], latest_[fired_[i]])
          << "timer " << fired_[i - 1] << " fired before " << fired_[i];
    }
  }

 private:
  BackendScenario& s_;
  std::vector<nanoseconds> earliest_, latest_;
  std::vector<std::size_t> fired_;
};

void fire_in_the_order_of_their_deadlines(BackendScenario& s) {
  Deadlines deadlines(s);
  for (const int moments : {4, 1, 6, 3, 5, 2}) deadlines.add(moments * s.moment());
  EXPECT_EQ(s.run(RunMode::kUntilIdle), RunResult::kHadEvents);
  deadlines.expect_all_in_order();
}

void zero_is_now(BackendScenario& s) {
  Told& told = s.tell();
  const auto start = s.now();
  s.timer(nanoseconds(0), told.callback());
  s.run_until(told, 1);
  if (s.virtual_clock()) {
    EXPECT_EQ(s.now(), start) << "no time needs to pass";
  }
  EXPECT_LT(s.now() - start, std::chrono::seconds(10));
}

void adding_again_moves_it_later(BackendScenario& s) {
  Told& told = s.tell();
  const auto start = s.now();
  // Far enough off that it cannot fire before it is added again.
  const EventId timer = s.timer(10 * s.moment(), told.callback());
  s.run(RunMode::kNonBlock);
  must(s.backend().add_event(timer, 13 * s.moment()));
  EXPECT_EQ(s.run(RunMode::kUntilIdle), RunResult::kHadEvents);
  EXPECT_EQ(told.calls(), 1u);
  EXPECT_GE(s.now() - start, 13 * s.moment());
}

void adding_again_moves_it_earlier(BackendScenario& s) {
  Told& told = s.tell();
  const auto start = s.now();
  const EventId timer = s.timer(std::chrono::hours(10), told.callback());
  s.run(RunMode::kNonBlock);
  must(s.backend().add_event(timer, s.moment()));
  EXPECT_EQ(s.run(RunMode::kUntilIdle), RunResult::kHadEvents);
  EXPECT_EQ(told.calls(), 1u);
  EXPECT_LT(s.now() - start, std::chrono::hours(1));
}

void a_deleted_timer_does_not_fire(BackendScenario& s) {
  Told &deleted = s.tell(), &later = s.tell();
  const EventId timer = s.timer(10 * s.moment(), deleted.callback());
  s.timer(12 * s.moment(), later.callback());
  s.run(RunMode::kNonBlock);
  must(s.backend().delete_event(timer));
  EXPECT_EQ(s.run(RunMode::kUntilIdle), RunResult::kHadEvents);
  EXPECT_EQ(deleted.calls(), 0u);
  EXPECT_EQ(later.calls(), 1u);
}

void deleting_what_is_not_added_is_reported(BackendScenario& s) {
  Told& told = s.tell();
  const EventId timer = must(s.backend().make_timer(told.callback()));
  EXPECT_FALSE(s.backend().delete_event(timer)) << "it was never added";
  must(s.backend().add_event(timer, s.moment()));
  s.run_until(told, 1);
  EXPECT_FALSE(s.backend().delete_event(timer)) << "it has fired";
}

void may_be_added_again_from_its_callback(BackendScenario& s) {
  Told& told = s.tell();
  const auto start = s.now();
  EventId timer{};
  timer = s.timer(s.moment(), told.callback([&](unsigned) {
    if (told.calls() < 5) must(s.backend().add_event(timer, s.moment()));
  }));
  EXPECT_EQ(s.run(RunMode::kUntilIdle), RunResult::kHadEvents);
  EXPECT_EQ(told.calls(), 5u);
  EXPECT_GE(s.now() - start, 5 * s.moment());
}

// Never early, by as little as a nanosecond. On a virtual clock, which stands still while the loop works, not late
// either.
void are_exact_to_the_nanosecond(BackendScenario& s) {
  for (const nanoseconds timeout :
       {nanoseconds(1), nanoseconds(999), nanoseconds(1'000), nanoseconds(1'000'001), nanoseconds(2'500'000)}) {
    Told& told = s.tell();
    const auto start = s.now();
    s.timer(timeout, told.callback());
    s.run_until(told, 1);
    EXPECT_GE(s.now() - start, timeout);
    if (s.virtual_clock()) {
      EXPECT_EQ(s.now() - start, timeout);
    }
  }
}

void a_nanosecond_tells_two_apart(BackendScenario& s) {
  Deadlines deadlines(s);
  std::vector<nanoseconds> times;
  const auto start = s.now();
  for (const int n : {3, 1, 2}) {
    deadlines.add(s.moment() + nanoseconds(n));
    s.timer(s.moment() + nanoseconds(n), [&](unsigned) { times.push_back(s.now() - start - s.moment()); });
  }
  EXPECT_EQ(s.run(RunMode::kUntilIdle), RunResult::kHadEvents);
  deadlines.expect_all_in_order();
  if (s.virtual_clock()) {
    EXPECT_EQ(times, (std::vector<nanoseconds>{nanoseconds(1), nanoseconds(2), nanoseconds(3)}));
  }
}

void many_timers_on_small_rings(BackendScenario& s) {
  constexpr int kCount = 200;
  s.backend({.sq_entries = 8, .cq_entries = 16});
  Deadlines deadlines(s);
  // Scattered: 7 has no factor in common with 200, so each number comes up once.
  for (int i = 0; i < kCount; ++i) deadlines.add(std::chrono::microseconds(10 * (i * 7 % kCount)));
  EXPECT_EQ(s.run(RunMode::kUntilIdle), RunResult::kHadEvents);
  deadlines.expect_all_in_order();
}

void deleted_in_the_callback_of_another(BackendScenario& s) {
  Told& told = s.tell();
  EventId first{}, second{};
  first =
      s.timer(nanoseconds(0), told.callback([&](unsigned) { static_cast<void>(s.backend().delete_event(second)); }));
  second =
      s.timer(nanoseconds(0), told.callback([&](unsigned) { static_cast<void>(s.backend().delete_event(first)); }));
  s.run_until(told, 1);
  s.settle();
  EXPECT_EQ(told.calls(), 1u);
}

void are_not_starved_by_busy_files(BackendScenario& s) {
  Pipe pipe = make_pipe();
  write_text(pipe.write_end.get(), "x");
  Told &busy = s.tell(), &due = s.tell();
  const EventId event = s.fd_event(pipe.read_end.get(), kReadable | kPersist, busy.callback());
  s.run_until(busy, 2);
  s.timer(nanoseconds(0), due.callback());
  const std::size_t before = busy.calls();
  s.run_until(due, 1);
  EXPECT_LE(busy.calls() - before, 20u) << "it is always ready, and the timer was due";
  must(s.backend().delete_event(event));
}

void the_longest_timeout_does_not_overflow(BackendScenario& s) {
  Told &longest = s.tell(), &soon = s.tell();
  const EventId timer = s.timer(nanoseconds::max(), longest.callback());
  s.timer(s.moment(), soon.callback());
  s.run_until(soon, 1);
  s.settle();
  EXPECT_EQ(longest.calls(), 0u);
  must(s.backend().delete_event(timer));
}

void a_wait_ends_for_the_earliest(BackendScenario& s) {
  // The later timer was there first, and the loop already waits for it in a way when the earlier one comes.
  Told &later = s.tell(), &earlier = s.tell();
  Pipe pipe = make_pipe();
  write_text(pipe.write_end.get(), "x");
  const auto start = s.now();
  const EventId timer = s.timer(std::chrono::hours(5), later.callback());
  s.fd_event(pipe.read_end.get(), kReadable, [&](unsigned) { s.timer(s.moment(), earlier.callback()); });
  s.run_until(earlier, 1);
  EXPECT_LT(s.now() - start, std::chrono::hours(1));
  EXPECT_EQ(later.calls(), 0u);
  must(s.backend().delete_event(timer));
}

}  // namespace

void internal::add_backend_timers(BackendBehaviours& behaviours) {
  const auto add = [&](const char* name, CapabilitySet capabilities, void (*body)(BackendScenario&)) {
    behaviours.push_back({.suite = "BackendTimers",
                          .name = name,
                          .capabilities = capabilities | CapabilitySet{C::kTimers},
                          .body = body});
  };
  add("FireAfterTheirTime", {}, fires_after_its_time);
  add("FireOnce", {}, fires_once);
  add("FireInTheOrderOfTheirDeadlines", {}, fire_in_the_order_of_their_deadlines);
  add("ZeroIsNow", {}, zero_is_now);
  add("AddingAgainMovesItLater", {}, adding_again_moves_it_later);
  add("AddingAgainMovesItEarlier", {}, adding_again_moves_it_earlier);
  add("ADeletedOneDoesNotFire", {}, a_deleted_timer_does_not_fire);
  add("DeletingWhatIsNotAddedIsReported", {}, deleting_what_is_not_added_is_reported);
  add("MayBeAddedAgainFromTheirCallback", {}, may_be_added_again_from_its_callback);
  add("AreExactToTheNanosecond", {C::kExactTimers}, are_exact_to_the_nanosecond);
  add("ANanosecondTellsTwoApart", {C::kExactTimers}, a_nanosecond_tells_two_apart);
  add("ManyTimersOnSmallRings", {C::kBacklog}, many_timers_on_small_rings);
  add("DeletedInTheCallbackOfAnother", {}, deleted_in_the_callback_of_another);
  add("AreNotStarvedByBusyFiles", {C::kPersistentFdEvents}, are_not_starved_by_busy_files);
  add("TheLongestTimeoutDoesNotOverflow", {}, the_longest_timeout_does_not_overflow);
  add("AWaitEndsForTheEarliest", {C::kFdEvents}, a_wait_ends_for_the_earliest);
}

}  // namespace assay::conformance
