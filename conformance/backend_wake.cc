// Reaching a loop from elsewhere: other threads, signal handlers, its own callbacks.

#include <gtest/gtest.h>

#include <csignal>
#include <memory>
#include <thread>
#include <vector>

#include "assay/conformance/backend_scenario.h"
#include "assay/conformance/backend_suites.h"
#include "assay/conformance/ring_actions.h"

namespace assay::conformance {
namespace {

using C = Capability;

std::function<void()> wake_by_handler;

void wake_in_handler(int /*signal*/) { wake_by_handler(); }

/// An fd event that is never ready, so that the loop has something to wait for.
class IdleEvent {
 public:
  explicit IdleEvent(BackendScenario& s) : pipe_(make_pipe()), told_(s.tell()) {
    s.fd_event(pipe_.read_end.get(), kReadable | kPersist, told_.callback());
  }
  ~IdleEvent() { EXPECT_EQ(told_.calls(), 0u); }

 private:
  Pipe pipe_;
  Told& told_;
};

void from_another_thread_ends_a_wait(BackendScenario& s) {
  IdleEvent idle(s);
  const auto wake = must(s.backend().make_waker());
  for (int round = 0; round < 20; ++round) {
    // It comes before the wait, during it, or on the way there; the loop must return in each case.
    std::jthread other([&wake] { wake(); });
    s.run(RunMode::kOnce);
    other.join();
    s.settle();
  }
}

void before_the_wait_is_remembered(BackendScenario& s) {
  IdleEvent idle(s);
  const auto wake = must(s.backend().make_waker());
  for (int round = 0; round < 5; ++round) {
    wake();
    EXPECT_EQ(s.run(RunMode::kOnce), RunResult::kNothingToDo);
  }
}

void from_a_signal_handler(BackendScenario& s) {
  IdleEvent idle(s);
  wake_by_handler = must(s.backend().make_waker());
  struct sigaction action {
  }, previous{};
  action.sa_handler = wake_in_handler;
  ::sigaction(SIGUSR2, &action, &previous);
  for (int round = 0; round < 5; ++round) {
    ::raise(SIGUSR2);
    EXPECT_EQ(s.run(RunMode::kOnce), RunResult::kNothingToDo);
  }
  ::sigaction(SIGUSR2, &previous, nullptr);
}

void many_end_one_wait(BackendScenario& s) {
  IdleEvent idle(s);
  const auto wake = must(s.backend().make_waker());
  for (int i = 0; i < 1'000; ++i) wake();
  EXPECT_EQ(s.run(RunMode::kOnce), RunResult::kNothingToDo);
  // They are used up: were one left, a wait would end before this timer.
  Told& told = s.tell();
  s.settle();
  s.timer(s.moment(), told.callback());
  EXPECT_EQ(s.run(RunMode::kOnce), RunResult::kHadEvents);
  EXPECT_EQ(told.calls(), 1u);
}

void does_not_keep_a_loop_alive(BackendScenario& s) {
  must(s.backend().make_waker())();
  EXPECT_EQ(s.run(RunMode::kUntilIdle), RunResult::kNoEvents);
}

void posted_functions_run_in_order(BackendScenario& s) {
  std::vector<int> order;
  for (int i = 0; i < 10; ++i) must(s.backend().post([&order, i] { order.push_back(i); }));
  EXPECT_TRUE(order.empty()) << "they run inside the loop";
  s.run(RunMode::kUntilIdle);
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
}

void a_posted_function_may_post(BackendScenario& s) {
  IdleEvent idle(s);
  int runs = 0;
  std::function<void()> again = [&] {
    if (++runs < 5) must(s.backend().post(again));
  };
  must(s.backend().post(again));
  s.run_until([&] { return runs == 5; });
}

void posts_from_several_threads_all_arrive(BackendScenario& s) {
  constexpr int kThreads = 4, kPosts = 100;
  IdleEvent idle(s);
  BackendUnderTest& backend = s.backend();
  must(backend.post([] {}));
  const std::thread::id loop = std::this_thread::get_id();
  std::vector<std::vector<int>> arrived(kThreads);
  int total = 0;
  const auto arrive = [&](int from, int number) {
    EXPECT_EQ(std::this_thread::get_id(), loop);
    arrived[static_cast<std::size_t>(from)].push_back(number);
    ++total;
  };
  std::vector<std::jthread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kPosts; ++i) EXPECT_TRUE(backend.post([&arrive, t, i] { arrive(t, i); }));
    });
  }
  s.run_until([&] { return total == kThreads * kPosts; });
  for (std::jthread& thread : threads) thread.join();
  for (const std::vector<int>& each : arrived) {
    ASSERT_EQ(each.size(), std::size_t{kPosts});
    for (int i = 0; i < kPosts; ++i) EXPECT_EQ(each[static_cast<std::size_t>(i)], i) << "in each thread's own order";
  }
}

void what_is_posted_to_the_end_is_given_back(BackendScenario& s) {
  const auto resource = std::make_shared<int>(0);
  must(s.backend().post([resource] { ++*resource; }));
  s.destroy_backend();
  EXPECT_EQ(resource.use_count(), 1);
  EXPECT_LE(*resource, 1);
}

}  // namespace

void internal::add_backend_wake(BackendBehaviours& behaviours) {
  const auto add = [&](const char* name, CapabilitySet capabilities, void (*body)(BackendScenario&), Needs needs = {}) {
    behaviours.push_back(
        {.suite = "BackendWake", .name = name, .capabilities = capabilities, .body = body, .needs = std::move(needs)});
  };
  const Needs real_clock{.real_clock = true};
  add("FromAnotherThreadEndsAWait", {C::kWake, C::kPersistentFdEvents}, from_another_thread_ends_a_wait, real_clock);
  add("BeforeTheWaitIsRemembered", {C::kWake, C::kPersistentFdEvents}, before_the_wait_is_remembered);
  add("FromASignalHandler", {C::kWake, C::kPersistentFdEvents}, from_a_signal_handler);
  add("ManyEndOneWait", {C::kWake, C::kPersistentFdEvents, C::kTimers}, many_end_one_wait);
  add("DoesNotKeepALoopAlive", {C::kWake}, does_not_keep_a_loop_alive);
  add("PostedFunctionsRunInOrder", {C::kPost}, posted_functions_run_in_order);
  add("APostedFunctionMayPost", {C::kPost, C::kPersistentFdEvents}, a_posted_function_may_post);
  add("PostsFromSeveralThreadsAllArrive", {C::kPost, C::kPersistentFdEvents}, posts_from_several_threads_all_arrive,
      real_clock);
  add("WhatIsPostedToTheEndIsGivenBack", {C::kPost}, what_is_posted_to_the_end_is_given_back);
}

}  // namespace assay::conformance
