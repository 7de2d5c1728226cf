// The CQ: order, wrap, and what becomes of a completion for which it has no room.
//
// A CQ is filled by three batches of NOPs into a ring of 4 SQEs and 8 CQEs: two fill it, the third finds no room. In
// one batch more it would be the submission that is at issue, for kernels of 5.5 to 5.12 refuse that.

#include <cerrno>
#include <cstdint>

#include "assay/conformance/ring_actions.h"
#include "assay/conformance/ring_suites.h"

namespace assay::conformance {
namespace {

constexpr RingOptions kSmall{.sq_entries = 4};

/// Submits four NOPs with the next numbers.
void submit_four(Ring& ring, std::uint64_t& number) {
  for (int i = 0; i < 4; ++i) prepare_nop(ring, ++number);
  submit_all(ring);
}

/// Twelve NOPs, numbered from 1, into a CQ of eight.
void overflow(Ring& ring) {
  std::uint64_t number = 0;
  for (int batch = 0; batch < 3; ++batch) submit_four(ring, number);
}

void expect_numbers(const std::vector<Completion>& completions, std::uint64_t first, std::size_t count) {
  ASSERT_EQ(completions.size(), count);
  for (std::size_t i = 0; i < count; ++i) EXPECT_EQ(completions[i], (Completion{first + i, 0, 0}));
}

bool overflow_flag(Ring& ring) { return (*ring.raw()->sq.kflags & IORING_SQ_CQ_OVERFLOW) != 0; }

}  // namespace

std::vector<Behaviour> ring_overflow_behaviours() {
  const std::string completion = "RingCompletion";
  const std::string suite = "RingOverflow";
  return {
      {completion,
       "KeepsOrderWhileTheCqWraps",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel, kSmall);
         std::uint64_t number = 0;
         std::uint64_t seen = 0;
         for (int round = 0; round < 30; ++round) {
           submit_four(ring, number);
           for (const Completion& each : take(ring, 4)) EXPECT_EQ(each.user_data, ++seen);
         }
       }},
      {completion,
       "FillsTheCqToItsLastEntry",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel, kSmall);
         std::uint64_t number = 0;
         submit_four(ring, number);
         submit_four(ring, number);
         EXPECT_EQ(ring.cq_ready(), 8u);
         EXPECT_EQ(ring.cq_overflow_count(), 0u);
         EXPECT_FALSE(overflow_flag(ring));
         expect_numbers(take_ready(ring), 1, 8);
       }},
      {completion,
       "LeavesCqesAloneUntilTheyAreGivenBack",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel, kSmall);
         std::uint64_t number = 0;
         submit_four(ring, number);
         const io_uring_cqe* first = ring.peek_cqe();
         ASSERT_NE(first, nullptr);
         submit_four(ring, number);
         EXPECT_EQ(first->user_data, 1u);
         EXPECT_EQ(ring.peek_cqe(), first);
         expect_numbers(take_ready(ring), 1, 8);
       }},
      {suite,
       "LosesAndCountsWhatDoesNotFit",
       {.switches_on = {&Semantics::overflow_drops}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel, kSmall);
         overflow(ring);
         EXPECT_EQ(ring.cq_overflow_count(), 4u);
         expect_numbers(take_ready(ring), 1, 8);
         EXPECT_EQ(ring.get_events(), 0);
         EXPECT_EQ(ring.cq_ready(), 0u) << "what was lost does not come back";
         prepare_nop(ring, 99);
         EXPECT_EQ(run_one(ring).user_data, 99u);
       }},
      {suite,
       "KeepsEveryCqeWhenNodropIsSet",
       {.features = IORING_FEAT_NODROP},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel, kSmall);
         overflow(ring);
         EXPECT_EQ(ring.cq_ready(), 8u);
         expect_numbers(take_ready(ring), 1, 8);
         EXPECT_EQ(ring.get_events(), 0);
         expect_numbers(take_ready(ring), 9, 4);
         EXPECT_EQ(ring.cq_overflow_count(), 0u) << "nothing was lost, so nothing is counted";
       }},
      {suite,
       "FlagsTheBacklogUntilItIsFlushed",
       {.features = IORING_FEAT_NODROP, .since = {5, 8}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel, kSmall);
         overflow(ring);
         EXPECT_TRUE(overflow_flag(ring));
         take_ready(ring);
         EXPECT_TRUE(overflow_flag(ring)) << "room alone moves nothing";
         EXPECT_EQ(ring.get_events(), 0);
         EXPECT_FALSE(overflow_flag(ring));
         expect_numbers(take_ready(ring), 9, 4);
       }},
      {suite,
       "FlushesAsMuchAsThereIsRoomFor",
       {.features = IORING_FEAT_NODROP, .since = {5, 8}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel, kSmall);
         overflow(ring);
         expect_numbers(take(ring, 3), 1, 3);
         ring.get_events();
         EXPECT_EQ(ring.cq_ready(), 8u);
         EXPECT_TRUE(overflow_flag(ring));
         expect_numbers(take_ready(ring), 4, 8);
         ring.get_events();
         expect_numbers(take_ready(ring), 12, 1);
         EXPECT_FALSE(overflow_flag(ring));
       }},
      {suite,
       "FlushesWhenAWaitNeedsIt",
       {.features = IORING_FEAT_NODROP},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel, kSmall);
         overflow(ring);
         take_ready(ring);
         EXPECT_EQ(ring.submit_and_wait(4), 0);
         expect_numbers(take_ready(ring), 9, 4);
       }},
      {suite,
       "RefusesToSubmitOverABacklogWhereItDid",
       {.switches_on = {&Semantics::submit_ebusy_on_overflow}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel, kSmall);
         overflow(ring);
         prepare_nop(ring, 13);
         EXPECT_EQ(ring.submit(), -EBUSY);
         EXPECT_EQ(ring.sq_ready(), 1u) << "nothing was consumed";
         expect_numbers(take_ready(ring), 1, 8);
         EXPECT_EQ(ring.submit(), 1) << "with room the backlog is flushed first";
         ring.get_events();
         expect_numbers(take_ready(ring), 9, 5);
       }},
      {suite,
       "SubmitsOverABacklog",
       {.features = IORING_FEAT_NODROP, .switches_off = {&Semantics::submit_ebusy_on_overflow}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel, kSmall);
         overflow(ring);
         prepare_nop(ring, 13);
         EXPECT_EQ(ring.submit(), 1);
         take_ready(ring);
         ring.get_events();
         expect_numbers(take_ready(ring), 9, 5);
       }},
      {suite,
       "NeverOvertakesTheBacklog",
       {.features = IORING_FEAT_NODROP, .since = {6, 1}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel, kSmall);
         overflow(ring);
         expect_numbers(take_ready(ring), 1, 8);
         // There is room now, but four older ones wait.
         prepare_nop(ring, 13);
         ring.flush_sq();
         // By hand, for Ring would ask for the backlog in the same call.
         EXPECT_EQ(kernel.kernel().enter(ring.fd(), 1, 0, 0, nullptr, 0), 1);
         EXPECT_EQ(ring.cq_ready(), 0u);
         ring.get_events();
         expect_numbers(take_ready(ring), 9, 5);
       }},
      {suite,
       "KeepsALongBacklogInOrder",
       {.features = IORING_FEAT_NODROP, .switches_off = {&Semantics::submit_ebusy_on_overflow}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel, kSmall);
         std::uint64_t number = 0;
         for (int batch = 0; batch < 25; ++batch) submit_four(ring, number);
         std::uint64_t seen = 0;
         while (seen < number) {
           const std::vector<Completion> completions = take_ready(ring);
           ASSERT_FALSE(completions.empty()) << "after " << seen;
           for (const Completion& each : completions) EXPECT_EQ(each.user_data, ++seen);
           ring.get_events();
         }
         EXPECT_EQ(ring.cq_ready(), 0u);
       }},
  };
}

}  // namespace assay::conformance
