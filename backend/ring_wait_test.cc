// Waits of Ring that have a limit: by EXT_ARG, by a TIMEOUT request where the kernel lacks that (before 5.11), and by
// ppoll where it lacks both (before 5.4).

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <memory>
#include <utility>

#include "assay/backend/ring.h"
#include "assay/mocks/mock_kernel.h"

namespace assay {
namespace {

using namespace std::chrono_literals;
using testing::_;
using testing::ElementsAre;
using testing::IsNull;
using testing::NiceMock;
using testing::Pointee;
using testing::Return;
using testing::SizeIs;

constexpr unsigned kGetEvents = IORING_ENTER_GETEVENTS;
constexpr unsigned kFeatures54 = IORING_FEAT_SINGLE_MMAP;

class RingWaitTest : public testing::Test {
 protected:
  Ring& ring(unsigned features, const MockRingOptions& memory = {}) {
    MockRingOptions options = memory;
    options.features = features;
    memory_ = std::make_unique<MockRing>(options);
    kernel_.serve(*memory_);
    Result<Ring> created = Ring::create(kernel_);
    EXPECT_TRUE(created) << (created ? "" : created.error().message());
    ring_ = std::make_unique<Ring>(std::move(*created));
    return *ring_;
  }

  void take_nop(std::uint64_t user_data) {
    io_uring_sqe* sqe = ring_->get_sqe();
    ASSERT_NE(sqe, nullptr);
    io_uring_prep_nop(sqe);
    sqe->user_data = user_data;
  }

  void advance(std::chrono::nanoseconds duration) {
    const auto now =
        std::chrono::seconds{kernel_.clock.tv_sec} + std::chrono::nanoseconds{kernel_.clock.tv_nsec} + duration;
    kernel_.clock.tv_sec = std::chrono::duration_cast<std::chrono::seconds>(now).count();
    kernel_.clock.tv_nsec = (now % 1s).count();
  }

