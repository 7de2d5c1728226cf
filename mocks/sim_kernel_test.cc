#include "assay/mocks/sim_kernel.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "assay/backend/ring.h"

namespace assay {
namespace {

using namespace std::chrono_literals;

SimOptions acting_as(KernelVersion version) {
  SimOptions options;
  options.profile =
      documented_profile("linux-" + std::to_string(version.major) + "." + std::to_string(version.minor), version);
  options.strict = true;
  return options;
}

TEST(SimKernel, CarriesOutNops) {
  SimKernel kernel(acting_as({6, 12}));
  auto ring = Ring::create(kernel, {.sq_entries = 4});
  ASSERT_TRUE(ring) << ring.error().message();
  for (std::uint64_t round = 0; round < 20; ++round) {
    for (std::uint64_t index = 0; index < 4; ++index) {
      io_uring_sqe* sqe = ring->get_sqe();
      ASSERT_NE(sqe, nullptr);
      io_uring_prep_nop(sqe);
      sqe->user_data = round * 4 + index;
    }
    ASSERT_EQ(ring->submit_and_wait(4), 4);
    for (std::uint64_t index = 0; index < 4; ++index) {
      io_uring_cqe* cqe = ring->peek_cqe();
      ASSERT_NE(cqe, nullptr);
      EXPECT_EQ(cqe->user_data, round * 4 + index);
      EXPECT_EQ(cqe->res, 0);
      ring->cqe_seen(cqe);
    }
  }
}

TEST(SimKernel, JumpsToTheNextDeadlineWhenNothingElseCanHappen) {
  SimKernel kernel(acting_as({6, 12}));
  auto ring = Ring::create(kernel, {.sq_entries = 4});
  ASSERT_TRUE(ring) << ring.error().message();
  timespec before{};
  timespec after{};
  kernel.now(CLOCK_MONOTONIC, &before);
  __kernel_timespec hour{.tv_sec = 3600, .tv_nsec = 0};
  io_uring_prep_timeout(ring->get_sqe(), &hour, 0, 0);
  ASSERT_EQ(ring->submit_and_wait(1), 1);
  kernel.now(CLOCK_MONOTONIC, &after);
  EXPECT_EQ(after.tv_sec - before.tv_sec, 3600);
  ASSERT_NE(ring->peek_cqe(), nullptr);
  EXPECT_EQ(ring->peek_cqe()->res, -ETIME);
}

TEST(SimKernel, SaysThatAWaitWouldNeverEnd) {
  SimKernel kernel(acting_as({6, 12}));
  auto ring = Ring::create(kernel, {.sq_entries = 4});
  ASSERT_TRUE(ring) << ring.error().message();
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  char byte;
  io_uring_sqe* sqe = ring->get_sqe();
  io_uring_prep_read(sqe, ends[0], &byte, 1, 0);
  sqe->user_data = 77;
  ASSERT_EQ(ring->submit(), 1);
  io_uring_cqe* cqe = nullptr;
  EXPECT_EQ(ring->wait_cqe(&cqe), -EDEADLK);
  EXPECT_NE(kernel.describe_waiting().find("READ (user_data 77"), std::string::npos) << kernel.describe_waiting();

  // The caller may close the fd under the request, and whatever it wrote arrives.
  ::close(ends[0]);
  ASSERT_EQ(::write(ends[1], "x", 1), 1);
  ASSERT_EQ(ring->wait_cqe(&cqe), 0);
  EXPECT_EQ(cqe->res, 1);
  EXPECT_EQ(byte, 'x');
  ::close(ends[1]);
}

void queue_nops(Ring& ring, std::uint64_t first, unsigned count, unsigned flags = 0) {
  for (unsigned index = 0; index < count; ++index) {
    io_uring_sqe* sqe = ring.get_sqe();
    ASSERT_NE(sqe, nullptr);
    io_uring_prep_nop(sqe);
    sqe->user_data = first + index;
    sqe->flags = static_cast<std::uint8_t>(flags);
  }
}

TEST(SimKernel, KeepsEveryEntryOfTheOverflowBacklogInOrder) {
  SimKernel kernel(acting_as({6, 12}));
  auto ring = Ring::create(kernel, {.sq_entries = 4, .cq_entries = 4});
  ASSERT_TRUE(ring) << ring.error().message();
  for (std::uint64_t batch = 0; batch < 3; ++batch) {
    queue_nops(*ring, batch * 4, 4);
    ASSERT_EQ(ring->submit(), 4);
  }
  EXPECT_TRUE(ring->cq_has_overflow());
  std::uint64_t expected = 0;
  for (int flush = 0; flush < 3; ++flush) {
    ring->for_each_cqe([&](const io_uring_cqe& cqe) { EXPECT_EQ(cqe.user_data, expected++); });
    ASSERT_GE(ring->get_events(), 0);
  }
  EXPECT_EQ(expected, 12u);
  EXPECT_FALSE(ring->cq_has_overflow());
}

TEST(SimKernel, DropsWhatDoesNotFitWhereTheProfileSaysSo) {
  SimKernel kernel(acting_as({5, 4}));
  auto ring = Ring::create(kernel, {.sq_entries = 4});
  ASSERT_TRUE(ring) << ring.error().message();
  for (std::uint64_t batch = 0; batch < 3; ++batch) {
    queue_nops(*ring, batch * 4, 4);
    ASSERT_EQ(ring->submit(), 4);
  }
  EXPECT_EQ(ring->cq_ready(), 8u);
  EXPECT_EQ(ring->cq_overflow_count(), 4u);
}

TEST(SimKernel, ScribblesOverWhatWasPassedInStrictMode) {
  SimKernel kernel(acting_as({6, 12}));
  auto ring = Ring::create(kernel, {.sq_entries = 2});
  ASSERT_TRUE(ring) << ring.error().message();
  queue_nops(*ring, 7, 1);
  const io_uring_sqe* sqe = ring->raw()->sq.sqes;
  ASSERT_EQ(ring->submit_and_wait(1), 1);
  const io_uring_cqe* cqe = ring->peek_cqe();
  ASSERT_NE(cqe, nullptr);
  EXPECT_EQ(cqe->user_data, 7u) << "not given back yet";
  ring->cqe_seen(cqe);
  ASSERT_GE(ring->get_events(), 0);
  EXPECT_NE(cqe->user_data, 7u);
  EXPECT_LT(cqe->res, -4095) << "no errno that anybody could believe";
  EXPECT_NE(sqe->user_data, 7u);
}

// Requests that workers carry out complete in an order that the seed decides, and that seed alone.
TEST(SimKernel, RepeatsARunFromItsSeed) {
  const auto order = [](std::uint64_t seed) {
    SimOptions options = acting_as({6, 12});
    options.seed = seed;
    SimKernel kernel(options);
    auto ring = Ring::create(kernel, {.sq_entries = 32});
    std::vector<std::uint64_t> seen;
    if (!ring) return seen;
    queue_nops(*ring, 0, 32, IOSQE_ASYNC);
    if (ring->submit_and_wait(32) != 32) return seen;
    ring->for_each_cqe([&](const io_uring_cqe& cqe) { seen.push_back(cqe.user_data); });
    return seen;
  };
  std::set<std::vector<std::uint64_t>> orders;
  for (const std::uint64_t seed : {0, 1, 2, 3, 4}) {
    const std::vector<std::uint64_t> first = order(seed);
    EXPECT_EQ(first.size(), 32u);
    EXPECT_EQ(first, order(seed)) << "seed " << seed;
    orders.insert(first);
  }
  EXPECT_GT(orders.size(), 1u) << "a seed that changes nothing decides nothing";
}

}  // namespace
}  // namespace assay
