// IORING_REGISTER_QUERY: what a kernel says of itself, without a ring.

#include <cerrno>
#include <cstdint>
#include <vector>

#include "assay/conformance/ring_actions.h"
#include "assay/conformance/ring_suites.h"

namespace assay::conformance {
namespace {

constexpr int kNoRing = -1;

uapi::Query question(void* answer, std::uint32_t bytes) {
  uapi::Query query{};
  query.query_data = reinterpret_cast<std::uint64_t>(answer);
  query.query_op = uapi::kQueryOpcodes;
  query.size = bytes;
  return query;
}

int ask(KernelUnderTest& kernel, uapi::Query& query, int fd = kNoRing) {
  return kernel.kernel().register_op(fd, uapi::kRegisterQuery, &query, 0);
}

}  // namespace

std::vector<Behaviour> ring_query_behaviours() {
  const std::string suite = "RingQuery";
  const Needs needs{.register_ops = {uapi::kRegisterQuery}};
  return {
      {suite, "TellsWhatThereIs", needs,
       [](KernelUnderTest& kernel) {
         uapi::QueryOpcodes answer{};
         uapi::Query query = question(&answer, sizeof answer);
         ASSERT_EQ(ask(kernel, query), 0);
         ASSERT_EQ(query.result, 0);
         EXPECT_EQ(query.size, sizeof answer);
         EXPECT_EQ(answer.features, kernel.profile().features);
         EXPECT_EQ(answer.setup_flags & kernel.profile().setup_flags, kernel.profile().setup_flags);
         EXPECT_EQ(answer.enter_flags & kernel.profile().enter_flags, kernel.profile().enter_flags);
         EXPECT_EQ(answer.sqe_flags & kernel.profile().sqe_flags, kernel.profile().sqe_flags);
         for (std::uint32_t op = answer.request_opcodes; op < 256; ++op) EXPECT_FALSE(kernel.profile().opcodes[op]);
         EXPECT_GT(answer.register_opcodes, uapi::kRegisterQuery);
       }},
      {suite, "TellsTheSameOfARing", needs,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         uapi::QueryOpcodes of_none{};
         uapi::QueryOpcodes of_ring{};
         uapi::Query query = question(&of_none, sizeof of_none);
         ASSERT_EQ(ask(kernel, query), 0);
         query = question(&of_ring, sizeof of_ring);
         ASSERT_EQ(ask(kernel, query, ring.fd()), 0);
         EXPECT_EQ(of_ring.features, of_none.features);
         EXPECT_EQ(of_ring.request_opcodes, of_none.request_opcodes);
       }},
      {suite, "GivesAsMuchAsThereIsRoomFor", needs,
       [](KernelUnderTest& kernel) {
         std::vector<std::uint32_t> answer(4, ~0u);
         uapi::Query query = question(answer.data(), 8);
         ASSERT_EQ(ask(kernel, query), 0);
         EXPECT_EQ(query.result, 0);
         EXPECT_EQ(query.size, 8u);
         EXPECT_NE(answer[0], ~0u);
         EXPECT_NE(answer[1], ~0u);
         EXPECT_EQ(answer[2], ~0u) << "what lies behind is left alone";
       }},
      {suite, "ClearsTheRoomThatItDoesNotNeed", needs,
       [](KernelUnderTest& kernel) {
         std::vector<std::uint64_t> answer(32, ~0ull);
         uapi::Query query = question(answer.data(), 256);
         ASSERT_EQ(ask(kernel, query), 0);
         EXPECT_LT(query.size, 256u);
         EXPECT_EQ(answer.back(), 0u);
       }},
      {suite,
       "TellsWhatRingMemoryBeginsWith",
       {.register_ops = {uapi::kRegisterQuery}, .since = {6, 19}},
       [](KernelUnderTest& kernel) {
         uapi::QueryRingHeader answer{};
         uapi::Query query = question(&answer, sizeof answer);
         query.query_op = uapi::kQueryRingHeader;
         ASSERT_EQ(ask(kernel, query), 0);
         ASSERT_EQ(query.result, 0);
         EXPECT_EQ(query.size, sizeof answer);
         Ring ring = open_ring(kernel);
         const auto header = reinterpret_cast<std::uintptr_t>(ring.raw()->cq.cqes) -
                             reinterpret_cast<std::uintptr_t>(ring.raw()->cq.ring_ptr);
         EXPECT_EQ(answer.bytes, header) << "the CQEs follow it";
         EXPECT_EQ(header % answer.alignment, 0u);
       }},
      {suite,
       "TellsNothingOfRingMemoryBefore",
       {.register_ops = {uapi::kRegisterQuery}, .until = {6, 19}},
       [](KernelUnderTest& kernel) {
         uapi::QueryRingHeader answer{};
         uapi::Query query = question(&answer, sizeof answer);
         query.query_op = uapi::kQueryRingHeader;
         ASSERT_EQ(ask(kernel, query), 0);
         EXPECT_EQ(query.result, -EOPNOTSUPP);
       }},
      {suite, "AnswersAListOfQuestions", needs,
       [](KernelUnderTest& kernel) {
         uapi::QueryOpcodes answers[2]{};
         uapi::Query second = question(&answers[1], sizeof answers[1]);
         uapi::Query first = question(&answers[0], sizeof answers[0]);
         first.next_entry = reinterpret_cast<std::uint64_t>(&second);
         ASSERT_EQ(ask(kernel, first), 0);
         EXPECT_EQ(answers[0].features, kernel.profile().features);
         EXPECT_EQ(answers[1].features, kernel.profile().features);
       }},
      {suite, "GoesOnAfterAQuestionThatItDoesNotKnow", needs,
       [](KernelUnderTest& kernel) {
         uapi::QueryOpcodes answers[2]{};
         uapi::Query second = question(&answers[1], sizeof answers[1]);
         uapi::Query first = question(&answers[0], sizeof answers[0]);
         first.query_op = 9999;
         first.next_entry = reinterpret_cast<std::uint64_t>(&second);
         ASSERT_EQ(ask(kernel, first), 0);
         EXPECT_EQ(first.result, -EOPNOTSUPP);
         EXPECT_EQ(first.size, 0u);
         EXPECT_EQ(second.result, 0);
         EXPECT_EQ(answers[1].features, kernel.profile().features);
       }},
      {suite, "RefusesAQuestionThatIsNotClean", needs,
       [](KernelUnderTest& kernel) {
         uapi::QueryOpcodes answer{};
         uapi::Query query = question(&answer, sizeof answer);
         query.resv[1] = 1;
         EXPECT_EQ(ask(kernel, query), 0);
         EXPECT_EQ(query.result, -EINVAL);
         query = question(&answer, sizeof answer);
         query.result = 5;
         EXPECT_EQ(ask(kernel, query), 0);
         EXPECT_EQ(query.result, -EINVAL);
         query = question(&answer, 0);
         EXPECT_EQ(ask(kernel, query), 0);
         EXPECT_EQ(query.result, -EINVAL) << "nowhere to put the answer";
       }},
      {suite, "EndsAListThatIsACircle", needs,
       [](KernelUnderTest& kernel) {
         uapi::QueryOpcodes answer{};
         uapi::Query query = question(&answer, sizeof answer);
         query.next_entry = reinterpret_cast<std::uint64_t>(&query);
         EXPECT_EQ(ask(kernel, query), -ERANGE);
       }},
      {suite, "ReadsQuestionsThatAreThere", needs,
       [](KernelUnderTest& kernel) {
         uapi::QueryOpcodes answer{};
         uapi::Query query = question(&answer, sizeof answer);
         EXPECT_EQ(kernel.kernel().register_op(kNoRing, uapi::kRegisterQuery, nullptr, 0), 0) << "no question";
         EXPECT_EQ(kernel.kernel().register_op(kNoRing, uapi::kRegisterQuery, reinterpret_cast<void*>(1), 0), -EFAULT);
         EXPECT_EQ(kernel.kernel().register_op(kNoRing, uapi::kRegisterQuery, &query, 1), -EINVAL);
         query = question(reinterpret_cast<void*>(1), sizeof answer);
         EXPECT_EQ(ask(kernel, query), -EFAULT);
       }},
  };
}

}  // namespace assay::conformance
