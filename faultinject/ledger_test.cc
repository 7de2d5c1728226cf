// What the ledger holds a program to: each test is a program that breaks one rule, or one that may look as if it did.

#include "assay/faultinject/ledger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <stdexcept>
#include <string>

#include "assay/backend/ring.h"
#include "assay/faultinject/fault_kernel.h"
#include "assay/faultinject/kernel_stack.h"
#include "assay/faultinject/plan_chooser.h"
#include "assay/mocks/mock_kernel.h"
#include "assay/mocks/profile.h"
#include "assay/mocks/sim_kernel.h"

namespace assay {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class Ledger : public testing::Test {
 protected:
  ~Ledger() override {
    for (const int fd : pipe_) ::close(fd);
  }

  void SetUp() override { ASSERT_EQ(::pipe(pipe_.data()), 0); }

  Ring make_ring(unsigned setup_flags = 0) {
    Result<Ring> ring = Ring::create(ledger_, {.sq_entries = 4, .setup_flags = setup_flags});
    EXPECT_TRUE(ring) << ring.error().message();
    return std::move(*ring);
  }

  void read_pipe(Ring& ring, std::uint64_t user_data) {
    io_uring_sqe* sqe = ring.get_sqe();
    io_uring_prep_read(sqe, pipe_[0], buffer_, sizeof buffer_, 0);
    sqe->user_data = user_data;
  }
  static void nop(Ring& ring, std::uint64_t user_data, unsigned flags = 0) {
    io_uring_sqe* sqe = ring.get_sqe();
    io_uring_prep_nop(sqe);
    sqe->user_data = user_data;
    sqe->flags = static_cast<std::uint8_t>(flags);
  }

  // The program is over: what is wrong with it.
  std::vector<std::string> violations() { return ledger_.finish().violations; }

