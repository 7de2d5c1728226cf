// What io_uring_enter(2) promises of its arguments, its waits and its return value.

#include <poll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>

#include "assay/conformance/real_signals.h"
#include "assay/conformance/ring_actions.h"
#include "assay/conformance/ring_suites.h"

namespace assay::conformance {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kKernelSigsetBytes = 8;

/// io_uring_getevents_arg as 6.12 has it; older headers call min_wait_usec padding.
struct WaitArgument {
  std::uint64_t sigmask = 0;
  std::uint32_t sigmask_bytes = 0;
  std::uint32_t min_wait_usec = 0;
  std::uint64_t timespec = 0;
};
static_assert(sizeof(WaitArgument) == sizeof(io_uring_getevents_arg));

std::uint64_t address_of(const void* object) { return reinterpret_cast<std::uint64_t>(object); }

int enter_with(Ring& ring, unsigned to_submit, unsigned min_complete, const WaitArgument& argument) {
  return ring.kernel().enter(ring.fd(), to_submit, min_complete, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG,
                             &argument, sizeof argument);
}

std::chrono::nanoseconds monotonic_now(Kernel& kernel) {
  timespec now{};
  kernel.now(CLOCK_MONOTONIC, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

/// Something that is in flight and stays so: a poll on a pipe that nobody writes to.
class Idle {
 public:
  explicit Idle(std::uint64_t user_data) : user_data_(user_data), pipe_(make_pipe()) {}
  void prepare(Ring& ring) {
    io_uring_sqe& sqe = next_sqe(ring);
    io_uring_prep_poll_add(&sqe, pipe_.read_end.get(), POLLIN);
    sqe.user_data = user_data_;
  }
  void end() { write_text(pipe_.write_end.get(), "x"); }

 private:
  std::uint64_t user_data_;
  Pipe pipe_;
};

/// timerfd_create(2), readable after a while. It runs on the real clock, whatever the kernel under test thinks.
Fd make_timerfd(std::chrono::nanoseconds delay) {
  Fd timer(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
  itimerspec time{};
  time.it_value.tv_nsec = delay.count();
  EXPECT_EQ(::timerfd_settime(timer.get(), 0, &time, nullptr), 0);
  return timer;
}

}  // namespace

std::vector<Behaviour> ring_enter_behaviours() {
  const std::string suite = "RingEnter";
  return {
      {suite,
       "RefusesEveryFlagItDoesNotHave",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         for (unsigned bit = 0; bit < 32; ++bit) {
           const unsigned flag = 1u << bit;
           if ((kernel.profile().enter_flags & flag) != 0) continue;
           EXPECT_EQ(kernel.kernel().enter(ring.fd(), 0, 0, flag, nullptr, 0), -EINVAL) << "enter flag bit " << bit;
         }
       }},
      {suite,
       "RefusesAFdThatIsNotOpen",
       {},
       [](KernelUnderTest& kernel) { EXPECT_EQ(kernel.kernel().enter(-1, 0, 0, 0, nullptr, 0), -EBADF); }},
      {suite,
       "RefusesAFdThatIsNoRing",
       {},
       [](KernelUnderTest& kernel) {
         const Pipe pipe = make_pipe();
         EXPECT_EQ(kernel.kernel().enter(pipe.read_end.get(), 0, 0, 0, nullptr, 0), -EOPNOTSUPP);
       }},
      {suite,
       "ReturnsTheNumberOfSqesWhenItWaitsToo",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         for (std::uint64_t i = 0; i < 3; ++i) prepare_nop(ring, i);
         EXPECT_EQ(ring.submit_and_wait(2), 3);
         EXPECT_GE(ring.cq_ready(), 2u);
         take(ring, 3);
       }},
      {suite,
       "WaitsForAsManyCompletionsAsAsked",
       {.real_clock = true},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         // Not by timeouts, which end a wait for any number.
         const Fd soon = make_timerfd(1ms);
         const Fd later = make_timerfd(3ms);
         for (const Fd* timer : {&soon, &later}) io_uring_prep_poll_add(&next_sqe(ring), timer->get(), POLLIN);
         EXPECT_EQ(ring.submit_and_wait(2), 2);
         EXPECT_EQ(ring.cq_ready(), 2u);
         take(ring, 2);
       }},
      {suite,
       "EndsAWaitForMoreWhenATimeoutFires",
       {.opcodes = {IORING_OP_TIMEOUT}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         // Far enough off that the wait has begun: one that fires before the wait ends no wait.
         const std::chrono::nanoseconds delay = 10 * kernel.kernel_case().options.moment;
         __kernel_timespec time{.tv_sec = delay / 1s, .tv_nsec = (delay % 1s).count()};
         // Before 5.5 a timeout without a count ended with the next completion.
         io_uring_prep_timeout(&next_sqe(ring), &time, 100, 0);
         EXPECT_EQ(ring.submit_and_wait(2), 1);
         EXPECT_EQ(ring.cq_ready(), 1u);
         EXPECT_EQ(take(ring).res, -ETIME);
       }},
      {suite,
       "WaitsForNoMoreThanTheCqHolds",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel, {.sq_entries = 4});
         for (int round = 0; round < 2; ++round) {
           for (int i = 0; i < 4; ++i) prepare_nop(ring);
           submit_all(ring);
         }
         ASSERT_EQ(ring.cq_ready(), 8u);
         EXPECT_EQ(kernel.kernel().enter(ring.fd(), 0, 1000, IORING_ENTER_GETEVENTS, nullptr, kKernelSigsetBytes), 0)
             << "a wait for more than fits would never end";
         take(ring, 8);
       }},
      {suite,
       "DoesNotWaitWhenNothingIsAskedFor",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         EXPECT_EQ(ring.get_events(), 0);
         EXPECT_EQ(kernel.kernel().enter(ring.fd(), 0, 1, 0, nullptr, 0), 0)
             << "min_complete counts with GETEVENTS only";
       }},
      {suite,
       "EndsATimedWaitWithEtime",
       {.opcodes = {IORING_OP_TIMEOUT}},
       [](KernelUnderTest& kernel) {
         // Through Ring, which gets there by a TIMEOUT request where waits cannot be timed.
         Ring ring = open_ring(kernel);
         const auto begin = monotonic_now(kernel.kernel());
         io_uring_cqe* cqe = nullptr;
         EXPECT_EQ(ring.wait_cqe(&cqe, 2ms), -ETIME);
         EXPECT_EQ(cqe, nullptr);
         EXPECT_GE(monotonic_now(kernel.kernel()) - begin, 2ms);
       }},
      {suite,
       "TakesACompletionBeforeTheTimeIsOver",
       {.opcodes = {IORING_OP_TIMEOUT}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         prepare_nop(ring, 5);
         submit_all(ring);
         io_uring_cqe* cqe = nullptr;
         ASSERT_EQ(ring.wait_cqe(&cqe, 10s), 0);
         EXPECT_EQ(cqe->user_data, 5u);
         ring.cqe_seen(cqe);
       }},
      {suite,
       "EndsAWaitByTheTimeInItsArgument",
       {.features = IORING_FEAT_EXT_ARG},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const __kernel_timespec time{.tv_sec = 0, .tv_nsec = 1'000'000};
         EXPECT_EQ(enter_with(ring, 0, 1, {.timespec = address_of(&time)}), -ETIME);
       }},
      {suite,
       "EndsAWaitOfNoTimeAtOnce",
       {.features = IORING_FEAT_EXT_ARG},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const __kernel_timespec none{};
         EXPECT_EQ(enter_with(ring, 0, 1, {.timespec = address_of(&none)}), -ETIME);
       }},
      {suite,
       "WaitsAllTheSameWhenThatIsNoIowait",
       {.enter_flags = uapi::kEnterNoIowait},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const __kernel_timespec time{.tv_sec = 0, .tv_nsec = 1'000'000};
         const WaitArgument wait{.timespec = address_of(&time)};
         constexpr unsigned kFlags = IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG | uapi::kEnterNoIowait;
         EXPECT_EQ(kernel.kernel().enter(ring.fd(), 0, 1, kFlags, &wait, sizeof wait), -ETIME);
         prepare_nop(ring, 1);
         ring.flush_sq();
         EXPECT_EQ(kernel.kernel().enter(ring.fd(), 1, 1, kFlags, &wait, sizeof wait), 1);
         EXPECT_EQ(take(ring).user_data, 1u);
       }},
      {suite,
       "CountsSubmittedSqesEvenWhenTheWaitTimesOut",
       {.features = IORING_FEAT_EXT_ARG},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         Idle idle(1);
         idle.prepare(ring);
         ring.flush_sq();
         const __kernel_timespec time{.tv_sec = 0, .tv_nsec = 1'000'000};
         EXPECT_EQ(enter_with(ring, 1, 1, {.timespec = address_of(&time)}), 1)
             << "what was submitted is never hidden by how the wait ended";
         idle.end();
         EXPECT_EQ(take(ring).user_data, 1u);
       }},
      {suite,
       "RefusesAWaitArgumentOfAnotherSize",
       {.features = IORING_FEAT_EXT_ARG},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const WaitArgument argument;
         EXPECT_EQ(kernel.kernel().enter(ring.fd(), 0, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &argument,
                                         sizeof argument - 8),
                   -EINVAL);
       }},
      {suite,
       "RefusesAWaitArgumentThatItCannotRead",
       {.features = IORING_FEAT_EXT_ARG},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         EXPECT_EQ(kernel.kernel().enter(ring.fd(), 0, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG,
                                         reinterpret_cast<const void*>(8), sizeof(WaitArgument)),
                   -EFAULT);
       }},
      {suite,
       "RefusesASignalMaskOfAnotherSize",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         sigset_t mask;
         ::sigemptyset(&mask);
         EXPECT_EQ(kernel.kernel().enter(ring.fd(), 0, 1, IORING_ENTER_GETEVENTS, &mask, 4), -EINVAL);
       }},
      {suite,
       "SettlesForOneCompletionAfterTheMinimumWait",
       {.features = uapi::kFeatMinTimeout},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         prepare_nop(ring, 1);
         ring.flush_sq();
         const __kernel_timespec time{.tv_sec = 20, .tv_nsec = 0};
         const auto begin = monotonic_now(kernel.kernel());
         EXPECT_EQ(enter_with(ring, 1, 2, {.min_wait_usec = 2000, .timespec = address_of(&time)}), 1);
         const auto waited = monotonic_now(kernel.kernel()) - begin;
         EXPECT_GE(waited, 2ms);
         EXPECT_LT(waited, 20s) << "one completion is enough once the minimum is over";
         EXPECT_EQ(take(ring).user_data, 1u);
       }},
      {suite,
       "WaitsOnAfterTheMinimumWaitUntilTheFirstCompletion",
       {.features = uapi::kFeatMinTimeout, .switches_off = {&Semantics::min_wait_ends_early}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const std::chrono::nanoseconds delay = 20 * kernel.kernel_case().options.moment;
         __kernel_timespec first{.tv_sec = delay / 1s, .tv_nsec = (delay % 1s).count()};
         io_uring_prep_timeout(&next_sqe(ring), &first, 0, 0);
         ring.flush_sq();
         const __kernel_timespec time{.tv_sec = 20, .tv_nsec = 0};
         const WaitArgument wait{.min_wait_usec = 1000, .timespec = address_of(&time)};
         EXPECT_EQ(enter_with(ring, 1, 2, wait), 1);
         EXPECT_EQ(ring.cq_ready(), 1u);
         EXPECT_EQ(take(ring).res, -ETIME);
       }},
      {suite,
       "EndsWithTheMinimumWaitThoughNothingCame",
       {.features = uapi::kFeatMinTimeout, .switches_on = {&Semantics::min_wait_ends_early}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const __kernel_timespec time{.tv_sec = 20, .tv_nsec = 0};
         const WaitArgument wait{.min_wait_usec = 1000, .timespec = address_of(&time)};
         EXPECT_EQ(enter_with(ring, 0, 2, wait), 0) << "neither -ETIME nor twenty seconds";
         EXPECT_EQ(ring.cq_ready(), 0u);
       }},
      {suite,
       "WaitsForTheMinimumThoughTheLimitIsShorter",
       {.features = uapi::kFeatMinTimeout},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const __kernel_timespec time{.tv_sec = 0, .tv_nsec = 1'000'000};
         const auto begin = monotonic_now(kernel.kernel());
         EXPECT_EQ(enter_with(ring, 0, 2, {.min_wait_usec = 20'000, .timespec = address_of(&time)}), -ETIME);
         EXPECT_GE(monotonic_now(kernel.kernel()) - begin, 20ms);
       }},
      {suite,
       "IsInterruptedByASignal",
       {.real_clock = true},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         CountedSignal signal;
         const SignalTimer timer(1ms);
         io_uring_cqe* cqe = nullptr;
         EXPECT_EQ(ring.wait_cqe(&cqe), -EINTR);
         EXPECT_GE(CountedSignal::times_handled(), 1);
       }},
      {suite,
       "CountsSubmittedSqesEvenWhenTheWaitIsInterrupted",
       {.real_clock = true},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         Idle idle(1);
         CountedSignal signal;
         idle.prepare(ring);
         {
           const SignalTimer timer(1ms);
           EXPECT_EQ(ring.submit_and_wait(1), 1);
         }
         EXPECT_GE(CountedSignal::times_handled(), 1);
         idle.end();
         EXPECT_EQ(take(ring).user_data, 1u);
       }},
      {suite,
       "LetsASignalInThatOnlyTheCallersMaskKeepsOut",
       {.real_clock = true},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         CountedSignal signal;
         CountedSignal::block();
         CountedSignal::send();
         ASSERT_EQ(CountedSignal::times_handled(), 0);
         const sigset_t open = signal.mask(false);
         EXPECT_EQ(kernel.kernel().enter(ring.fd(), 0, 1, IORING_ENTER_GETEVENTS, &open, kKernelSigsetBytes), -EINTR);
         EXPECT_EQ(CountedSignal::times_handled(), 1);
       }},
      {suite,
       "KeepsASignalOutThatTheWaitsMaskBlocks",
       {.features = IORING_FEAT_EXT_ARG, .real_clock = true},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         CountedSignal signal;
         const sigset_t closed = signal.mask(true);
         const SignalTimer timer(1ms);
         const __kernel_timespec time{.tv_sec = 0, .tv_nsec = 10'000'000};
         const WaitArgument argument{
             .sigmask = address_of(&closed), .sigmask_bytes = kKernelSigsetBytes, .timespec = address_of(&time)};
         // A signal that comes in before the mask is in force is no business of the wait's.
         int result = enter_with(ring, 0, 1, argument);
         EXPECT_EQ(result, -ETIME);
         EXPECT_GE(CountedSignal::times_handled(), 1) << "it comes in as soon as the wait is over";
       }},
      {suite,
       "ReturnsWhatIsThereAlreadyDespiteASignal",
       {.real_clock = true},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         CountedSignal signal;
         CountedSignal::block();
         CountedSignal::send();
         prepare_nop(ring, 1);
         submit_all(ring);
         const sigset_t open = signal.mask(false);
         EXPECT_EQ(kernel.kernel().enter(ring.fd(), 0, 1, IORING_ENTER_GETEVENTS, &open, kKernelSigsetBytes), 0)
             << "a wait that need not wait is not interrupted";
         EXPECT_EQ(take(ring).user_data, 1u);
       }},
  };
}

}  // namespace assay::conformance
