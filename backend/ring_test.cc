// Creation, submission, completion and registration of Ring, against a kernel that is scripted call by call. Waits with
// a limit are in ring_wait_test.cc.

#include "assay/backend/ring.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "assay/mocks/mock_kernel.h"

namespace assay {
namespace {

using testing::_;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::InSequence;
using testing::IsEmpty;
using testing::NiceMock;
using testing::Return;
using testing::SizeIs;

constexpr unsigned kGetEvents = IORING_ENTER_GETEVENTS;

class RingTest : public testing::Test {
 protected:
  // A ring on memory with these properties.
  Ring& ring(const MockRingOptions& memory = {}, const RingOptions& options = {}) {
    memory_ = std::make_unique<MockRing>(memory);
    kernel_.serve(*memory_);
    Result<Ring> created = Ring::create(kernel_, options);
    EXPECT_TRUE(created) << (created ? "" : created.error().message());
    ring_ = std::make_unique<Ring>(std::move(*created));
    return *ring_;
  }

  io_uring_sqe* take_nop(std::uint64_t user_data) {
    io_uring_sqe* sqe = ring_->get_sqe();
    if (sqe == nullptr) return nullptr;
    io_uring_prep_nop(sqe);
    sqe->user_data = user_data;
    return sqe;
  }

