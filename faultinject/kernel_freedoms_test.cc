// What a simulated kernel does where a plan uses its freedoms: each point by what a program sees of it.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
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
using testing::UnorderedElementsAre;

class KernelFreedoms : public testing::Test {
 protected:
  KernelFreedoms() {
    EXPECT_EQ(::pipe2(pipe_.data(), O_CLOEXEC), 0);
    EXPECT_EQ(::write(file_, "0123456789", 10), 10);
  }
  ~KernelFreedoms() override {
    ring_.reset();
    for (const int fd : {pipe_[0], pipe_[1], file_}) ::close(fd);
  }

  void open(const std::string& plan, unsigned setup_flags = 0, const std::string& kernel = "sim:linux-6.12.0,strict") {
    Result<std::unique_ptr<KernelStack>> stack = open_kernel_stack({.kernel = kernel, .plan = plan});
    ASSERT_TRUE(stack) << stack.error().message();
    stack_ = std::move(*stack);
    Result<Ring> ring = Ring::create(stack_->top(), {.sq_entries = 8, .setup_flags = setup_flags});
    ASSERT_TRUE(ring) << ring.error().message();
    ring_ = std::make_unique<Ring>(std::move(*ring));
  }

  io_uring_sqe* sqe(std::uint64_t user_data) {
    io_uring_sqe* sqe = ring_->get_sqe();
    io_uring_prep_nop(sqe);
    sqe->user_data = user_data;
    return sqe;
  }
  void nop(std::uint64_t user_data) { sqe(user_data); }
  void read_file(std::uint64_t user_data) {
    io_uring_sqe* entry = sqe(user_data);
    io_uring_prep_read(entry, file_, buffer_.data(), 10, 0);
    entry->user_data = user_data;
  }
  void read_pipe(std::uint64_t user_data) {
    io_uring_sqe* entry = sqe(user_data);
    io_uring_prep_read(entry, pipe_[0], buffer_.data(), 10, 0);
    entry->user_data = user_data;
  }
  void poll_pipe(std::uint64_t user_data) {
    io_uring_sqe* entry = sqe(user_data);
    io_uring_prep_poll_add(entry, pipe_[0], POLLIN);
    entry->user_data = user_data;
  }
  void cancel(std::uint64_t target, std::uint64_t user_data) {
    io_uring_sqe* entry = sqe(user_data);
    io_uring_prep_cancel64(entry, target, 0);
    entry->user_data = user_data;
  }

  std::vector<io_uring_cqe> cqes() {
    std::vector<io_uring_cqe> seen;
    ring_->for_each_cqe([&seen](const io_uring_cqe& cqe) { seen.push_back(cqe); });
    return seen;
  }
  bool all_fired() const { return stack_->report().every_rule_fired(); }

  std::array<int, 2> pipe_{};
  int file_ = ::memfd_create("kernel_freedoms_test", MFD_CLOEXEC);
  std::array<char, 16> buffer_{};
  std::unique_ptr<KernelStack> stack_;
  std::unique_ptr<Ring> ring_;
};

TEST_F(KernelFreedoms, AReadFindsTheEndAndTakesNothing) {
  open("cqe/eof:nth=1");
  ASSERT_EQ(::write(pipe_[1], "abc", 3), 3);
  read_pipe(1);
  EXPECT_EQ(ring_->submit_and_wait(1), 1);
  EXPECT_THAT(cqes(), ElementsAre(CqeIs(1, 0)));
  read_pipe(2);
  EXPECT_EQ(ring_->submit_and_wait(1), 1);
  EXPECT_THAT(cqes(), ElementsAre(CqeIs(2, 3))) << "what is there was not taken";
}

TEST_F(KernelFreedoms, ResultsOfTheMomentLeaveTheFileAlone) {
  open("cqe/eintr:nth=1,cqe/eagain:nth=2");
  for (std::uint64_t i = 1; i <= 3; ++i) read_file(i);
  nop(4);
  EXPECT_EQ(ring_->submit_and_wait(4), 4);
  EXPECT_THAT(cqes(), UnorderedElementsAre(CqeIs(1, -EINTR), CqeIs(2, -EAGAIN), CqeIs(3, 10), CqeIs(4, 0)));
  EXPECT_EQ(stack_->report().crossings_of(FaultPointId::kCqeEintr), 3u) << "a NOP is on no file";
}

