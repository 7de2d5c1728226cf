// What each call fault does to the calls below it, on a scripted kernel.

#include "assay/faultinject/fault_kernel.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <string>

#include "assay/backend/ring.h"
#include "assay/mocks/mock_kernel.h"

namespace assay {
namespace {

using testing::_;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::NiceMock;
using testing::Return;

constexpr unsigned kGetEvents = IORING_ENTER_GETEVENTS;

class FaultKernelTest : public testing::Test {
 protected:
  // A kernel with this plan over the mock, which serves `memory`.
  FaultKernel& with_plan(std::string_view text) {
    base_.serve(memory_);
    Result<FaultPlan> plan = parse_fault_plan(text);
    EXPECT_TRUE(plan) << (plan ? "" : plan.error().message());
    Result<std::unique_ptr<FaultKernel>> kernel = FaultKernel::create(base_, *plan, {.ask_libfiu = false});
    EXPECT_TRUE(kernel) << (kernel ? "" : kernel.error().message());
    kernel_ = std::move(*kernel);
    return *kernel_;
  }

  // A ring over a kernel with this plan.
  Ring& ring_with_plan(std::string_view text, const RingOptions& options = {}) {
    Result<Ring> ring = Ring::create(with_plan(text), options);
    EXPECT_TRUE(ring) << (ring ? "" : ring.error().message());
    ring_ = std::make_unique<Ring>(std::move(*ring));
    return *ring_;
  }

  void take_nops(unsigned count) {
    for (unsigned i = 0; i < count; ++i) {
      io_uring_sqe* sqe = ring_->get_sqe();
      ASSERT_NE(sqe, nullptr);
      io_uring_prep_nop(sqe);
      sqe->user_data = next_user_data_++;
    }
  }

  std::string refusal(std::string_view text) {
    Result<FaultPlan> plan = parse_fault_plan(text);
    EXPECT_TRUE(plan) << (plan ? "" : plan.error().message());
    const Result<std::unique_ptr<FaultKernel>> kernel = FaultKernel::create(base_, *plan, {.ask_libfiu = false});
    EXPECT_FALSE(kernel);
    return kernel ? "" : kernel.error().message();
  }

