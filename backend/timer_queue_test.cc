#include "assay/backend/timer_queue.h"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace assay::internal {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

class Node final : public TimerNode {
 public:
  explicit Node(std::function<void()> told, bool keeps_alive = true) : TimerNode(keeps_alive), told_(std::move(told)) {}

 private:
  void expired() override { told_(); }

  std::function<void()> told_;
};

TEST(TimerQueue, TellsTimersOfOneInstantInTheOrderInWhichTheyWereAdded) {
  TimerQueue queue;
  std::vector<int> told;
  std::vector<std::unique_ptr<Node>> nodes;
  for (int i = 0; i < 100; ++i) {
    nodes.push_back(std::make_unique<Node>([&told, i] { told.push_back(i); }));
    queue.add(*nodes.back(), 5s);
  }
  // Moved to the same instant, it is the last.
  queue.add(*nodes[0], 5s);
  EXPECT_EQ(queue.expire(5s - 1ns), 0u);
  EXPECT_EQ(queue.expire(5s), 100u);
  ASSERT_EQ(told.size(), 100u);
  for (int i = 0; i < 99; ++i) EXPECT_EQ(told[static_cast<std::size_t>(i)], i + 1);
  EXPECT_EQ(told.back(), 0);
  EXPECT_TRUE(queue.empty());
}

TEST(TimerQueue, KnowsTheEarliestToTheNanosecondHoweverFarItIs) {
  TimerQueue queue;
  Node first([] {}), second([] {});
  for (nanoseconds deadline = 1ns; deadline < nanoseconds::max() / 3; deadline *= 3) {
    queue.add(second, deadline + 1ns);
    queue.add(first, deadline);
    EXPECT_EQ(queue.next_expire(), deadline);
    queue.remove(first);
    EXPECT_EQ(queue.next_expire(), deadline + 1ns);
  }
  queue.add(first, nanoseconds::max());
  queue.add(second, nanoseconds::min());
  EXPECT_EQ(queue.next_expire(), nanoseconds::min());
  queue.remove(second);
  EXPECT_EQ(queue.next_expire(), nanoseconds::max());
  EXPECT_EQ(queue.expire(nanoseconds::max() - 1ns), 0u);
  EXPECT_EQ(queue.expire(nanoseconds::max()), 1u);
}

// Where many are far away it is asked for the earliest of them only when their time comes near, by a call or two.
TEST(TimerQueue, LooksAmongManyOnlyWhenTheirTimeComes) {
  TimerQueue queue;
  unsigned told = 0;
  std::vector<std::unique_ptr<Node>> nodes;
  for (unsigned i = 0; i < 1000; ++i) {
    nodes.push_back(std::make_unique<Node>([&told] { ++told; }));
    queue.add(*nodes[i], 1h + i * 1us);
  }
  unsigned calls = 0;
  nanoseconds now{0};
  for (; told == 0; ++calls) {
    ASSERT_LT(calls, 4u);
    const nanoseconds next = queue.next_expire();
    ASSERT_GT(next, now);
    ASSERT_LE(next, 1h);
    queue.expire(now = next);
  }
  EXPECT_EQ(now, 1h);
  EXPECT_EQ(told, 1u);
  EXPECT_GT(calls, 1u) << "nothing was many enough to be left alone";
  EXPECT_EQ(queue.next_expire(), 1h + 1us);
}

// Of those that wait for one instant, some are moved away and back to it when they are in order already.
TEST(TimerQueue, WhoIsMovedToTheInstantThatItWaitsForGoesLast) {
  TimerQueue queue;
  std::vector<unsigned> told;
  std::vector<std::unique_ptr<Node>> nodes;
  for (unsigned i = 0; i < 40; ++i) {
    nodes.push_back(std::make_unique<Node>([&told, i] { told.push_back(i); }));
    queue.add(*nodes[i], 5s);
  }
  EXPECT_EQ(queue.next_expire(), 5s);  // puts them in order
  std::vector<unsigned> expected;
  for (unsigned i = 0; i < 40; ++i) {
    if (i % 4 != 1 && i % 4 != 2) expected.push_back(i);
  }
  for (unsigned i = 1; i < 40; i += 4) queue.add(*nodes[i], 5s), expected.push_back(i);
  for (unsigned i = 2; i < 40; i += 4) {
    queue.add(*nodes[i], 5s + 1us);
    queue.add(*nodes[i], 5s);
    expected.push_back(i);
  }
  queue.expire(5s);
  EXPECT_EQ(told, expected);
}