TEST_F(KernelFreedoms, ARefusedRequestCancelsItsChainAndEndsItsBatch) {
  open("cqe/refused:nth=2");
  read_file(1);
  ring_->raw()->sq.sqes[0].flags |= IOSQE_IO_LINK;
  read_file(2);
  read_file(3);
  EXPECT_EQ(ring_->submit(), 2) << "without SUBMIT_ALL the batch ends there";
  EXPECT_THAT(cqes(), UnorderedElementsAre(CqeIs(1, -ECANCELED), CqeIs(2, -EINVAL)));
  EXPECT_EQ(ring_->submit_and_wait(1), 1);
  EXPECT_THAT(cqes(), ElementsAre(CqeIs(3, 10)));
}

TEST_F(KernelFreedoms, AHeldCompletionComesWithTheNextEnter) {
  open("cqe/held:nth=1", IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG);
  nop(1);
  nop(2);
  EXPECT_EQ(ring_->submit(), 2);
  EXPECT_THAT(cqes(), ElementsAre(CqeIs(2, 0)));
  EXPECT_TRUE(ring_->cq_needs_enter()) << "IORING_SQ_TASKRUN says that there is more";
  EXPECT_EQ(ring_->get_events(), 0);
  EXPECT_THAT(cqes(), ElementsAre(CqeIs(1, 0)));
  EXPECT_FALSE(ring_->cq_needs_enter());
}

TEST_F(KernelFreedoms, AWaitForAHeldCompletionEnds) {
  open("cqe/held:nth=1", IORING_SETUP_COOP_TASKRUN);
  nop(1);
  EXPECT_EQ(ring_->submit_and_wait(1), 1);
  EXPECT_THAT(cqes(), ElementsAre(CqeIs(1, 0)));
  EXPECT_TRUE(all_fired());
}

TEST_F(KernelFreedoms, NothingIsHeldWhereTheKernelWouldInterrupt) {
  open("cqe/held");
  nop(1);
  EXPECT_EQ(ring_->submit(), 1);
  EXPECT_THAT(cqes(), ElementsAre(CqeIs(1, 0)));
  EXPECT_EQ(stack_->report().fired(), 0u);
}

TEST_F(KernelFreedoms, AForeignCompletionComesFirst) {
  open("cqe/foreign:nth=1");
  nop(1);
  EXPECT_EQ(ring_->submit_and_wait(1), 1);
  EXPECT_THAT(cqes(), ElementsAre(CqeIs(~std::uint64_t{0}, 0), CqeIs(1, 0)));
}

TEST_F(KernelFreedoms, BuffersThatAreThereAreNotFound) {
  open("cqe/enobufs:nth=1");
  std::array<int, 2> pair{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()), 0);
  io_uring_sqe* provide = sqe(0);
  io_uring_prep_provide_buffers(provide, buffer_.data(), 8, 2, 1, 0);
  provide->user_data = 1;
  EXPECT_EQ(ring_->submit_and_wait(1), 1);
  EXPECT_THAT(cqes(), ElementsAre(CqeIs(1, 0)));
  ASSERT_EQ(::write(pair[1], "x", 1), 1);
  for (std::uint64_t i = 2; i <= 3; ++i) {
    io_uring_sqe* receive = sqe(i);
    io_uring_prep_recv(receive, pair[0], nullptr, 8, 0);
    receive->user_data = i;
    receive->flags |= IOSQE_BUFFER_SELECT;
    receive->buf_group = 1;
    EXPECT_EQ(ring_->submit_and_wait(1), 1);
    const std::vector<io_uring_cqe> seen = cqes();
    ASSERT_EQ(seen.size(), 1u);
    EXPECT_EQ(seen[0].res, i == 2 ? -ENOBUFS : 1);
  }
  ::close(pair[0]);
  ::close(pair[1]);
}

TEST_F(KernelFreedoms, ACancelationOverlooksItsTarget) {
  open("cqe/cancel-enoent:nth=1");
  read_pipe(1);
  EXPECT_EQ(ring_->submit(), 1);
  cancel(1, 2);
  EXPECT_EQ(ring_->submit_and_wait(1), 1);
  EXPECT_THAT(cqes(), ElementsAre(CqeIs(2, -ENOENT)));
  cancel(1, 3);
  EXPECT_EQ(ring_->submit_and_wait(2), 1);
  EXPECT_THAT(cqes(), UnorderedElementsAre(CqeIs(1, -ECANCELED), CqeIs(3, 0))) << "it was in flight all the time";
}

TEST_F(KernelFreedoms, ACancelationComesUponARunningTarget) {
  open("cqe/cancel-ealready:nth=1");
  read_pipe(1);
  EXPECT_EQ(ring_->submit(), 1);
  cancel(1, 2);
  EXPECT_EQ(ring_->submit_and_wait(2), 1);
  EXPECT_THAT(cqes(), UnorderedElementsAre(CqeIs(1, -ECANCELED), CqeIs(2, -EALREADY)));
}