  NiceMock<MockKernel> base_;
  MockRing memory_;
  std::unique_ptr<FaultKernel> kernel_;
  std::unique_ptr<Ring> ring_;
  std::uint64_t next_user_data_ = 1;
};

TEST_F(FaultKernelTest, WithoutAPlanEveryCallPassesUnchanged) {
  Ring& ring = ring_with_plan("");
  take_nops(2);
  EXPECT_CALL(base_, enter(memory_.fd(), 2, 1, kGetEvents, _, _)).WillOnce(Return(2));
  EXPECT_EQ(ring.submit_and_wait(1), 2);
  EXPECT_EQ(kernel_->name(), "mock");
  EXPECT_EQ(kernel_->report().fired(), 0u);
}

struct SetupCase {
  const char* plan;
  int result;
};
void PrintTo(const SetupCase& setup_case, std::ostream* out) { *out << setup_case.plan; }

class FaultySetup : public FaultKernelTest, public testing::WithParamInterface<SetupCase> {};

TEST_P(FaultySetup, FailsWithoutReachingTheKernel) {
  FaultKernel& kernel = with_plan(GetParam().plan);
  EXPECT_CALL(base_, setup).Times(0);
  io_uring_params params{};
  EXPECT_EQ(kernel.setup(8, &params), GetParam().result);
  EXPECT_EQ(kernel.report().fired(), 1u);
  EXPECT_TRUE(kernel.report().every_rule_fired());
}

INSTANTIATE_TEST_SUITE_P(Errors, FaultySetup,
                         testing::Values(SetupCase{"setup/enomem", -ENOMEM}, SetupCase{"setup/eperm", -EPERM},
                                         SetupCase{"setup/enosys", -ENOSYS},
                                         SetupCase{"setup/errno:errno=EMFILE", -EMFILE}));

TEST_F(FaultKernelTest, TheNthMapFailsAndARingLeavesNothingBehind) {
  FaultKernel& kernel = with_plan("map/enomem:nth=2");
  EXPECT_CALL(base_, setup).Times(1);
  EXPECT_CALL(base_, map).Times(1);
  EXPECT_CALL(base_, unmap).Times(1);
  EXPECT_CALL(base_, close(memory_.fd())).Times(1);
  const Result<Ring> ring = Ring::create(kernel);
  ASSERT_FALSE(ring);
  EXPECT_TRUE(ring.error() == std::errc::not_enough_memory);
  EXPECT_EQ(kernel.report().firings_of(FaultPointId::kMapEnomem), 1u);
}

TEST_F(FaultKernelTest, ARegistrationFailsForTheOpcodeThatIsNamed) {
  Ring& ring = ring_with_plan("register/errno:op=REGISTER_FILES:errno=EBUSY");
  EXPECT_CALL(base_, register_op(_, IORING_REGISTER_FILES, _, _)).Times(0);
  EXPECT_CALL(base_, register_op(_, IORING_REGISTER_EVENTFD, _, _)).WillOnce(Return(0));
  EXPECT_EQ(ring.register_files({}), -EBUSY);
  EXPECT_EQ(ring.register_eventfd(3), 0);
  EXPECT_EQ(kernel_->report().rules[0].crossings, 1u);
}

// ---- enter

TEST_F(FaultKernelTest, EintrComesWithNothingSubmitted) {
  Ring& ring = ring_with_plan("enter/eintr:nth=1");
  take_nops(3);
  EXPECT_CALL(base_, enter).Times(0);
  EXPECT_EQ(ring.submit(), -EINTR);
  EXPECT_EQ(memory_.offered().size(), 3u);
  testing::Mock::VerifyAndClearExpectations(&base_);
  EXPECT_EQ(ring.submit(), 3);
  EXPECT_THAT(memory_.consumed(), ElementsAre(HasUserData(1u), HasUserData(2u), HasUserData(3u)));
}

TEST_F(FaultKernelTest, AnInterruptedWaitPostsWhatCouldComplete) {
  Ring& ring = ring_with_plan("enter/eintr:nth=1");
  EXPECT_CALL(base_, enter(memory_.fd(), 0, 0, kGetEvents, _, _)).WillOnce([this](auto...) {
    memory_.post(7, 0);
    return 0;
  });
  EXPECT_EQ(ring.submit_and_wait(1), -EINTR);
  EXPECT_EQ(ring.cq_ready(), 1u);
}

TEST_F(FaultKernelTest, EintrIsNotCrossedByAnEnterThatNeitherSubmitsNorWaits) {
  Ring& ring = ring_with_plan("enter/eintr");
  EXPECT_EQ(ring.get_events(), 0);
  EXPECT_EQ(kernel_->report().crossings_of(FaultPointId::kEnterEintr), 0u);
}

TEST_F(FaultKernelTest, MaskedEintrReturnsTheCountAndDoesNotWait) {
  Ring& ring = ring_with_plan("enter/eintr-masked:nth=1");
  take_nops(2);
  EXPECT_CALL(base_, enter(memory_.fd(), 2, 0, kGetEvents, _, _)).WillOnce([this](auto...) {
    return static_cast<int>(memory_.consume(2));
  });
  EXPECT_EQ(ring.submit_and_wait(2), 2);
  EXPECT_EQ(kernel_->report().firings_of(FaultPointId::kEnterEintrMasked), 1u);
}

TEST_F(FaultKernelTest, MaskedEintrNeedsASubmissionThatWaits) {
  Ring& ring = ring_with_plan("enter/eintr-masked");
  take_nops(1);
  EXPECT_EQ(ring.submit(), 1);
  EXPECT_EQ(ring.submit_and_wait(1), 0);
  EXPECT_EQ(kernel_->report().crossings_of(FaultPointId::kEnterEintrMasked), 0u);
}

TEST_F(FaultKernelTest, EagainLeavesEverythingInTheSq) {
  Ring& ring = ring_with_plan("enter/eagain:nth=1");
  EXPECT_EQ(ring.submit_and_wait(1), 0) << "nothing offered, nothing to run out of";
  take_nops(2);
  EXPECT_EQ(ring.submit(), -EAGAIN);
  EXPECT_EQ(memory_.offered().size(), 2u);
  EXPECT_EQ(ring.submit(), 2);
}

TEST_F(FaultKernelTest, EbusyLeavesEverythingInTheSq) {
  Ring& ring = ring_with_plan("enter/ebusy:to=2");
  take_nops(2);
  EXPECT_EQ(ring.submit(), -EBUSY);
  EXPECT_EQ(memory_.offered().size(), 2u);
  EXPECT_EQ(ring.get_events(), -EBUSY);
  EXPECT_EQ(ring.submit(), 2);
}

TEST_F(FaultKernelTest, AnErrnoOfChoiceLeavesEverythingInTheSq) {
  Ring& ring = ring_with_plan("enter/errno:errno=ENXIO:nth=1");
  take_nops(1);
  EXPECT_EQ(ring.submit(), -ENXIO);
  EXPECT_EQ(memory_.offered().size(), 1u);
}

TEST_F(FaultKernelTest, TakeSubmitsKInOrderAndWaitsForNothing) {
  Ring& ring = ring_with_plan("enter/take:nth=1:k=2");
  take_nops(5);
  EXPECT_CALL(base_, enter(memory_.fd(), 2, 0, 0, nullptr, 0)).WillOnce([this](auto...) {
    return static_cast<int>(memory_.consume(2));
  });
  EXPECT_EQ(ring.submit_and_wait(5), 2);
  EXPECT_THAT(memory_.consumed(), ElementsAre(HasUserData(1u), HasUserData(2u)));
  testing::Mock::VerifyAndClearExpectations(&base_);
  EXPECT_CALL(base_, enter(memory_.fd(), 3, 5, kGetEvents, _, _)).WillOnce(Return(3));
  EXPECT_EQ(ring.submit_and_wait(5), 3);
}

TEST_F(FaultKernelTest, TakeIsNotCrossedWhereThereIsNothingToLeave) {
  Ring& ring = ring_with_plan("enter/take:k=2");
  take_nops(2);
  EXPECT_EQ(ring.submit(), 2);
  take_nops(1);
  EXPECT_EQ(ring.submit(), 1);
  EXPECT_EQ(kernel_->report().rules[0].crossings, 0u);
}

TEST_F(FaultKernelTest, EbadrIsSaidByAWaitThatWouldSleep) {
  Ring& ring = ring_with_plan("enter/ebadr:nth=1");
  EXPECT_CALL(base_, enter(memory_.fd(), 0, 0, kGetEvents, _, _)).WillOnce(Return(0));
  EXPECT_EQ(ring.submit_and_wait(1), -EBADR);
  testing::Mock::VerifyAndClearExpectations(&base_);
  EXPECT_CALL(base_, enter(memory_.fd(), 0, 1, kGetEvents, _, _)).WillOnce(Return(0));
  EXPECT_EQ(ring.submit_and_wait(1), 0) << "said once";
}

TEST_F(FaultKernelTest, EbadrIsHiddenByASubmissionAndSaidByTheNextWait) {
  Ring& ring = ring_with_plan("enter/ebadr:nth=1");
  take_nops(2);
  EXPECT_EQ(ring.submit_and_wait(1), 2);
  EXPECT_EQ(memory_.consumed().size(), 2u);
  memory_.post(1, 0);
  EXPECT_EQ(ring.submit_and_wait(1), 0) << "enough is there, so nothing would have slept";
  ring.cq_advance(1);
  EXPECT_EQ(ring.submit_and_wait(1), -EBADR);
}

TEST_F(FaultKernelTest, SqpollKeepsCallFaultsThatNeedASubmissionAway) {
  Ring& ring = ring_with_plan("enter/eagain,enter/take,enter/eintr-masked", {.setup_flags = IORING_SETUP_SQPOLL});
  memory_.set_sq_flags(IORING_SQ_NEED_WAKEUP);
  take_nops(3);
  EXPECT_CALL(base_, enter(memory_.fd(), 3, _, _, _, _)).WillOnce(Return(3));
  EXPECT_EQ(ring.submit_and_wait(1), 3);
  EXPECT_EQ(kernel_->report().fired(), 0u);
  EXPECT_EQ(kernel_->report().sqpoll_rings, 1u);
}

TEST_F(FaultKernelTest, ARingIsKnownByItsRegisteredIndexToo) {
  base_.serve(memory_);
  ON_CALL(base_, register_op(_, IORING_REGISTER_RING_FDS, _, _)).WillByDefault([](int, unsigned, void* arg, unsigned) {
    static_cast<io_uring_rsrc_update*>(arg)->offset = 4;
    return 1;
  });
  Result<FaultPlan> plan = parse_fault_plan("enter/take:k=1");
  ASSERT_TRUE(plan);
  kernel_ = std::move(*FaultKernel::create(base_, *plan, {.ask_libfiu = false}));
  Result<Ring> ring = Ring::create(*kernel_, {.register_ring_fd = true});
  ASSERT_TRUE(ring) << ring.error().message();
  ASSERT_TRUE(ring->ring_fd_registered());
  ring_ = std::make_unique<Ring>(std::move(*ring));
  take_nops(2);
  // Offered are two, whatever to_submit says: only one who sees the ring knows that.
  EXPECT_CALL(base_, enter(4, 1, 0, IORING_ENTER_REGISTERED_RING, _, _)).WillOnce(Return(1));
  EXPECT_EQ(ring_->submit(), 1);
}

// ---- What is absent

TEST_F(FaultKernelTest, AHiddenExtArgIsNotAnnouncedAndRefused) {
  FaultKernel& kernel = with_plan("setup/feature-absent:bit=EXT_ARG");
  io_uring_params params{};
  const int fd = kernel.setup(8, &params);
  ASSERT_EQ(fd, memory_.fd());
  EXPECT_EQ(params.features & IORING_FEAT_EXT_ARG, 0u);
  EXPECT_NE(params.features & IORING_FEAT_NODROP, 0u);
  EXPECT_CALL(base_, enter).Times(0);
  io_uring_getevents_arg arg{};
  EXPECT_EQ(kernel.enter(fd, 0, 1, kGetEvents | IORING_ENTER_EXT_ARG, &arg, sizeof(arg)), -EINVAL);
  EXPECT_TRUE(kernel.report().every_rule_fired());
}

TEST_F(FaultKernelTest, HiddenTagsTakeTheirRegistrationsAlong) {
  base_.serve(memory_);
  MockRing tagged({.features = IORING_FEAT_SINGLE_MMAP | IORING_FEAT_RSRC_TAGS});
  base_.serve(tagged);
  Result<std::unique_ptr<FaultKernel>> kernel =
      FaultKernel::create(base_, *parse_fault_plan("setup/feature-absent:bit=RSRC_TAGS"), {.ask_libfiu = false});
  ASSERT_TRUE(kernel);
  io_uring_params params{};
  const int fd = (*kernel)->setup(8, &params);
  EXPECT_CALL(base_, register_op(_, IORING_REGISTER_FILES, _, _)).WillOnce(Return(0));
  EXPECT_EQ((*kernel)->register_op(fd, IORING_REGISTER_FILES2, nullptr, 0), -EINVAL);
  EXPECT_EQ((*kernel)->register_op(fd, IORING_REGISTER_FILES, nullptr, 0), 0);
}

TEST_F(FaultKernelTest, ARequestThatNeedsAHiddenFeatureBecomesUnknown) {
  MockRing memory({.features = IORING_FEAT_SINGLE_MMAP | IORING_FEAT_CQE_SKIP});
  base_.serve(memory);
  Result<std::unique_ptr<FaultKernel>> kernel =
      FaultKernel::create(base_, *parse_fault_plan("setup/feature-absent:bit=CQE_SKIP"), {.ask_libfiu = false});
  ASSERT_TRUE(kernel);
  Result<Ring> ring = Ring::create(**kernel);
  ASSERT_TRUE(ring);
  io_uring_prep_nop(ring->get_sqe());
  io_uring_sqe* skipping = ring->get_sqe();
  io_uring_prep_nop(skipping);
  skipping->flags = IOSQE_CQE_SKIP_SUCCESS;
  EXPECT_EQ(ring->submit(), 2);
  EXPECT_THAT(memory.consumed(), ElementsAre(HasOpcode(IORING_OP_NOP), HasOpcode(255)));
}

TEST_F(FaultKernelTest, AnAbsentOpcodeIsNotProbedAndUnknown) {
  Ring& ring = ring_with_plan("register/opcode-absent:op=WRITE");
  EXPECT_CALL(base_, register_op(_, IORING_REGISTER_PROBE, _, _)).WillOnce([](int, unsigned, void* arg, unsigned nr) {
    auto* probe = static_cast<io_uring_probe*>(arg);
    probe->ops_len = static_cast<std::uint8_t>(nr);
    probe->last_op = static_cast<std::uint8_t>(nr - 1);
    for (unsigned i = 0; i < nr; ++i) probe->ops[i].flags = IO_URING_OP_SUPPORTED;
    return 0;
  });
  constexpr unsigned kOps = 64;
  const std::unique_ptr<io_uring_probe, decltype(&std::free)> probe(
      static_cast<io_uring_probe*>(std::calloc(1, sizeof(io_uring_probe) + kOps * sizeof(io_uring_probe_op))),
      &std::free);
  ASSERT_EQ(ring.register_probe(probe.get(), kOps), 0);
  EXPECT_FALSE(io_uring_opcode_supported(probe.get(), IORING_OP_WRITE));
  EXPECT_TRUE(io_uring_opcode_supported(probe.get(), IORING_OP_READ));

  io_uring_prep_write(ring.get_sqe(), 1, nullptr, 0, 0);
  io_uring_prep_read(ring.get_sqe(), 1, nullptr, 0, 0);
  EXPECT_EQ(ring.submit(), 2);
  EXPECT_THAT(memory_.consumed(), ElementsAre(HasOpcode(255), HasOpcode(IORING_OP_READ)));
  EXPECT_EQ(kernel_->report().firings_of(FaultPointId::kRegisterOpcodeAbsent), 2u);
}

TEST_F(FaultKernelTest, AnSqeThatWasNotTakenIsWhatTheProgramWrote) {
  Ring& ring = ring_with_plan("register/opcode-absent:op=NOP");
  take_nops(3);
  EXPECT_CALL(base_, enter).WillOnce([this](auto...) {
    EXPECT_THAT(memory_.offered(), ElementsAre(HasOpcode(255), HasOpcode(255), HasOpcode(255)));
    return static_cast<int>(memory_.consume(1));
  });
  EXPECT_EQ(ring.submit(), 1);
  EXPECT_THAT(memory_.offered(), ElementsAre(SqeIs(IORING_OP_NOP, _, 2), SqeIs(IORING_OP_NOP, _, 3)));
}

TEST_F(FaultKernelTest, AnSqeCrossesItsPointOnceHoweverOftenItIsOffered) {
  Ring& ring = ring_with_plan("register/opcode-absent:op=NOP,enter/take:nth=1:k=1");
  take_nops(2);
  EXPECT_EQ(ring.submit(), 1);
  EXPECT_CALL(base_, enter).WillOnce(Return(-EAGAIN)).WillOnce(Return(-EAGAIN)).WillOnce([this](auto...) {
    return static_cast<int>(memory_.consume(1));
  });
  EXPECT_EQ(ring.submit(), -EAGAIN);
  EXPECT_EQ(ring.submit(), -EAGAIN);
  EXPECT_EQ(ring.submit(), 1);
  EXPECT_EQ(kernel_->report().rules[0].crossings, 2u);
  EXPECT_THAT(memory_.consumed(), ElementsAre(HasOpcode(255), HasOpcode(255)));
}

// ---- Plans that a kernel cannot carry

TEST_F(FaultKernelTest, CompletionFaultsThatOnlyASimulationHasAreRefusedByName) {
  EXPECT_EQ(refusal("cqe/full:nth=1"),
            "fault plan: mock cannot carry 'cqe/full:nth=1': only a simulated kernel can be asked for it (--kernel "
            "sim:PROFILE)");
  for (const char* point : {"cqe/drop", "cqe/multishot-end", "cqe/later", "cqe/reorder"}) {
    EXPECT_THAT(refusal(point), HasSubstr(point));
  }
}

TEST_F(FaultKernelTest, BehaviouralFeaturesAreRefusedByName) {
  EXPECT_THAT(refusal("setup/feature-absent:bit=NODROP"),
              testing::AllOf(HasSubstr("bit=NODROP"), HasSubstr("sim:PROFILE-FEAT_NODROP"), HasSubstr("EXT_ARG")));
  EXPECT_THAT(refusal("setup/feature-absent:bit=LINKED_FILE"), HasSubstr("bit=LINKED_FILE"));
}

TEST_F(FaultKernelTest, AnErrnoNeedsANopThatCanCarryIt) {
  base_.serve(memory_);  // consumes the trial and completes nothing
  EXPECT_THAT(refusal("cqe/errno:errno=EIO"), HasSubstr("its NOP cannot carry a result"));
}

TEST_F(FaultKernelTest, RulesMadeInCodeAreChecked) {
  const FaultPlan plan{.rules = {{.point = FaultPointId::kSetupErrno}}};
  const Result<std::unique_ptr<FaultKernel>> kernel = FaultKernel::create(base_, plan, {.ask_libfiu = false});
  ASSERT_FALSE(kernel);
  EXPECT_THAT(kernel.error().message(), HasSubstr("needs errno="));
}

// ---- Scopes

TEST_F(FaultKernelTest, APlanCanHoldForAScope) {
  Ring& ring = ring_with_plan("");
  take_nops(1);
  {
    Result<FaultScope> scope = kernel_->apply("enter/eagain");
    ASSERT_TRUE(scope);
    EXPECT_EQ(ring.submit(), -EAGAIN);
    EXPECT_EQ(ring.submit(), -EAGAIN);
  }
  EXPECT_EQ(ring.submit(), 1);
  EXPECT_EQ(kernel_->report().rules[0].firings, 2u);
  EXPECT_FALSE(kernel_->apply("enter/eagian"));
  EXPECT_FALSE(kernel_->apply("cqe/full"));
}

TEST_F(FaultKernelTest, AScopeThatWasMovedEndsOnce) {
  Ring& ring = ring_with_plan("");
  take_nops(1);
  Result<FaultScope> scope = kernel_->apply("enter/eagain");
  ASSERT_TRUE(scope);
  FaultScope moved = std::move(*scope);
  EXPECT_EQ(ring.submit(), -EAGAIN);
  moved.end();
  EXPECT_EQ(ring.submit(), 1);
}

}  // namespace
}  // namespace assay