// The heap is by what they waited for when they came there; those that were moved on must not be in others' way.
TEST(TimerQueue, ThoseOfAnInstantKeepTheirOrderWhereOthersOfItWereMovedOn) {
  for (unsigned moved = 0; moved < 64; ++moved) {
    TimerQueue queue;
    std::vector<unsigned> told;
    std::vector<std::unique_ptr<Node>> nodes;
    for (unsigned i = 0; i < 60; ++i) {
      nodes.push_back(std::make_unique<Node>([&told, i] { told.push_back(i); }));
      queue.add(*nodes[i], 5s);
    }
    EXPECT_EQ(queue.next_expire(), 5s);
    std::vector<unsigned> expected;
    for (unsigned i = 0; i < 60; ++i) {
      if (i % 6 != moved % 6 && i % 10 != moved / 6) expected.push_back(i);
    }
    for (unsigned i = 0; i < 60; ++i) {
      if (i % 6 == moved % 6 || i % 10 == moved / 6) queue.add(*nodes[i], 5s + 1us);
    }
    queue.expire(5s);
    EXPECT_EQ(told, expected);
  }
}

TEST(TimerQueue, WhatACallbackAddsWaitsForTheNextCall) {
  TimerQueue queue;
  int told = 0;
  std::unique_ptr<Node> node;
  node = std::make_unique<Node>([&] {
    ++told;
    queue.add(*node, 0s);
    EXPECT_EQ(queue.next_expire(), 0s);
  });
  queue.add(*node, 1s);
  for (int call = 1; call < 4; ++call) {
    EXPECT_EQ(queue.expire(2s), 1u);
    EXPECT_EQ(told, call);
    EXPECT_EQ(queue.next_expire(), 0s);
  }
}

TEST(TimerQueue, ACallbackMayRemoveMoveAndDestroyOthersThatAreDue) {
  TimerQueue queue;
  bool removed_told = false, destroyed_told = false;
  int moved_told = 0;
  Node removed([&] { removed_told = true; });
  Node moved([&] { ++moved_told; });
  auto destroyed = std::make_unique<Node>([&] { destroyed_told = true; });
  Node first([&] {
    EXPECT_TRUE(removed.armed());
    EXPECT_TRUE(queue.remove(removed));
    queue.add(moved, 9s);
    destroyed.reset();
  });
  queue.add(first, 1s);
  queue.add(removed, 2s);
  queue.add(moved, 2s);
  queue.add(*destroyed, 2s);
  EXPECT_EQ(queue.expire(3s), 1u);
  EXPECT_FALSE(removed_told || destroyed_told);
  EXPECT_EQ(moved_told, 0);
  EXPECT_EQ(queue.next_expire(), 9s);
  EXPECT_EQ(queue.expire(9s), 1u);
  EXPECT_EQ(moved_told, 1);
}

TEST(TimerQueue, CountsThoseThatKeepALoopAlive) {
  TimerQueue queue;
  Node keeps([] {}), does_not([] {}, false);
  queue.add(keeps, 1s);
  queue.add(does_not, 1s);
  EXPECT_EQ(queue.alive(), 1u);
  EXPECT_FALSE(queue.remove(keeps) && queue.remove(keeps));
  EXPECT_EQ(queue.alive(), 0u);
  EXPECT_FALSE(queue.empty());
  queue.add(keeps, 1s);
  queue.clear();
  EXPECT_EQ(queue.alive(), 0u);
  EXPECT_TRUE(queue.empty());
  EXPECT_FALSE(keeps.armed() || does_not.armed());
}

