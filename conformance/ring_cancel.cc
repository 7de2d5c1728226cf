// ASYNC_CANCEL: by user_data, by file, all that match, anything; and what a canceled request leaves behind.

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <string>

#include "assay/conformance/ring_actions.h"
#include "assay/conformance/ring_suites.h"

namespace assay::conformance {
namespace {

io_uring_sqe& prepare_poll(Ring& ring, int fd, std::uint64_t user_data) {
  io_uring_sqe& sqe = next_sqe(ring);
  io_uring_prep_poll_add(&sqe, fd, POLLIN);
  sqe.user_data = user_data;
  return sqe;
}

io_uring_sqe& prepare_cancel(Ring& ring, std::uint64_t which, unsigned flags, std::uint64_t user_data) {
  io_uring_sqe& sqe = next_sqe(ring);
  io_uring_prep_cancel64(&sqe, which, static_cast<int>(flags));
  sqe.user_data = user_data;
  return sqe;
}

io_uring_sqe& prepare_cancel_fd(Ring& ring, int fd, unsigned flags, std::uint64_t user_data) {
  io_uring_sqe& sqe = next_sqe(ring);
  io_uring_prep_cancel_fd(&sqe, fd, flags);
  sqe.user_data = user_data;
  return sqe;
}

long canceled(const std::vector<Completion>& completions) {
  return std::count_if(completions.begin(), completions.end(),
                       [](const Completion& completion) { return completion.res == -ECANCELED; });
}

}  // namespace

std::vector<Behaviour> ring_cancel_behaviours() {
  const std::string suite = "RingCancel";
  const Needs cancel{.opcodes = {IORING_OP_ASYNC_CANCEL}};
  const Needs matching{.switches_on = {&Semantics::cancel_matching}};
  return {
      {suite, "CancelsAPoll", cancel,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe pipe = make_pipe();
         prepare_poll(ring, pipe.read_end.get(), 1);
         submit_all(ring);
         prepare_cancel(ring, 1, 0, 2);
         submit_all(ring);
         const std::vector<Completion> completions = take(ring, 2);
         EXPECT_EQ(find(completions, 1).res, -ECANCELED);
         EXPECT_EQ(find(completions, 2).res, 0);
       }},
      {suite,
       "CancelsAReadThatWaits",
       {.opcodes = {IORING_OP_ASYNC_CANCEL}, .features = IORING_FEAT_FAST_POLL},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe pipe = make_pipe();
         char bytes[8] = {};
         iovec buffer{.iov_base = bytes, .iov_len = sizeof bytes};
         io_uring_sqe& sqe = next_sqe(ring);
         io_uring_prep_readv(&sqe, pipe.read_end.get(), &buffer, 1, 0);
         sqe.user_data = 1;
         submit_all(ring);
         prepare_cancel(ring, 1, 0, 2);
         submit_all(ring);
         const std::vector<Completion> completions = take(ring, 2);
         EXPECT_EQ(find(completions, 1).res, -ECANCELED);
         EXPECT_EQ(find(completions, 2).res, 0);
         write_text(pipe.write_end.get(), "kept");
         EXPECT_EQ(ring.get_events(), 0);
         EXPECT_EQ(read_text(pipe.read_end.get(), 8), "kept") << "what was canceled takes no data";
         EXPECT_EQ(bytes[0], 0);
       }},
      {suite, "CancelsATimeout", cancel,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         __kernel_timespec time{.tv_sec = 3600, .tv_nsec = 0};
         io_uring_sqe& sqe = next_sqe(ring);
         io_uring_prep_timeout(&sqe, &time, 0, 0);
         sqe.user_data = 1;
         submit_all(ring);
         prepare_cancel(ring, 1, 0, 2);
         submit_all(ring);
         const std::vector<Completion> completions = take(ring, 2);
         EXPECT_EQ(find(completions, 1).res, -ECANCELED);
         EXPECT_EQ(find(completions, 2).res, 0);
       }},
      {suite, "FindsNothingToCancel", cancel,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         prepare_cancel(ring, 77, 0, 2);
         EXPECT_EQ(run_one(ring), (Completion{2, -ENOENT, 0}));
       }},
      {suite, "FindsNothingOnceTheRequestIsOver", cancel,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         prepare_nop(ring, 1);
         EXPECT_EQ(run_one(ring).user_data, 1u);
         prepare_cancel(ring, 1, 0, 2);
         EXPECT_EQ(run_one(ring).res, -ENOENT);
       }},
      {suite, "CancelsOnlyWhatItsOwnRingHolds", cancel,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         Ring other = open_ring(kernel);
         const Pipe pipe = make_pipe();
         prepare_poll(ring, pipe.read_end.get(), 1);
         submit_all(ring);
         prepare_cancel(other, 1, 0, 2);
         EXPECT_EQ(run_one(other).res, -ENOENT);
         EXPECT_EQ(ring.cq_ready(), 0u);
         write_text(pipe.write_end.get(), "x");
         EXPECT_EQ(take(ring).res & POLLIN, POLLIN);
       }},
      {suite, "CancelsOneOfSeveralOfTheSameUserData", cancel,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe pipe = make_pipe();
         for (int i = 0; i < 3; ++i) prepare_poll(ring, pipe.read_end.get(), 1);
         submit_all(ring);
         prepare_cancel(ring, 1, 0, 2);
         submit_all(ring);
         const std::vector<Completion> first = take(ring, 2);
         EXPECT_EQ(find(first, 2).res, 0);
         EXPECT_EQ(canceled(first), 1);
         EXPECT_EQ(ring.get_events(), 0);
         EXPECT_EQ(ring.cq_ready(), 0u);
         write_text(pipe.write_end.get(), "x");
         EXPECT_EQ(canceled(take(ring, 2)), 0);
       }},
      {suite, "RefusesUnknownFlags", cancel,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         prepare_cancel(ring, 1, 1u << 20, 2);
         EXPECT_EQ(run_one(ring).res, -EINVAL);
       }},
      {suite,
       "RefusesMatchingThatCameLater",
       {.opcodes = {IORING_OP_ASYNC_CANCEL}, .switches_off = {&Semantics::cancel_matching}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         prepare_cancel(ring, 1, IORING_ASYNC_CANCEL_ALL, 2);
         EXPECT_EQ(run_one(ring).res, -EINVAL);
       }},
      {suite, "CancelsAllOfOneUserDataAndCountsThem", matching,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe pipe = make_pipe();
         for (int i = 0; i < 3; ++i) prepare_poll(ring, pipe.read_end.get(), 1);
         prepare_poll(ring, pipe.read_end.get(), 5);
         submit_all(ring);
         prepare_cancel(ring, 1, IORING_ASYNC_CANCEL_ALL, 2);
         submit_all(ring);
         const std::vector<Completion> completions = take(ring, 4);
         EXPECT_EQ(find(completions, 2).res, 3);
         EXPECT_EQ(canceled(completions), 3);
         write_text(pipe.write_end.get(), "x");
         EXPECT_EQ(take(ring).user_data, 5u) << "the others are left alone";
       }},
      {suite, "CountsNoneWhereThereAreNone", matching,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         prepare_cancel(ring, 1, IORING_ASYNC_CANCEL_ALL, 2);
         EXPECT_EQ(run_one(ring), (Completion{2, 0, 0})) << "all of none is no error";
       }},
      {suite, "CancelsWhatIsInFlightOnAFile", matching,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe pipe = make_pipe();
         const Pipe other = make_pipe();
         prepare_poll(ring, pipe.read_end.get(), 1);
         prepare_poll(ring, other.read_end.get(), 3);
         submit_all(ring);
         prepare_cancel_fd(ring, pipe.read_end.get(), 0, 2);
         submit_all(ring);
         const std::vector<Completion> completions = take(ring, 2);
         EXPECT_EQ(find(completions, 1).res, -ECANCELED);
         EXPECT_EQ(find(completions, 2).res, 0);
         write_text(other.write_end.get(), "x");
         EXPECT_EQ(take(ring).user_data, 3u);
       }},
      {suite, "CancelsAllThatIsInFlightOnAFile", matching,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe pipe = make_pipe();
         prepare_poll(ring, pipe.read_end.get(), 1);
         prepare_poll(ring, pipe.read_end.get(), 3);
         submit_all(ring);
         prepare_cancel_fd(ring, pipe.read_end.get(), IORING_ASYNC_CANCEL_ALL, 2);
         submit_all(ring);
         const std::vector<Completion> completions = take(ring, 3);
         EXPECT_EQ(find(completions, 2).res, 2);
         EXPECT_EQ(canceled(completions), 2);
       }},
      {suite, "RefusesToCancelOnAFileThatIsNotOpen", matching,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         prepare_cancel_fd(ring, -1, 0, 2);
         EXPECT_EQ(run_one(ring).res, -EBADF);
       }},
      {suite, "CancelsAnythingAndCountsIt", matching,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe pipe = make_pipe();
         __kernel_timespec time{.tv_sec = 3600, .tv_nsec = 0};
         prepare_poll(ring, pipe.read_end.get(), 1);
         io_uring_sqe& sqe = next_sqe(ring);
         io_uring_prep_timeout(&sqe, &time, 0, 0);
         sqe.user_data = 3;
         submit_all(ring);
         prepare_cancel(ring, 0, IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL, 2);
         submit_all(ring);
         const std::vector<Completion> completions = take(ring, 3);
         EXPECT_EQ(find(completions, 1).res, -ECANCELED);
         EXPECT_EQ(find(completions, 3).res, -ECANCELED);
         EXPECT_EQ(find(completions, 2).res, 2);
       }},
      {suite,
       "CancelsByOpcode",
       {.switches_on = {&Semantics::cancel_by_op}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe pipe = make_pipe();
         __kernel_timespec time{.tv_sec = 3600, .tv_nsec = 0};
         prepare_poll(ring, pipe.read_end.get(), 1);
         io_uring_sqe& timeout = next_sqe(ring);
         io_uring_prep_timeout(&timeout, &time, 0, 0);
         timeout.user_data = 3;
         submit_all(ring);
         io_uring_sqe& sqe = prepare_cancel(ring, 0, uapi::kAsyncCancelOp, 2);
         sqe.len = IORING_OP_POLL_ADD;
         submit_all(ring);
         const std::vector<Completion> completions = take(ring, 2);
         EXPECT_EQ(find(completions, 2).res, 0);
         EXPECT_EQ(find(completions, 1).res, -ECANCELED);
         EXPECT_EQ(ring.get_events(), 0);
         EXPECT_EQ(ring.cq_ready(), 0u) << "the timeout is no poll";
       }},
      {suite,
       "EndsAMultishotPollWithoutMore",
       {.opcodes = {IORING_OP_ASYNC_CANCEL}, .switches_on = {&Semantics::poll_multishot}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe pipe = make_pipe();
         prepare_poll(ring, pipe.read_end.get(), 1).len = IORING_POLL_ADD_MULTI;
         submit_all(ring);
         prepare_cancel(ring, 1, 0, 2);
         submit_all(ring);
         EXPECT_EQ(find(take(ring, 2), 1), (Completion{1, -ECANCELED, 0}));
       }},
      {suite, "SeversTheChainOfWhatItCancels", cancel,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe pipe = make_pipe();
         prepare_poll(ring, pipe.read_end.get(), 1).flags = IOSQE_IO_LINK;
         prepare_nop(ring, 3);
         submit_all(ring);
         prepare_cancel(ring, 1, 0, 2);
         submit_all(ring);
         const std::vector<Completion> completions = take(ring, 3);
         EXPECT_EQ(find(completions, 1).res, -ECANCELED);
         EXPECT_EQ(find(completions, 3).res, -ECANCELED);
       }},
  };
}

}  // namespace assay::conformance
