#include "assay/mocks/sim_kernel.h"

#include <gtest/gtest.h>
#include <unistd.h>

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

}  // namespace
}  // namespace assay