// Many enough that several slots are told in one go, and that one slot is more than is gathered.
TEST(TimerQueue, ACallbackMayRemoveMoveAndDestroyWhatIsSortedToBeTold) {
  constexpr unsigned kNodes = 500;
  TimerQueue queue;
  std::vector<unsigned> told;
  std::vector<std::unique_ptr<Node>> nodes;
  for (unsigned i = 0; i < kNodes; ++i) {
    nodes.push_back(std::make_unique<Node>([&, i] {
      told.push_back(i);
      if (i % 4 != 0) return;
      EXPECT_EQ(queue.next_expire(), nodes[i + 1]->deadline());
      nodes[i + 1].reset();
      queue.add(*nodes[i + 2], 1h);
      EXPECT_TRUE(queue.remove(*nodes[i + 3]));
      queue.add(*nodes[i + 3], 0s);
      EXPECT_EQ(queue.next_expire(), 0s);
      EXPECT_TRUE(queue.remove(*nodes[i + 3]));
      EXPECT_LE(queue.next_expire(), i + 4 < kNodes ? nodes[i + 4]->deadline() : nanoseconds{1h});
    }));
    queue.add(*nodes.back(), 1s + i / 200 * 3ms + i * 1us);
  }
  EXPECT_EQ(queue.expire(10s), kNodes / 4);
  for (unsigned i = 0; i < told.size(); ++i) EXPECT_EQ(told[i], 4 * i);
  EXPECT_EQ(queue.alive(), kNodes / 4);
  EXPECT_LE(queue.next_expire(), 1h);
  EXPECT_EQ(queue.expire(1h), kNodes / 4);
}

TEST(TimerQueue, IsClearedByACallback) {
  TimerQueue queue;
  unsigned told = 0;
  std::vector<std::unique_ptr<Node>> nodes;
  for (unsigned i = 0; i < 300; ++i) {
    nodes.push_back(std::make_unique<Node>([&] {
      if (++told == 100) queue.clear();
    }));
    queue.add(*nodes.back(), 1s + i * 10us);
  }
  EXPECT_EQ(queue.expire(2s), 100u);
  EXPECT_TRUE(queue.empty());
  for (const auto& node : nodes) EXPECT_FALSE(node->armed());
  queue.add(*nodes[7], 3s);
  EXPECT_EQ(queue.next_expire(), 3s);
  EXPECT_EQ(queue.expire(3s), 1u);
}

// Who leaves leaves a hole, which others fill; what is left when the slot's time comes is told in its order.
TEST(TimerQueue, FillsHolesBeforeItGrows) {
  TimerQueue queue;
  std::vector<unsigned> told;
  std::vector<std::unique_ptr<Node>> nodes;
  for (unsigned i = 0; i < 100; ++i) nodes.push_back(std::make_unique<Node>([&told, i] { told.push_back(i); }));
  for (unsigned i = 0; i < 100; ++i) queue.add(*nodes[i], 1h + 1ns * i);
  // Within the slot, to another one and back, and out of it.
  for (unsigned i = 0; i < 100; i += 3) queue.add(*nodes[i], 1h + 1ns * i);
  for (unsigned i = 1; i < 100; i += 3) queue.add(*nodes[i], 9h);
  for (unsigned i = 2; i < 100; i += 3) EXPECT_TRUE(queue.remove(*nodes[i]));
  for (unsigned i = 1; i < 100; i += 3) queue.add(*nodes[i], 1h + 1ns * i);
  EXPECT_EQ(queue.alive(), 67u);
  EXPECT_LE(queue.next_expire(), 1h);
  EXPECT_EQ(queue.expire(1h + 49ns), 34u);
  EXPECT_EQ(queue.expire(2h), 33u);
  unsigned expected = 0;
  for (const unsigned i : told) {
    EXPECT_EQ(i, expected);
    expected += expected % 3 == 0 ? 1 : 2;
  }
}

