// Strict mode: what a program does to memory that is the kernel's is found at the first run.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "assay/backend/ring.h"
#include "assay/mocks/sim_kernel.h"

#if defined(__SANITIZE_ADDRESS__)
#define ASSAY_HAS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ASSAY_HAS_ASAN 1
#endif
#endif

namespace assay {
namespace {

class StrictMode : public testing::Test {
 protected:
  void SetUp() override {
    open(true);
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, sockets_), 0);
    ASSERT_EQ(::pipe(pipe_), 0);
  }
  void TearDown() override {
    ring_.reset();
    for (const int fd : {sockets_[0], sockets_[1], pipe_[0], pipe_[1]}) ::close(fd);
  }
  void open(bool strict) {
    ring_.reset();
    SimOptions options;
    options.profile = documented_profile("linux-6.18", {6, 18});
    options.strict = strict;
    kernel_ = std::make_unique<SimKernel>(options);
    auto ring = Ring::create(*kernel_, {.sq_entries = 8});
    ASSERT_TRUE(ring) << ring.error().message();
    ring_ = std::make_unique<Ring>(std::move(*ring));
  }

  void prepare(std::uint8_t opcode, int fd, const void* buffer, unsigned bytes, std::uint8_t flags = 0) {
    io_uring_sqe* const sqe = ring_->get_sqe();
    io_uring_prep_rw(opcode, sqe, fd, buffer, bytes, 0);
    sqe->flags = flags;
    sqe->user_data = 7;
  }
  void start(std::uint8_t opcode, int fd, const void* buffer, unsigned bytes, std::uint8_t flags = 0) {
    prepare(opcode, fd, buffer, bytes, flags);
    ASSERT_EQ(ring_->submit(), 1);
  }
  /// The result of the next completion.
  int wait() {
    io_uring_cqe* cqe = nullptr;
    const int error = ring_->wait_cqe(&cqe);
    if (error != 0) return error;
    const int result = cqe->res;
    ring_->cqe_seen(cqe);
    return result;
  }
  /// Fills the socket or pipe, so that whoever sends has to wait.
  static void fill(int fd) {
    const std::string data(4096, 'x');
    const int before = ::fcntl(fd, F_GETFL);
    ::fcntl(fd, F_SETFL, before | O_NONBLOCK);
    while (::write(fd, data.data(), data.size()) > 0) {
    }
    ::fcntl(fd, F_SETFL, before);
  }
  static void empty(int fd) {
    std::string data(1 << 20, '\0');
    const int before = ::fcntl(fd, F_GETFL);
    ::fcntl(fd, F_SETFL, before | O_NONBLOCK);
    while (::read(fd, data.data(), data.size()) > 0) {
    }
    ::fcntl(fd, F_SETFL, before);
  }

  std::unique_ptr<SimKernel> kernel_;
  std::unique_ptr<Ring> ring_;
  int sockets_[2] = {-1, -1};
  int pipe_[2] = {-1, -1};
  std::string buffer_ = std::string(64, 'a');
};

