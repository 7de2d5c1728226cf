// The ring as a file: it polls readable, it can be watched by another ring, and it may be closed at any time. And who
// may use it: single issuers, deferred task work.

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <thread>

#include "assay/conformance/ring_actions.h"
#include "assay/conformance/ring_suites.h"

namespace assay::conformance {
namespace {

constexpr unsigned kDeferred = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;

int poll_ring(Ring& ring) {
  const timespec none{};
  return ring.kernel().wait_readable(ring.fd(), &none);
}

void prepare_poll(Ring& ring, int fd, std::uint64_t user_data) {
  io_uring_sqe& sqe = next_sqe(ring);
  io_uring_prep_poll_add(&sqe, fd, POLLIN);
  sqe.user_data = user_data;
}

void signal_eventfd(const Fd& eventfd) {
  const std::uint64_t one = 1;
  EXPECT_EQ(::write(eventfd.get(), &one, sizeof one), static_cast<ssize_t>(sizeof one));
}

/// What a call returns when another thread makes it.
template <typename Call>
int on_another_thread(Call call) {
  int result = 0;
  std::thread([&] { result = call(); }).join();
  return result;
}

void add_descriptor_behaviours(std::vector<Behaviour>& behaviours) {
  const std::string suite = "RingDescriptor";
  const std::vector<Behaviour> added = {
      {suite,
       "IsReadableWhileCompletionsWait",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         EXPECT_EQ(poll_ring(ring), 0);
         prepare_nop(ring, 1);
         submit_all(ring);
         EXPECT_EQ(poll_ring(ring), 1);
         take(ring);
         EXPECT_EQ(poll_ring(ring), 0);
       }},
      {suite,
       "WakesAnOuterPoll",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         prepare_nop(ring, 1);
         submit_all(ring);
         pollfd entry{.fd = ring.fd(), .events = POLLIN, .revents = 0};
         EXPECT_EQ(::poll(&entry, 1, 0), 1);
         EXPECT_EQ(entry.revents & POLLIN, POLLIN);
         take(ring);
       }},
      {suite,
       "CompletesAnotherRingsPollAtOnce",
       {.since = {6, 1}},
       [](KernelUnderTest& kernel) {
         Ring inner = open_ring(kernel);
         Ring outer = open_ring(kernel);
         prepare_poll(outer, inner.fd(), 1);
         submit_all(outer);
         EXPECT_EQ(outer.cq_ready(), 0u);
         prepare_nop(inner, 2);
         submit_all(inner);
         EXPECT_EQ(outer.cq_ready(), 1u) << "by the call that submitted to the inner ring";
         EXPECT_EQ(take(outer).res, POLLIN);
         take(inner);
       }},
      {suite,
       "IsReadableWhileABacklogWaits",
       {.features = IORING_FEAT_NODROP, .since = {5, 8}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel, {.sq_entries = 2});
         for (int batch = 0; batch < 3; ++batch) {
           for (int i = 0; i < 2; ++i) prepare_nop(ring);
           submit_all(ring);
         }
         EXPECT_EQ(poll_ring(ring), 1);
         while (ring.cq_ready() > 0 || ring.cq_has_overflow()) take(ring);
         EXPECT_EQ(poll_ring(ring), 0);
       }},
      {suite,
       "CanBeWatchedByAnotherRing",
       {},
       [](KernelUnderTest& kernel) {
         Ring inner = open_ring(kernel);
         Ring outer = open_ring(kernel);
         prepare_poll(outer, inner.fd(), 1);
         submit_all(outer);
         EXPECT_EQ(outer.get_events(), 0);
         EXPECT_EQ(outer.cq_ready(), 0u);
         prepare_nop(inner, 2);
         submit_all(inner);
         EXPECT_EQ(take(outer).res & POLLIN, POLLIN);
         EXPECT_EQ(take(inner).user_data, 2u);
       }},
      {suite,
       "KeepsRingsApart",
       {},
       [](KernelUnderTest& kernel) {
         Ring first = open_ring(kernel);
         Ring second = open_ring(kernel);
         prepare_nop(first, 1);
         prepare_nop(second, 2);
         submit_all(second);
         EXPECT_EQ(first.cq_ready(), 0u);
         submit_all(first);
         EXPECT_EQ(take(first).user_data, 1u);
         EXPECT_EQ(take(second).user_data, 2u);
       }},
      {suite,
       "IsClosedWithRequestsInFlight",
       {},
       [](KernelUnderTest& kernel) {
         const Pipe pipe = make_pipe();
         __kernel_timespec time{.tv_sec = 3600, .tv_nsec = 0};
         {
           Ring ring = open_ring(kernel);
           prepare_poll(ring, pipe.read_end.get(), 1);
           if (kernel.profile().opcodes[IORING_OP_TIMEOUT]) io_uring_prep_timeout(&next_sqe(ring), &time, 1000, 0);
           submit_all(ring);
           EXPECT_EQ(ring.cq_ready(), 0u);
         }
         Ring next = open_ring(kernel);
         prepare_nop(next, 2);
         EXPECT_EQ(run_one(next).user_data, 2u);
         EXPECT_EQ(next.cq_ready(), 0u) << "nothing of the old ring comes up in the new one";
       }},
      {suite,
       "IsClosedWithCompletionsUnread",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         prepare_nop(ring, 1);
         submit_all(ring);
         EXPECT_EQ(ring.cq_ready(), 1u);
       }},
      {suite,
       "IsClosedWithSqesUnsubmitted",
       {},
       [](KernelUnderTest& kernel) {
         const Fd file = make_file("0123");
         char byte[] = "x";
         iovec buffer{.iov_base = byte, .iov_len = 1};
         {
           Ring ring = open_ring(kernel);
           io_uring_prep_writev(&next_sqe(ring), file.get(), &buffer, 1, 0);
           ring.flush_sq();
         }
         EXPECT_EQ(file_content(file.get()), "0123") << "what was not submitted never happens";
       }},
      {suite,
       "LeavesFilesThatWereRegisteredWhenItIsClosed",
       {},
       [](KernelUnderTest& kernel) {
         const Fd file = make_file("0123");
         const int fd = file.get();
         {
           Ring ring = open_ring(kernel);
           ASSERT_EQ(ring.register_files({&fd, 1}), 0);
         }
         EXPECT_EQ(file_content(fd), "0123");
       }},
  };
  behaviours.insert(behaviours.end(), added.begin(), added.end());
}

}  // namespace