  NiceMock<MockKernel> kernel_;
  std::unique_ptr<MockRing> memory_;
  std::unique_ptr<Ring> ring_;
};

// ---- Creation

TEST_F(RingTest, CreationAsksForWhatTheOptionsSay) {
  memory_ = std::make_unique<MockRing>();
  kernel_.serve(*memory_);
  EXPECT_CALL(kernel_, setup(32, _)).WillOnce([this](unsigned entries, io_uring_params* params) {
    EXPECT_EQ(params->flags, static_cast<unsigned>(IORING_SETUP_SQPOLL | IORING_SETUP_SQ_AFF | IORING_SETUP_CQSIZE |
                                                   IORING_SETUP_ATTACH_WQ));
    EXPECT_EQ(params->cq_entries, 128u);
    EXPECT_EQ(params->sq_thread_cpu, 1u);
    EXPECT_EQ(params->sq_thread_idle, 50u);
    EXPECT_EQ(params->wq_fd, 9u);
    return memory_->setup(entries, params);
  });
  EXPECT_TRUE(Ring::create(kernel_, {.sq_entries = 32,
                                     .cq_entries = 128,
                                     .setup_flags = IORING_SETUP_SQPOLL | IORING_SETUP_SQ_AFF,
                                     .sq_thread_cpu = 1,
                                     .sq_thread_idle = std::chrono::milliseconds{50},
                                     .attach_wq_fd = 9}));
}

TEST_F(RingTest, EveryFlagOfLinuxPassesThrough) {
  memory_ = std::make_unique<MockRing>();
  kernel_.serve(*memory_);
  for (const NamedValue& flag : uapi_table(UapiClass::kSetupFlag)) {
    if (flag.value == uapi::kSetupNoMmap || flag.value == uapi::kSetupRegisteredFdOnly) continue;  // tests of their own
    EXPECT_CALL(kernel_, setup(_, testing::Pointee(testing::Field(&io_uring_params::flags, flag.value))))
        .WillOnce(Return(-EINVAL));
    EXPECT_FALSE(Ring::create(kernel_, {.setup_flags = flag.value})) << flag.name;
  }
}

TEST_F(RingTest, ASetupThatFailsIsToldWithItsCall) {
  EXPECT_CALL(kernel_, setup).WillOnce(Return(-EPERM));
  EXPECT_CALL(kernel_, map).Times(0);
  EXPECT_CALL(kernel_, close).Times(0);
  const Result<Ring> created = Ring::create(kernel_, {.sq_entries = 8});
  ASSERT_FALSE(created);
  EXPECT_TRUE(created.error() == std::errc::operation_not_permitted);
  EXPECT_EQ(created.error().message(), "io_uring_setup(entries=8): Operation not permitted");
}

struct MapFailure {
  unsigned features;
  int fails_at;  // 1 is the first map
};
void PrintTo(const MapFailure& failure, std::ostream* out) {
  *out << (failure.features != 0 ? "one mapping" : "two mappings") << ", fails at " << failure.fails_at;
}

class RingMapFailure : public RingTest, public testing::WithParamInterface<MapFailure> {};

TEST_P(RingMapFailure, LeavesNothingBehind) {
  memory_ = std::make_unique<MockRing>(MockRingOptions{.features = GetParam().features});
  kernel_.serve(*memory_);
  int maps = 0;
  std::vector<std::pair<void*, std::size_t>> given;
  EXPECT_CALL(kernel_, map).WillRepeatedly([&](int, std::uint64_t offset, std::size_t bytes, void** address) {
    if (++maps == GetParam().fails_at) return -ENOMEM;
    const int result = memory_->map(offset, bytes, address);
    given.emplace_back(*address, bytes);
    return result;
  });
  std::vector<std::pair<void*, std::size_t>> taken_back;
  EXPECT_CALL(kernel_, unmap).WillRepeatedly([&](void* address, std::size_t bytes) {
    taken_back.emplace_back(address, bytes);
    return 0;
  });
  EXPECT_CALL(kernel_, close(memory_->fd())).Times(1);
  const Result<Ring> created = Ring::create(kernel_);
  ASSERT_FALSE(created);
  EXPECT_TRUE(created.error() == std::errc::not_enough_memory);
  EXPECT_THAT(created.error().message(), HasSubstr("mmap of the"));
  EXPECT_EQ(maps, GetParam().fails_at);
  EXPECT_THAT(taken_back, testing::UnorderedElementsAreArray(given));
}

INSTANTIATE_TEST_SUITE_P(EachMap, RingMapFailure,
                         testing::Values(MapFailure{IORING_FEAT_SINGLE_MMAP, 1}, MapFailure{IORING_FEAT_SINGLE_MMAP, 2},
                                         MapFailure{0, 1}, MapFailure{0, 2}, MapFailure{0, 3}));

TEST_F(RingTest, DestructionGivesBackEveryMapAndTheFdLast) {
  ring({.features = 0});
  InSequence sequence;
  EXPECT_CALL(kernel_, unmap).Times(3).WillRepeatedly(Return(0));
  EXPECT_CALL(kernel_, close(memory_->fd())).Times(1);
  ring_.reset();
}

TEST_F(RingTest, OneMappingServesBothRingsWhereTheKernelSaysSo) {
  memory_ = std::make_unique<MockRing>();
  kernel_.serve(*memory_);
  EXPECT_CALL(kernel_, map(_, IORING_OFF_SQ_RING, _, _)).Times(1);
  EXPECT_CALL(kernel_, map(_, IORING_OFF_SQES, _, _)).Times(1);
  EXPECT_CALL(kernel_, map(_, IORING_OFF_CQ_RING, _, _)).Times(0);
  EXPECT_TRUE(Ring::create(kernel_));
}

TEST_F(RingTest, FillsTheIndexArrayWithTheIdentity) {
  ring({.sq_entries = 8});
  for (std::uint32_t i = 0; i < 8; ++i) EXPECT_EQ(memory_->index(i), i);
}

TEST_F(RingTest, LeavesTheIndexArrayAloneWhereThereIsNone) {
  ring({.sq_entries = 8}, {.setup_flags = uapi::kSetupNoSqarray});
  for (std::uint32_t i = 0; i < 8; ++i) EXPECT_EQ(memory_->index(i), ~0u);
  take_nop(1);
  EXPECT_EQ(ring_->submit(), 1);
  EXPECT_THAT(memory_->consumed(), ElementsAre(HasUserData(1u)));
}

TEST_F(RingTest, AMovedRingGoesOnAndGivesBackOnce) {
  ring();
  take_nop(1);
  EXPECT_CALL(kernel_, close).Times(1);
  EXPECT_CALL(kernel_, unmap).Times(2);
  {
    Ring moved(std::move(*ring_));
    ring_.reset();  // what was moved from has nothing to give back
    EXPECT_EQ(moved.sq_ready(), 1u);
    EXPECT_EQ(moved.submit(), 1);
    memory_->post(1, 7);
    ASSERT_NE(moved.peek_cqe(), nullptr);
    EXPECT_THAT(*moved.peek_cqe(), CqeIs(1, 7));
  }
  testing::Mock::VerifyAndClearExpectations(&kernel_);
}

TEST_F(RingTest, AssigningOverARingGivesItsOwnBackFirst) {
  ring();
  MockRing other_memory({.fd = 2000});
  kernel_.serve(other_memory);
  Result<Ring> other = Ring::create(kernel_);
  ASSERT_TRUE(other);
  EXPECT_CALL(kernel_, close(1000)).Times(1);
  *ring_ = std::move(*other);
  testing::Mock::VerifyAndClearExpectations(&kernel_);
  EXPECT_EQ(ring_->fd(), 2000);
}

// ---- Submission

TEST_F(RingTest, SubmitsInOrderAndOnlyOnce) {
  ring();
  take_nop(1);
  take_nop(2);
  EXPECT_EQ(ring_->sq_ready(), 2u);
  EXPECT_EQ(ring_->submit(), 2);
  EXPECT_EQ(ring_->sq_ready(), 0u);
  EXPECT_THAT(memory_->consumed(), ElementsAre(HasUserData(1u), HasUserData(2u)));
  EXPECT_CALL(kernel_, enter).Times(0);
  EXPECT_EQ(ring_->submit(), 0) << "nothing to say, so nothing is called";
}

TEST_F(RingTest, AFullSqGivesNoSqeUntilTheKernelTakesSome) {
  ring({.sq_entries = 4});
  for (std::uint64_t i = 0; i < 4; ++i) EXPECT_NE(take_nop(i), nullptr);
  EXPECT_EQ(ring_->get_sqe(), nullptr);
  EXPECT_EQ(ring_->sq_space_left(), 0u);
  EXPECT_EQ(ring_->submit(), 4);
  EXPECT_NE(take_nop(4), nullptr);
  EXPECT_EQ(ring_->sq_space_left(), 3u);
}

class RingWrap : public RingTest, public testing::WithParamInterface<std::uint32_t> {};

// The counters are free-running 32-bit numbers, the places in the rings are those modulo the size: both wrap.
TEST_P(RingWrap, SqAndCqKeepOrderAcrossTheWrap) {
  ring({.sq_entries = 4, .cq_entries = 8, .first_sq_position = GetParam(), .first_cq_position = GetParam()});
  std::uint64_t next = 0;
  std::uint64_t seen = 0;
  for (int round = 0; round < 20; ++round) {
    const unsigned count = 1 + static_cast<unsigned>(round) % 4;
    for (unsigned i = 0; i < count; ++i) ASSERT_NE(take_nop(next++), nullptr);
    ASSERT_EQ(ring_->sq_ready(), count);
    ASSERT_EQ(ring_->submit(), static_cast<int>(count));
    for (std::uint64_t i = next - count; i < next; ++i) {
      ASSERT_EQ(memory_->consumed()[i].user_data, i);
      ASSERT_TRUE(memory_->post(i, static_cast<int>(i)));
    }
    std::array<io_uring_cqe*, 8> cqes{};
    ASSERT_EQ(ring_->cq_ready(), count);
    ASSERT_EQ(ring_->peek_cqes(cqes), count);
    for (unsigned i = 0; i < count; ++i) ASSERT_THAT(*cqes[i], CqeIs(seen++, testing::_));
    ring_->cq_advance(count);
  }
}

INSTANTIATE_TEST_SUITE_P(Positions, RingWrap, testing::Values(0u, 3u, 0xfffffff0u, 0xffffffffu, 0x7ffffffeu));

TEST_F(RingTest, PartialSubmissionKeepsTheRestForTheNextInOrder) {
  ring();
  for (std::uint64_t i = 1; i <= 3; ++i) take_nop(i);
  EXPECT_CALL(kernel_, enter(_, 3, 0, 0, _, _)).WillOnce([this](auto...) {
    return static_cast<int>(memory_->consume(1));
  });
  EXPECT_EQ(ring_->submit(), 1);
  EXPECT_EQ(ring_->sq_ready(), 2u);
  take_nop(4);
  EXPECT_CALL(kernel_, enter(_, 3, 0, 0, _, _)).WillOnce([this](auto...) {
    return static_cast<int>(memory_->consume(3));
  });
  EXPECT_EQ(ring_->submit(), 3);
  EXPECT_THAT(memory_->consumed(), ElementsAre(HasUserData(1u), HasUserData(2u), HasUserData(3u), HasUserData(4u)));
}

TEST_F(RingTest, ARefusedSubmissionKeepsEverything) {
  ring();
  take_nop(1);
  take_nop(2);
  EXPECT_CALL(kernel_, enter(_, 2, _, _, _, _)).WillOnce(Return(-EAGAIN)).WillOnce(Return(-EBUSY)).WillOnce(Return(2));
  EXPECT_EQ(ring_->submit(), -EAGAIN);
  EXPECT_EQ(ring_->submit(), -EBUSY);
  EXPECT_EQ(ring_->submit(), 2);
}

TEST_F(RingTest, FlushedSqesAreVisibleWithoutACall) {
  ring();
  EXPECT_CALL(kernel_, enter).Times(0);
  take_nop(1);
  EXPECT_THAT(memory_->offered(), IsEmpty());
  EXPECT_EQ(ring_->flush_sq(), 1u);
  EXPECT_THAT(memory_->offered(), SizeIs(1));
}

TEST_F(RingTest, LargeSqesStandApart) {
  ring({.sq_entries = 4}, {.setup_flags = IORING_SETUP_SQE128});
  const auto* first = reinterpret_cast<char*>(take_nop(1));
  const auto* second = reinterpret_cast<char*>(take_nop(2));
  EXPECT_EQ(second - first, 128);
  EXPECT_EQ(ring_->submit(), 2);
  EXPECT_THAT(memory_->consumed(), ElementsAre(HasUserData(1u), HasUserData(2u)));
}

// ---- Flags passed to enter

TEST_F(RingTest, AWaitAsksForEvents) {
  ring();
  EXPECT_CALL(kernel_, enter(memory_->fd(), 0, 3, kGetEvents, nullptr, 8)).WillOnce(Return(0));
  EXPECT_EQ(ring_->submit_and_wait(3), 0);
  EXPECT_CALL(kernel_, enter(memory_->fd(), 0, 0, kGetEvents, nullptr, 8)).WillOnce(Return(0));
  EXPECT_EQ(ring_->get_events(), 0);
}

class RingNeedsEnter : public RingTest, public testing::WithParamInterface<std::uint32_t> {};

TEST_P(RingNeedsEnter, ASubmissionFetchesWhatTheKernelHoldsBack) {
  ring();
  EXPECT_FALSE(ring_->cq_needs_enter());
  memory_->set_sq_flags(GetParam());
  EXPECT_TRUE(ring_->cq_needs_enter());
  EXPECT_EQ(ring_->cq_has_overflow(), GetParam() == IORING_SQ_CQ_OVERFLOW);
  EXPECT_CALL(kernel_, enter(_, 0, 0, kGetEvents, _, _)).WillOnce(Return(0));
  EXPECT_EQ(ring_->submit(), 0) << "with nothing to submit too";
  take_nop(1);
  EXPECT_CALL(kernel_, enter(_, 1, 0, kGetEvents, _, _)).WillOnce(Return(1));
  EXPECT_EQ(ring_->submit(), 1);
}

INSTANTIATE_TEST_SUITE_P(Flags, RingNeedsEnter, testing::Values(IORING_SQ_CQ_OVERFLOW, IORING_SQ_TASKRUN));

TEST_F(RingTest, WaitCqeEntersForWhatTheKernelHoldsBack) {
  ring();
  memory_->post(1, 0);
  memory_->set_sq_flags(IORING_SQ_CQ_OVERFLOW);
  EXPECT_CALL(kernel_, enter(_, 0, 0, kGetEvents, _, _)).WillOnce(Return(0));
  io_uring_cqe* cqe = nullptr;
  EXPECT_EQ(ring_->wait_cqe(&cqe), 0);
  EXPECT_THAT(cqe, testing::Pointee(CqeIs(1, 0)));
}

// ---- SQPOLL

TEST_F(RingTest, APollThreadThatIsAwakeIsNotCalled) {
  ring({}, {.setup_flags = IORING_SETUP_SQPOLL});
  take_nop(1);
  EXPECT_CALL(kernel_, enter).Times(0);
  EXPECT_EQ(ring_->submit(), 1);
  EXPECT_THAT(memory_->offered(), SizeIs(1));
}

TEST_F(RingTest, APollThreadThatSleepsIsWoken) {
  ring({}, {.setup_flags = IORING_SETUP_SQPOLL});
  memory_->set_sq_flags(IORING_SQ_NEED_WAKEUP);
  take_nop(1);
  EXPECT_CALL(kernel_, enter(_, 1, 0, IORING_ENTER_SQ_WAKEUP, _, _)).WillOnce([this](auto...) {
    EXPECT_THAT(memory_->offered(), SizeIs(1)) << "the tail must be there before the wake-up";
    return 1;
  });
  EXPECT_EQ(ring_->submit(), 1);
}

TEST_F(RingTest, UnderSqpollAWaitEntersWithoutAWakeUpThatIsNotNeeded) {
  ring({}, {.setup_flags = IORING_SETUP_SQPOLL});
  take_nop(1);
  EXPECT_CALL(kernel_, enter(_, 1, 1, kGetEvents, _, _)).WillOnce(Return(1));
  EXPECT_EQ(ring_->submit_and_wait(1), 1);
}

TEST_F(RingTest, AFullSqIsWaitedForUnderSqpoll) {
  ring({.sq_entries = 2}, {.setup_flags = IORING_SETUP_SQPOLL});
  EXPECT_CALL(kernel_, enter).Times(0);
  EXPECT_EQ(ring_->wait_for_sq_space(), 0) << "there is room";
  testing::Mock::VerifyAndClearExpectations(&kernel_);
  take_nop(1);
  take_nop(2);
  ring_->flush_sq();
  EXPECT_EQ(ring_->get_sqe(), nullptr);
  EXPECT_CALL(kernel_, enter(_, 0, 0, IORING_ENTER_SQ_WAIT, _, _)).WillOnce([this](auto...) {
    memory_->consume(1);
    return 0;
  });
  EXPECT_EQ(ring_->wait_for_sq_space(), 0);
  EXPECT_NE(ring_->get_sqe(), nullptr);
}

TEST_F(RingTest, WithoutSqpollThereIsNoWaitForSpace) {
  ring({.sq_entries = 1});
  take_nop(1);
  EXPECT_CALL(kernel_, enter).Times(0);
  EXPECT_EQ(ring_->wait_for_sq_space(), 0);
}

// ---- Completion

TEST_F(RingTest, CompletionsAreSeenUntilTheyAreGivenBack) {
  ring();
  EXPECT_EQ(ring_->peek_cqe(), nullptr);
  memory_->post(1, -EIO, IORING_CQE_F_MORE);
  memory_->post(2, 5);
  EXPECT_THAT(ring_->peek_cqe(), testing::Pointee(CqeIs(1, -EIO, IORING_CQE_F_MORE)));
  EXPECT_THAT(ring_->peek_cqe(), testing::Pointee(CqeIs(1, -EIO)));
  ring_->cqe_seen(ring_->peek_cqe());
  EXPECT_THAT(ring_->peek_cqe(), testing::Pointee(CqeIs(2, 5)));
  EXPECT_EQ(memory_->cq_head(), 1u);
}

TEST_F(RingTest, LargeCqesStandApart) {
  ring({}, {.setup_flags = IORING_SETUP_CQE32});
  memory_->post(1, 10);
  memory_->post(2, 20);
  std::array<io_uring_cqe*, 4> cqes{};
  ASSERT_EQ(ring_->peek_cqes(cqes), 2u);
  EXPECT_THAT(*cqes[0], CqeIs(1, 10));
  EXPECT_THAT(*cqes[1], CqeIs(2, 20));
}

TEST_F(RingTest, ABatchIsAtMostWhatWasAskedFor) {
  ring();
  for (std::uint64_t i = 0; i < 5; ++i) memory_->post(i, 0);
  std::array<io_uring_cqe*, 3> cqes{};
  EXPECT_EQ(ring_->peek_cqes(cqes), 3u);
}

TEST_F(RingTest, ForEachVisitsWhatIsThereAndGivesItBack) {
  ring();
  memory_->post(1, 0);
  memory_->post(2, 0);
  std::vector<std::uint64_t> visited;
  EXPECT_EQ(ring_->for_each_cqe([&](const io_uring_cqe& cqe) {
    visited.push_back(cqe.user_data);
    if (visited.size() == 1) memory_->post(3, 0);
  }),
            2u);
  EXPECT_THAT(visited, ElementsAre(1u, 2u));
  EXPECT_EQ(ring_->cq_ready(), 1u) << "what came meanwhile is left for the next time";
}

TEST_F(RingTest, TheKernelsCountersCanBeRead) {
  ring();
  memory_->set_cq_overflow(7);
  EXPECT_EQ(ring_->cq_overflow_count(), 7u);
  EXPECT_EQ(ring_->sq_dropped_count(), 0u);
}

// ---- Registration

TEST_F(RingTest, RegistrationsPassTheirArguments) {
  ring();
  const std::array<int, 2> fds = {3, 4};
  EXPECT_CALL(kernel_, register_op(memory_->fd(), IORING_REGISTER_FILES, const_cast<int*>(fds.data()), 2))
      .WillOnce(Return(0));
  EXPECT_EQ(ring_->register_files(fds), 0);
  EXPECT_CALL(kernel_, register_op(_, IORING_REGISTER_FILES_UPDATE, _, 2))
      .WillOnce([&](int, unsigned, void* arg, auto) {
        EXPECT_EQ(static_cast<io_uring_rsrc_update*>(arg)->offset, 5u);
        EXPECT_EQ(static_cast<io_uring_rsrc_update*>(arg)->data, reinterpret_cast<std::uint64_t>(fds.data()));
        return 2;
      });
  EXPECT_EQ(ring_->update_files(5, fds), 2);
  EXPECT_CALL(kernel_, register_op(_, IORING_REGISTER_ENABLE_RINGS, nullptr, 0)).WillOnce(Return(-EBADFD));
  EXPECT_EQ(ring_->enable(), -EBADFD);
}

TEST_F(RingTest, ASparseTableFallsBackToOneOfNoFiles) {
  ring();
  EXPECT_CALL(kernel_, register_op(_, IORING_REGISTER_FILES2, _, _)).WillOnce(Return(-EINVAL));
  EXPECT_CALL(kernel_, register_op(_, IORING_REGISTER_FILES, _, 3)).WillOnce([](int, unsigned, void* arg, auto) {
    for (int i = 0; i < 3; ++i) EXPECT_EQ(static_cast<int*>(arg)[i], -1);
    return 0;
  });
  EXPECT_EQ(ring_->register_files_sparse(3), 0);
}

TEST_F(RingTest, ARegisteredRingIsEnteredByItsIndexAndGivenBack) {
  ring();
  EXPECT_CALL(kernel_, register_op(memory_->fd(), IORING_REGISTER_RING_FDS, _, 1))
      .WillOnce([this](int, unsigned, void* arg, auto) {
        auto* update = static_cast<io_uring_rsrc_update*>(arg);
        EXPECT_EQ(update->data, static_cast<std::uint64_t>(memory_->fd()));
        update->offset = 6;
        return 1;
      });
  EXPECT_EQ(ring_->register_ring_fd(), 0);
  EXPECT_TRUE(ring_->ring_fd_registered());
  EXPECT_EQ(ring_->register_ring_fd(), -EEXIST);

  take_nop(1);
  EXPECT_CALL(kernel_, enter(6, 1, 1, kGetEvents | IORING_ENTER_REGISTERED_RING, _, _)).WillOnce(Return(1));
  EXPECT_EQ(ring_->submit_and_wait(1), 1);

  EXPECT_CALL(kernel_, register_op(_, IORING_UNREGISTER_RING_FDS, _, 1)).WillOnce([](int, unsigned, void* arg, auto) {
    EXPECT_EQ(static_cast<io_uring_rsrc_update*>(arg)->offset, 6u);
    return 1;
  });
  EXPECT_CALL(kernel_, close(memory_->fd())).Times(1);
  ring_.reset();
}

TEST_F(RingTest, AKernelThatCannotRegisterTheRingOnlyCostsThat) {
  memory_ = std::make_unique<MockRing>();
  kernel_.serve(*memory_);
  EXPECT_CALL(kernel_, register_op(_, IORING_REGISTER_RING_FDS, _, _)).WillOnce(Return(-EINVAL));
  Result<Ring> created = Ring::create(kernel_, {.register_ring_fd = true});
  ASSERT_TRUE(created);
  EXPECT_FALSE(created->ring_fd_registered());
  EXPECT_CALL(kernel_, enter(memory_->fd(), 0, 1, kGetEvents, _, _)).WillOnce(Return(0));
  EXPECT_EQ(created->submit_and_wait(1), 0);
}

TEST_F(RingTest, LiburingsInlineFunctionsWorkOnIt) {
  ring();
  io_uring_sqe* sqe = io_uring_get_sqe(ring_->raw());
  io_uring_prep_nop(sqe);
  io_uring_sqe_set_data64(sqe, 5);
  EXPECT_EQ(io_uring_sq_ready(ring_->raw()), 1u);
  EXPECT_EQ(ring_->submit(), 1);
  EXPECT_EQ(io_uring_sq_space_left(ring_->raw()), ring_->sq_entries());
  memory_->post(5, 3);
  EXPECT_EQ(io_uring_cq_ready(ring_->raw()), 1u);
  unsigned head = 0;
  unsigned count = 0;
  io_uring_cqe* cqe = nullptr;
  io_uring_for_each_cqe(ring_->raw(), head, cqe) {
    EXPECT_THAT(*cqe, CqeIs(5, 3));
    ++count;
  }
  EXPECT_EQ(count, 1u);
  io_uring_cq_advance(ring_->raw(), count);
  EXPECT_EQ(ring_->cq_ready(), 0u);
}

}  // namespace
}  // namespace assay