  std::string stuck_;
  SimKernel sim_{{.profile = *find_profile("linux-6.12.0")}};
  LedgerKernel ledger_{sim_, {.idle_calls = 100, .when_stuck = [this](const std::string& why) { stuck_ = why; }}};
  std::array<int, 2> pipe_{};
  char buffer_[16] = {};
};

TEST_F(Ledger, HasNothingAgainstAProgramThatReapsAndEnds) {
  {
    Ring ring = make_ring();
    for (std::uint64_t i = 0; i < 10; ++i) {
      nop(ring, 1);
      ASSERT_EQ(ring.submit_and_wait(1), 1);
      ring.for_each_cqe([](const io_uring_cqe&) {});
    }
  }
  const LedgerReport report = ledger_.finish();
  EXPECT_THAT(report.violations, IsEmpty());
  EXPECT_EQ(report.requests, 10u);
  EXPECT_EQ(report.completions, 10u);
  EXPECT_THAT(report.opcodes, ElementsAre(IORING_OP_NOP));
}

TEST_F(Ledger, NamesARequestThatIsLeftWithTheProgramsMemory) {
  {
    Ring ring = make_ring();
    read_pipe(ring, 7);
    ASSERT_EQ(ring.submit(), 1);
  }
  EXPECT_THAT(violations(), ElementsAre(AllOf(HasSubstr("memory the kernel may still use"),
                                              HasSubstr("request 1: READ"), HasSubstr("taken as request 1"))));
}

TEST_F(Ledger, LetsAPollBeLeftBehind) {
  {
    Ring ring = make_ring();
    io_uring_prep_poll_add(ring.get_sqe(), pipe_[0], POLLIN);
    ASSERT_EQ(ring.submit(), 1);
  }
  EXPECT_THAT(violations(), IsEmpty());
}

TEST(LedgerOverAPollThread, KnowsWhatWasTakenByItsCompletion) {
  testing::NiceMock<MockKernel> kernel;
  MockRing memory({.sq_entries = 4});
  kernel.serve(memory);
  LedgerKernel ledger(kernel);
  {
    Result<Ring> ring = Ring::create(ledger, {.sq_entries = 4, .setup_flags = IORING_SETUP_SQPOLL});
    ASSERT_TRUE(ring) << ring.error().message();
    for (std::uint64_t user_data = 1; user_data <= 3; ++user_data) {
      io_uring_sqe* sqe = ring->get_sqe();
      io_uring_prep_read(sqe, 0, &memory, 1, 0);
      sqe->user_data = user_data;
    }
    // The thread is through with the first two, and has not said so yet.
    EXPECT_CALL(kernel, enter).WillOnce([&](auto...) {
      memory.post(2, 1);
      memory.post(1, 1);
      return 3;
    });
    ASSERT_EQ(ring->submit_and_wait(1), 3);
    ring->for_each_cqe([](const io_uring_cqe&) {});
    memory.consume(3);
    memory.post(3, 1);
    EXPECT_CALL(kernel, enter).WillOnce(testing::Return(0));
    ASSERT_EQ(ring->get_events(), 0);
    ring->for_each_cqe([](const io_uring_cqe&) {});
  }
  const LedgerReport report = ledger.finish();
  EXPECT_THAT(report.violations, IsEmpty());
  EXPECT_EQ(report.requests, 3u);
  EXPECT_EQ(report.completions, 3u);
  EXPECT_EQ(report.unasked, 0u);
}

TEST_F(Ledger, ExpectsNobodyToCancelWhereTheKernelCannot) {
  LedgerKernel ledger(sim_, {.can_cancel = false});
  {
    Result<Ring> ring = Ring::create(ledger, {.sq_entries = 4});
    ASSERT_TRUE(ring);
    read_pipe(*ring, 7);
    ASSERT_EQ(ring->submit(), 1);
  }
  EXPECT_THAT(ledger.finish().violations, IsEmpty());
}

TEST_F(Ledger, FindsACompletionThatNobodyReaped) {
  {
    Ring ring = make_ring();
    nop(ring, 3);
    ASSERT_EQ(ring.submit_and_wait(1), 1);
  }
  EXPECT_THAT(violations(), ElementsAre(HasSubstr("never reaped: res=0")));
}

TEST_F(Ledger, FindsAHeadThatPassesItsTail) {
  {
    Ring ring = make_ring();
    ring.cq_advance(2);
    nop(ring, 3);
    ASSERT_EQ(ring.submit(), 1);
  }
  EXPECT_THAT(violations(), ElementsAre(HasSubstr("the CQ's head is 2 ahead of its tail")));
}

TEST_F(Ledger, FindsSqesThatWereOverwritten) {
  {
    Ring ring = make_ring();
    const unsigned tail = *ring.raw()->sq.ktail;
    io_uring_smp_store_release(ring.raw()->sq.ktail, tail + 5);
    ledger_.enter(ring.fd(), 0, 0, 0, nullptr, 0);
    io_uring_smp_store_release(ring.raw()->sq.ktail, tail);
  }
  EXPECT_THAT(violations(), ElementsAre(HasSubstr("5 ahead of its head, of 4 entries")));
}

TEST_F(Ledger, FindsARingThatWasNeverClosedAndItsMemory) {
  io_uring_params params{};
  const int fd = ledger_.setup(4, &params);
  ASSERT_GE(fd, 0);
  void* memory = nullptr;
  const std::size_t bytes = params.sq_entries * sizeof(io_uring_sqe);
  ASSERT_EQ(ledger_.map(fd, IORING_OFF_SQES, bytes, &memory), 0);
  EXPECT_THAT(violations(), ElementsAre(HasSubstr("never closed"), HasSubstr("never unmapped")));
  EXPECT_EQ(sim_.unmap(memory, bytes), 0);
  EXPECT_EQ(sim_.close(fd), 0);
}

TEST_F(Ledger, FindsMemoryThatIsUnmappedTwiceOrInPart) {
  io_uring_params params{};
  const int fd = ledger_.setup(4, &params);
  ASSERT_GE(fd, 0);
  void* memory = nullptr;
  ASSERT_EQ(ledger_.map(fd, IORING_OFF_SQES, params.sq_entries * sizeof(io_uring_sqe), &memory), 0);
  ledger_.unmap(memory, 64);
  ledger_.unmap(memory, 256);
  ledger_.close(fd);
  ledger_.close(fd);
  EXPECT_THAT(violations(), ElementsAre(HasSubstr("of 256 bytes that were mapped 64"), HasSubstr("not mapped"),
                                        HasSubstr("not open")));
}

TEST_F(Ledger, HonoursMultishotRequests) {
  {
    Ring ring = make_ring();
    io_uring_sqe* sqe = ring.get_sqe();
    io_uring_prep_poll_multishot(sqe, pipe_[0], POLLIN);
    sqe->user_data = 9;
    ASSERT_EQ(ring.submit(), 1);
    for (int i = 0; i < 2; ++i) {
      ASSERT_EQ(::write(pipe_[1], "x", 1), 1);
      ASSERT_EQ(ring.submit_and_wait(1), 0);
      ring.for_each_cqe([](const io_uring_cqe&) {});
    }
  }
  const LedgerReport report = ledger_.finish();
  EXPECT_THAT(report.violations, IsEmpty());
  EXPECT_EQ(report.completions, 2u);
  EXPECT_EQ(report.unasked, 0u) << "the second completion is one of the same request";
}

TEST_F(Ledger, HonoursRequestsThatSucceedInSilence) {
  {
    Ring ring = make_ring();
    nop(ring, 1, IOSQE_CQE_SKIP_SUCCESS);
    nop(ring, 2);
    ASSERT_EQ(ring.submit_and_wait(1), 2);
    ring.for_each_cqe([](const io_uring_cqe&) {});
  }
  EXPECT_THAT(violations(), IsEmpty());
}

TEST_F(Ledger, CountsCompletionsThatNobodyAskedFor) {
  {
    Ring ring = make_ring();
    Ring other = make_ring();
    io_uring_prep_msg_ring(ring.get_sqe(), other.fd(), 5, 77, 0);
    ASSERT_EQ(ring.submit_and_wait(1), 1);
    ring.for_each_cqe([](const io_uring_cqe&) {});
    ASSERT_EQ(other.get_events(), 0);
    other.for_each_cqe([](const io_uring_cqe&) {});
  }
  const LedgerReport report = ledger_.finish();
  EXPECT_THAT(report.violations, IsEmpty());
  EXPECT_EQ(report.unasked, 1u);
}

TEST_F(Ledger, TellsOfAWaitForWhatNeverComes) {
  {
    Ring ring = make_ring();
    io_uring_prep_poll_add(ring.get_sqe(), pipe_[0], POLLIN);
    (void)ring.submit_and_wait(1);
    (void)ring.submit_and_wait(1);
  }
  EXPECT_THAT(stuck_, HasSubstr("waits for completions that never come"));
}

TEST_F(Ledger, TellsOfAProgramThatSpins) {
  Ring ring = make_ring();
  for (int i = 0; i < 90; ++i) (void)ring.get_events();
  EXPECT_EQ(stuck_, "");
  nop(ring, 1);
  (void)ring.submit_and_wait(1);
  ring.for_each_cqe([](const io_uring_cqe&) {});
  for (int i = 0; i < 90; ++i) (void)ring.get_events();
  EXPECT_EQ(stuck_, "") << "something went on in between";
  for (int i = 0; i < 20; ++i) (void)ring.get_events();
  EXPECT_THAT(stuck_, HasSubstr("it spins"));
}

TEST_F(Ledger, TellsOfAProgramThatLooksAtItsRingForTooLong) {
  std::string stuck;
  LedgerKernel ledger(
      sim_, {.idle_time = std::chrono::minutes(1), .when_stuck = [&stuck](const std::string& why) { stuck = why; }});
  Result<Ring> ring = Ring::create(ledger, {.sq_entries = 4});
  ASSERT_TRUE(ring);
  for (int i = 0; i < 100'000 && stuck.empty(); ++i) ledger.relax(ring->fd());
  EXPECT_THAT(stuck, HasSubstr("of the kernel's clock no request was taken"));
}

// Over a kernel with faults: what these excuse, and what not.
class LedgerOverFaults : public testing::Test {
 protected:
  void open(const std::string& plan) {
    schedule_ = std::make_shared<FaultSchedule>(*parse_fault_plan(plan));
    chooser_ = std::make_unique<PlanChooser>(schedule_, 0);
    sim_ = std::make_unique<SimKernel>(SimOptions{.profile = *find_profile("linux-6.12.0"), .chooser = chooser_.get()});
    faults_ = std::move(*FaultKernel::create(*sim_, schedule_));
    ledger_ = std::make_unique<LedgerKernel>(*faults_);
  }

  std::shared_ptr<FaultSchedule> schedule_;
  std::unique_ptr<PlanChooser> chooser_;
  std::unique_ptr<SimKernel> sim_;
  std::unique_ptr<FaultKernel> faults_;
  std::unique_ptr<LedgerKernel> ledger_;
};

TEST_F(LedgerOverFaults, ADroppedCompletionIsNobodysFault) {
  open("cqe/full:nth=1,cqe/drop:nth=1");
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ASSERT_EQ(::write(ends[1], "x", 1), 1);
  char byte = 0;
  {
    Result<Ring> ring = Ring::create(*ledger_, {.sq_entries = 4});
    ASSERT_TRUE(ring);
    io_uring_prep_read(ring->get_sqe(), ends[0], &byte, 1, 0);
    ASSERT_EQ(ring->submit(), 1);
  }
  const LedgerReport report = ledger_->finish();
  EXPECT_THAT(report.violations, IsEmpty());
  EXPECT_EQ(report.dropped, 1u);
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_F(LedgerOverFaults, WhoeverGivesUpAtAnInterruptionIsToldOfWhatIsLeft) {
  open("enter/eintr:nth=2");
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  char byte = 0;
  {
    Result<Ring> ring = Ring::create(*ledger_, {.sq_entries = 4});
    ASSERT_TRUE(ring);
    io_uring_prep_read(ring->get_sqe(), ends[0], &byte, 1, 0);
    ASSERT_EQ(ring->submit(), 1);
    ASSERT_EQ(ring->submit_and_wait(1), -EINTR);
  }
  EXPECT_THAT(ledger_->finish().violations, SizeIs(1));
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_F(LedgerOverFaults, WhomTheKernelRefusesForGoodCanEndNothing) {
  open("enter/errno:from=2:errno=EEXIST");
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  char byte = 0;
  {
    Result<Ring> ring = Ring::create(*ledger_, {.sq_entries = 4});
    ASSERT_TRUE(ring);
    io_uring_prep_read(ring->get_sqe(), ends[0], &byte, 1, 0);
    ASSERT_EQ(ring->submit(), 1);
    ASSERT_EQ(ring->submit_and_wait(1), -EEXIST);
  }
  EXPECT_THAT(ledger_->finish().violations, IsEmpty());
  ::close(ends[0]);
  ::close(ends[1]);
}

}  // namespace
}  // namespace assay
