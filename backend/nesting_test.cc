// The pollable descriptor as loops of other making see it: by poll(2) on the running kernel.

#include "assay/backend/nesting.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include "assay/backend/backend.h"
#include "assay/backend/linux_kernel.h"
#include "assay/faultinject/kernel_stack.h"

namespace assay {
namespace {

using namespace std::chrono_literals;

class NestingTest : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    Result<std::unique_ptr<Backend>> backend = Backend::create(LinuxKernel::instance(), {.defer_taskrun = GetParam()});
    if (!backend && Backend::is_unavailable(backend.error())) GTEST_SKIP() << backend.error().message();
    ASSERT_TRUE(backend.has_value()) << backend.error().message();
    backend_ = std::move(*backend);
    const Result<int> fd = backend_->pollable_fd();
    ASSERT_TRUE(fd.has_value()) << fd.error().message();
    fd_ = *fd;
  }

  bool readable_within(int timeout_ms) {
    pollfd ready{.fd = fd_, .events = POLLIN, .revents = 0};
    int answer;
    // Task work of the ring interrupts a poll(2), and need not be a completion.
    do {
      answer = ::poll(&ready, 1, timeout_ms);
    } while (answer < 0 && errno == EINTR);
    return answer == 1;
  }
  /// An outer loop: turns the inner one whenever it is readable, until `done` or for a second at most.
  template <typename Done>
  bool turn_until(Done done) {
    const auto end = std::chrono::steady_clock::now() + 1s;
    while (!done() && std::chrono::steady_clock::now() < end) {
      if (readable_within(1000)) turn();
    }
    return done();
  }
  void turn() { EXPECT_TRUE(backend_->loop(LoopMode::kNonblock).has_value()); }
  void expect_peace() {
    for (int turns = 0; turns < 10 && readable_within(0); ++turns) turn();
    EXPECT_FALSE(readable_within(0)) << "it is readable and there is nothing to do";
  }

  std::unique_ptr<Backend> backend_;
  int fd_ = -1;
};

TEST_P(NestingTest, IsReadableForACompletion) {
  std::array<int, 2> pipe;
  ASSERT_EQ(::pipe(pipe.data()), 0);
  int told = 0;
  backend_->poll(pipe[0], POLLIN, [&](int res) { told = res; });
  ASSERT_TRUE(backend_->submit_outstanding().has_value());
  expect_peace();
  ASSERT_EQ(::write(pipe[1], "x", 1), 1);
  EXPECT_TRUE(turn_until([&] { return told == POLLIN; }));
  expect_peace();
  for (const int end : pipe) ::close(end);
}

TEST_P(NestingTest, IsReadableForATimer) {
  bool told = false;
  Timer timer(*backend_, [&] { told = true; });
  const auto before = std::chrono::steady_clock::now();
  ASSERT_TRUE(timer.start_after(1h).has_value());
  ASSERT_TRUE(backend_->submit_outstanding().has_value());
  ASSERT_TRUE(timer.start_after(3ms).has_value());
  ASSERT_TRUE(backend_->submit_outstanding().has_value());
  expect_peace();
  EXPECT_TRUE(turn_until([&] { return told; }));
  EXPECT_GE(std::chrono::steady_clock::now() - before, 3ms);
  expect_peace();
}

TEST_P(NestingTest, IsReadableForAnotherThread) {
  for (int round = 0; round < 100; ++round) {
    bool told = false;
    std::thread poster([&] { backend_->post([&] { told = true; }); });
    EXPECT_TRUE(turn_until([&] { return told; })) << "round " << round;
    poster.join();
  }
  backend_->wake();
  EXPECT_TRUE(readable_within(0));
  expect_peace();
}

TEST_P(NestingTest, MayRunByItselfAgain) {
  bool told = false;
  Timer timer(*backend_, [&] { told = true; });
  ASSERT_TRUE(timer.start_after(1ms).has_value());
  ASSERT_TRUE(backend_->loop(LoopMode::kUntilDone).has_value());
  EXPECT_TRUE(told);
  expect_peace();
}

INSTANTIATE_TEST_SUITE_P(TaskWork, NestingTest, testing::Values(false, true),
                         [](const auto& test) { return test.param ? "Deferred" : "AtOnce"; });

TEST(Nesting, IsRefusedByNameWhereNoTimeoutIs) {
  const auto stack = open_kernel_stack({.kernel = "sim:linux-5.1"});
  ASSERT_TRUE(stack.has_value());
  const auto backend = Backend::create((*stack)->top());
  ASSERT_TRUE(backend.has_value());
  const Result<int> fd = (*backend)->pollable_fd();
  ASSERT_FALSE(fd.has_value());
  EXPECT_EQ(fd.error(), std::errc::not_supported);
  EXPECT_NE(fd.error().message().find("IORING_OP_TIMEOUT"), std::string::npos) << fd.error().message();
  EXPECT_TRUE((*backend)->loop().has_value());
}

TEST(Nesting, TakesARefusedRegistrationForAnError) {
  const auto stack = open_kernel_stack(
      {.kernel = "sim:linux-6.12.0", .plan = "register/errno:op=REGISTER_EVENTFD:errno=ENOMEM:nth=1"});
  ASSERT_TRUE(stack.has_value()) << stack.error().message();
  const auto backend = Backend::create((*stack)->top());
  ASSERT_TRUE(backend.has_value());
  EXPECT_EQ((*backend)->pollable_fd().error(), std::errc::not_enough_memory);
  EXPECT_TRUE((*backend)->pollable_fd().has_value()) << "and may be had later";
}

}  // namespace
}  // namespace assay
