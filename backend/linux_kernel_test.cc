// The running kernel through the seam. Where io_uring is not available here, what the kernel says is the test.

#include "assay/backend/linux_kernel.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "assay/backend/kernel_c.h"
#include "assay/backend/ring.h"

namespace assay {
namespace {

// errno before each call; no call may change it.
constexpr int kErrnoBefore = 99;

class LinuxKernelTest : public testing::Test {
 protected:
  void SetUp() override {
    io_uring_params params{};
    errno = kErrnoBefore;
    fd_ = kernel_.setup(8, &params);
    EXPECT_EQ(errno, kErrnoBefore);
    if (fd_ >= 0) return;
    // Whoever sees this skip can check the reason: these are the only errors that mean "not here".
    ASSERT_TRUE(fd_ == -ENOSYS || fd_ == -EPERM) << "io_uring_setup failed with " << fd_;
    GTEST_SKIP() << "io_uring is not available here: "
                 << (fd_ == -ENOSYS ? "this kernel has none (ENOSYS)" : "it is forbidden (EPERM)");
  }
  void TearDown() override {
    if (fd_ >= 0) {
      EXPECT_EQ(kernel_.close(fd_), 0);
    }
    EXPECT_EQ(errno, kErrnoBefore) << "a call of the seam leaves errno alone";
  }

  LinuxKernel& kernel_ = LinuxKernel::instance();
  int fd_ = -1;
};

TEST_F(LinuxKernelTest, ErrorsComeInTheResult) {
  io_uring_params params{};
  EXPECT_EQ(kernel_.setup(0, &params), -EINVAL);
  EXPECT_EQ(kernel_.setup(8, nullptr), -EFAULT);
  EXPECT_EQ(kernel_.enter(-1, 0, 0, 0, nullptr, 0), -EBADF);
  // Not -1: since 6.15 that is how registrations without a ring are spelled.
  EXPECT_EQ(kernel_.register_op(1 << 20, IORING_REGISTER_PROBE, nullptr, 0), -EBADF);
  EXPECT_EQ(kernel_.close(-1), -EBADF);
  void* address = nullptr;
  EXPECT_EQ(kernel_.map(-1, IORING_OFF_SQES, 64, &address), -EBADF);
  EXPECT_EQ(address, nullptr);
  // Which error an offset that means nothing gets differs from release to release.
  EXPECT_LT(kernel_.map(fd_, 0x70000000, 64, &address), 0);
  EXPECT_EQ(kernel_.unmap(reinterpret_cast<void*>(1), 64), -EINVAL);
}

TEST_F(LinuxKernelTest, MapsRingMemoryThatCanBeWritten) {
  void* address = nullptr;
  ASSERT_EQ(kernel_.map(fd_, IORING_OFF_SQES, 8 * sizeof(io_uring_sqe), &address), 0);
  auto* sqes = static_cast<io_uring_sqe*>(address);
  sqes[7].user_data = 42;
  EXPECT_EQ(sqes[7].user_data, 42u);
  EXPECT_EQ(kernel_.unmap(address, 8 * sizeof(io_uring_sqe)), 0);
}

TEST_F(LinuxKernelTest, EnterTellsHowManySqesItTook) {
  EXPECT_EQ(kernel_.enter(fd_, 0, 0, 0, nullptr, 0), 0);
  EXPECT_EQ(kernel_.enter(fd_, 3, 0, 0, nullptr, 0), 0) << "the SQ is empty";
}

TEST_F(LinuxKernelTest, AnEmptyRingIsNotReadable) {
  const timespec none{.tv_sec = 0, .tv_nsec = 0};
  EXPECT_EQ(kernel_.wait_readable(fd_, &none), 0);
  EXPECT_EQ(none.tv_nsec, 0) << "the caller's timespec is not written";
}

TEST_F(LinuxKernelTest, ARingWithACompletionIsReadable) {
  Result<Ring> ring = Ring::create(kernel_, {.sq_entries = 2});
  ASSERT_TRUE(ring);
  io_uring_prep_nop(ring->get_sqe());
  EXPECT_EQ(ring->submit_and_wait(1), 1);
  EXPECT_EQ(kernel_.wait_readable(ring->fd(), nullptr), 1);
}

TEST_F(LinuxKernelTest, CarriesARequestThroughARing) {
  Result<Ring> ring = Ring::create(kernel_, {.sq_entries = 4, .register_ring_fd = true});
  ASSERT_TRUE(ring) << ring.error().message();
  for (std::uint64_t i = 0; i < 100; ++i) {
    io_uring_sqe* sqe = ring->get_sqe();
    ASSERT_NE(sqe, nullptr);
    io_uring_prep_nop(sqe);
    sqe->user_data = i;
    ASSERT_EQ(ring->submit_and_wait(1), 1);
    io_uring_cqe* cqe = ring->peek_cqe();
    ASSERT_NE(cqe, nullptr);
    EXPECT_EQ(cqe->user_data, i);
    ring->cqe_seen(cqe);
  }
}

TEST(LinuxKernelClock, TellsEveryClockThatTimeoutsRunOn) {
  LinuxKernel& kernel = LinuxKernel::instance();
  for (const clockid_t clock : {CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_REALTIME}) {
    timespec before{};
    timespec told{};
    timespec after{};
    ASSERT_EQ(::clock_gettime(clock, &before), 0);
    EXPECT_EQ(kernel.now(clock, &told), 0);
    ASSERT_EQ(::clock_gettime(clock, &after), 0);
    const auto nanoseconds = [](const timespec& time) { return time.tv_sec * 1'000'000'000LL + time.tv_nsec; };
    EXPECT_LE(nanoseconds(before), nanoseconds(told));
    EXPECT_LE(nanoseconds(told), nanoseconds(after));
  }
  timespec time{};
  errno = kErrnoBefore;
  EXPECT_EQ(kernel.now(static_cast<clockid_t>(9999), &time), -EINVAL);
  EXPECT_EQ(errno, kErrnoBefore);
}

TEST(LinuxKernelName, IsItsSpelling) { EXPECT_EQ(LinuxKernel::instance().name(), "linux"); }

// The C table carries the same calls, both ways round.
TEST_F(LinuxKernelTest, WorksThroughTheCTable) {
  const assay_kernel table = c_table_of(kernel_);
  CKernel wrapped(table);
  EXPECT_EQ(table.enter(table.self, -1, 0, 0, 0, nullptr, 0), -EBADF);
  EXPECT_EQ(wrapped.name(), "c");
  Result<Ring> ring = Ring::create(wrapped, {.sq_entries = 2});
  ASSERT_TRUE(ring) << ring.error().message();
  io_uring_prep_nop(ring->get_sqe());
  EXPECT_EQ(ring->submit_and_wait(1), 1);
  EXPECT_EQ(ring->cq_ready(), 1u);
  const timespec none{.tv_sec = 0, .tv_nsec = 0};
  EXPECT_EQ(wrapped.wait_readable(ring->fd(), &none), 1);
  timespec time{};
  EXPECT_EQ(wrapped.now(CLOCK_MONOTONIC, &time), 0);
  EXPECT_GT(time.tv_sec + time.tv_nsec, 0);
  wrapped.relax(ring->fd());
}

}  // namespace
}  // namespace assay