/// A forked child cannot use its parent's rings, so each death is tried in a process that runs its test from the start.
class StrictModeDeathTest : public StrictMode {
 protected:
  StrictModeDeathTest() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(StrictMode, ConsumedSqesAreScribbledOver) {
  const io_uring_sqe* const slot = ring_->raw()->sq.sqes;
  prepare(IORING_OP_NOP, -1, nullptr, 0);
  ASSERT_EQ(ring_->submit(), 1);
  EXPECT_NE(slot->user_data, 7u);
  EXPECT_EQ(wait(), 0);
}

TEST_F(StrictMode, CqesThatWereSeenAreScribbledOverAtTheNextCall) {
  prepare(IORING_OP_NOP, -1, nullptr, 0);
  ASSERT_EQ(ring_->submit_and_wait(1), 1);
  io_uring_cqe* const cqe = ring_->peek_cqe();
  ASSERT_NE(cqe, nullptr);
  ring_->cqe_seen(cqe);
  EXPECT_EQ(cqe->user_data, 7u) << "the kernel does nothing between two calls";
  ring_->submit_and_wait(0);
  const timespec no_time{};
  kernel_->wait_readable(ring_->fd(), &no_time);
  EXPECT_NE(cqe->user_data, 7u);
}

TEST_F(StrictMode, ATransferWhoseBufferIsLeftAloneSaysNothing) {
  fill(sockets_[0]);
  start(IORING_OP_SEND, sockets_[0], buffer_.data(), 64);
  empty(sockets_[1]);
  EXPECT_EQ(wait(), 64);
  std::array<char, 64> received{};
  start(IORING_OP_RECV, sockets_[1], received.data(), 64);
  EXPECT_EQ(wait(), 64);
  EXPECT_EQ(std::string(received.data(), received.size()), buffer_) << "and it can be accessed again";
}

TEST_F(StrictMode, ACancelledTransferGivesItsBufferBack) {
  fill(sockets_[0]);
  start(IORING_OP_SEND, sockets_[0], buffer_.data(), 64);
  std::array<char, 64> received{};
  start(IORING_OP_READ, pipe_[0], received.data(), 64);
  prepare(IORING_OP_ASYNC_CANCEL, -1, nullptr, 0);
  ring_->raw()->sq.sqes[(ring_->raw()->sq.sqe_tail - 1) & 7].cancel_flags = IORING_ASYNC_CANCEL_ALL;
  ring_->raw()->sq.sqes[(ring_->raw()->sq.sqe_tail - 1) & 7].addr = 7;
  ASSERT_EQ(ring_->submit_and_wait(3), 1);
  buffer_[0] = 'b';
  received.fill('c');
  EXPECT_EQ(received[63], 'c');
}

TEST_F(StrictMode, AChainMayCopyThroughOneBuffer) {
  prepare(IORING_OP_READ, pipe_[0], buffer_.data(), 5, IOSQE_IO_LINK);
  prepare(IORING_OP_SEND, sockets_[0], buffer_.data(), 5);
  ASSERT_EQ(ring_->submit(), 2);
  ASSERT_EQ(::write(pipe_[1], "hello", 5), 5);
  EXPECT_EQ(wait(), 5);
  EXPECT_EQ(wait(), 5);
  std::array<char, 5> received{};
  EXPECT_EQ(::recv(sockets_[1], received.data(), received.size(), MSG_DONTWAIT), 5);
  EXPECT_EQ(std::string(received.data(), 5), "hello");
}

TEST_F(StrictMode, TwoReadsMayWriteToOneBuffer) {
  start(IORING_OP_READ, pipe_[0], buffer_.data(), 64);
  start(IORING_OP_RECV, sockets_[0], buffer_.data(), 64);
  ASSERT_EQ(::write(pipe_[1], "hello", 5), 5);
  EXPECT_EQ(wait(), 5);
  ASSERT_EQ(::write(sockets_[1], "world", 5), 5);
  EXPECT_EQ(wait(), 5);
  EXPECT_EQ(buffer_.substr(0, 5), "world");
}

TEST_F(StrictMode, WithoutItABufferMayBeChangedInFlight) {
  open(false);
  fill(sockets_[0]);
  start(IORING_OP_SEND, sockets_[0], buffer_.data(), 64);
  buffer_[63] = 'b';
  empty(sockets_[1]);
  EXPECT_EQ(wait(), 64);
}

TEST_F(StrictModeDeathTest, ABufferThatIsSentMustNotChangeBefore) {
  fill(sockets_[0]);
  start(IORING_OP_SEND, sockets_[0], buffer_.data(), 64);
  buffer_[63] = 'b';
  empty(sockets_[1]);
  EXPECT_DEATH(wait(),
               "assay: strict mode: SEND \\(user_data 7\\): the buffer of 64 bytes at .* was changed after its");
}

TEST_F(StrictModeDeathTest, NorOneThatAWorkerIsToWrite) {
  start(IORING_OP_WRITE, pipe_[1], buffer_.data(), 64, IOSQE_ASYNC);
  buffer_[0] = 'b';
  EXPECT_DEATH(wait(), "WRITE \\(user_data 7\\): the buffer of 64 bytes at .* was changed");
}

TEST_F(StrictModeDeathTest, NorThePartsOfAVector) {
  const std::vector<iovec> parts{{buffer_.data(), 32}, {buffer_.data() + 32, 32}};
  fill(pipe_[1]);
  start(IORING_OP_WRITEV, pipe_[1], parts.data(), 2);
  buffer_[40] = 'b';
  empty(pipe_[0]);
  EXPECT_DEATH(wait(), "WRITEV \\(user_data 7\\): the buffer of 32 bytes at .* was changed");
}

TEST_F(StrictModeDeathTest, NorOneOfARequestThatWaitsForItsChain) {
  std::array<char, 8> received{};
  prepare(IORING_OP_READ, pipe_[0], received.data(), 5, IOSQE_IO_LINK);
  prepare(IORING_OP_SEND, sockets_[0], buffer_.data(), 64);
  ASSERT_EQ(ring_->submit(), 2);
  buffer_[0] = 'b';
  ASSERT_EQ(::write(pipe_[1], "hello", 5), 5);
  EXPECT_DEATH(
      {
        wait();
        wait();
      },
      "SEND \\(user_data 7\\): the buffer of 64 bytes at .* was changed");
}

TEST_F(StrictModeDeathTest, NorARegisteredBuffer) {
  const iovec registered{buffer_.data(), buffer_.size()};
  ASSERT_EQ(ring_->register_buffers({&registered, 1}), 0);
  start(IORING_OP_WRITE_FIXED, pipe_[1], buffer_.data(), 64, IOSQE_ASYNC);
  buffer_[0] = 'b';
  EXPECT_DEATH(wait(), "WRITE_FIXED \\(user_data 7\\): the buffer of 64 bytes at .* was changed");
}

#ifdef ASSAY_HAS_ASAN

TEST_F(StrictModeDeathTest, ABufferThatIsReceivedIntoCannotBeAccessedBefore) {
  start(IORING_OP_RECV, sockets_[0], buffer_.data(), 64);
  EXPECT_DEATH(static_cast<void>(*static_cast<volatile char*>(&buffer_[8])), "use-after-poison");
  EXPECT_DEATH(std::memset(buffer_.data(), 0, 64), "use-after-poison");
}

TEST_F(StrictModeDeathTest, NorOneThatAFileIsReadInto) {
  std::vector<char> data(64);
  const iovec parts[] = {{buffer_.data(), 32}, {data.data(), 64}};
  start(IORING_OP_READV, pipe_[0], parts, 2);
  EXPECT_DEATH(static_cast<void>(*static_cast<volatile char*>(&data[32])), "use-after-poison");
}

TEST_F(StrictModeDeathTest, ABufferMustNotBeFreedUnderARequest) {
  auto* const data = new char[64];
  start(IORING_OP_RECV, sockets_[0], data, 64);
  delete[] data;
  ASSERT_EQ(::write(sockets_[1], "hello", 5), 5);
  EXPECT_DEATH(wait(), "RECV \\(user_data 7\\): the buffer of 64 bytes at .* was freed(.|\n)*heap-use-after-free");
}

TEST_F(StrictModeDeathTest, NorOneThatIsSent) {
  fill(sockets_[0]);
  auto* const data = new char[64]();
  start(IORING_OP_SEND, sockets_[0], data, 64);
  delete[] data;
  empty(sockets_[1]);
  EXPECT_DEATH(wait(), "heap-use-after-free");
}

#endif

}  // namespace
}  // namespace assay