  NiceMock<MockKernel> kernel_;
  std::unique_ptr<MockRing> memory_;
  std::unique_ptr<Ring> ring_;
};

// ---- EXT_ARG

class RingExtArgTest : public RingWaitTest {
 protected:
  RingExtArgTest() { ring(IORING_FEAT_SINGLE_MMAP | IORING_FEAT_EXT_ARG); }
};

TEST_F(RingExtArgTest, TheLimitAndTheMaskAreInTheArgument) {
  take_nop(1);
  sigset_t mask;
  sigemptyset(&mask);
  EXPECT_CALL(kernel_, enter(memory_->fd(), 1, 2, kGetEvents | IORING_ENTER_EXT_ARG, _, sizeof(io_uring_getevents_arg)))
      .WillOnce([&](int, unsigned, unsigned, unsigned, const void* argument, std::size_t) {
        const auto& arg = *static_cast<const io_uring_getevents_arg*>(argument);
        EXPECT_EQ(arg.sigmask, reinterpret_cast<std::uint64_t>(&mask));
        EXPECT_EQ(arg.sigmask_sz, 8u) << "the kernel's size of a signal set, not the C library's";
        const auto& time = *reinterpret_cast<const __kernel_timespec*>(arg.ts);
        EXPECT_EQ(time.tv_sec, 1);
        EXPECT_EQ(time.tv_nsec, 500'000'001);
        return static_cast<int>(memory_->consume(1));
      });
  EXPECT_EQ(ring_->submit_and_wait(2, 1500000001ns, &mask), 1);
  EXPECT_THAT(memory_->consumed(), SizeIs(1)) << "no request of the Ring's own";
}

TEST_F(RingExtArgTest, ANegativeLimitIsNone) {
  EXPECT_CALL(kernel_, enter).WillOnce([](int, unsigned, unsigned, unsigned, const void* argument, std::size_t) {
    const auto& time =
        *reinterpret_cast<const __kernel_timespec*>(static_cast<const io_uring_getevents_arg*>(argument)->ts);
    EXPECT_EQ(time.tv_sec, 0);
    EXPECT_EQ(time.tv_nsec, 0);
    return -ETIME;
  });
  EXPECT_EQ(ring_->submit_and_wait(1, -5ms), -ETIME);
}

TEST_F(RingExtArgTest, AWaitForOneGoesOnUntilOneIsThere) {
  EXPECT_CALL(kernel_, enter(_, 0, 1, kGetEvents | IORING_ENTER_EXT_ARG, _, _))
      .WillOnce([this](auto...) {
        advance(30ms);
        return 0;  // woken, and someone else took the completion
      })
      .WillOnce([this](int, unsigned, unsigned, unsigned, const void* argument, std::size_t) {
        const auto& time =
            *reinterpret_cast<const __kernel_timespec*>(static_cast<const io_uring_getevents_arg*>(argument)->ts);
        EXPECT_EQ(time.tv_nsec, 70'000'000) << "what is left of the limit";
        memory_->post(4, 2);
        return 0;
      });
  io_uring_cqe* cqe = nullptr;
  EXPECT_EQ(ring_->wait_cqe(&cqe, 100ms), 0);
  EXPECT_THAT(cqe, Pointee(CqeIs(4, 2)));
}

TEST_F(RingExtArgTest, AWaitForOneEndsWithTheTime) {
  EXPECT_CALL(kernel_, enter).WillOnce([this](auto...) {
    advance(100ms);
    return -ETIME;
  });
  io_uring_cqe* cqe = nullptr;
  EXPECT_EQ(ring_->wait_cqe(&cqe, 100ms), -ETIME);
  EXPECT_THAT(cqe, IsNull());
}

TEST_F(RingExtArgTest, AnInterruptionWithoutACompletionIsTold) {
  EXPECT_CALL(kernel_, enter).WillOnce(Return(-EINTR));
  io_uring_cqe* cqe = nullptr;
  EXPECT_EQ(ring_->wait_cqe(&cqe, 100ms), -EINTR);
  EXPECT_CALL(kernel_, enter).WillOnce([this](auto...) {
    memory_->post(1, 0);
    return -EINTR;
  });
  EXPECT_EQ(ring_->wait_cqe(&cqe, 100ms), 0) << "a completion that is there counts for more";
}

TEST_F(RingExtArgTest, ACompletionThatIsThereCostsNoCall) {
  memory_->post(1, 0);
  EXPECT_CALL(kernel_, enter).Times(0);
  io_uring_cqe* cqe = nullptr;
  EXPECT_EQ(ring_->wait_cqe(&cqe, 1s), 0);
  EXPECT_EQ(ring_->wait_cqe(&cqe), 0);
}

// ---- By a TIMEOUT request

class RingTimeoutRequestTest : public RingWaitTest {
 protected:
  RingTimeoutRequestTest() { ring(kFeatures54); }

