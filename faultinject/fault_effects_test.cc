// What a program sees of each fault, on the running kernel and on simulated ones: one body an effect.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "assay/backend/ring.h"
#include "assay/faultinject/kernel_stack.h"
#include "assay/mocks/sim_kernel.h"
#include "assay/mocks/uring_matchers.h"

namespace assay {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

class FaultEffects : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (GetParam() != "linux") return;
    // Where io_uring is not available, only simulated kernels can show anything. The reason is the kernel's own answer.
    const Result<Ring> trial = Ring::create((*open_kernel_stack({.kernel = "linux"}))->top(), {.sq_entries = 1});
    if (trial) return;
    ASSERT_TRUE(trial.error() == std::errc::function_not_supported ||
                trial.error() == std::errc::operation_not_permitted)
        << trial.error().message();
    GTEST_SKIP() << "io_uring is not available here: " << trial.error().message();
  }

  // A ring on a kernel with this plan. False, with the refusal in `refused_`, where the kernel cannot carry it.
  bool open(const std::string& plan, const RingOptions& options = {.sq_entries = 8}) {
    Result<std::unique_ptr<KernelStack>> stack = open_kernel_stack({.kernel = GetParam(), .plan = plan});
    if (!stack) {
      refused_ = stack.error().message();
      return false;
    }
    stack_ = std::move(*stack);
    Result<Ring> ring = Ring::create(stack_->top(), options);
    EXPECT_TRUE(ring) << (ring ? "" : ring.error().message());
    ring_ = std::make_unique<Ring>(std::move(*ring));
    return true;
  }

  void take_nops(unsigned count) {
    for (unsigned i = 0; i < count; ++i) {
      io_uring_sqe* sqe = ring_->get_sqe();
      ASSERT_NE(sqe, nullptr);
      io_uring_prep_nop(sqe);
      sqe->user_data = next_user_data_++;
    }
  }

  // A READV or WRITEV, which every kernel has, of `bytes` of `buffer_` in two pieces.
  io_uring_sqe* take_transfer(bool writes, unsigned bytes, std::uint64_t offset, std::uint64_t user_data) {
    parts_[0] = {.iov_base = buffer_.data(), .iov_len = bytes / 2};
    parts_[1] = {.iov_base = buffer_.data() + bytes / 2, .iov_len = bytes - bytes / 2};
    io_uring_sqe* sqe = ring_->get_sqe();
    if (writes) {
      io_uring_prep_writev(sqe, file_, parts_.data(), 2, offset);
    } else {
      io_uring_prep_readv(sqe, file_, parts_.data(), 2, offset);
    }
    sqe->user_data = user_data;
    return sqe;
  }

  // Every completion until there are `count`, in order.
  std::vector<io_uring_cqe> completions(unsigned count) {
    std::vector<io_uring_cqe> seen;
    while (seen.size() < count) {
      io_uring_cqe* cqe = nullptr;
      const int result = ring_->wait_cqe(&cqe);
      if (result == -EINTR) continue;
      EXPECT_EQ(result, 0);
      if (result != 0) break;
      seen.push_back(*cqe);
      ring_->cqe_seen(cqe);
    }
    return seen;
  }

  std::string content() const {
    std::string text(static_cast<std::size_t>(::lseek(file_, 0, SEEK_END)), '\0');
    EXPECT_EQ(::pread(file_, text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
    return text;
  }

  FaultEffects() {
    EXPECT_GE(file_, 0);
    EXPECT_EQ(::write(file_, "0123456789", 10), 10);
    buffer_.fill('.');
  }
  ~FaultEffects() override { ::close(file_); }

  std::string buffer(unsigned bytes) const { return {buffer_.data(), bytes}; }

  std::string refused_;
  int file_ = ::memfd_create("fault_effects_test", MFD_CLOEXEC);
  std::array<char, 64> buffer_{};
  std::array<iovec, 2> parts_{};
  std::uint64_t next_user_data_ = 1;
  std::unique_ptr<KernelStack> stack_;
  std::unique_ptr<Ring> ring_;
};

// ---- Results

TEST_P(FaultEffects, AShortReadFillsAsMuchAsItSays) {
  ASSERT_TRUE(open("cqe/short:nth=1:bytes=3")) << refused_;
  take_transfer(false, 8, 2, 1);
  EXPECT_EQ(ring_->submit(), 1);
  EXPECT_THAT(completions(1), ElementsAre(CqeIs(1, 3)));
  EXPECT_EQ(buffer(8), "234.....");
  EXPECT_TRUE(stack_->report().every_rule_fired());

  take_transfer(false, 8, 2, 2);
  EXPECT_EQ(ring_->submit(), 1);
  EXPECT_THAT(completions(1), ElementsAre(CqeIs(2, 8)));
  EXPECT_EQ(buffer(8), "23456789");
}

TEST_P(FaultEffects, AShortReadEndsInALaterPieceToo) {
  ASSERT_TRUE(open("cqe/short:bytes=6")) << refused_;
  take_transfer(false, 8, 0, 1);
  EXPECT_EQ(ring_->submit(), 1);
  EXPECT_THAT(completions(1), ElementsAre(CqeIs(1, 6)));
  EXPECT_EQ(buffer(8), "012345..");
  EXPECT_EQ(parts_[1].iov_len, 4u) << "the program's vector is its own";
}

TEST_P(FaultEffects, AShortWriteWritesAsMuchAsItSays) {
  ASSERT_TRUE(open("cqe/short:bytes=3")) << refused_;
  std::memcpy(buffer_.data(), "abcdefgh", 8);
  take_transfer(true, 8, 1, 1);
  EXPECT_EQ(ring_->submit(), 1);
  EXPECT_THAT(completions(1), ElementsAre(CqeIs(1, 3)));
  EXPECT_EQ(content(), "0abc456789");
}

TEST_P(FaultEffects, AnErrnoMeansThatNothingWasCarriedOut) {
  if (!open("cqe/errno:nth=1:errno=EIO")) {
    EXPECT_EQ(GetParam(), "linux");
    EXPECT_THAT(refused_, HasSubstr("IORING_NOP_INJECT_RESULT, since Linux 6.10"));
    return;
  }
  std::memcpy(buffer_.data(), "abcdefgh", 8);
  take_transfer(true, 8, 0, 1);
  EXPECT_EQ(ring_->submit(), 1);
  EXPECT_THAT(completions(1), ElementsAre(CqeIs(1, -EIO)));
  EXPECT_EQ(content(), "0123456789");
  take_transfer(true, 8, 0, 2);
  EXPECT_EQ(ring_->submit(), 1);
  EXPECT_THAT(completions(1), ElementsAre(CqeIs(2, 8)));
  EXPECT_EQ(content(), "abcdefgh89");
}

TEST_P(FaultEffects, AnErrnoSeversItsChain) {
  if (!open("cqe/errno:nth=1:errno=EIO")) {
    EXPECT_THAT(refused_, HasSubstr("since Linux 6.10"));
    return;
  }
  take_transfer(false, 8, 0, 1)->flags = IOSQE_IO_LINK;
  take_nops(1);
  EXPECT_EQ(ring_->submit(), 2);
  EXPECT_THAT(completions(2), testing::UnorderedElementsAre(CqeIs(1, -EIO), CqeIs(1, -ECANCELED)));
}

TEST_P(FaultEffects, AnAbsentOpcodeEndsWithEinval) {
  ASSERT_TRUE(open("register/opcode-absent:op=READV")) << refused_;
  take_transfer(false, 8, 0, 1);
  EXPECT_EQ(ring_->submit(), 1);
  EXPECT_THAT(completions(1), ElementsAre(CqeIs(1, -EINVAL)));
  EXPECT_EQ(buffer(8), "........");
  take_nops(1);
  EXPECT_EQ(ring_->submit(), 1);
  EXPECT_THAT(completions(1), ElementsAre(CqeIs(1, 0)));
}

// ---- enter

TEST_P(FaultEffects, EintrSubmitsNothingAndTheNextCallAll) {
  ASSERT_TRUE(open("enter/eintr:nth=1")) << refused_;
  take_nops(3);
  EXPECT_EQ(ring_->submit_and_wait(3), -EINTR);
  EXPECT_EQ(ring_->sq_ready(), 3u);
  EXPECT_EQ(ring_->submit_and_wait(3), 3);
  EXPECT_THAT(completions(3), ElementsAre(CqeIs(1, 0), CqeIs(2, 0), CqeIs(3, 0)));
}

TEST_P(FaultEffects, MaskedEintrReturnsTheCountBeforeTheWaitIsOver) {
  ASSERT_TRUE(open("enter/eintr-masked:nth=1")) << refused_;
  std::array<int, 2> pipe{};
  ASSERT_EQ(::pipe2(pipe.data(), O_CLOEXEC), 0);
  io_uring_sqe* sqe = ring_->get_sqe();
  io_uring_prep_poll_add(sqe, pipe[0], POLLIN);
  sqe->user_data = 7;
  // The wait could never end: only its interruption lets this return.
  EXPECT_EQ(ring_->submit_and_wait(1), 1);
  EXPECT_EQ(ring_->cq_ready(), 0u);
  EXPECT_EQ(::write(pipe[1], "x", 1), 1);
  EXPECT_THAT(completions(1), ElementsAre(CqeIs(7, POLLIN)));
  ::close(pipe[0]);
  ::close(pipe[1]);
}

TEST_P(FaultEffects, EagainAndEbusySubmitNothing) {
  ASSERT_TRUE(open("enter/eagain:nth=1,enter/ebusy:nth=1")) << refused_;
  take_nops(2);
  EXPECT_EQ(ring_->submit(), -EAGAIN);
  EXPECT_EQ(ring_->submit(), -EBUSY);
  EXPECT_EQ(ring_->sq_ready(), 2u);
  EXPECT_EQ(ring_->submit(), 2);
  EXPECT_THAT(completions(2), ElementsAre(CqeIs(1, 0), CqeIs(2, 0)));
  EXPECT_TRUE(stack_->report().every_rule_fired());
}

TEST_P(FaultEffects, TakeSubmitsKAndWaitsForNothing) {
  ASSERT_TRUE(open("enter/take:nth=1:k=2")) << refused_;
  take_nops(5);
  EXPECT_EQ(ring_->submit_and_wait(5), 2) << "and does not wait for five, which could not come";
  EXPECT_EQ(ring_->sq_ready(), 3u);
  EXPECT_EQ(ring_->submit_and_wait(5), 3);
  EXPECT_THAT(completions(5), ElementsAre(CqeIs(1, 0), CqeIs(2, 0), CqeIs(3, 0), CqeIs(4, 0), CqeIs(5, 0)));
}

TEST_P(FaultEffects, EbadrIsSaidOnceByAWaitOnKernelsThatSayIt) {
  if (!open("enter/ebadr:nth=1")) {
    EXPECT_THAT(GetParam(), testing::AnyOf(HasSubstr("linux-5.4"), HasSubstr("linux-5.10")));
    EXPECT_THAT(refused_, HasSubstr("ebadr_after_drop"));
    return;
  }
  EXPECT_EQ(ring_->submit_and_wait(1), -EBADR);
  take_nops(1);
  EXPECT_EQ(ring_->submit_and_wait(1), 1);
  EXPECT_THAT(completions(1), ElementsAre(CqeIs(1, 0)));
}

// ---- setup

TEST_P(FaultEffects, AHiddenExtArgLeavesTheOtherWayToWait) {
  ASSERT_TRUE(open("setup/feature-absent:bit=EXT_ARG")) << refused_;
  EXPECT_EQ(ring_->features() & IORING_FEAT_EXT_ARG, 0u);
  io_uring_getevents_arg arg{};
  EXPECT_EQ(stack_->top().enter(ring_->fd(), 0, 0, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &arg, sizeof(arg)),
            -EINVAL);
  EXPECT_EQ(ring_->submit_and_wait(1, 1ms), -ETIME);
}

TEST_P(FaultEffects, AHiddenCqeSkipIsRefusedInTheCqe) {
  ASSERT_TRUE(open("setup/feature-absent:bit=CQE_SKIP")) << refused_;
  io_uring_sqe* sqe = ring_->get_sqe();
  io_uring_prep_nop(sqe);
  sqe->user_data = 1;
  sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
  EXPECT_EQ(ring_->submit(), 1);
  EXPECT_THAT(completions(1), ElementsAre(CqeIs(1, -EINVAL)));
}

TEST_P(FaultEffects, AHiddenSingleMmapIsMappedTwice) {
  ASSERT_TRUE(open("setup/feature-absent:bit=SINGLE_MMAP")) << refused_;
  EXPECT_NE(ring_->raw()->cq.ring_ptr, ring_->raw()->sq.ring_ptr);
  take_nops(1);
  EXPECT_EQ(ring_->submit(), 1);
  EXPECT_THAT(completions(1), ElementsAre(CqeIs(1, 0)));
}

// ---- All at once

// Copies `size` bytes from one file to another, one request at a time, as a careful program does.
std::string careful_copy(Kernel& kernel, int from, int to, std::uint64_t size) {
  Result<Ring> ring = Ring::create(kernel, {.sq_entries = 4});
  if (!ring) return ring.error().message();
  std::array<char, 97> buffer{};
  const auto run = [&](bool writes, std::uint64_t offset, std::size_t bytes) -> int {
    iovec part{.iov_base = buffer.data(), .iov_len = bytes};
    io_uring_sqe* sqe = ring->get_sqe();
    if (writes) {
      io_uring_prep_writev(sqe, to, &part, 1, offset);
    } else {
      io_uring_prep_readv(sqe, from, &part, 1, offset);
    }
    for (;;) {
      const int result = ring->submit_and_wait(1);
      if (result < 0 && result != -EINTR && result != -EAGAIN && result != -EBUSY) return result;
      if (io_uring_cqe* cqe = ring->peek_cqe()) {
        const int res = cqe->res;
        ring->cqe_seen(cqe);
        return res;
      }
    }
  };
  for (std::uint64_t offset = 0; offset < size;) {
    const int got = run(false, offset, std::min<std::uint64_t>(buffer.size(), size - offset));
    if (got <= 0) return "read " + std::to_string(got);
    for (int put = 0; put < got;) {
      const int now = run(true, offset + static_cast<std::uint64_t>(put), static_cast<std::size_t>(got - put));
      if (now <= 0) return "write " + std::to_string(now);
      std::memmove(buffer.data(), buffer.data() + now, buffer.size() - static_cast<std::size_t>(now));
      put += now;
    }
    offset += static_cast<std::uint64_t>(got);
  }
  return "";
}

TEST_P(FaultEffects, ACarefulProgramComesThroughAnyMixtureOfThem) {
  std::string original(1500, '\0');
  std::iota(original.begin(), original.end(), '\0');
  ASSERT_EQ(::pwrite(file_, original.data(), original.size(), 0), static_cast<ssize_t>(original.size()));
  std::uint64_t fired = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const auto stack =
        open_kernel_stack({.kernel = GetParam(),
                           .plan = "enter/eintr:prob=0.2,enter/eintr-masked:prob=0.2,enter/eagain:prob=0.2,"
                                   "enter/ebusy:prob=0.2,cqe/short:prob=0.5,cqe/short:every=3:bytes=1",
                           .seed = seed});
    ASSERT_TRUE(stack) << stack.error().message();
    const int copy = ::memfd_create("copy", MFD_CLOEXEC);
    EXPECT_EQ(careful_copy((*stack)->top(), file_, copy, original.size()), "") << (*stack)->replay_options();
    std::string copied(original.size() + 1, '\0');
    EXPECT_EQ(::pread(copy, copied.data(), copied.size(), 0), static_cast<ssize_t>(original.size()));
    copied.resize(original.size());
    EXPECT_EQ(copied, original) << (*stack)->replay_options();
    ::close(copy);
    EXPECT_TRUE((*stack)->report().every_rule_fired()) << (*stack)->report().text();
    fired += (*stack)->report().fired();
  }
  EXPECT_GT(fired, 500u);
}

INSTANTIATE_TEST_SUITE_P(Kernels, FaultEffects,
                         testing::Values("linux", "sim:linux-5.4,strict", "sim:linux-5.10.0,strict",
                                         "sim:linux-6.12.0,strict"),
                         [](const auto& param_info) {
                           std::string name = param_info.param;
                           std::replace_if(
                               name.begin(), name.end(), [](char c) { return std::isalnum(c) == 0; }, '_');
                           return name;
                         });

}  // namespace
}  // namespace assay
