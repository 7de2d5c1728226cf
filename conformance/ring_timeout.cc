// TIMEOUT and TIMEOUT_REMOVE. Times are of milliseconds: on virtual time they cost nothing, on Linux they must pass.

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <ctime>

#include "assay/conformance/ring_actions.h"
#include "assay/conformance/ring_suites.h"

namespace assay::conformance {
namespace {

using namespace std::chrono_literals;

/// A count that no test reaches. Before 5.5 a timeout without a count ended with the next completion.
constexpr unsigned kNoCount = 1000;

__kernel_timespec as_timespec(std::chrono::nanoseconds time) {
  return {.tv_sec = time / 1s, .tv_nsec = (time % 1s) / 1ns};
}

std::chrono::nanoseconds now(Kernel& kernel, clockid_t clock = CLOCK_MONOTONIC) {
  timespec time{};
  kernel.now(clock, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

io_uring_sqe& prepare_timeout(Ring& ring, __kernel_timespec& time, std::uint64_t user_data, unsigned count = kNoCount,
                              unsigned flags = 0) {
  io_uring_sqe& sqe = next_sqe(ring);
  io_uring_prep_timeout(&sqe, &time, count, flags);
  sqe.user_data = user_data;
  return sqe;
}

/// One whose argument is no pointer but the time itself.
void prepare_immediate(Ring& ring, std::int64_t nanoseconds) {
  io_uring_sqe& sqe = next_sqe(ring, 1);
  sqe.opcode = IORING_OP_TIMEOUT;
  sqe.addr = static_cast<std::uint64_t>(nanoseconds);
  sqe.len = 1;
  sqe.timeout_flags = uapi::kTimeoutImmediateArg;
}

io_uring_sqe& prepare_timeout_remove(Ring& ring, std::uint64_t which, std::uint64_t user_data) {
  io_uring_sqe& sqe = next_sqe(ring);
  io_uring_prep_timeout_remove(&sqe, which, 0);
  sqe.user_data = user_data;
  return sqe;
}

/// A timeout that fires at a time of this clock.
void expect_absolute(KernelUnderTest& kernel, clockid_t clock, unsigned flags) {
  Ring ring = open_ring(kernel);
  const auto deadline = now(kernel.kernel(), clock) + 2ms;
  __kernel_timespec time = as_timespec(deadline);
  prepare_timeout(ring, time, 1, kNoCount, IORING_TIMEOUT_ABS | flags);
  EXPECT_EQ(run_one(ring), (Completion{1, -ETIME, 0}));
  EXPECT_GE(now(kernel.kernel(), clock), deadline);
  EXPECT_LT(now(kernel.kernel(), clock), deadline + 10s);
}

}  // namespace

std::vector<Behaviour> ring_timeout_behaviours() {
  const std::string suite = "RingTimeout";
  const Needs timeout{.opcodes = {IORING_OP_TIMEOUT}};
  const Needs removal{.opcodes = {IORING_OP_TIMEOUT, IORING_OP_TIMEOUT_REMOVE}};
  return {
      {suite, "FiresAfterItsTime", timeout,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const auto begin = now(kernel.kernel());
         __kernel_timespec time = as_timespec(2ms);
         prepare_timeout(ring, time, 1);
         EXPECT_EQ(run_one(ring), (Completion{1, -ETIME, 0}));
         EXPECT_GE(now(kernel.kernel()) - begin, 2ms) << "never early";
       }},
      {suite, "FiresAtOnceWhenItHasNoTime", timeout,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         __kernel_timespec time{};
         prepare_timeout(ring, time, 1);
         EXPECT_EQ(run_one(ring).res, -ETIME);
       }},
      {suite,
       "RefusesANegativeTime",
       {.switches_on = {&Semantics::negative_times_refused}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         __kernel_timespec time{.tv_sec = 0, .tv_nsec = -1};
         prepare_timeout(ring, time, 1);
         EXPECT_EQ(run_one(ring), (Completion{1, -EINVAL, 0}));
       }},
      {suite,
       "NeverFiresAfterANegativeTime",
       {.opcodes = {IORING_OP_TIMEOUT, IORING_OP_TIMEOUT_REMOVE}, .switches_off = {&Semantics::negative_times_refused}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         __kernel_timespec time{.tv_sec = 0, .tv_nsec = -1};
         prepare_timeout(ring, time, 1);
         submit_all(ring);
         ring.get_events();
         EXPECT_EQ(ring.peek_cqe(), nullptr) << "the sum of now and less than nothing is taken for an overflow";
         io_uring_sqe& remove = next_sqe(ring, 2);
         remove.opcode = IORING_OP_TIMEOUT_REMOVE;
         remove.addr = 1;
         submit_all(ring);
         EXPECT_EQ(find(take(ring, 2), 1).res, -ECANCELED);
       }},
      {suite,
       "TakesItsTimeFromTheSqe",
       {.opcodes = {IORING_OP_TIMEOUT}, .since = {7, 1}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const auto begin = now(kernel.kernel());
         prepare_immediate(ring, std::chrono::nanoseconds(2ms).count());
         EXPECT_EQ(run_one(ring), (Completion{1, -ETIME, 0}));
         EXPECT_GE(now(kernel.kernel()) - begin, 2ms);
         prepare_immediate(ring, -1);
         EXPECT_EQ(run_one(ring), (Completion{1, -EINVAL, 0}));
       }},
      {suite,
       "TakesNoTimeFromTheSqeBeforeLinux71",
       {.opcodes = {IORING_OP_TIMEOUT}, .until = {7, 1}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         prepare_immediate(ring, 1);
         EXPECT_EQ(run_one(ring), (Completion{1, -EINVAL, 0}));
       }},
      {suite, "FiresInTheOrderOfTime", timeout,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         __kernel_timespec later = as_timespec(25ms);
         __kernel_timespec sooner = as_timespec(1ms);
         prepare_timeout(ring, later, 1);
         prepare_timeout(ring, sooner, 2);
         submit_all(ring);
         EXPECT_EQ(take(ring).user_data, 2u);
         EXPECT_EQ(take(ring).user_data, 1u);
       }},
      {suite,
       "NeedsItsTimeDuringSubmissionOnly",
       {.features = IORING_FEAT_SUBMIT_STABLE},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         __kernel_timespec time = as_timespec(1ms);
         prepare_timeout(ring, time, 1);
         submit_all(ring);
         time = as_timespec(1h);
         EXPECT_EQ(take(ring).res, -ETIME);
       }},
      {suite, "FiresAtAnAbsoluteTime", timeout,
       [](KernelUnderTest& kernel) { expect_absolute(kernel, CLOCK_MONOTONIC, 0); }},
      {suite, "FiresAtOnceWhenItsAbsoluteTimeIsOver", timeout,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         __kernel_timespec time{.tv_sec = 0, .tv_nsec = 1};
         prepare_timeout(ring, time, 1, kNoCount, IORING_TIMEOUT_ABS);
         EXPECT_EQ(run_one(ring).res, -ETIME);
       }},
      {suite,
       "RunsOnTheRealtimeClock",
       {.switches_on = {&Semantics::timeout_clocks}},
       [](KernelUnderTest& kernel) { expect_absolute(kernel, CLOCK_REALTIME, IORING_TIMEOUT_REALTIME); }},
      {suite,
       "RunsOnTheClockThatCountsSuspension",
       {.switches_on = {&Semantics::timeout_clocks}},
       [](KernelUnderTest& kernel) { expect_absolute(kernel, CLOCK_BOOTTIME, IORING_TIMEOUT_BOOTTIME); }},
      {suite,
       "RefusesTwoClocksAtOnce",
       {.switches_on = {&Semantics::timeout_clocks}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         __kernel_timespec time = as_timespec(1ms);
         prepare_timeout(ring, time, 1, kNoCount, IORING_TIMEOUT_REALTIME | IORING_TIMEOUT_BOOTTIME);
         EXPECT_EQ(run_one(ring).res, -EINVAL);
       }},
      {suite,
       "RefusesClocksThatCameLater",
       {.opcodes = {IORING_OP_TIMEOUT}, .switches_off = {&Semantics::timeout_clocks}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         __kernel_timespec time = as_timespec(1ms);
         prepare_timeout(ring, time, 1, kNoCount, IORING_TIMEOUT_REALTIME);
         EXPECT_EQ(run_one(ring).res, -EINVAL);
       }},
      {suite, "RefusesUnknownFlags", timeout,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         __kernel_timespec time = as_timespec(1ms);
         prepare_timeout(ring, time, 1, kNoCount, 1u << 20);
         EXPECT_EQ(run_one(ring).res, -EINVAL);
       }},
      {suite, "RefusesMoreThanOneTime", timeout,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         __kernel_timespec time = as_timespec(1ms);
         prepare_timeout(ring, time, 1).len = 2;
         EXPECT_EQ(run_one(ring).res, -EINVAL);
       }},
      {suite, "RefusesATimeThatItCannotRead", timeout,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         prepare_timeout(ring, *reinterpret_cast<__kernel_timespec*>(8), 1);
         EXPECT_EQ(run_one(ring).res, -EFAULT);
       }},
      {suite, "EndsWithZeroAfterItsCountOfCompletions", timeout,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         __kernel_timespec time = as_timespec(1h);
         prepare_timeout(ring, time, 1, 2);
         prepare_nop(ring, 2);
         submit_all(ring);
         EXPECT_EQ(take(ring).user_data, 2u);
         EXPECT_EQ(ring.get_events(), 0);
         EXPECT_EQ(ring.cq_ready(), 0u) << "one of two is not enough";
         prepare_nop(ring, 3);
         submit_all(ring);
         const std::vector<Completion> completions = take(ring, 2);
         EXPECT_EQ(find(completions, 3).res, 0);
         EXPECT_EQ(find(completions, 1).res, 0);
       }},
      {suite, "FiresBeforeItsCountWhenTimeIsUp", timeout,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         __kernel_timespec time = as_timespec(20ms);
         prepare_timeout(ring, time, 1, 2);
         prepare_nop(ring, 2);
         submit_all(ring);
         EXPECT_EQ(take(ring).user_data, 2u);
         EXPECT_EQ(take(ring), (Completion{1, -ETIME, 0}));
       }},
      {suite,
       "PaysNoHeedToCompletionsWithoutACount",
       {.opcodes = {IORING_OP_TIMEOUT}, .since = {5, 5}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         __kernel_timespec time = as_timespec(20ms);
         prepare_timeout(ring, time, 1, 0);
         prepare_nop(ring, 2);
         prepare_nop(ring, 3);
         submit_all(ring);
         EXPECT_EQ(take(ring).user_data, 2u);
         EXPECT_EQ(take(ring).user_data, 3u);
         EXPECT_EQ(take(ring), (Completion{1, -ETIME, 0}));
       }},
      {suite,
       "TakesNoCountForACountOfOneWhereItDid",
       {.opcodes = {IORING_OP_TIMEOUT}, .until = {5, 5}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         __kernel_timespec time = as_timespec(1h);
         prepare_timeout(ring, time, 1, 0);
         prepare_nop(ring, 2);
         submit_all(ring);
         EXPECT_EQ(find(take(ring, 2), 1).res, 0);
       }},
      {suite, "IsRemoved", removal,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         __kernel_timespec time = as_timespec(1h);
         prepare_timeout(ring, time, 1);
         submit_all(ring);
         prepare_timeout_remove(ring, 1, 2);
         submit_all(ring);
         const std::vector<Completion> completions = take(ring, 2);
         EXPECT_EQ(find(completions, 1).res, -ECANCELED);
         EXPECT_EQ(find(completions, 2).res, 0);
       }},
      {suite, "CannotBeRemovedWhenThereIsNone", removal,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         prepare_timeout_remove(ring, 77, 2);
         EXPECT_EQ(run_one(ring), (Completion{2, -ENOENT, 0}));
       }},
      {suite, "IsNotRemovedAsAPoll", timeout,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         __kernel_timespec time = as_timespec(1h);
         prepare_timeout(ring, time, 1);
         submit_all(ring);
         io_uring_sqe& sqe = next_sqe(ring);
         io_uring_prep_poll_remove(&sqe, 1);
         sqe.user_data = 2;
         EXPECT_EQ(run_one(ring), (Completion{2, -ENOENT, 0}));
         EXPECT_EQ(ring.get_events(), 0);
         EXPECT_EQ(ring.cq_ready(), 0u);
       }},
      {suite,
       "IsUpdatedToFireSooner",
       {.switches_on = {&Semantics::timeout_update}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         __kernel_timespec time = as_timespec(1h);
         prepare_timeout(ring, time, 1);
         submit_all(ring);
         time = as_timespec(1ms);
         io_uring_sqe& sqe = next_sqe(ring);
         io_uring_prep_timeout_update(&sqe, &time, 1, 0);
         sqe.user_data = 2;
         EXPECT_EQ(run_one(ring), (Completion{2, 0, 0}));
         EXPECT_EQ(take(ring), (Completion{1, -ETIME, 0}));
       }},
      {suite,
       "CannotBeUpdatedWhenThereIsNone",
       {.switches_on = {&Semantics::timeout_update}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         __kernel_timespec time = as_timespec(1ms);
         io_uring_sqe& sqe = next_sqe(ring);
         io_uring_prep_timeout_update(&sqe, &time, 77, 0);
         sqe.user_data = 2;
         EXPECT_EQ(run_one(ring), (Completion{2, -ENOENT, 0}));
       }},
      {suite,
       "RefusesAnUpdateThatCameLater",
       {.opcodes = {IORING_OP_TIMEOUT_REMOVE}, .switches_off = {&Semantics::timeout_update}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         __kernel_timespec time = as_timespec(1ms);
         io_uring_prep_timeout_update(&next_sqe(ring), &time, 77, 0);
         EXPECT_EQ(run_one(ring).res, -EINVAL);
       }},
      {suite, "SeversItsChainWhenItFires", timeout,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         __kernel_timespec time = as_timespec(1ms);
         prepare_timeout(ring, time, 1).flags = IOSQE_IO_LINK;
         prepare_nop(ring, 2);
         submit_all(ring);
         const std::vector<Completion> completions = take(ring, 2);
         EXPECT_EQ(find(completions, 1).res, -ETIME);
         EXPECT_EQ(find(completions, 2).res, -ECANCELED);
       }},
      {suite,
       "KeepsItsChainWhenItsFiringIsCalledASuccess",
       {.switches_on = {&Semantics::timeout_etime_success}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         __kernel_timespec time = as_timespec(1ms);
         prepare_timeout(ring, time, 1, 0, IORING_TIMEOUT_ETIME_SUCCESS).flags = IOSQE_IO_LINK;
         prepare_nop(ring, 2);
         submit_all(ring);
         const std::vector<Completion> completions = take(ring, 2);
         EXPECT_EQ(find(completions, 1).res, -ETIME);
         EXPECT_EQ(find(completions, 2).res, 0);
       }},
      {suite,
       "RefusesASuccessfulFiringThatCameLater",
       {.opcodes = {IORING_OP_TIMEOUT}, .switches_off = {&Semantics::timeout_etime_success}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         __kernel_timespec time = as_timespec(1ms);
         prepare_timeout(ring, time, 1, kNoCount, IORING_TIMEOUT_ETIME_SUCCESS);
         EXPECT_EQ(run_one(ring).res, -EINVAL);
       }},
      {suite,
       "FiresAsOftenAsItsCountWhenMultishot",
       {.switches_on = {&Semantics::timeout_multishot}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const auto begin = now(kernel.kernel());
         __kernel_timespec time = as_timespec(1ms);
         prepare_timeout(ring, time, 1, 3, uapi::kTimeoutMultishot);
         submit_all(ring);
         EXPECT_EQ(take(ring), (Completion{1, -ETIME, IORING_CQE_F_MORE}));
         EXPECT_EQ(take(ring), (Completion{1, -ETIME, IORING_CQE_F_MORE}));
         EXPECT_EQ(take(ring), (Completion{1, -ETIME, 0}));
         EXPECT_GE(now(kernel.kernel()) - begin, 3ms);
       }},
      {suite,
       "FiresUntilItIsRemovedWhenMultishotWithoutACount",
       {.switches_on = {&Semantics::timeout_multishot}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         __kernel_timespec time = as_timespec(1ms);
         prepare_timeout(ring, time, 1, 0, uapi::kTimeoutMultishot);
         submit_all(ring);
         for (int i = 0; i < 3; ++i) EXPECT_EQ(take(ring), (Completion{1, -ETIME, IORING_CQE_F_MORE}));
         prepare_timeout_remove(ring, 1, 2);
         submit_all(ring);
         // It may have fired once more before it was removed.
         bool removed = false;
         bool ended = false;
         while (!removed || !ended) {
           const Completion completion = take(ring);
           if (completion.user_data == 2) {
             EXPECT_EQ(completion.res, 0);
             removed = true;
           } else if (completion.flags == 0) {
             EXPECT_EQ(completion, (Completion{1, -ECANCELED, 0}));
             ended = true;
           }
         }
       }},
      {suite,
       "RefusesAMultishotTimeoutAtAnAbsoluteTime",
       {.switches_on = {&Semantics::timeout_multishot}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         __kernel_timespec time = as_timespec(1ms);
         prepare_timeout(ring, time, 1, 0, uapi::kTimeoutMultishot | IORING_TIMEOUT_ABS);
         EXPECT_EQ(run_one(ring).res, -EINVAL);
       }},
  };
}

}  // namespace assay::conformance
