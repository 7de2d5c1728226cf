// POLL_ADD, once and many times, and POLL_REMOVE, which also updates.

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "assay/conformance/ring_actions.h"
#include "assay/conformance/ring_suites.h"

namespace assay::conformance {
namespace {

io_uring_sqe& prepare_poll(Ring& ring, int fd, unsigned events, std::uint64_t user_data) {
  io_uring_sqe& sqe = next_sqe(ring);
  io_uring_prep_poll_add(&sqe, fd, events);
  sqe.user_data = user_data;
  return sqe;
}

io_uring_sqe& prepare_multishot_poll(Ring& ring, int fd, unsigned events, std::uint64_t user_data) {
  io_uring_sqe& sqe = prepare_poll(ring, fd, events, user_data);
  sqe.len = IORING_POLL_ADD_MULTI;
  return sqe;
}

io_uring_sqe& prepare_poll_remove(Ring& ring, std::uint64_t which, std::uint64_t user_data) {
  io_uring_sqe& sqe = next_sqe(ring);
  io_uring_prep_poll_remove(&sqe, which);
  sqe.user_data = user_data;
  return sqe;
}

io_uring_sqe& prepare_poll_update(Ring& ring, std::uint64_t which, std::uint64_t new_user_data, unsigned events,
                                  unsigned flags, std::uint64_t user_data) {
  io_uring_sqe& sqe = next_sqe(ring);
  io_uring_prep_poll_update(&sqe, which, new_user_data, events, flags);
  sqe.user_data = user_data;
  return sqe;
}

void signal_eventfd(const Fd& eventfd) {
  const std::uint64_t one = 1;
  EXPECT_EQ(::write(eventfd.get(), &one, sizeof one), static_cast<ssize_t>(sizeof one));
}

}  // namespace

std::vector<Behaviour> ring_poll_behaviours() {
  const std::string suite = "RingPoll";
  const Needs multishot{.switches_on = {&Semantics::poll_multishot}};
  return {
      {suite,
       "WaitsForReadiness",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe pipe = make_pipe();
         prepare_poll(ring, pipe.read_end.get(), POLLIN, 1);
         submit_all(ring);
         EXPECT_EQ(ring.get_events(), 0);
         EXPECT_EQ(ring.cq_ready(), 0u);
         write_text(pipe.write_end.get(), "x");
         const Completion completion = take(ring);
         EXPECT_EQ(completion.user_data, 1u);
         EXPECT_EQ(completion.res & POLLIN, POLLIN);
         EXPECT_EQ(completion.flags, 0u);
       }},
      {suite,
       "CompletesAtOnceWhereItIsReady",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe pipe = make_pipe();
         prepare_poll(ring, pipe.write_end.get(), POLLOUT, 1);
         submit_all(ring);
         EXPECT_EQ(ring.cq_ready(), 1u);
         EXPECT_EQ(take(ring).res & POLLOUT, POLLOUT);
       }},
      {suite,
       "FindsAFileAlwaysReady",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("x");
         prepare_poll(ring, file.get(), POLLIN, 1);
         EXPECT_EQ(run_one(ring).res & POLLIN, POLLIN);
       }},
      {suite,
       "FiresOnceOnly",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd eventfd = make_eventfd();
         prepare_poll(ring, eventfd.get(), POLLIN, 1);
         submit_all(ring);
         signal_eventfd(eventfd);
         take(ring);
         signal_eventfd(eventfd);
         EXPECT_EQ(ring.get_events(), 0);
         EXPECT_EQ(ring.cq_ready(), 0u);
       }},
      {suite,
       "TellsOfAHangUpThoughNobodyAsked",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         Pipe pipe = make_pipe();
         prepare_poll(ring, pipe.read_end.get(), POLLIN, 1);
         submit_all(ring);
         pipe.write_end.reset();
         EXPECT_EQ(take(ring).res & POLLHUP, POLLHUP);
       }},
      {suite,
       "TellsOfAnErrorThoughNobodyAsked",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         Pipe pipe = make_pipe();
         pipe.read_end.reset();
         prepare_poll(ring, pipe.write_end.get(), POLLPRI, 1);
         EXPECT_EQ(run_one(ring).res & POLLERR, POLLERR);
       }},
      {suite,
       "RefusesAFileThatIsNotOpen",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         prepare_poll(ring, -1, POLLIN, 1);
         EXPECT_EQ(run_one(ring).res, -EBADF);
       }},
      {suite,
       "GoesOnWhenTheFdIsClosedUnderIt",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         Pipe pipe = make_pipe();
         prepare_poll(ring, pipe.read_end.get(), POLLIN, 1);
         submit_all(ring);
         pipe.read_end.reset();
         EXPECT_EQ(ring.get_events(), 0);
         EXPECT_EQ(ring.cq_ready(), 0u);
         write_text(pipe.write_end.get(), "x");
         EXPECT_EQ(take(ring).res & POLLIN, POLLIN);
       }},
      {suite,
       "ServesEveryPollOfOneFile",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd eventfd = make_eventfd();
         for (std::uint64_t i = 1; i <= 3; ++i) prepare_poll(ring, eventfd.get(), POLLIN, i);
         submit_all(ring);
         signal_eventfd(eventfd);
         const std::vector<Completion> completions = take(ring, 3);
         for (std::uint64_t i = 1; i <= 3; ++i) EXPECT_EQ(find(completions, i).res & POLLIN, POLLIN);
       }},
      {suite,
       "RemovesAPollThatWaits",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe pipe = make_pipe();
         prepare_poll(ring, pipe.read_end.get(), POLLIN, 1);
         submit_all(ring);
         prepare_poll_remove(ring, 1, 2);
         submit_all(ring);
         const std::vector<Completion> completions = take(ring, 2);
         EXPECT_EQ(find(completions, 1).res, -ECANCELED);
         EXPECT_EQ(find(completions, 2).res, 0);
         write_text(pipe.write_end.get(), "x");
         EXPECT_EQ(ring.get_events(), 0);
         EXPECT_EQ(ring.cq_ready(), 0u);
       }},
      {suite,
       "FindsNothingToRemove",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         prepare_poll_remove(ring, 77, 2);
         EXPECT_EQ(run_one(ring), (Completion{2, -ENOENT, 0}));
       }},
      {suite,
       "RefusesUnknownPollFlags",
       {.since = {5, 13}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe pipe = make_pipe();
         prepare_poll(ring, pipe.read_end.get(), POLLIN, 1).len = 1u << 10;
         EXPECT_EQ(run_one(ring).res, -EINVAL);
       }},
      {suite,
       "RefusesAMultishotPollThatCameLater",
       {.switches_off = {&Semantics::poll_multishot}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe pipe = make_pipe();
         prepare_multishot_poll(ring, pipe.read_end.get(), POLLIN, 1);
         EXPECT_EQ(run_one(ring).res, -EINVAL);
       }},
      {suite,
       "RefusesTheLevelFlagThatOnlyTheHeaderHas",
       {},
       [](KernelUnderTest& kernel) {
         constexpr std::uint32_t kLevel = 1u << 3;  // IORING_POLL_ADD_LEVEL
         Ring ring = open_ring(kernel);
         const Fd eventfd = make_eventfd();
         for (const std::uint32_t flags : {kLevel, kLevel | IORING_POLL_ADD_MULTI}) {
           io_uring_sqe& sqe = next_sqe(ring, 1);
           io_uring_prep_poll_add(&sqe, eventfd.get(), POLLIN);
           sqe.user_data = 1;
           sqe.len = flags;
           EXPECT_EQ(run_one(ring), (Completion{1, -EINVAL, 0}));
         }
       }},
      {suite, "FiresAgainAndAgainWhenMultishot", multishot,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd eventfd = make_eventfd();
         prepare_multishot_poll(ring, eventfd.get(), POLLIN, 1);
         submit_all(ring);
         for (int i = 0; i < 3; ++i) {
           signal_eventfd(eventfd);
           const Completion completion = take(ring);
           EXPECT_EQ(completion.user_data, 1u);
           EXPECT_EQ(completion.res & POLLIN, POLLIN);
           EXPECT_EQ(completion.flags, IORING_CQE_F_MORE);
         }
         EXPECT_EQ(ring.get_events(), 0);
         EXPECT_EQ(ring.cq_ready(), 0u) << "an fd that stays ready fires when it is signalled, not all the time";
       }},
      {suite, "FiresAtOnceWhenMultishotAndReady", multishot,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd eventfd = make_eventfd();
         signal_eventfd(eventfd);
         prepare_multishot_poll(ring, eventfd.get(), POLLIN, 1);
         EXPECT_EQ(run_one(ring).flags, IORING_CQE_F_MORE);
         signal_eventfd(eventfd);
         EXPECT_EQ(take(ring).flags, IORING_CQE_F_MORE);
       }},
      {suite, "EndsAMultishotPollWithoutMoreWhenItIsRemoved", multishot,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd eventfd = make_eventfd();
         prepare_multishot_poll(ring, eventfd.get(), POLLIN, 1);
         submit_all(ring);
         signal_eventfd(eventfd);
         EXPECT_EQ(take(ring).flags, IORING_CQE_F_MORE);
         prepare_poll_remove(ring, 1, 2);
         submit_all(ring);
         const std::vector<Completion> completions = take(ring, 2);
         EXPECT_EQ(find(completions, 1), (Completion{1, -ECANCELED, 0}));
         EXPECT_EQ(find(completions, 2).res, 0);
       }},
      {suite,
       "ChangesWhatAPollWaitsFor",
       {.switches_on = {&Semantics::poll_multishot}, .switches_off = {&Semantics::poll_update_loses_ready}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd eventfd = make_eventfd();
         prepare_poll(ring, eventfd.get(), POLLIN, 1);
         submit_all(ring);
         prepare_poll_update(ring, 1, 0, POLLOUT, IORING_POLL_UPDATE_EVENTS, 2);
         submit_all(ring);
         const std::vector<Completion> completions = take(ring, 2);
         EXPECT_EQ(find(completions, 2).res, 0);
         EXPECT_EQ(find(completions, 1).res, POLLOUT) << "it can be written to already";
       }},
      {suite,
       "LosesAPollThatIsChangedToWhatIsReady",
       {.switches_on = {&Semantics::poll_update_loses_ready}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd eventfd = make_eventfd();
         prepare_poll(ring, eventfd.get(), POLLIN, 1);
         submit_all(ring);
         prepare_poll_update(ring, 1, 0, POLLOUT, IORING_POLL_UPDATE_EVENTS, 2);
         submit_all(ring);
         EXPECT_EQ(take(ring), (Completion{2, 0, 0}));
         ring.get_events();
         EXPECT_EQ(ring.peek_cqe(), nullptr) << "it never completes";
       }},
      {suite, "ChangesTheUserDataOfAPoll", multishot,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd eventfd = make_eventfd();
         prepare_poll(ring, eventfd.get(), POLLIN, 1);
         submit_all(ring);
         prepare_poll_update(ring, 1, 3, 0, IORING_POLL_UPDATE_USER_DATA, 2);
         EXPECT_EQ(run_one(ring), (Completion{2, 0, 0}));
         signal_eventfd(eventfd);
         EXPECT_EQ(take(ring).user_data, 3u);
       }},
      {suite, "FindsNothingToUpdate", multishot,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         prepare_poll_update(ring, 77, 0, POLLOUT, IORING_POLL_UPDATE_EVENTS, 2);
         EXPECT_EQ(run_one(ring), (Completion{2, -ENOENT, 0}));
       }},
      {suite,
       "LosesNoEventOfAMultishotPollToAFullCq",
       {.features = IORING_FEAT_NODROP, .switches_on = {&Semantics::poll_multishot}},
       [](KernelUnderTest& kernel) {
         // Whether it posts to the backlog or ends, as later kernels do: the count of eventfd stays readable, and
         // whoever polls learns that there is more.
         Ring ring = open_ring(kernel, {.sq_entries = 1});
         const Fd eventfd = make_eventfd();
         prepare_multishot_poll(ring, eventfd.get(), POLLIN, 1);
         submit_all(ring);
         for (int i = 0; i < 6; ++i) {
           signal_eventfd(eventfd);
           ring.get_events();
         }
         std::vector<Completion> completions;
         for (int i = 0; i < 8; ++i) {
           for (const Completion& each : take_ready(ring)) completions.push_back(each);
           ring.get_events();
         }
         ASSERT_GE(completions.size(), 2u);
         for (std::size_t i = 0; i < completions.size(); ++i) {
           EXPECT_EQ(completions[i].res & POLLIN, POLLIN);
           if (i + 1 < completions.size()) {
             EXPECT_EQ(completions[i].flags, IORING_CQE_F_MORE);
           }
         }
         if (kernel.profile().semantics.multishot_ends_on_overflow) {
           EXPECT_EQ(completions.back().flags, 0u) << "a poll that had no room ends";
         } else {
           EXPECT_EQ(completions.back().flags, IORING_CQE_F_MORE);
           EXPECT_EQ(completions.size(), 6u);
         }
       }},
  };
}

}  // namespace assay::conformance
