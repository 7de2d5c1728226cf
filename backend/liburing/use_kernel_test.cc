// Which kernel the drop-in's rings are on: by call, by environment, one for all.

#include "assay/backend/liburing/use_kernel.h"

#include <liburing.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace assay::liburing {
namespace {

using testing::HasSubstr;

TEST(UseKernel, BendsCallsByThePlan) {
  ASSERT_EQ(assay_liburing_use("sim:linux-6.12.0", "enter/eintr:nth=1"), 0) << assay_liburing_error();
  io_uring ring;
  ASSERT_EQ(io_uring_queue_init(4, &ring, 0), 0);
  io_uring_prep_nop(io_uring_get_sqe(&ring));
  EXPECT_EQ(io_uring_submit(&ring), -EINTR);
  EXPECT_EQ(io_uring_submit(&ring), 1);
  io_uring_queue_exit(&ring);
  const auto report = assay_liburing_get_report();
  EXPECT_EQ(report.rings, 1u);
  EXPECT_EQ(report.fired, 1u);
  EXPECT_THAT(report.replay, HasSubstr("ASSAY_KERNEL=sim:linux-6.12.0 ASSAY_PLAN='enter/eintr:nth=1"));
}

TEST(UseKernel, RefusesWhileRingsAreOpen) {
  ASSERT_EQ(assay_liburing_use("sim:linux-6.12.0", ""), 0);
  io_uring ring;
  ASSERT_EQ(io_uring_queue_init(4, &ring, 0), 0);
  EXPECT_EQ(assay_liburing_use("sim:linux-5.4", ""), -EBUSY);
  EXPECT_THAT(assay_liburing_error(), HasSubstr("rings of the kernel in use are open (1)"));
  io_uring_queue_exit(&ring);
  EXPECT_EQ(assay_liburing_use("sim:linux-5.4", ""), 0);
  EXPECT_STREQ(assay_liburing_error(), "");
}

TEST(UseKernel, SaysWhatWasMisspelled) {
  ASSERT_EQ(assay_liburing_use("sim:linux-6.12.0", ""), 0);
  EXPECT_EQ(assay_liburing_use("sim:linux-6.12", "enter/eintrr"), -EINVAL);
  EXPECT_THAT(assay_liburing_error(), HasSubstr("eintrr"));
  EXPECT_EQ(assay_liburing_use("simm", ""), -EINVAL);
  EXPECT_THAT(assay_liburing_error(), HasSubstr("simm"));
  // What was in use is so still.
  EXPECT_THAT(assay_liburing_get_report().replay, HasSubstr("linux-6.12.0"));
}

TEST(UseKernel, TakesATableOfTheProgramsOwn) {
  const assay_kernel table{.setup = [](void*, unsigned, io_uring_params*) { return -ENOSYS; }};
  ASSERT_EQ(assay_liburing_use_table(&table), 0);
  io_uring ring;
  EXPECT_EQ(io_uring_queue_init(4, &ring, 0), -ENOSYS);
  EXPECT_EQ(io_uring_get_probe(), nullptr);
  ASSERT_EQ(assay_liburing_use("linux", ""), 0);
}

TEST(UseKernel, GivesItsClock) {
  ASSERT_EQ(assay_liburing_use("sim:linux-6.12.0", ""), 0);
  const assay_kernel* kernel = assay_liburing_kernel();
  timespec before{};
  timespec after{};
  ASSERT_EQ(kernel->now(kernel->self, CLOCK_MONOTONIC, &before), 0);
  io_uring ring;
  ASSERT_EQ(io_uring_queue_init(4, &ring, 0), 0);
  __kernel_timespec hour{.tv_sec = 3600, .tv_nsec = 0};
  io_uring_cqe* cqe = nullptr;
  EXPECT_EQ(io_uring_wait_cqe_timeout(&ring, &cqe, &hour), -ETIME);
  ASSERT_EQ(kernel->now(kernel->self, CLOCK_MONOTONIC, &after), 0);
  EXPECT_EQ(after.tv_sec - before.tv_sec, 3600);
  io_uring_queue_exit(&ring);
}

TEST(UseKernel, SharesOneKernelAmongThreads) {
  ASSERT_EQ(assay_liburing_use("sim:linux-6.12.0", ""), 0);
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([] {
      io_uring ring;
      ASSERT_EQ(io_uring_queue_init(4, &ring, 0), 0);
      io_uring_prep_nop(io_uring_get_sqe(&ring));
      EXPECT_EQ(io_uring_submit_and_wait(&ring, 1), 1);
      io_uring_queue_exit(&ring);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(assay_liburing_get_report().rings, 4u);
}

// The environment is read once, so each of these has a process of its own.
class KernelByEnvironment : public testing::Test {
 protected:
  void SetUp() override { testing::GTEST_FLAG(death_test_style) = "threadsafe"; }

  // Runs one NOP; the exit status is 0 if it went through.
  static void run_a_nop() {
    io_uring ring;
    if (const int error = io_uring_queue_init(4, &ring, 0); error != 0) {
      std::fprintf(stderr, "init: %d\n", error);
      std::exit(1);
    }
    io_uring_prep_nop(io_uring_get_sqe(&ring));
    const int submitted = io_uring_submit_and_wait(&ring, 1);
    std::fprintf(stderr, "submitted %d, probe %s\n", submitted, assay_liburing_get_report().replay);
    io_uring_queue_exit(&ring);
    std::exit(submitted == 1 ? 0 : 1);
  }
  static void run_with(const char* variable, const char* value) {
    ::setenv("ASSAY_KERNEL", "sim:linux-6.12.0", 1);
    ::setenv(variable, value, 1);
    run_a_nop();
  }
};

TEST_F(KernelByEnvironment, IsTheOneNamed) {
  EXPECT_EXIT(run_with("ASSAY_KERNEL", "sim:linux-6.1"), testing::ExitedWithCode(0), "ASSAY_KERNEL=sim:linux-6.1");
}

TEST_F(KernelByEnvironment, HasThePlanNamed) {
  EXPECT_EXIT(run_with("ASSAY_PLAN", "setup/eperm"), testing::ExitedWithCode(1), "init: -1");
}

TEST_F(KernelByEnvironment, HasTheSeedNamed) {
  EXPECT_EXIT(run_with("ASSAY_SEED", "12"), testing::ExitedWithCode(0), "seed=12");
}

TEST_F(KernelByEnvironment, IsReportedAtExit) {
  EXPECT_EXIT(run_with("ASSAY_REPORT", "-"), testing::ExitedWithCode(0),
              "assay: ASSAY_KERNEL=sim:linux-6.12.0: 1 rings, 0 faults fired");
}

TEST_F(KernelByEnvironment, IsTraced) {
  const std::string file = testing::TempDir() + "use_kernel_test.trace";
  EXPECT_EXIT(run_with("ASSAY_TRACE", file.c_str()), testing::ExitedWithCode(0), "submitted 1");
  std::ifstream in(file);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  EXPECT_THAT(text, HasSubstr("NOP"));
  ::unlink(file.c_str());
}

TEST_F(KernelByEnvironment, IsRefusedInOneLineWhereItIsMisspelled) {
  EXPECT_EXIT(run_with("ASSAY_KERNEL", "sim:linux-banana"), testing::ExitedWithCode(2),
              "^assay::liburing: [^\n]*linux-banana[^\n]*\n$");
  EXPECT_EXIT(run_with("ASSAY_PLAN", "enter/eintrr"), testing::ExitedWithCode(2), "^assay::liburing: [^\n]*eintrr");
  EXPECT_EXIT(run_with("ASSAY_SEED", "1e9"), testing::ExitedWithCode(2), "ASSAY_SEED: '1e9' is no number");
}

}  // namespace
}  // namespace assay::liburing