  static constexpr std::uint64_t kOwn = uapi::kUserDataTimeout;
};

TEST_F(RingTimeoutRequestTest, TheLimitIsARequestThatEndsWithTheWait) {
  take_nop(1);
  EXPECT_CALL(kernel_, enter(_, 2, 3, kGetEvents, nullptr, 8)).WillOnce([this](auto...) {
    return static_cast<int>(memory_->consume(2));
  });
  EXPECT_EQ(ring_->submit_and_wait(3, 1500ms), 1) << "the Ring's own request is not counted";
  ASSERT_THAT(memory_->consumed(), ElementsAre(HasUserData(1u), SqeIs(IORING_OP_TIMEOUT, _, kOwn)));
  const io_uring_sqe& timeout = memory_->consumed()[1];
  EXPECT_EQ(timeout.off, 3u) << "ends when as many others have completed";
  const auto& time = *reinterpret_cast<const __kernel_timespec*>(timeout.addr);
  EXPECT_EQ(time.tv_sec, 1);
  EXPECT_EQ(time.tv_nsec, 500'000'000);
}

TEST_F(RingTimeoutRequestTest, ItsCompletionIsPassedOver) {
  EXPECT_CALL(kernel_, enter).WillOnce([this](auto...) {
    const unsigned taken = memory_->consume(1);
    memory_->post(kOwn, -ETIME);
    advance(100ms);
    return static_cast<int>(taken);
  });
  EXPECT_EQ(ring_->submit_and_wait(1, 100ms), -ETIME);
  EXPECT_EQ(ring_->peek_cqe(), nullptr);
  EXPECT_EQ(ring_->cq_ready(), 0u) << "given back";
}

TEST_F(RingTimeoutRequestTest, AStaleTimeoutDoesNotEndALaterWait) {
  // The first wait is interrupted after its request was taken; that request fires during the second wait, long before
  // its end.
  EXPECT_CALL(kernel_, enter)
      .WillOnce([this](auto...) { return static_cast<int>(memory_->consume(1)); })
      .WillOnce(Return(-EINTR))
      .WillOnce([this](auto...) {
        const unsigned taken = memory_->consume(1);
        memory_->post(kOwn, -ETIME);
        advance(10ms);
        return static_cast<int>(taken);
      })
      .WillOnce([this](auto...) {
        memory_->post(7, 1);
        return 0;
      });
  EXPECT_EQ(ring_->submit_and_wait(1, 20ms), -EINTR);
  EXPECT_EQ(ring_->submit_and_wait(1, 1s), 0);
  EXPECT_THAT(ring_->peek_cqe(), Pointee(CqeIs(7, 1)));
}

TEST_F(RingTimeoutRequestTest, ATimeoutAmongCompletionsIsNoCompletion) {
  memory_->post(1, 0);
  memory_->post(kOwn, -ETIME);
  memory_->post(2, 0);
  std::array<io_uring_cqe*, 8> cqes{};
  EXPECT_EQ(ring_->peek_cqes(cqes), 1u);
  ring_->cq_advance(1);
  EXPECT_EQ(ring_->peek_cqes(cqes), 1u);
  EXPECT_THAT(*cqes[0], CqeIs(2, 0));
  EXPECT_EQ(memory_->cq_head(), 2u);
}

TEST_F(RingTimeoutRequestTest, ForEachPassesOverIt) {
  memory_->post(kOwn, -ETIME);
  memory_->post(2, 0);
  unsigned visits = 0;
  EXPECT_EQ(ring_->for_each_cqe([&](const io_uring_cqe& cqe) {
    EXPECT_THAT(cqe, CqeIs(2, 0));
    ++visits;
  }),
            1u);
  EXPECT_EQ(visits, 1u);
  EXPECT_EQ(memory_->cq_head(), 2u);
}

TEST_F(RingTimeoutRequestTest, APartialSubmissionEndsTheWaitAndCountsTheCallersOwn) {
  take_nop(1);
  take_nop(2);
  EXPECT_CALL(kernel_, enter(_, 3, _, _, _, _)).WillOnce([this](auto...) {
    return static_cast<int>(memory_->consume(2));
  });
  EXPECT_EQ(ring_->submit_and_wait(1, 1s), 2);
  EXPECT_THAT(memory_->offered(), ElementsAre(SqeIs(IORING_OP_TIMEOUT)));
}

// Were each wait to queue another, a kernel that takes one SQE a call would never reach the end of them.
TEST_F(RingTimeoutRequestTest, ARequestThatWasNotTakenServesTheNextWait) {
  take_nop(1);
  EXPECT_CALL(kernel_, enter(_, 2, _, _, _, _)).WillOnce([this](auto...) {
    return static_cast<int>(memory_->consume(1));
  });
  EXPECT_EQ(ring_->submit_and_wait(1, 1s), 1);
  take_nop(2);
  EXPECT_CALL(kernel_, enter(_, 2, 5, _, _, _)).WillOnce([this](auto...) {
    return static_cast<int>(memory_->consume(2));
  });
  EXPECT_EQ(ring_->submit_and_wait(5, 2500ms), 1) << "the Ring's own request is not counted, wherever it stands";
  ASSERT_THAT(memory_->consumed(), ElementsAre(HasUserData(1u), SqeIs(IORING_OP_TIMEOUT, _, kOwn), HasUserData(2u)));
  EXPECT_EQ(memory_->consumed()[1].off, 5u);
  EXPECT_EQ(reinterpret_cast<const __kernel_timespec*>(memory_->consumed()[1].addr)->tv_sec, 2);
}

TEST_F(RingTimeoutRequestTest, AFullSqIsSubmittedFirst) {
  ring(kFeatures54, {.sq_entries = 2});
  take_nop(1);
  take_nop(2);
  testing::InSequence sequence;
  EXPECT_CALL(kernel_, enter(_, 2, 0, 0, _, _)).WillOnce([this](auto...) {
    return static_cast<int>(memory_->consume(2));
  });
  EXPECT_CALL(kernel_, enter(_, 1, 1, kGetEvents, _, _)).WillOnce([this](auto...) {
    return static_cast<int>(memory_->consume(1));
  });
  EXPECT_EQ(ring_->submit_and_wait(1, 1s), 2);
}

TEST_F(RingTimeoutRequestTest, AWaitForNothingNeedsNoRequest) {
  take_nop(1);
  EXPECT_EQ(ring_->submit_and_wait(0, 1s), 1);
  EXPECT_THAT(memory_->consumed(), ElementsAre(SqeIs(IORING_OP_NOP)));
}

TEST_F(RingTimeoutRequestTest, TheMaskGoesAlong) {
  sigset_t mask;
  sigemptyset(&mask);
  EXPECT_CALL(kernel_, enter(_, 1, 1, kGetEvents, static_cast<const void*>(&mask), 8)).WillOnce([this](auto...) {
    const unsigned taken = memory_->consume(1);
    memory_->post(3, 0);
    return static_cast<int>(taken);
  });
  EXPECT_EQ(ring_->submit_and_wait(1, 1s, &mask), 0);
}

// ---- By ppoll

class RingPollTest : public RingWaitTest {
 protected:
  RingPollTest() { ring(0); }
};

TEST_F(RingPollTest, TheLimitIsAPollOfTheRing) {
  EXPECT_CALL(kernel_, enter).Times(0);
  EXPECT_CALL(kernel_, wait_readable(memory_->fd(), _)).WillOnce([this](int, const timespec* timeout) {
    EXPECT_EQ(timeout->tv_sec, 2);
    EXPECT_EQ(timeout->tv_nsec, 1);
    memory_->post(1, 0);
    return 1;
  });
  EXPECT_EQ(ring_->submit_and_wait(1, 2s + 1ns), 0);
}

TEST_F(RingPollTest, WhatWasSubmittedIsToldAndTheWaitIsNot) {
  take_nop(1);
  EXPECT_CALL(kernel_, wait_readable).WillOnce(Return(0));
  EXPECT_EQ(ring_->submit_and_wait(1, 1s), 1);
  EXPECT_CALL(kernel_, wait_readable).WillOnce(Return(0)).WillOnce(Return(-EINTR));
  EXPECT_EQ(ring_->submit_and_wait(1, 1s), -ETIME);
  EXPECT_EQ(ring_->submit_and_wait(1, 1s), -EINTR);
}

TEST_F(RingPollTest, WhatIsThereIsNotPolledFor) {
  memory_->post(1, 0);
  EXPECT_CALL(kernel_, wait_readable).Times(0);
  EXPECT_EQ(ring_->submit_and_wait(1, 1s), 0);
}

TEST_F(RingPollTest, AMaskIsRefused) {
  sigset_t mask;
  sigemptyset(&mask);
  EXPECT_EQ(ring_->submit_and_wait(1, 1s, &mask), -EINVAL);
}

}  // namespace
}  // namespace assay
