// Requests in flight that are changed: polls, timeouts, and the timeouts that limit others.

#include <poll.h>
#include <time.h>

#include <cerrno>
#include <chrono>
#include <cstdint>

#include "assay/conformance/ring_actions.h"
#include "assay/conformance/ring_suites.h"

namespace assay::conformance {
namespace {

using std::chrono::nanoseconds;
using std::chrono::seconds;

constexpr std::uint64_t kPoll = 1;
constexpr std::uint64_t kLimit = 2;
constexpr std::uint64_t kUpdate = 3;
constexpr std::uint32_t kOfLink = IORING_TIMEOUT_UPDATE | IORING_LINK_TIMEOUT_UPDATE;
__kernel_timespec hour{3600, 0};
__kernel_timespec instant{0, 1};

void prepare_poll(Ring& ring, int fd, std::uint32_t flags = 0, std::uint32_t events = POLLIN) {
  io_uring_sqe& sqe = next_sqe(ring);
  io_uring_prep_poll_add(&sqe, fd, events);
  sqe.len = flags;
  sqe.user_data = kPoll;
}

/// A poll that a timeout of an hour limits.
void submit_limited_poll(Ring& ring, int fd) {
  prepare_poll(ring, fd);
  ring.raw()->sq.sqes[(ring.raw()->sq.sqe_tail - 1) & ring.raw()->sq.ring_mask].flags = IOSQE_IO_LINK;
  io_uring_sqe& limit = next_sqe(ring);
  io_uring_prep_link_timeout(&limit, &hour, 0);
  limit.user_data = kLimit;
  submit_all(ring);
}

std::int32_t update_poll(Ring& ring, std::uint32_t flags, std::uint64_t new_user_data = 0, std::uint32_t events = 0) {
  io_uring_sqe& sqe = next_sqe(ring, kUpdate);
  sqe.opcode = IORING_OP_POLL_REMOVE;
  sqe.fd = -1;
  sqe.addr = kPoll;
  sqe.off = new_user_data;
  sqe.len = flags;
  sqe.poll32_events = events;
  ring.submit();
  return find({take(ring)}, kUpdate).res;
}

void prepare_timeout_update(Ring& ring, std::uint64_t which, __kernel_timespec* time, std::uint32_t flags) {
  io_uring_sqe& sqe = next_sqe(ring, kUpdate);
  sqe.opcode = IORING_OP_TIMEOUT_REMOVE;
  sqe.fd = -1;
  sqe.addr = which;
  sqe.addr2 = reinterpret_cast<std::uint64_t>(time);
  sqe.timeout_flags = flags;
}

}  // namespace

std::vector<Behaviour> ring_updates_behaviours() {
  const std::string polls = "RingPollUpdate";
  const std::string limits = "RingLinkTimeoutUpdate";
  const std::string timeouts = "RingTimeoutUpdate";
  const Needs poll{.opcodes = {IORING_OP_POLL_ADD}, .switches_on = {&Semantics::poll_multishot}};
  const Needs limit{.opcodes = {IORING_OP_LINK_TIMEOUT, IORING_OP_TIMEOUT_REMOVE},
                    .switches_on = {&Semantics::timeout_clocks}};
  const Needs timeout{.opcodes = {IORING_OP_TIMEOUT_REMOVE}, .switches_on = {&Semantics::timeout_update}};
  return {
      {polls, "ChangesEventsAndUserDataAtOnce", poll,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe pipe = make_pipe();
         prepare_poll(ring, pipe.read_end.get(), 0, POLLPRI);
         submit_all(ring);
         EXPECT_EQ(update_poll(ring, IORING_POLL_UPDATE_EVENTS | IORING_POLL_UPDATE_USER_DATA, 7, POLLIN), 0);
         write_text(pipe.write_end.get(), "x");
         const Completion completion = take(ring);
         EXPECT_EQ(completion.user_data, 7u);
         EXPECT_EQ(completion.res & POLLIN, POLLIN);
       }},
      {polls, "LetsAMultishotPollGoOnUnderAnotherName", poll,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe pipe = make_pipe();
         prepare_poll(ring, pipe.read_end.get(), IORING_POLL_ADD_MULTI);
         submit_all(ring);
         EXPECT_EQ(update_poll(ring, IORING_POLL_UPDATE_USER_DATA, 7), 0);
         for (int i = 0; i < 2; ++i) {
           write_text(pipe.write_end.get(), "x");
           const Completion completion = take(ring);
           EXPECT_EQ(completion.user_data, 7u);
           EXPECT_EQ(completion.flags, IORING_CQE_F_MORE);
           read_text(pipe.read_end.get(), 1);
         }
       }},
      {polls, "IsNotFoundByItsOldName", poll,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe pipe = make_pipe();
         prepare_poll(ring, pipe.read_end.get());
         submit_all(ring);
         ASSERT_EQ(update_poll(ring, IORING_POLL_UPDATE_USER_DATA, 7), 0);
         EXPECT_EQ(update_poll(ring, IORING_POLL_UPDATE_USER_DATA, 8), -ENOENT);
       }},
      {polls, "RefusesWhatWouldNotBeUsed", poll,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         EXPECT_EQ(update_poll(ring, IORING_POLL_UPDATE_EVENTS, 7, POLLIN), -EINVAL) << "a name";
         EXPECT_EQ(update_poll(ring, IORING_POLL_UPDATE_USER_DATA, 7, POLLIN), -EINVAL) << "events";
         EXPECT_EQ(update_poll(ring, IORING_POLL_ADD_MULTI), -EINVAL) << "how often, where it is removed";
         EXPECT_EQ(update_poll(ring, 1u << 20), -EINVAL);
       }},
      {polls,
       "RefusesALevelTriggeredPoll",
       {.opcodes = {IORING_OP_POLL_ADD}},
       [](KernelUnderTest& kernel) {
         // The flag has had a name since 6.0, and was never taken.
         constexpr std::uint32_t kLevel = 1u << 3;
         Ring ring = open_ring(kernel);
         const Pipe pipe = make_pipe();
         prepare_poll(ring, pipe.read_end.get(), kLevel);
         ring.submit();
         EXPECT_EQ(take(ring).res, -EINVAL);
       }},
      {limits, "EndsTheLimitedRequestSooner", limit,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe pipe = make_pipe();
         submit_limited_poll(ring, pipe.read_end.get());
         prepare_timeout_update(ring, kLimit, &instant, kOfLink);
         submit_all(ring);
         const std::vector<Completion> completions = take(ring, 3);
         EXPECT_EQ(find(completions, kUpdate).res, 0);
         EXPECT_EQ(find(completions, kPoll).res, -ECANCELED);
         EXPECT_EQ(find(completions, kLimit).res, -ETIME);
       }},
      {limits, "LetsTheLimitedRequestEndByItself", limit,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe pipe = make_pipe();
         submit_limited_poll(ring, pipe.read_end.get());
         prepare_timeout_update(ring, kLimit, &hour, kOfLink);
         EXPECT_EQ(run_one(ring).res, 0);
         write_text(pipe.write_end.get(), "x");
         const std::vector<Completion> completions = take(ring, 2);
         EXPECT_EQ(find(completions, kPoll).res & POLLIN, POLLIN);
         EXPECT_EQ(find(completions, kLimit).res, -ECANCELED);
       }},
      {limits, "FindsNoOtherTimeout", limit,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         io_uring_sqe& sqe = next_sqe(ring);
         io_uring_prep_timeout(&sqe, &hour, 0, 0);
         sqe.user_data = 9;
         submit_all(ring);
         prepare_timeout_update(ring, 9, &instant, kOfLink);
         EXPECT_EQ(run_one(ring).res, -ENOENT);
       }},
      {limits, "IsFoundByNoOtherUpdate", limit,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe pipe = make_pipe();
         submit_limited_poll(ring, pipe.read_end.get());
         prepare_timeout_update(ring, kLimit, &instant, IORING_TIMEOUT_UPDATE);
         EXPECT_EQ(run_one(ring).res, -ENOENT);
       }},
      {limits, "IsARemovalWhereItIsNotCalledAnUpdateToo", limit,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         io_uring_sqe& sqe = next_sqe(ring);
         io_uring_prep_timeout(&sqe, &hour, 0, 0);
         sqe.user_data = 9;
         submit_all(ring);
         prepare_timeout_update(ring, 9, &hour, IORING_LINK_TIMEOUT_UPDATE);
         submit_all(ring);
         const std::vector<Completion> completions = take(ring, 2);
         EXPECT_EQ(find(completions, kUpdate).res, 0);
         EXPECT_EQ(find(completions, 9).res, -ECANCELED);
       }},
      {timeouts, "MayBeSetToAnAbsoluteTime", timeout,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         io_uring_sqe& sqe = next_sqe(ring);
         io_uring_prep_timeout(&sqe, &hour, 0, 0);
         sqe.user_data = 9;
         submit_all(ring);
         timespec now{};
         kernel.kernel().now(CLOCK_MONOTONIC, &now);
         const nanoseconds when =
             seconds(now.tv_sec) + nanoseconds(now.tv_nsec) + 10 * kernel.kernel_case().options.moment;
         __kernel_timespec time{.tv_sec = when / seconds(1), .tv_nsec = (when % seconds(1)).count()};
         prepare_timeout_update(ring, 9, &time, IORING_TIMEOUT_UPDATE | IORING_TIMEOUT_ABS);
         submit_all(ring);
         EXPECT_EQ(take(ring), (Completion{kUpdate, 0, 0}));
         EXPECT_EQ(take(ring), (Completion{9, -ETIME, 0}));
         kernel.kernel().now(CLOCK_MONOTONIC, &now);
         EXPECT_GE(seconds(now.tv_sec) + nanoseconds(now.tv_nsec), when);
       }},
      {timeouts, "RefusesATimeThatItCannotRead", timeout,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         prepare_timeout_update(ring, 9, reinterpret_cast<__kernel_timespec*>(1), IORING_TIMEOUT_UPDATE);
         ring.submit();
         EXPECT_EQ(take(ring).res, -EFAULT);
         prepare_timeout_update(ring, 9, &hour, IORING_TIMEOUT_UPDATE | (1u << 20));
         ring.submit();
         EXPECT_EQ(take(ring).res, -EINVAL) << "there is no such flag";
       }},
  };
}

}  // namespace assay::conformance
