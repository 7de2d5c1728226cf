// Completion faults, which only a simulated kernel can be asked for.

#include "assay/faultinject/plan_chooser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "assay/backend/ring.h"
#include "assay/faultinject/kernel_stack.h"
#include "assay/mocks/uring_matchers.h"

namespace assay {
namespace {

using testing::ElementsAre;
using testing::SizeIs;

FaultPlan plan_of(std::string_view text) {
  Result<FaultPlan> plan = parse_fault_plan(text);
  EXPECT_TRUE(plan) << (plan ? "" : plan.error().message());
  return plan ? *plan : FaultPlan{};
}

std::shared_ptr<FaultSchedule> schedule_of(std::string_view text) {
  return std::make_shared<FaultSchedule>(plan_of(text));
}

// ---- Answers

TEST(PlanChooser, WithoutRulesItIsTheSeededChooser) {
  PlanChooser chooser(schedule_of(""), 5);
  SeededChooser seeded(5);
  io_uring_sqe sqe{};
  for (int round = 0; round < 200; ++round) {
    for (const ChoicePoint point : {ChoicePoint::kCompletionOrder, ChoicePoint::kCompletionLater,
                                    ChoicePoint::kTransferLength, ChoicePoint::kResultError, ChoicePoint::kMultishotEnd,
                                    ChoicePoint::kOverflowAllocation, ChoicePoint::kCqFull}) {
      const Choice choice{.point = point, .limit = 9, .sqe = &sqe};
      EXPECT_EQ(chooser.choose(choice), seeded.choose(choice));
    }
  }
}

TEST(PlanChooser, ARuleThatFiresDoesNotShiftWhatTheSeedDecides) {
  PlanChooser chooser(schedule_of("cqe/reorder:nth=3"), 5);
  SeededChooser seeded(5);
  const Choice choice{.point = ChoicePoint::kCompletionOrder, .limit = 100, .sqe = nullptr};
  for (int round = 1; round <= 50; ++round) {
    const std::uint64_t usual = seeded.choose(choice);
    EXPECT_EQ(chooser.choose(choice), round == 3 ? 99 : usual);
  }
}

TEST(PlanChooser, EachPointHasItsAnswer) {
  io_uring_sqe read{};
  read.opcode = IORING_OP_READ;
  const auto answer = [&read](std::string_view plan, ChoicePoint point, std::uint64_t limit) {
    PlanChooser chooser(schedule_of(plan), 0);
    return chooser.choose({.point = point, .limit = limit, .sqe = &read});
  };
  EXPECT_EQ(answer("cqe/reorder", ChoicePoint::kCompletionOrder, 4), 3u);
  EXPECT_EQ(answer("cqe/reorder", ChoicePoint::kCompletionOrder, 1), 0u) << "none that could precede";
  EXPECT_EQ(answer("cqe/later", ChoicePoint::kCompletionLater, 2), 1u);
  EXPECT_EQ(answer("cqe/short:bytes=3", ChoicePoint::kTransferLength, 10), 3u);
  EXPECT_EQ(answer("cqe/short:bytes=30", ChoicePoint::kTransferLength, 10), 10u);
  EXPECT_EQ(answer("cqe/short", ChoicePoint::kTransferLength, 1), 1u);
  EXPECT_EQ(answer("cqe/errno:errno=EIO", ChoicePoint::kResultError, 4096), static_cast<std::uint64_t>(EIO));
  EXPECT_EQ(answer("cqe/errno:errno=EIO:op=WRITE", ChoicePoint::kResultError, 4096), 0u);
  EXPECT_EQ(answer("cqe/multishot-end", ChoicePoint::kMultishotEnd, 2), 1u);
  EXPECT_EQ(answer("cqe/drop", ChoicePoint::kOverflowAllocation, 2), 1u);
  EXPECT_EQ(answer("cqe/full", ChoicePoint::kCqFull, 2), 1u);
}

// ---- Effects on a simulated kernel

class CompletionFaults : public testing::Test {
 protected:
  void open(const std::string& plan, const std::string& kernel = "sim:linux-6.12.0,strict") {
    Result<std::unique_ptr<KernelStack>> stack = open_kernel_stack({.kernel = kernel, .plan = plan});
    ASSERT_TRUE(stack) << stack.error().message();
    stack_ = std::move(*stack);
    Result<Ring> ring = Ring::create(stack_->top(), {.sq_entries = 8});
    ASSERT_TRUE(ring) << ring.error().message();
    ring_ = std::make_unique<Ring>(std::move(*ring));
  }

  void submit_nops(unsigned count) {
    for (unsigned i = 1; i <= count; ++i) {
      io_uring_sqe* sqe = ring_->get_sqe();
      ASSERT_NE(sqe, nullptr);
      io_uring_prep_nop(sqe);
      sqe->user_data = i;
    }
    EXPECT_EQ(ring_->submit(), static_cast<int>(count));
  }

  std::vector<io_uring_cqe> take_cqes() {
    std::vector<io_uring_cqe> cqes;
    ring_->for_each_cqe([&cqes](const io_uring_cqe& cqe) { cqes.push_back(cqe); });
    return cqes;
  }

