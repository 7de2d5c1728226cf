// A kernel thread that submits (IORING_SETUP_SQPOLL), and rings that share one.

#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <string>

#include "assay/conformance/ring_actions.h"
#include "assay/conformance/ring_suites.h"

namespace assay::conformance {
namespace {

/// A ring with a poll thread that goes to sleep soon, its own or that of `group`.
Ring open_polled(KernelUnderTest& kernel, const Ring* group = nullptr) {
  RingOptions options{
      .sq_entries = 8, .setup_flags = IORING_SETUP_SQPOLL, .sq_thread_idle = std::chrono::milliseconds(1)};
  if (group != nullptr) {
    options.setup_flags |= IORING_SETUP_ATTACH_WQ;
    options.attach_wq_fd = group->fd();
  }
  return open_ring(kernel, options);
}

bool needs_wakeup(Ring& ring) { return (IO_URING_READ_ONCE(*ring.raw()->sq.kflags) & IORING_SQ_NEED_WAKEUP) != 0; }

/// Spins as those do who use SQPOLL to make no calls. The watchdog ends what never comes.
template <typename Condition>
void spin_until(Ring& ring, Condition condition) {
  while (!condition()) ring.kernel().relax(ring.fd());
}

int try_setup(KernelUnderTest& kernel, std::uint32_t flags, int wq_fd = 0, unsigned cpu = 0) {
  io_uring_params params{};
  params.flags = flags;
  params.wq_fd = static_cast<std::uint32_t>(wq_fd);
  params.sq_thread_cpu = cpu;
  const int fd = kernel.kernel().setup(8, &params);
  if (fd < 0) return fd;
  kernel.kernel().close(fd);
  return 0;
}

}  // namespace

std::vector<Behaviour> ring_sqpoll_behaviours() {
  const std::string suite = "RingSqpoll";
  const Needs sqpoll{.setup_flags = IORING_SETUP_SQPOLL};
  // Groups of poll threads are as old as this feature.
  const Needs groups{.features = IORING_FEAT_SQPOLL_NONFIXED,
                     .setup_flags = IORING_SETUP_SQPOLL | IORING_SETUP_ATTACH_WQ};
  return {
      {suite, "SubmitsWithoutACall", sqpoll,
       [](KernelUnderTest& kernel) {
         Ring ring = open_polled(kernel);
         prepare_nop(ring, 1);
         EXPECT_EQ(ring.submit(), 1);
         spin_until(ring, [&] { return ring.cq_ready() == 1; });
         EXPECT_EQ(take(ring), (Completion{1, 0, 0}));
       }},
      {suite, "GoesToSleepAndSaysSo", sqpoll,
       [](KernelUnderTest& kernel) {
         Ring ring = open_polled(kernel);
         spin_until(ring, [&] { return needs_wakeup(ring); });
         EXPECT_TRUE(needs_wakeup(ring));
       }},
      {suite, "SleepsOnUntilItIsWoken", sqpoll,
       [](KernelUnderTest& kernel) {
         Ring ring = open_polled(kernel);
         spin_until(ring, [&] { return needs_wakeup(ring); });
         prepare_nop(ring, 1);
         ring.flush_sq();
         EXPECT_EQ(kernel.kernel().enter(ring.fd(), 1, 0, 0, nullptr, 0), 1) << "what was handed over is counted";
         kernel.kernel().relax(ring.fd());
         EXPECT_EQ(ring.cq_ready(), 0u) << "a new tail alone wakes nobody";
         EXPECT_EQ(kernel.kernel().enter(ring.fd(), 1, 0, IORING_ENTER_SQ_WAKEUP, nullptr, 0), 1);
         EXPECT_EQ(take(ring), (Completion{1, 0, 0}));
       }},
      {suite, "IsWokenBySubmit", sqpoll,
       [](KernelUnderTest& kernel) {
         Ring ring = open_polled(kernel);
         for (std::uint64_t i = 1; i <= 3; ++i) {
           spin_until(ring, [&] { return needs_wakeup(ring); });
           prepare_nop(ring, i);
           EXPECT_EQ(ring.submit(), 1);
           EXPECT_EQ(take(ring).user_data, i);
         }
       }},
      {suite, "CanBeWaitedFor", sqpoll,
       [](KernelUnderTest& kernel) {
         Ring ring = open_polled(kernel);
         for (std::uint64_t i = 0; i < 4; ++i) prepare_nop(ring, i);
         EXPECT_EQ(ring.submit_and_wait(4), 4);
         EXPECT_EQ(ring.cq_ready(), 4u);
         take(ring, 4);
       }},
      {suite,
       "MakesRoomInTheSq",
       {.setup_flags = IORING_SETUP_SQPOLL, .enter_flags = IORING_ENTER_SQ_WAIT},
       [](KernelUnderTest& kernel) {
         Ring ring = open_polled(kernel);
         for (std::uint64_t i = 0; i < 8; ++i) prepare_nop(ring, i);
         EXPECT_EQ(ring.submit(), 8);
         EXPECT_GE(ring.wait_for_sq_space(), 0);
         // The thread has taken SQEs; it tells so at the end of its batch.
         spin_until(ring, [&] { return ring.sq_space_left() >= 1; });
         take(ring, 8);
       }},
      {suite,
       "CompletesBeforeItMakesRoomOrAfter",
       {.setup_flags = IORING_SETUP_SQPOLL, .enter_flags = IORING_ENTER_SQ_WAIT},
       [](KernelUnderTest& kernel) {
         Ring ring = open_polled(kernel);
         for (unsigned batch = 0; batch < 200; ++batch) {
           // Who has all completions may have to wait for the SQEs: the head moves when the thread is through.
           for (std::uint64_t i = 0; i < 8; ++i) {
             while (ring.sq_space_left() == 0) ASSERT_GE(ring.wait_for_sq_space(), 0);
             prepare_nop(ring, i);
           }
           ASSERT_EQ(ring.submit_and_wait(8), 8);
           take(ring, 8);
         }
       }},
      {suite,
       "ServesAnyFile",
       {.setup_flags = IORING_SETUP_SQPOLL, .switches_off = {&Semantics::sqpoll_needs_fixed_files}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_polled(kernel);
         const Fd file = make_file("0123");
         char bytes[4] = {};
         iovec buffer{.iov_base = bytes, .iov_len = 4};
         io_uring_prep_readv(&next_sqe(ring), file.get(), &buffer, 1, 0);
         ASSERT_EQ(ring.submit(), 1);
         EXPECT_EQ(take(ring).res, 4);
         EXPECT_EQ(std::string(bytes, 4), "0123");
       }},
      {suite,
       "ServesRegisteredFilesOnlyWhereItDid",
       {.setup_flags = IORING_SETUP_SQPOLL, .switches_on = {&Semantics::sqpoll_needs_fixed_files}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_polled(kernel);
         const Fd file = make_file("0123");
         const int fd = file.get();
         char bytes[4] = {};
         iovec buffer{.iov_base = bytes, .iov_len = 4};
         io_uring_prep_readv(&next_sqe(ring), fd, &buffer, 1, 0);
         ASSERT_EQ(ring.submit(), 1);
         EXPECT_EQ(take(ring).res, -EBADF);
         ASSERT_EQ(ring.register_files({&fd, 1}), 0);
         io_uring_sqe& sqe = next_sqe(ring);
         io_uring_prep_readv(&sqe, 0, &buffer, 1, 0);
         sqe.flags = IOSQE_FIXED_FILE;
         ASSERT_EQ(ring.submit(), 1);
         EXPECT_EQ(take(ring).res, 4);
         EXPECT_EQ(ring.unregister_files(), 0);
       }},
      {suite,
       "WakesWithoutAComplaint",
       {.setup_flags = IORING_SETUP_SQPOLL, .switches_off = {&Semantics::sqpoll_eownerdead}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_polled(kernel);
         EXPECT_EQ(kernel.kernel().enter(ring.fd(), 0, 0, IORING_ENTER_SQ_WAKEUP, nullptr, 0), 0);
         EXPECT_EQ(kernel.kernel().enter(ring.fd(), 0, 0, 0, nullptr, 0), 0);
       }},
      {suite,
       "CallsItsOwnerDeadWhereItDid",
       {.setup_flags = IORING_SETUP_SQPOLL, .switches_on = {&Semantics::sqpoll_eownerdead}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_polled(kernel);
         EXPECT_EQ(kernel.kernel().enter(ring.fd(), 0, 0, IORING_ENTER_SQ_WAKEUP, nullptr, 0), -EOWNERDEAD);
         EXPECT_EQ(kernel.kernel().enter(ring.fd(), 0, 0, IORING_ENTER_GETEVENTS, nullptr, 0), 0)
             << "only where nothing else is asked for";
         prepare_nop(ring, 1);
         EXPECT_EQ(ring.submit(), 1);
         EXPECT_EQ(take(ring).user_data, 1u) << "it lives";
       }},
      {suite,
       "RefusesCooperativeTaskWork",
       {.setup_flags = IORING_SETUP_SQPOLL | IORING_SETUP_COOP_TASKRUN},
       [](KernelUnderTest& kernel) {
         EXPECT_EQ(try_setup(kernel, IORING_SETUP_SQPOLL | IORING_SETUP_COOP_TASKRUN), -EINVAL);
       }},
      {suite, "RunsOnAProcessorThatThereIs", sqpoll,
       [](KernelUnderTest& kernel) {
         EXPECT_EQ(try_setup(kernel, IORING_SETUP_SQPOLL | IORING_SETUP_SQ_AFF, 0, 100'000), -EINVAL);
       }},
      {suite,
       "StartsWithTheRing",
       {.setup_flags = IORING_SETUP_SQPOLL | IORING_SETUP_R_DISABLED},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel, {.sq_entries = 8,
                                        .setup_flags = IORING_SETUP_SQPOLL | IORING_SETUP_R_DISABLED,
                                        .sq_thread_idle = std::chrono::milliseconds(1)});
         prepare_nop(ring, 1);
         ring.flush_sq();
         kernel.kernel().relax(ring.fd());
         EXPECT_EQ(ring.cq_ready(), 0u);
         ASSERT_EQ(ring.enable(), 0);
         kernel.kernel().enter(ring.fd(), 1, 0, IORING_ENTER_SQ_WAKEUP, nullptr, 0);
         EXPECT_EQ(take(ring).user_data, 1u);
       }},
      {suite, "IsSharedByRingsThatAreAttached", groups,
       [](KernelUnderTest& kernel) {
         Ring first = open_polled(kernel);
         Ring second = open_polled(kernel, &first);
         prepare_nop(first, 1);
         prepare_nop(second, 2);
         EXPECT_EQ(first.submit(), 1);
         EXPECT_EQ(second.submit(), 1);
         EXPECT_EQ(take(first).user_data, 1u);
         EXPECT_EQ(take(second).user_data, 2u);
       }},
      {suite, "SleepsAndWakesForAllThatShareIt", groups,
       [](KernelUnderTest& kernel) {
         Ring first = open_polled(kernel);
         Ring second = open_polled(kernel, &first);
         spin_until(first, [&] { return needs_wakeup(first) && needs_wakeup(second); });
         prepare_nop(second, 2);
         second.flush_sq();
         kernel.kernel().enter(first.fd(), 0, 0, IORING_ENTER_SQ_WAKEUP, nullptr, 0);
         EXPECT_EQ(take(second).user_data, 2u) << "woken for the other one";
       }},
      {suite, "OutlivesTheRingThatStartedIt", groups,
       [](KernelUnderTest& kernel) {
         Ring first = open_polled(kernel);
         Ring second = open_polled(kernel, &first);
         { const Ring gone = std::move(first); }
         prepare_nop(second, 2);
         EXPECT_EQ(second.submit(), 1);
         EXPECT_EQ(take(second).user_data, 2u);
       }},
      {suite, "IsNotSharedWithWhatHasNone", groups,
       [](KernelUnderTest& kernel) {
         Ring plain = open_ring(kernel);
         const Pipe pipe = make_pipe();
         constexpr std::uint32_t kAttached = IORING_SETUP_SQPOLL | IORING_SETUP_ATTACH_WQ;
         EXPECT_EQ(try_setup(kernel, kAttached, plain.fd()), -EINVAL);
         EXPECT_EQ(try_setup(kernel, kAttached, pipe.read_end.get()), -EINVAL);
         EXPECT_EQ(try_setup(kernel, kAttached, -1), -ENXIO);
       }},
  };
}

}  // namespace assay::conformance