// Who is moved to later stays where it is for a while, which nobody may notice.
TEST(TimerQueue, TimersThatArePushedOnAgainAndAgainAreToldExactlyAndInOrder) {
  TimerQueue queue;
  std::vector<unsigned> told;
  std::vector<std::unique_ptr<Node>> nodes;
  for (unsigned i = 0; i < 200; ++i) {
    nodes.push_back(std::make_unique<Node>([&told, i] { told.push_back(i); }));
    queue.add(*nodes[i], 5s);
  }
  for (nanoseconds deadline = 6s; deadline < 2min; deadline += 700ms) {
    for (const auto& node : nodes) queue.add(*node, deadline);
  }
  // One instant for all, reached by different ways: as it is, past it and back to it, removed and added.
  for (unsigned i = 0; i < 200; i += 2) queue.add(*nodes[i], 3min);
  for (unsigned i = 1; i < 200; i += 4) queue.add(*nodes[i], 9min);
  for (unsigned i = 1; i < 200; i += 4) queue.add(*nodes[i], 3min);
  for (unsigned i = 3; i < 200; i += 4) {
    EXPECT_TRUE(queue.remove(*nodes[i]));
    queue.add(*nodes[i], 3min);
  }
  EXPECT_EQ(nodes[0]->deadline(), 3min);
  EXPECT_EQ(queue.alive(), 200u);
  EXPECT_LE(queue.next_expire(), 3min);
  EXPECT_EQ(queue.expire(3min - 1ns), 0u);
  EXPECT_EQ(queue.next_expire(), 3min);
  EXPECT_EQ(queue.expire(3min), 200u);
  std::vector<unsigned> expected;
  for (unsigned i = 0; i < 200; i += 2) expected.push_back(i);
  for (unsigned i = 1; i < 200; i += 4) expected.push_back(i);
  for (unsigned i = 3; i < 200; i += 4) expected.push_back(i);
  EXPECT_EQ(told, expected);
  EXPECT_TRUE(queue.empty());
}

// The same steps, chosen at random, on the queue and on a multimap, which keeps those of one key in their order too.
class TimerQueueBesideMultimap : public ::testing::TestWithParam<std::uint64_t> {
 protected:
  static constexpr unsigned kNodes = 600;
  // However they are spread, the earliest is known exactly.
  static constexpr std::size_t kFew = 64;

  TimerQueueBesideMultimap() {
    for (unsigned i = 0; i < kNodes; ++i) nodes_.push_back(new_node(i));
    places_.resize(kNodes, reference_.end());
  }

  std::unique_ptr<Node> new_node(unsigned i) {
    return std::make_unique<Node>([this, i] { told(i); });
  }

  std::uint64_t random(std::uint64_t below) { return random_() % below; }

  /// Near and far, past and present, and often the same.
  nanoseconds random_deadline() {
    const nanoseconds delay{static_cast<std::int64_t>(random(std::uint64_t{1} << random(44)))};
    switch (random(8)) {
      case 0:
        return now_ - delay;
      case 1:
        return now_;
      case 2:
        return (now_ + delay) / 1'000'000 * 1'000'000;
      case 3:
        return now_ + 10ms;
      default:
        return now_ + delay;
    }
  }

  void add(unsigned i, nanoseconds deadline) {
    remove_from_reference(i);
    queue_.add(*nodes_[i], deadline);
    if (expiring_ && deadline <= now_) {
      late_.emplace_back(deadline, i);
    } else {
      places_[i] = reference_.emplace(deadline, i);
    }
  }
  void remove(unsigned i) {
    const bool was_armed = remove_from_reference(i);
    ASSERT_EQ(queue_.remove(*nodes_[i]), was_armed);
  }
  bool remove_from_reference(unsigned i) {
    if (places_[i] != reference_.end()) {
      reference_.erase(std::exchange(places_[i], reference_.end()));
      return true;
    }
    return std::erase_if(late_, [i](const auto& late) { return late.second == i; }) != 0;
  }

