// How the SQ is read: order, wrap, the index array, counts, and what happens to an SQE that is wrong.

#include <cerrno>
#include <cstdint>

#include "assay/conformance/ring_actions.h"
#include "assay/conformance/ring_suites.h"

namespace assay::conformance {
namespace {

// The one bit of io_uring_sqe::flags that no kernel has given a meaning.
constexpr std::uint8_t kUnknownSqeFlag = 1u << 7;

/// Prepares three NOPs of which the second is refused at submission.
void prepare_batch_with_a_bad_sqe(Ring& ring) {
  prepare_nop(ring, 1);
  prepare_nop(ring, 2).flags = kUnknownSqeFlag;
  prepare_nop(ring, 3);
}

}  // namespace

std::vector<Behaviour> ring_submission_behaviours() {
  const std::string suite = "RingSubmission";
  return {
      {suite,
       "CarriesOutANop",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         prepare_nop(ring, 42);
         EXPECT_EQ(ring.submit(), 1);
         EXPECT_EQ(take(ring), (Completion{42, 0, 0}));
       }},
      {suite,
       "GivesUserDataBackUnchanged",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         for (const std::uint64_t user_data : {std::uint64_t{0}, std::uint64_t{1} << 63, 0x0123456789abcdefu}) {
           prepare_nop(ring, user_data);
           EXPECT_EQ(run_one(ring).user_data, user_data);
         }
       }},
      {suite,
       "KeepsOrderWhileTheSqWraps",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel, {.sq_entries = 4});
         std::uint64_t sent = 0;
         std::uint64_t seen = 0;
         for (int round = 0; round < 50; ++round) {
           for (int i = 0; i < 3; ++i) prepare_nop(ring, sent++);
           ASSERT_EQ(ring.submit(), 3);
           for (const Completion& completion : take(ring, 3)) EXPECT_EQ(completion, (Completion{seen++, 0, 0}));
         }
       }},
      {suite,
       "TakesAFullSqAtOnce",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel, {.sq_entries = 8});
         for (std::uint64_t i = 0; i < 8; ++i) prepare_nop(ring, i);
         EXPECT_EQ(ring.get_sqe(), nullptr);
         EXPECT_EQ(ring.submit(), 8);
         EXPECT_EQ(ring.sq_space_left(), 8u);
         EXPECT_EQ(take(ring, 8).back().user_data, 7u);
       }},
      {suite,
       "TakesNoMoreThanItIsTold",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         for (std::uint64_t i = 1; i <= 3; ++i) prepare_nop(ring, i);
         ring.flush_sq();
         EXPECT_EQ(kernel.kernel().enter(ring.fd(), 2, 0, 0, nullptr, 0), 2);
         EXPECT_EQ(ring.sq_ready(), 1u);
         EXPECT_EQ(take(ring, 2).back().user_data, 2u);
         EXPECT_EQ(ring.cq_ready(), 0u);
         EXPECT_EQ(ring.submit(), 1);
         EXPECT_EQ(take(ring).user_data, 3u);
       }},
      {suite,
       "TakesNoMoreThanThereIs",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel, {.sq_entries = 8});
         prepare_nop(ring, 1);
         prepare_nop(ring, 2);
         ring.flush_sq();
         EXPECT_EQ(kernel.kernel().enter(ring.fd(), 8, 0, 0, nullptr, 0), 2);
         EXPECT_EQ(kernel.kernel().enter(ring.fd(), 8, 0, 0, nullptr, 0), 0) << "an empty SQ is no error";
         EXPECT_EQ(take(ring, 2).back().user_data, 2u);
       }},
      {suite,
       "FollowsTheIndexArray",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel, {.sq_entries = 4});
         for (std::uint64_t i = 0; i < 4; ++i) prepare_nop(ring, i);
         for (unsigned i = 0; i < 4; ++i) ring.raw()->sq.array[i] = 3 - i;
         submit_all(ring);
         const std::vector<Completion> completions = take(ring, 4);
         for (unsigned i = 0; i < 4; ++i) EXPECT_EQ(completions[i].user_data, 3 - i);
       }},
      {suite,
       "DropsAndCountsAnIndexOutOfRange",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel, {.sq_entries = 4});
         prepare_nop(ring, 1);
         ring.raw()->sq.array[0] = 4;
         EXPECT_EQ(ring.submit(), 0);
         EXPECT_EQ(ring.sq_dropped_count(), 1u);
         EXPECT_EQ(ring.sq_ready(), 0u) << "the entry is gone from the SQ all the same";
         EXPECT_EQ(ring.cq_ready(), 0u);
         prepare_nop(ring, 2);
         EXPECT_EQ(run_one(ring).user_data, 2u) << "the next one is taken as ever";
       }},
      {suite,
       "StopsTheBatchAfterABadSqe",
       {.switches_on = {&Semantics::batch_stops_at_bad_sqe}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         prepare_batch_with_a_bad_sqe(ring);
         EXPECT_EQ(ring.submit(), 2) << "the bad one was consumed, what follows it was not";
         const std::vector<Completion> completions = take(ring, 2);
         EXPECT_EQ(find(completions, 1).res, 0);
         EXPECT_EQ(find(completions, 2).res, -EINVAL);
         EXPECT_EQ(ring.cq_ready(), 0u);
         EXPECT_EQ(ring.submit(), 1);
         EXPECT_EQ(take(ring), (Completion{3, 0, 0}));
       }},
      {suite,
       "GoesOnAfterABadSqeWhereItAlwaysDid",
       {.switches_off = {&Semantics::batch_stops_at_bad_sqe}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         prepare_batch_with_a_bad_sqe(ring);
         EXPECT_EQ(ring.submit(), 3);
         const std::vector<Completion> completions = take(ring, 3);
         EXPECT_EQ(find(completions, 2).res, -EINVAL);
         EXPECT_EQ(find(completions, 3).res, 0);
       }},
      {suite,
       "GoesOnAfterABadSqeWhenSubmitAllIsSet",
       {.setup_flags = IORING_SETUP_SUBMIT_ALL},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel, {.sq_entries = 8, .setup_flags = IORING_SETUP_SUBMIT_ALL});
         prepare_batch_with_a_bad_sqe(ring);
         EXPECT_EQ(ring.submit(), 3);
         const std::vector<Completion> completions = take(ring, 3);
         EXPECT_EQ(find(completions, 1).res, 0);
         EXPECT_EQ(find(completions, 2).res, -EINVAL);
         EXPECT_EQ(find(completions, 3).res, 0);
       }},
      {suite,
       "RefusesAnUnknownSqeFlag",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         prepare_nop(ring, 7).flags = kUnknownSqeFlag;
         EXPECT_EQ(run_one(ring), (Completion{7, -EINVAL, 0}));
       }},
      {suite,
       "RefusesSqeFlagsThatCameLater",
       {.without_features = IORING_FEAT_CQE_SKIP},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         prepare_nop(ring, 7).flags = IOSQE_CQE_SKIP_SUCCESS;
         EXPECT_EQ(run_one(ring).res, -EINVAL);
       }},
      {suite,
       "RefusesEveryOpcodeItDoesNotHave",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         for (unsigned opcode = 0; opcode < 256; ++opcode) {
           if (kernel.profile().opcodes[opcode]) continue;
           io_uring_sqe& sqe = next_sqe(ring, opcode);
           sqe.opcode = static_cast<std::uint8_t>(opcode);
           sqe.fd = -1;
           const Completion completion = run_one(ring);
           // A kernel built without, say, networking knows the opcode and says that it is not supported.
           EXPECT_TRUE(completion.res == -EINVAL || completion.res == -EOPNOTSUPP)
               << "opcode " << opcode << " ended with " << completion.res;
         }
       }},
      {suite,
       "RefusesAFileThatIsNotOpen",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         char byte = 0;
         iovec buffer{.iov_base = &byte, .iov_len = 1};
         io_uring_sqe& sqe = next_sqe(ring);
         io_uring_prep_readv(&sqe, -1, &buffer, 1, 0);
         sqe.user_data = 9;
         EXPECT_EQ(run_one(ring), (Completion{9, -EBADF, 0}));
       }},
      {suite,
       "SkipsTheCqeOfASuccessWhenAsked",
       {.features = IORING_FEAT_CQE_SKIP},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         prepare_nop(ring, 1).flags = IOSQE_CQE_SKIP_SUCCESS;
         prepare_nop(ring, 2);
         submit_all(ring);
         EXPECT_EQ(take(ring).user_data, 2u);
         EXPECT_EQ(ring.cq_ready(), 0u);
       }},
      {suite,
       "PostsTheCqeOfAFailureEvenWhenSuccessesAreSkipped",
       {.features = IORING_FEAT_CQE_SKIP},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         iovec buffer{};
         io_uring_sqe& sqe = next_sqe(ring);
         io_uring_prep_readv(&sqe, -1, &buffer, 1, 0);
         sqe.flags = IOSQE_CQE_SKIP_SUCCESS;
         sqe.user_data = 1;
         EXPECT_EQ(run_one(ring), (Completion{1, -EBADF, 0}));
       }},
      {suite,
       "CompletesARequestThatIsForcedAsync",
       {.since = {5, 6}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("abcd");
         char bytes[4] = {};
         iovec buffer{.iov_base = bytes, .iov_len = sizeof bytes};
         io_uring_sqe& sqe = next_sqe(ring);
         io_uring_prep_readv(&sqe, file.get(), &buffer, 1, 0);
         sqe.flags = IOSQE_ASYNC;
         EXPECT_EQ(run_one(ring).res, 4);
         EXPECT_EQ(std::string(bytes, 4), "abcd");
       }},
      {suite,
       "EndsANopWithTheResultThatItIsGiven",
       {.since = {6, 10}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         io_uring_sqe& sqe = prepare_nop(ring, 1);
         sqe.rw_flags = uapi::kNopInjectResult;
         sqe.len = static_cast<unsigned>(-EIO);
         EXPECT_EQ(run_one(ring), (Completion{1, -EIO, 0}));
       }},
      {suite,
       "RefusesUnknownNopFlags",
       {.since = {6, 10}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         prepare_nop(ring, 1).rw_flags = static_cast<int>(1u << 31);
         EXPECT_EQ(run_one(ring).res, -EINVAL);
       }},
  };
}

}  // namespace assay::conformance
