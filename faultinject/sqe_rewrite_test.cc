#include "assay/faultinject/sqe_rewrite.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <utility>

namespace assay {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) { EXPECT_GE(fd, 0); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { ::close(fd_); }
  operator int() const { return fd_; }  // NOLINT(google-explicit-constructor): stands for the number

 private:
  int fd_;
};

class SqeRewriteTest : public testing::Test {
 protected:
  SqeRewriteTest() {
    std::array<int, 2> pipe{};
    EXPECT_EQ(::pipe2(pipe.data(), O_CLOEXEC), 0);
    read_end_ = pipe[0];
    write_end_ = pipe[1];
  }
  ~SqeRewriteTest() override {
    ::close(read_end_);
    ::close(write_end_);
  }

  static io_uring_sqe read_of(int fd, unsigned bytes) {
    io_uring_sqe sqe{};
    io_uring_prep_read(&sqe, fd, nullptr, bytes, 0);
    return sqe;
  }
  static io_uring_sqe write_of(int fd, unsigned bytes) {
    io_uring_sqe sqe{};
    io_uring_prep_write(&sqe, fd, nullptr, bytes, 0);
    return sqe;
  }

  Descriptor file_{::memfd_create("sqe_rewrite_test", MFD_CLOEXEC)};
  int read_end_ = -1;
  int write_end_ = -1;
};

TEST_F(SqeRewriteTest, TransfersOfFilesMayBeShort) {
  EXPECT_EQ(shortenable_bytes(read_of(file_, 100), false), 100u);
  EXPECT_EQ(shortenable_bytes(write_of(file_, 100), false), 100u);
}

TEST_F(SqeRewriteTest, WhatOthersDependOnMayNotBeShort) {
  for (const unsigned flag : {IOSQE_IO_LINK, IOSQE_IO_HARDLINK, IOSQE_BUFFER_SELECT, IOSQE_CQE_SKIP_SUCCESS}) {
    io_uring_sqe sqe = read_of(file_, 100);
    sqe.flags = static_cast<std::uint8_t>(flag);
    EXPECT_EQ(shortenable_bytes(sqe, false), 0u) << flag;
  }
  EXPECT_EQ(shortenable_bytes(read_of(file_, 100), true), 0u) << "linked to by the SQE before it";
}

TEST_F(SqeRewriteTest, APipeKeepsSmallWritesWhole) {
  EXPECT_EQ(shortenable_bytes(read_of(read_end_, 100), false), 100u);
  EXPECT_EQ(shortenable_bytes(write_of(write_end_, 4096), false), 0u);
  EXPECT_EQ(shortenable_bytes(write_of(write_end_, 4097), false), 4097u);
}

TEST_F(SqeRewriteTest, APipeOfPacketsKeepsThemWhole) {
  std::array<int, 2> pipe{};
  ASSERT_EQ(::pipe2(pipe.data(), O_CLOEXEC | O_DIRECT), 0);
  const Descriptor read_end(pipe[0]);
  const Descriptor write_end(pipe[1]);
  EXPECT_EQ(shortenable_bytes(write_of(write_end, 8192), false), 0u);
}

TEST_F(SqeRewriteTest, StreamsMayBeShortAndDatagramsMayNot) {
  for (const auto& [type, bytes] : {std::pair{SOCK_STREAM, 100u}, std::pair{SOCK_DGRAM, 0u}}) {
    std::array<int, 2> pair{};
    ASSERT_EQ(::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair.data()), 0);
    const Descriptor one(pair[0]);
    const Descriptor other(pair[1]);
    io_uring_sqe sqe{};
    io_uring_prep_send(&sqe, one, nullptr, 100, 0);
    EXPECT_EQ(shortenable_bytes(sqe, false), bytes);
    EXPECT_EQ(shortenable_bytes(read_of(one, 100), false), bytes);
    io_uring_prep_recv(&sqe, one, nullptr, 100, MSG_WAITALL);
    EXPECT_EQ(shortenable_bytes(sqe, false), 0u);
  }
}

TEST_F(SqeRewriteTest, ARecordOfADeviceStaysWhole) {
  const Descriptor counter(::eventfd(1, EFD_CLOEXEC));
  EXPECT_EQ(shortenable_bytes(read_of(counter, 8), false), 0u);
}

TEST_F(SqeRewriteTest, OtherOperationsAndBadDescriptorsAreLeftAlone) {
  io_uring_sqe sqe{};
  io_uring_prep_fsync(&sqe, file_, 0);
  EXPECT_EQ(shortenable_bytes(sqe, false), 0u);
  EXPECT_EQ(shortenable_bytes(read_of(-1, 100), false), 0u);
}

TEST_F(SqeRewriteTest, AVectorIsCutWhereTheBytesEnd) {
  std::array<char, 100> first{};
  std::array<char, 100> second{};
  const std::array<iovec, 2> parts = {iovec{first.data(), first.size()}, iovec{second.data(), second.size()}};
  io_uring_sqe sqe{};
  io_uring_prep_readv(&sqe, file_, parts.data(), 2, 0);
  ASSERT_EQ(shortenable_bytes(sqe, false), 200u);

  std::vector<iovec> cut;
  io_uring_sqe shorter = sqe;
  shorten(shorter, 150, cut);
  EXPECT_EQ(shorter.len, 2u);
  ASSERT_EQ(shorter.addr, reinterpret_cast<std::uint64_t>(cut.data()));
  EXPECT_EQ(cut[0].iov_len, 100u);
  EXPECT_EQ(cut[1].iov_len, 50u);
  EXPECT_EQ(cut[1].iov_base, second.data());
  EXPECT_EQ(parts[1].iov_len, 100u) << "the program's own vector is not touched";

  shorter = sqe;
  shorten(shorter, 60, cut);
  EXPECT_EQ(shorter.len, 1u);
  EXPECT_EQ(cut[0].iov_len, 60u);
}

TEST_F(SqeRewriteTest, AVectorThatCannotBeReadIsLeftToTheKernel) {
  io_uring_sqe sqe{};
  io_uring_prep_readv(&sqe, file_, reinterpret_cast<const iovec*>(8), 2, 0);
  EXPECT_EQ(shortenable_bytes(sqe, false), 0u);
}

TEST_F(SqeRewriteTest, AFailingRequestKeepsItsPlaceAndName) {
  io_uring_sqe sqe = read_of(file_, 100);
  sqe.user_data = 42;
  sqe.flags = IOSQE_IO_LINK | IOSQE_ASYNC | IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT;
  fail_with(sqe, EIO);
  EXPECT_EQ(sqe.opcode, IORING_OP_NOP);
  EXPECT_EQ(sqe.user_data, 42u);
  EXPECT_EQ(sqe.flags, IOSQE_IO_LINK | IOSQE_ASYNC);
  EXPECT_EQ(static_cast<std::int32_t>(sqe.len), -EIO);
  EXPECT_EQ(static_cast<std::uint32_t>(sqe.rw_flags), uapi::kNopInjectResult);

  io_uring_sqe limit{};
  io_uring_prep_link_timeout(&limit, nullptr, 0);
  EXPECT_FALSE(can_fail(limit));
}

}  // namespace
}  // namespace assay