TEST_F(KernelFreedoms, ACancelationsReplyAndItsTargetsEndComeInBothOrders) {
  std::vector<std::uint64_t> usual;
  std::vector<std::uint64_t> other;
  for (const auto& [plan, order] :
       {std::pair(std::string(), &usual), std::pair(std::string("cqe/cancel-order"), &other)}) {
    open(plan);
    poll_pipe(1);
    EXPECT_EQ(ring_->submit(), 1);
    cancel(1, 2);
    EXPECT_EQ(ring_->submit_and_wait(2), 1);
    for (const io_uring_cqe& cqe : cqes()) order->push_back(cqe.user_data);
    ring_.reset();
  }
  ASSERT_EQ(usual.size(), 2u);
  EXPECT_THAT(other, ElementsAre(usual[1], usual[0]));
}

TEST_F(KernelFreedoms, ThePollThreadTakesItsTime) {
  open("poller/late:to=3", IORING_SETUP_SQPOLL);
  nop(1);
  EXPECT_EQ(ring_->submit(), 1);
  unsigned looks = 0;
  while (ring_->cq_ready() == 0 && looks < 100) {
    stack_->top().relax(ring_->fd());
    ++looks;
  }
  EXPECT_GE(looks, 3u);
  EXPECT_THAT(cqes(), ElementsAre(CqeIs(1, 0)));
  EXPECT_TRUE(all_fired());
}

TEST_F(KernelFreedoms, CompletionsAreThereBeforeTheSqHasRoom) {
  open("poller/head-late:nth=1", IORING_SETUP_SQPOLL);
  for (unsigned i = 1; i <= ring_->sq_entries(); ++i) nop(i);
  EXPECT_EQ(ring_->submit_and_wait(ring_->sq_entries()), static_cast<int>(ring_->sq_entries()));
  EXPECT_EQ(cqes().size(), ring_->sq_entries());
  EXPECT_EQ(ring_->get_sqe(), nullptr);
  EXPECT_GE(ring_->wait_for_sq_space(), 0);
  EXPECT_NE(ring_->get_sqe(), nullptr);
  EXPECT_TRUE(all_fired());
}

TEST_F(KernelFreedoms, AWaitBehindALatePollThreadEnds) {
  open("poller/late", IORING_SETUP_SQPOLL);
  nop(1);
  EXPECT_EQ(ring_->submit_and_wait(1), 1);
  EXPECT_THAT(cqes(), ElementsAre(CqeIs(1, 0)));
}

TEST_F(KernelFreedoms, ThePollThreadSleepsEarly) {
  open("poller/asleep:nth=1", IORING_SETUP_SQPOLL);
  const auto needs_wakeup = [this] {
    return (IO_URING_READ_ONCE(*ring_->raw()->sq.kflags) & IORING_SQ_NEED_WAKEUP) != 0;
  };
  EXPECT_FALSE(needs_wakeup());
  stack_->top().relax(ring_->fd());
  EXPECT_TRUE(needs_wakeup());
  nop(1);
  EXPECT_EQ(ring_->submit_and_wait(1), 1) << "whoever looks at the flag wakes it";
  EXPECT_THAT(cqes(), ElementsAre(CqeIs(1, 0)));
}

TEST_F(KernelFreedoms, AWaitForSeveralReturnsWithTheFirst) {
  open("enter/early:nth=1");
  nop(1);
  EXPECT_EQ(ring_->submit(), 1);
  read_pipe(2);
  EXPECT_EQ(ring_->submit(), 1);
  EXPECT_EQ(ring_->kernel().enter(ring_->fd(), 0, 2, IORING_ENTER_GETEVENTS, nullptr, 0), 0);
  EXPECT_THAT(cqes(), ElementsAre(CqeIs(1, 0)));
  EXPECT_TRUE(all_fired());
}

TEST_F(KernelFreedoms, FreedomsAreRefusedWhereNobodyCanBeAsked) {
  for (const char* plan :
       {"cqe/eof", "cqe/held", "cqe/foreign", "cqe/enobufs", "cqe/refused", "cqe/notif-late", "cqe/cancel-enoent",
        "cqe/cancel-ealready", "cqe/cancel-order", "poller/late", "poller/head-late", "poller/asleep"}) {
    const Result<std::unique_ptr<KernelStack>> stack = open_kernel_stack({.kernel = "linux", .plan = plan});
    ASSERT_FALSE(stack) << plan;
    EXPECT_THAT(stack.error().message(), testing::HasSubstr("only a simulated kernel can be asked for it")) << plan;
  }
}

}  // namespace
}  // namespace assay
