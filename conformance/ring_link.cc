// Chains (IOSQE_IO_LINK, IOSQE_IO_HARDLINK), their time limit (LINK_TIMEOUT), and IOSQE_IO_DRAIN.

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <string>

#include "assay/conformance/ring_actions.h"
#include "assay/conformance/ring_suites.h"

namespace assay::conformance {
namespace {

/// A request that fails when it is carried out, not when it is submitted: a read of nothing but bad memory.
struct Failing {
  Fd file = make_file("0123456789");
  iovec nowhere{.iov_base = reinterpret_cast<void*>(8), .iov_len = 4};

  io_uring_sqe& prepare(Ring& ring, std::uint64_t user_data) {
    io_uring_sqe& sqe = next_sqe(ring);
    io_uring_prep_readv(&sqe, file.get(), &nowhere, 1, 0);
    sqe.user_data = user_data;
    return sqe;
  }
};

io_uring_sqe& prepare_poll(Ring& ring, int fd, std::uint64_t user_data) {
  io_uring_sqe& sqe = next_sqe(ring);
  io_uring_prep_poll_add(&sqe, fd, POLLIN);
  sqe.user_data = user_data;
  return sqe;
}

io_uring_sqe& prepare_link_timeout(Ring& ring, __kernel_timespec& time, std::uint64_t user_data) {
  io_uring_sqe& sqe = next_sqe(ring);
  io_uring_prep_link_timeout(&sqe, &time, 0);
  sqe.user_data = user_data;
  return sqe;
}

/// An fsync that fails when it is carried out, since an eventfd cannot be synced, and a NOP that is linked to it.
std::vector<Completion> run_failing_fsync_chain(KernelUnderTest& kernel) {
  Ring ring = open_ring(kernel);
  const Fd file = make_eventfd();
  io_uring_sqe& sqe = next_sqe(ring);
  io_uring_prep_fsync(&sqe, file.get(), 0);
  sqe.user_data = 1;
  sqe.flags = IOSQE_IO_LINK;
  prepare_nop(ring, 2);
  submit_all(ring);
  return take(ring, 2);
}

void expect_order(const std::vector<Completion>& completions) {
  for (std::size_t i = 0; i < completions.size(); ++i) EXPECT_EQ(completions[i].user_data, i + 1);
}

}  // namespace

std::vector<Behaviour> ring_link_behaviours() {
  const std::string suite = "RingLink";
  const Needs links{.since = {5, 3}};
  const Needs link_timeout{.opcodes = {IORING_OP_LINK_TIMEOUT}};
  return {
      {suite,
       "IsCutByAFailedFsync",
       {.since = {5, 3}, .until = {6, 0}},
       [](KernelUnderTest& kernel) {
         const std::vector<Completion> completions = run_failing_fsync_chain(kernel);
         expect_order(completions);
         EXPECT_EQ(completions[0].res, -EINVAL);
         EXPECT_EQ(completions[1].res, -ECANCELED);
       }},
      // Since the operations were split into files of their own (6.0, io_uring/sync.c) a failed fsync says so, and its
      // chain goes on all the same.
      {suite,
       "GoesOnAfterAFailedFsync",
       {.since = {6, 0}},
       [](KernelUnderTest& kernel) {
         const std::vector<Completion> completions = run_failing_fsync_chain(kernel);
         expect_order(completions);
         EXPECT_EQ(completions[0].res, -EINVAL);
         EXPECT_EQ(completions[1].res, 0);
       }},
      {suite, "RunsAChainInOrder", links,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe pipe = make_pipe();
         char text[] = "chain";
         char bytes[8] = {};
         iovec out{.iov_base = text, .iov_len = 5};
         iovec in{.iov_base = bytes, .iov_len = 5};
         io_uring_sqe& first = next_sqe(ring);
         io_uring_prep_writev(&first, pipe.write_end.get(), &out, 1, 0);
         first.user_data = 1;
         first.flags = IOSQE_IO_LINK;
         io_uring_sqe& second = next_sqe(ring);
         io_uring_prep_readv(&second, pipe.read_end.get(), &in, 1, 0);
         second.user_data = 2;
         second.flags = IOSQE_IO_LINK;
         prepare_nop(ring, 3);
         submit_all(ring);
         const std::vector<Completion> completions = take(ring, 3);
         expect_order(completions);
         EXPECT_EQ(completions[1].res, 5);
         EXPECT_EQ(std::string(bytes), "chain");
       }},
      {suite, "StartsNothingBeforeWhatItIsLinkedTo", links,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe pipe = make_pipe();
         prepare_poll(ring, pipe.read_end.get(), 1).flags = IOSQE_IO_LINK;
         prepare_nop(ring, 2);
         submit_all(ring);
         EXPECT_EQ(ring.get_events(), 0);
         EXPECT_EQ(ring.cq_ready(), 0u);
         write_text(pipe.write_end.get(), "x");
         expect_order(take(ring, 2));
       }},
      {suite, "LeavesRequestsAfterTheChainAlone", links,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe pipe = make_pipe();
         prepare_poll(ring, pipe.read_end.get(), 1).flags = IOSQE_IO_LINK;
         prepare_nop(ring, 2);
         prepare_nop(ring, 3);
         submit_all(ring);
         EXPECT_EQ(take(ring).user_data, 3u) << "the chain ends with the first SQE that has no link flag";
         write_text(pipe.write_end.get(), "x");
         expect_order(take(ring, 2));
       }},
      {suite, "IsSeveredByAnError", links,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         Failing failing;
         prepare_nop(ring, 1).flags = IOSQE_IO_LINK;
         failing.prepare(ring, 2).flags = IOSQE_IO_LINK;
         prepare_nop(ring, 3).flags = IOSQE_IO_LINK;
         prepare_nop(ring, 4);
         prepare_nop(ring, 5);
         submit_all(ring);
         const std::vector<Completion> completions = take(ring, 5);
         EXPECT_EQ(find(completions, 1).res, 0);
         EXPECT_EQ(find(completions, 2).res, -EFAULT);
         EXPECT_EQ(find(completions, 3).res, -ECANCELED);
         EXPECT_EQ(find(completions, 4).res, -ECANCELED);
         EXPECT_EQ(find(completions, 5).res, 0);
       }},
      {suite, "IsSeveredByAShortRead", links,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("0123456789");
         char bytes[100];
         iovec buffer{.iov_base = bytes, .iov_len = sizeof bytes};
         io_uring_sqe& sqe = next_sqe(ring);
         io_uring_prep_readv(&sqe, file.get(), &buffer, 1, 0);
         sqe.user_data = 1;
         sqe.flags = IOSQE_IO_LINK;
         prepare_nop(ring, 2);
         submit_all(ring);
         const std::vector<Completion> completions = take(ring, 2);
         EXPECT_EQ(find(completions, 1).res, 10);
         EXPECT_EQ(find(completions, 2).res, -ECANCELED);
       }},
      {suite,
       "GoesOnAfterAnErrorWhenHard",
       {.since = {5, 5}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         Failing failing;
         failing.prepare(ring, 1).flags = IOSQE_IO_HARDLINK;
         prepare_nop(ring, 2);
         submit_all(ring);
         const std::vector<Completion> completions = take(ring, 2);
         expect_order(completions);
         EXPECT_EQ(completions[0].res, -EFAULT);
         EXPECT_EQ(completions[1].res, 0);
       }},
      {suite, "EndsWithTheBatch", links,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe pipe = make_pipe();
         prepare_poll(ring, pipe.read_end.get(), 1).flags = IOSQE_IO_LINK;
         submit_all(ring);
         prepare_nop(ring, 2);
         submit_all(ring);
         EXPECT_EQ(take(ring).user_data, 2u) << "a chain does not reach into the next submission";
         write_text(pipe.write_end.get(), "x");
         EXPECT_EQ(take(ring).user_data, 1u);
       }},
      {suite,
       "FailsAsAWholeWhenOneOfItIsRefused",
       {.since = {5, 15}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         prepare_nop(ring, 1).flags = IOSQE_IO_LINK;
         prepare_nop(ring, 2).flags = IOSQE_IO_LINK | 1u << 7;  // a flag that no kernel knows
         EXPECT_EQ(ring.submit(), 2);
         const std::vector<Completion> completions = take(ring, 2);
         EXPECT_EQ(find(completions, 1).res, -ECANCELED) << "nothing of a chain runs that cannot run whole";
         EXPECT_EQ(find(completions, 2).res, -EINVAL);
       }},
      {suite,
       "OpensAFileForTheNextOfTheChain",
       {.opcodes = {IORING_OP_OPENAT, IORING_OP_READ}, .switches_on = {&Semantics::linked_file_at_execution}},
       [](KernelUnderTest& kernel) {
         // The fd of the read is not open when the chain is submitted: a NOP stands for what opens it, the test does
         // it.
         Ring ring = open_ring(kernel);
         const Pipe pipe = make_pipe();
         const Fd source = make_file("late");
         const int late = ::dup(source.get());
         ASSERT_GE(late, 0);
         ::close(late);
         char bytes[4] = {};
         prepare_poll(ring, pipe.read_end.get(), 1).flags = IOSQE_IO_LINK;
         io_uring_sqe& sqe = next_sqe(ring);
         io_uring_prep_read(&sqe, late, bytes, 4, 0);
         sqe.user_data = 2;
         submit_all(ring);
         ASSERT_EQ(::dup2(source.get(), late), late);
         const Fd opened(late);
         write_text(pipe.write_end.get(), "x");
         const std::vector<Completion> completions = take(ring, 2);
         expect_order(completions);
         EXPECT_EQ(completions[1].res, 4);
         EXPECT_EQ(std::string(bytes, 4), "late");
       }},
      {suite,
       "LooksALinkedFileUpAtSubmissionWhereItDid",
       {.opcodes = {IORING_OP_READ}, .switches_off = {&Semantics::linked_file_at_execution}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe pipe = make_pipe();
         Fd file = make_file("early");
         char bytes[5] = {};
         prepare_poll(ring, pipe.read_end.get(), 1).flags = IOSQE_IO_LINK;
         io_uring_sqe& sqe = next_sqe(ring);
         io_uring_prep_read(&sqe, file.get(), bytes, 5, 0);
         sqe.user_data = 2;
         submit_all(ring);
         file.reset();
         write_text(pipe.write_end.get(), "x");
         EXPECT_EQ(find(take(ring, 2), 2).res, 5);
       }},
      {suite, "IsEndedByItsTimeLimit", link_timeout,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe pipe = make_pipe();
         __kernel_timespec time{.tv_sec = 0, .tv_nsec = 1'000'000};
         prepare_poll(ring, pipe.read_end.get(), 1).flags = IOSQE_IO_LINK;
         prepare_link_timeout(ring, time, 2);
         submit_all(ring);
         const std::vector<Completion> completions = take(ring, 2);
         EXPECT_EQ(find(completions, 1).res, -ECANCELED);
         EXPECT_EQ(find(completions, 2).res, -ETIME);
       }},
      {suite, "CancelsItsTimeLimitWhenItIsInTime", link_timeout,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe pipe = make_pipe();
         __kernel_timespec time{.tv_sec = 3600, .tv_nsec = 0};
         prepare_poll(ring, pipe.read_end.get(), 1).flags = IOSQE_IO_LINK;
         prepare_link_timeout(ring, time, 2);
         submit_all(ring);
         write_text(pipe.write_end.get(), "x");
         const std::vector<Completion> completions = take(ring, 2);
         EXPECT_EQ(find(completions, 1).res & POLLIN, POLLIN);
         EXPECT_EQ(find(completions, 2).res, -ECANCELED);
       }},
      {suite, "RefusesATimeLimitOfNothing", link_timeout,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         __kernel_timespec time{.tv_sec = 3600, .tv_nsec = 0};
         prepare_link_timeout(ring, time, 2);
         EXPECT_EQ(run_one(ring), (Completion{2, -EINVAL, 0}));
       }},
      {suite,
       "DrainsWhatCameBefore",
       {.since = {5, 2}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe pipe = make_pipe();
         prepare_poll(ring, pipe.read_end.get(), 1);
         prepare_nop(ring, 2).flags = IOSQE_IO_DRAIN;
         prepare_nop(ring, 3);
         submit_all(ring);
         EXPECT_EQ(ring.get_events(), 0);
         EXPECT_EQ(ring.cq_ready(), 0u) << "neither the drained request nor what follows it may start";
         write_text(pipe.write_end.get(), "x");
         const std::vector<Completion> completions = take(ring, 3);
         EXPECT_EQ(completions[0].user_data, 1u);
         find(completions, 2);
         find(completions, 3);
       }},
      {suite,
       "DrainsAtOnceWhereNothingCameBefore",
       {.since = {5, 2}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         prepare_nop(ring, 1).flags = IOSQE_IO_DRAIN;
         EXPECT_EQ(run_one(ring), (Completion{1, 0, 0}));
       }},
      {suite,
       "SkipsTheCqesOfAChainsSuccesses",
       {.features = IORING_FEAT_CQE_SKIP},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         for (std::uint64_t i = 1; i <= 2; ++i) {
           prepare_nop(ring, i).flags = IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS;
         }
         prepare_nop(ring, 3);
         submit_all(ring);
         EXPECT_EQ(take(ring), (Completion{3, 0, 0}));
         EXPECT_EQ(ring.cq_ready(), 0u);
       }},
  };
}

}  // namespace assay::conformance
