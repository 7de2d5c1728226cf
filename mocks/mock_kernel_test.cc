#include "assay/mocks/mock_kernel.h"

#include <gtest/gtest.h>

#include "assay/backend/ring.h"

namespace assay {
namespace {

using testing::_;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::Pointee;
using testing::Return;

template <typename Matcher, typename Value>
std::string explanation(const Matcher& matcher, const Value& value) {
  testing::StringMatchResultListener listener;
  testing::SafeMatcherCast<const Value&>(matcher).MatchAndExplain(value, &listener);
  return listener.str();
}

TEST(MockKernel, AnswersEnosysUntilTold) {
  testing::NiceMock<MockKernel> kernel;
  io_uring_params params{};
  EXPECT_EQ(kernel.setup(8, &params), -ENOSYS);
  EXPECT_EQ(kernel.enter(3, 0, 0, 0, nullptr, 0), -ENOSYS);
  EXPECT_EQ(kernel.register_op(3, 0, nullptr, 0), -ENOSYS);
  EXPECT_EQ(kernel.close(3), -ENOSYS);
  EXPECT_EQ(kernel.name(), "mock");
}

TEST(MockKernel, TellsTheTimeThatTheTestSets) {
  testing::NiceMock<MockKernel> kernel;
  kernel.clock = {.tv_sec = 7, .tv_nsec = 9};
  timespec time{};
  EXPECT_EQ(kernel.now(CLOCK_MONOTONIC, &time), 0);
  EXPECT_EQ(time.tv_sec, 7);
  EXPECT_EQ(time.tv_nsec, 9);
}

TEST(MockKernel, ServesMemoryThatARingRunsOn) {
  testing::NiceMock<MockKernel> kernel;
  MockRing memory({.sq_entries = 4, .cq_entries = 8});
  kernel.serve(memory);
  Result<Ring> ring = Ring::create(kernel, {.sq_entries = 4});
  ASSERT_TRUE(ring) << ring.error().message();
  EXPECT_EQ(ring->fd(), memory.fd());
  EXPECT_EQ(ring->sq_entries(), 4u);
  EXPECT_EQ(ring->cq_entries(), 8u);

  io_uring_sqe* sqe = ring->get_sqe();
  ASSERT_NE(sqe, nullptr);
  io_uring_prep_read(sqe, 5, nullptr, 100, 0);
  sqe->user_data = 42;
  EXPECT_EQ(ring->submit(), 1);
  EXPECT_THAT(memory.consumed(), ElementsAre(SqeIs(IORING_OP_READ, 5, 42)));

  EXPECT_TRUE(memory.post(42, 100, IORING_CQE_F_MORE));
  ASSERT_NE(ring->peek_cqe(), nullptr);
  EXPECT_THAT(*ring->peek_cqe(), CqeIs(42, 100, IORING_CQE_F_MORE));
}

TEST(MockKernel, ScriptsSingleCallsAboveTheServedMemory) {
  testing::NiceMock<MockKernel> kernel;
  MockRing memory;
  kernel.serve(memory);
  Result<Ring> ring = Ring::create(kernel);
  ASSERT_TRUE(ring) << ring.error().message();
  io_uring_prep_nop(ring->get_sqe());
  EXPECT_CALL(kernel, enter(memory.fd(), 1, 0, _, _, _)).WillOnce(Return(-EAGAIN)).WillOnce([&memory](auto...) {
    return static_cast<int>(memory.consume(1));
  });
  EXPECT_EQ(ring->submit(), -EAGAIN);
  EXPECT_EQ(memory.offered().size(), 1u);
  EXPECT_EQ(ring->submit(), 1);
  EXPECT_THAT(memory.offered(), ElementsAre());
}

TEST(MockRing, ConsumesThroughTheIndexArray) {
  testing::NiceMock<MockKernel> kernel;
  MockRing memory({.sq_entries = 4});
  kernel.serve(memory);
  Result<Ring> ring = Ring::create(kernel);
  ASSERT_TRUE(ring) << ring.error().message();
  for (std::uint64_t i = 0; i < 3; ++i) {
    io_uring_sqe* sqe = ring->get_sqe();
    io_uring_prep_nop(sqe);
    sqe->user_data = i;
  }
  ring->flush_sq();
  std::swap(memory.index(0), memory.index(2));
  memory.index(1) = 99;
  EXPECT_EQ(memory.consume(3), 1u);
  EXPECT_EQ(memory.consume(3), 1u);
  EXPECT_THAT(memory.consumed(), ElementsAre(HasUserData(2u), HasUserData(0u)));
  EXPECT_EQ(ring->sq_dropped_count(), 1u);
}

TEST(MockRing, CountsWhatAFullCqDrops) {
  MockRing memory({.sq_entries = 1, .cq_entries = 2});
  EXPECT_TRUE(memory.post(1, 0));
  EXPECT_TRUE(memory.post(2, 0));
  EXPECT_FALSE(memory.post(3, 0));
}

TEST(MockRing, RefusesMapsThatLinuxRefuses) {
  MockRing memory({.sq_entries = 4});
  void* address = nullptr;
  EXPECT_EQ(memory.map(0x18000000, 64, &address), -EINVAL);
  EXPECT_EQ(memory.map(IORING_OFF_SQES, 5 * 128, &address), -EINVAL);
  EXPECT_EQ(memory.map(IORING_OFF_SQES, 4 * 64, &address), 0);
}

TEST(UringMatchers, MatchSqesByWhatIsNamed) {
  io_uring_sqe sqe{};
  io_uring_prep_write(&sqe, 3, nullptr, 10, 0);
  sqe.user_data = 7;
  sqe.flags = IOSQE_IO_LINK | IOSQE_ASYNC;
  EXPECT_THAT(sqe, SqeIs(IORING_OP_WRITE));
  EXPECT_THAT(sqe, SqeIs(IORING_OP_WRITE, 3));
  EXPECT_THAT(sqe, SqeIs(IORING_OP_WRITE, _, 7));
  EXPECT_THAT(sqe, Not(SqeIs(IORING_OP_READ)));
  EXPECT_THAT(sqe, Not(SqeIs(IORING_OP_WRITE, 4)));
  EXPECT_THAT(sqe, Not(SqeIs(IORING_OP_WRITE, 3, 8)));
  EXPECT_THAT(sqe, HasFlags(IOSQE_IO_LINK));
  EXPECT_THAT(sqe, Not(HasFlags(IOSQE_IO_LINK | IOSQE_IO_DRAIN)));
  EXPECT_THAT(sqe, HasLength(10));
  EXPECT_THAT(&sqe, Pointee(HasFd(3)));
}

TEST(UringMatchers, MatchCqesByWhatIsNamed) {
  io_uring_cqe cqe{};
  cqe.user_data = 7;
  cqe.res = -EIO;
  cqe.flags = IORING_CQE_F_MORE;
  EXPECT_THAT(cqe, CqeIs(7, -EIO));
  EXPECT_THAT(cqe, CqeIs(7, testing::Lt(0), IORING_CQE_F_MORE));
  EXPECT_THAT(cqe, Not(CqeIs(7, -EIO, 0)));
  EXPECT_THAT(cqe, Not(CqeIs(8, -EIO)));
  EXPECT_THAT(cqe, HasResult(-EIO));
  EXPECT_THAT(cqe, HasFlags(IORING_CQE_F_MORE));
}

TEST(UringMatchers, ExplainInNamesWhatTheySaw) {
  io_uring_sqe sqe{};
  io_uring_prep_write(&sqe, 3, nullptr, 10, 0);
  sqe.flags = IOSQE_IO_LINK;
  EXPECT_EQ(explanation(HasOpcode(IORING_OP_READ), sqe), "whose opcode is WRITE");
  EXPECT_EQ(explanation(HasFlags(IOSQE_ASYNC), sqe), "whose flags are IO_LINK");
  EXPECT_THAT(testing::PrintToString(sqe), HasSubstr("WRITE fd=3"));
  testing::Matcher<const io_uring_sqe&> matcher = HasOpcode(IORING_OP_READ);
  std::ostringstream description;
  matcher.DescribeTo(&description);
  EXPECT_EQ(description.str(), "has opcode READ");

  io_uring_cqe cqe{};
  cqe.flags = IORING_CQE_F_MORE;
  EXPECT_EQ(explanation(HasFlags(IORING_CQE_F_NOTIF), cqe), "whose flags are MORE");
  EXPECT_THAT(testing::PrintToString(cqe), HasSubstr("flags=MORE"));
}

}  // namespace
}  // namespace assay