std::vector<Behaviour> ring_lifetime_behaviours() {
  std::vector<Behaviour> behaviours;
  add_descriptor_behaviours(behaviours);
  const std::string suite = "RingTaskWork";
  const Needs single{.setup_flags = IORING_SETUP_SINGLE_ISSUER};
  const Needs deferred{.setup_flags = kDeferred};
  const std::vector<Behaviour> added = {
      {suite,
       "ServesAnyThreadWithoutASingleIssuer",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         prepare_nop(ring, 1);
         EXPECT_EQ(on_another_thread([&] { return ring.submit(); }), 1);
         EXPECT_EQ(take(ring).user_data, 1u);
       }},
      {suite, "RefusesToSubmitForAnotherThreadThanItsIssuer", single,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel, {.sq_entries = 8, .setup_flags = IORING_SETUP_SINGLE_ISSUER});
         prepare_nop(ring, 1);
         EXPECT_EQ(on_another_thread([&] { return ring.submit(); }), -EEXIST);
         EXPECT_EQ(ring.sq_ready(), 1u);
         EXPECT_EQ(run_one(ring).user_data, 1u);
       }},
      {suite, "RefusesToRegisterForAnotherThreadThanItsIssuer", single,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel, {.sq_entries = 8, .setup_flags = IORING_SETUP_SINGLE_ISSUER});
         const Fd file = make_file();
         const int fd = file.get();
         EXPECT_EQ(on_another_thread([&] { return ring.register_files({&fd, 1}); }), -EEXIST);
         EXPECT_EQ(ring.unregister_files(), -ENXIO);
       }},
      {suite,
       "MakesTheEnablingThreadItsIssuer",
       {.setup_flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_R_DISABLED},
       [](KernelUnderTest& kernel) {
         Ring ring =
             open_ring(kernel, {.sq_entries = 8, .setup_flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_R_DISABLED});
         EXPECT_EQ(on_another_thread([&] {
                     if (const int enabled = ring.enable(); enabled != 0) return enabled;
                     prepare_nop(ring, 1);
                     return ring.submit();
                   }),
                   1);
         prepare_nop(ring, 2);
         EXPECT_EQ(ring.submit(), -EEXIST);
       }},
      {suite, "RefusesToWaitForAnotherThreadWhenDeferred", deferred,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel, {.sq_entries = 8, .setup_flags = kDeferred});
         EXPECT_EQ(on_another_thread([&] { return ring.get_events(); }), -EEXIST);
         EXPECT_EQ(ring.get_events(), 0);
       }},
      {suite, "CompletesNothingUntilEventsAreAskedForWhenDeferred", deferred,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel, {.sq_entries = 8, .setup_flags = kDeferred});
         const Fd eventfd = make_eventfd();
         prepare_poll(ring, eventfd.get(), 1);
         submit_all(ring);
         signal_eventfd(eventfd);
         kernel.kernel().relax(ring.fd());
         EXPECT_EQ(ring.cq_ready(), 0u);
         EXPECT_EQ(kernel.kernel().enter(ring.fd(), 0, 0, 0, nullptr, 0), 0);
         EXPECT_EQ(ring.cq_ready(), 0u) << "an enter without GETEVENTS runs none of it";
         EXPECT_EQ(ring.get_events(), 0);
         EXPECT_EQ(ring.cq_ready(), 1u);
         take(ring);
       }},
      {suite,
       "FlagsWorkThatWaitsForAnEnter",
       {.setup_flags = kDeferred | IORING_SETUP_TASKRUN_FLAG},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel, {.sq_entries = 8, .setup_flags = kDeferred | IORING_SETUP_TASKRUN_FLAG});
         const Fd eventfd = make_eventfd();
         prepare_poll(ring, eventfd.get(), 1);
         submit_all(ring);
         EXPECT_EQ(*ring.raw()->sq.kflags & IORING_SQ_TASKRUN, 0u);
         EXPECT_FALSE(ring.cq_needs_enter());
         signal_eventfd(eventfd);
         kernel.kernel().relax(ring.fd());
         EXPECT_EQ(*ring.raw()->sq.kflags & IORING_SQ_TASKRUN, IORING_SQ_TASKRUN);
         EXPECT_TRUE(ring.cq_needs_enter());
         EXPECT_EQ(ring.get_events(), 0);
         EXPECT_EQ(*ring.raw()->sq.kflags & IORING_SQ_TASKRUN, 0u);
         take(ring);
       }},
      {suite, "IsReadableWhileDeferredWorkWaits", deferred,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel, {.sq_entries = 8, .setup_flags = kDeferred});
         const Fd eventfd = make_eventfd();
         prepare_poll(ring, eventfd.get(), 1);
         submit_all(ring);
         signal_eventfd(eventfd);
         EXPECT_EQ(poll_ring(ring), 1) << "or an outer loop would never come to run it";
         EXPECT_EQ(ring.cq_ready(), 0u);
         take(ring);
       }},
      {suite,
       "CompletesWithCooperativeTaskWork",
       {.setup_flags = IORING_SETUP_COOP_TASKRUN},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel, {.sq_entries = 8, .setup_flags = IORING_SETUP_COOP_TASKRUN});
         const Fd eventfd = make_eventfd();
         prepare_poll(ring, eventfd.get(), 1);
         submit_all(ring);
         signal_eventfd(eventfd);
         EXPECT_EQ(take(ring).res & POLLIN, POLLIN);
       }},
  };
  behaviours.insert(behaviours.end(), added.begin(), added.end());
  return behaviours;
}

}  // namespace assay::conformance
