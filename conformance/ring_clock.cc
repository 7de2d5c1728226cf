// The clock that a ring's waits run on.

#include <time.h>

#include <cerrno>
#include <chrono>

#include "assay/conformance/ring_actions.h"
#include "assay/conformance/ring_suites.h"

namespace assay::conformance {
namespace {

using std::chrono::nanoseconds;
using std::chrono::seconds;

int set_clock(Ring& ring, clockid_t clock) {
  uapi::ClockRegister request{static_cast<std::uint32_t>(clock), {}};
  return ring.register_op(uapi::kRegisterClock, &request, 0);
}

nanoseconds now(Kernel& kernel, clockid_t clock) {
  timespec time{};
  kernel.now(clock, &time);
  return seconds(time.tv_sec) + nanoseconds(time.tv_nsec);
}

/// Waits for a completion that does not come until this clock shows that time.
int wait_until(Ring& ring, nanoseconds when) {
  const __kernel_timespec time{.tv_sec = when / seconds(1), .tv_nsec = (when % seconds(1)).count()};
  io_uring_getevents_arg argument{};
  argument.ts = reinterpret_cast<std::uint64_t>(&time);
  return ring.kernel().enter(ring.fd(), 0, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG | uapi::kEnterAbsTimer,
                             &argument, sizeof argument);
}

}  // namespace

std::vector<Behaviour> ring_clock_behaviours() {
  const std::string suite = "RingClock";
  const Needs needs{
      .features = IORING_FEAT_EXT_ARG, .enter_flags = uapi::kEnterAbsTimer, .register_ops = {uapi::kRegisterClock}};
  return {
      {suite, "IsTheMonotonicOneUnlessAskedOtherwise", needs,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const nanoseconds when = now(kernel.kernel(), CLOCK_MONOTONIC) + kernel.kernel_case().options.moment;
         EXPECT_EQ(wait_until(ring, when), -ETIME);
         EXPECT_GE(now(kernel.kernel(), CLOCK_MONOTONIC), when);
       }},
      {suite, "MayBeTheOneThatCountsSuspension", needs,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         ASSERT_EQ(set_clock(ring, CLOCK_BOOTTIME), 0);
         const nanoseconds when = now(kernel.kernel(), CLOCK_BOOTTIME) + kernel.kernel_case().options.moment;
         EXPECT_EQ(wait_until(ring, when), -ETIME);
         EXPECT_GE(now(kernel.kernel(), CLOCK_BOOTTIME), when);
       }},
      {suite, "MayBeChangedBack", needs,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         ASSERT_EQ(set_clock(ring, CLOCK_BOOTTIME), 0);
         ASSERT_EQ(set_clock(ring, CLOCK_MONOTONIC), 0);
         const nanoseconds when = now(kernel.kernel(), CLOCK_MONOTONIC) + kernel.kernel_case().options.moment;
         EXPECT_EQ(wait_until(ring, when), -ETIME);
         EXPECT_GE(now(kernel.kernel(), CLOCK_MONOTONIC), when);
       }},
      {suite, "EndsAWaitAtOnceWhoseTimeIsOver", needs,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         EXPECT_EQ(wait_until(ring, nanoseconds(1)), -ETIME);
         ASSERT_EQ(set_clock(ring, CLOCK_BOOTTIME), 0);
         EXPECT_EQ(wait_until(ring, nanoseconds(1)), -ETIME);
       }},
      {suite, "CannotBeAnyOther", needs,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         for (const clockid_t clock : {CLOCK_REALTIME, CLOCK_PROCESS_CPUTIME_ID, CLOCK_MONOTONIC_RAW, CLOCK_TAI}) {
           EXPECT_EQ(set_clock(ring, clock), -EINVAL) << "clock " << clock;
         }
       }},
      {suite, "RefusesReservedFieldsThatAreNotZero", needs,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         uapi::ClockRegister request{CLOCK_MONOTONIC, {0, 0, 1}};
         EXPECT_EQ(ring.register_op(uapi::kRegisterClock, &request, 0), -EINVAL);
         request = {CLOCK_MONOTONIC, {}};
         EXPECT_EQ(ring.register_op(uapi::kRegisterClock, &request, 1), -EINVAL) << "it is one clock, not counted";
         EXPECT_EQ(ring.register_op(uapi::kRegisterClock, nullptr, 0), -EINVAL);
         EXPECT_EQ(ring.register_op(uapi::kRegisterClock, reinterpret_cast<void*>(1), 0), -EFAULT);
       }},
  };
}

}  // namespace assay::conformance
