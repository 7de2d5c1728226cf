#include "assay/backend/backlog.h"

#include <deque>
#include <random>
#include <set>
#include <vector>

#include <gtest/gtest.h>

namespace assay::internal {
namespace {

std::vector<int> contents(Backlog<int>& backlog) { return {backlog.begin(), backlog.end()}; }

TEST(Backlog, IsAQueueInWhichSomeGoBeforeTheOthers) {
  Backlog<int> backlog;
  EXPECT_TRUE(backlog.empty());
  for (const int item : {3, 4, 5}) backlog.push_back(item);
  backlog.push_front(2);
  const std::vector<int> first{0, 1};
  backlog.push_front(first.begin(), first.end());
  EXPECT_EQ(contents(backlog), (std::vector<int>{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(backlog[4], 4);
  backlog.pop_front();
  backlog.pop_front();
  EXPECT_EQ(backlog.front(), 2);
  backlog.push_front(9);
  backlog.push_front(first.begin(), first.end());
  EXPECT_EQ(contents(backlog), (std::vector<int>{0, 1, 9, 2, 3, 4, 5}));
  while (!backlog.empty()) backlog.pop_front();
  EXPECT_EQ(backlog.size(), 0u);
}

TEST(Backlog, DoesWhatADequeDoes) {
  std::minstd_rand random(1);
  Backlog<int> backlog;
  std::deque<int> expected;
  for (int step = 0; step < 100'000; ++step) {
    const auto choice = random() % 8;
    if (choice < 4) {
      backlog.push_back(step);
      expected.push_back(step);
    } else if (choice == 4) {
      backlog.push_front(step);
      expected.push_front(step);
    } else if (!expected.empty()) {
      ASSERT_EQ(backlog.front(), expected.front());
      backlog.pop_front();
      expected.pop_front();
      if (choice == 7 && step % 100 == 0) {
        ASSERT_EQ(contents(backlog), std::vector<int>(expected.begin(), expected.end()));
      }
    }
    ASSERT_EQ(backlog.size(), expected.size());
  }
}

// One comes and one goes, and a few are always there: the line moves on through its memory, and must come back in it.
TEST(Backlog, KeepsItsMemory) {
  Backlog<int> backlog;
  for (int item = 0; item < 10; ++item) backlog.push_back(item);
  std::set<const int*> places;
  for (int item = 10; item < 10'000; ++item) {
    backlog.push_back(item);
    ASSERT_EQ(backlog.front(), item - 10);
    backlog.pop_front();
    places.insert(&backlog.front());
  }
  EXPECT_LT(places.size(), 100u);
}

}  // namespace
}  // namespace assay::internal