  std::unique_ptr<KernelStack> stack_;
  std::unique_ptr<Ring> ring_;
};

TEST_F(CompletionFaults, AFullCqKeepsTheCompletionInTheBacklog) {
  open("cqe/full:nth=2");
  submit_nops(3);
  EXPECT_TRUE(ring_->cq_has_overflow());
  std::vector<io_uring_cqe> seen = take_cqes();
  EXPECT_EQ(ring_->get_events(), 0);
  for (const io_uring_cqe& cqe : take_cqes()) seen.push_back(cqe);
  EXPECT_THAT(seen, ElementsAre(CqeIs(1, 0), CqeIs(2, 0), CqeIs(3, 0)));
  EXPECT_FALSE(ring_->cq_has_overflow());
  EXPECT_TRUE(stack_->report().every_rule_fired());
}

TEST_F(CompletionFaults, AFullCqLosesTheCompletionBeforeNodrop) {
  // It counts where something is in the CQ: a waiter, for whom nothing is, would not be woken by what is lost.
  open("cqe/full:nth=1", "sim:linux-5.4,strict");
  submit_nops(3);
  EXPECT_THAT(take_cqes(), ElementsAre(CqeIs(1, 0), CqeIs(3, 0)));
  EXPECT_EQ(ring_->cq_overflow_count(), 1u);
}

TEST_F(CompletionFaults, ADroppedCompletionIsToldByEbadr) {
  open("cqe/full:nth=2,cqe/drop:nth=1");
  submit_nops(3);
  EXPECT_THAT(take_cqes(), ElementsAre(CqeIs(1, 0), CqeIs(3, 0)));
  EXPECT_EQ(ring_->cq_overflow_count(), 1u);
  EXPECT_EQ(ring_->submit_and_wait(1), -EBADR);
  submit_nops(1);
  EXPECT_EQ(ring_->submit_and_wait(1), 0) << "told once";
  EXPECT_THAT(take_cqes(), SizeIs(1));
  EXPECT_TRUE(stack_->report().every_rule_fired());
}

TEST_F(CompletionFaults, AMultishotEndsWithoutMore) {
  open("cqe/multishot-end:nth=2");
  std::array<int, 2> pipe{};
  ASSERT_EQ(::pipe(pipe.data()), 0);
  io_uring_sqe* sqe = ring_->get_sqe();
  io_uring_prep_poll_multishot(sqe, pipe[0], POLLIN);
  sqe->user_data = 9;
  EXPECT_EQ(ring_->submit(), 1);
  EXPECT_EQ(::write(pipe[1], "x", 1), 1);
  EXPECT_EQ(ring_->submit_and_wait(1), 0);
  EXPECT_THAT(take_cqes(), ElementsAre(CqeIs(9, POLLIN, IORING_CQE_F_MORE)));
  EXPECT_EQ(::write(pipe[1], "x", 1), 1);
  EXPECT_EQ(ring_->submit_and_wait(1), 0);
  EXPECT_THAT(take_cqes(), ElementsAre(CqeIs(9, POLLIN, 0)));
  ::close(pipe[0]);
  ::close(pipe[1]);
}

class FileFaults : public CompletionFaults {
 protected:
  FileFaults() { EXPECT_EQ(::write(file_, "0123456789", 10), 10); }
  ~FileFaults() override { ::close(file_); }

  void take_read(std::uint64_t user_data) {
    io_uring_sqe* sqe = ring_->get_sqe();
    ASSERT_NE(sqe, nullptr);
    io_uring_prep_read(sqe, file_, buffer_.data(), 10, 0);
    sqe->user_data = user_data;
  }

  int file_ = ::memfd_create("plan_chooser_test", MFD_CLOEXEC);
  std::array<char, 16> buffer_{};
};

TEST_F(FileFaults, AReadThatCouldBeInlineComesLater) {
  open("cqe/later:nth=1");
  take_read(1);
  take_read(2);
  EXPECT_EQ(ring_->submit_and_wait(2), 2);
  EXPECT_THAT(take_cqes(), ElementsAre(CqeIs(2, 10), CqeIs(1, 10)));
}

TEST_F(FileFaults, TheYoungestOfSeveralComesFirst) {
  open("cqe/later,cqe/reorder:nth=1");
  for (std::uint64_t i = 1; i <= 3; ++i) take_read(i);
  EXPECT_EQ(ring_->submit_and_wait(3), 3);
  EXPECT_THAT(take_cqes(), ElementsAre(CqeIs(3, 10), CqeIs(1, 10), CqeIs(2, 10)));
}

TEST_F(FileFaults, FiltersNameTheRequest) {
  open("cqe/errno:errno=ENOSPC:user_data=2,cqe/short:bytes=4:user_data=3");
  for (std::uint64_t i = 1; i <= 3; ++i) take_read(i);
  EXPECT_EQ(ring_->submit_and_wait(3), 3);
  EXPECT_THAT(take_cqes(), testing::UnorderedElementsAre(CqeIs(1, 10), CqeIs(2, -ENOSPC), CqeIs(3, 4)));
}

// A request is one crossing, however often the kernel tries it before it can be carried out.
TEST_F(CompletionFaults, AReadThatHasToWaitCrossesItsPointsOnce) {
  open("cqe/short:nth=1:bytes=3,cqe/errno:nth=2:errno=EIO");
  std::array<int, 2> pipe{};
  ASSERT_EQ(::pipe(pipe.data()), 0);
  std::array<char, 16> buffer{};
  io_uring_sqe* sqe = ring_->get_sqe();
  io_uring_prep_read(sqe, pipe[0], buffer.data(), 10, 0);
  sqe->user_data = 1;
  EXPECT_EQ(ring_->submit(), 1);
  EXPECT_EQ(ring_->cq_ready(), 0u);
  EXPECT_EQ(::write(pipe[1], "0123456789", 10), 10);
  EXPECT_EQ(ring_->submit_and_wait(1), 0);
  EXPECT_THAT(take_cqes(), ElementsAre(CqeIs(1, 3)));
  EXPECT_EQ(stack_->report().rules[0].crossings, 1u);
  EXPECT_EQ(stack_->report().rules[1].crossings, 1u);
  ::close(pipe[0]);
  ::close(pipe[1]);
}

}  // namespace
}  // namespace assay