  void told(unsigned i) {
    ASSERT_FALSE(reference_.empty());
    ASSERT_EQ(reference_.begin()->second, i);
    ASSERT_LE(nodes_[i]->deadline(), now_);
    ASSERT_FALSE(nodes_[i]->armed());
    remove_from_reference(i);
    ++told_;
    if (is_last_) return;
    running_ = i;
    compare();
    for (std::uint64_t changes = random(3); changes != 0; --changes) change();
    running_ = kNodes;
  }
  void change() {
    const auto i = static_cast<unsigned>(random(kNodes));
    switch (random(16)) {
      case 0:
        if (i == running_) break;
        remove_from_reference(i);
        nodes_[i] = new_node(i);
        break;
      case 1:
      case 2:
      case 3:
      case 4:
        remove(i);
        break;
      case 5:
        // A few at nearly the same time, or many.
        if (!expiring_) add_some(random_deadline(), random(10) == 0 ? kNodes : 10);
        break;
      default:
        add(i, random_deadline());
    }
  }
  void add_some(nanoseconds deadline, std::uint64_t many) {
    const std::uint64_t range = std::uint64_t{1} << random(25);
    for (; many != 0; --many) {
      const nanoseconds later{static_cast<std::int64_t>(random(range))};
      add(static_cast<unsigned>(random(kNodes)), deadline + later);
    }
  }
  void expire() {
    expiring_ = true;
    told_ = 0;
    ASSERT_EQ(queue_.expire(now_), told_);
    expiring_ = false;
    ASSERT_TRUE(reference_.empty() || reference_.begin()->first > now_);
    for (const auto& [deadline, i] : late_) places_[i] = reference_.emplace(deadline, i);
    late_.clear();
  }
  void compare() {
    ASSERT_EQ(queue_.empty(), reference_.empty() && late_.empty());
    ASSERT_EQ(queue_.alive(), reference_.size() + late_.size());
    if (queue_.empty()) return;
    nanoseconds earliest = reference_.empty() ? nanoseconds::max() : reference_.begin()->first;
    for (const auto& [deadline, i] : late_) earliest = std::min(earliest, deadline);
    if (kFew < queue_.alive()) {
      ASSERT_LE(queue_.next_expire(), earliest);
    } else {
      ASSERT_EQ(queue_.next_expire(), earliest);
    }
  }

  std::mt19937_64 random_{GetParam()};
  nanoseconds now_ = 100s;
  TimerQueue queue_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::multimap<nanoseconds, unsigned> reference_;
  std::vector<std::multimap<nanoseconds, unsigned>::iterator> places_;
  std::vector<std::pair<nanoseconds, unsigned>> late_;
  bool expiring_ = false;
  unsigned running_ = kNodes;
  bool is_last_ = false;
  unsigned told_ = 0;
};

TEST_P(TimerQueueBesideMultimap, TellsTheSameInTheSameOrder) {
  for (int step = 0; step < 20'000 && !HasFatalFailure(); ++step) {
    switch (random(4)) {
      case 0:
        // A clock that stands still for a while, goes on in small steps, and jumps; and is asked late, or in time.
        if (random(3) != 0) now_ += nanoseconds{static_cast<std::int64_t>(random(std::uint64_t{1} << random(42)))};
        if (random(4) == 0 && !reference_.empty()) now_ = std::max(now_, reference_.begin()->first);
        expire();
        break;
      case 1:
        compare();
        break;
      default:
        change();
    }
  }
  // All of them, at last.
  now_ += std::chrono::hours{24 * 365};
  is_last_ = true;
  expire();
  EXPECT_TRUE(reference_.empty());
  compare();
}

INSTANTIATE_TEST_SUITE_P(Seeds, TimerQueueBesideMultimap, ::testing::Range<std::uint64_t>(1, 21));

}  // namespace
}  // namespace assay::internal
