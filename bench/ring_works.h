#pragma once

#include <poll.h>
#include <array>
#include <cerrno>
#include <cstdint>
#include <numeric>
#include <optional>
#include <span>
#include <vector>

#include "assay/bench/block_file.h"
#include "assay/bench/buffer_ring.h"
#include "assay/bench/eventfd.h"
#include "assay/bench/grid.h"
#include "assay/bench/socket_pairs.h"

namespace assay::bench {

/// The works of the grid as requests on a ring, the same source for liburing and for Ring. Each says how many requests
/// an operation takes, prepares the SQEs of a batch, and takes their CQEs. `R` is LiburingRing or AssayRing.

/// Where requests act: on descriptors, or on what was registered for them.
class Target {
 public:
  Target() = default;
  /// Registers the descriptors if the cell says so.
  template <typename R>
  Target(R& ring, const GridCell& cell, std::vector<int> fds) : fds_(std::move(fds)) {
    if (!cell.with.file) return;
    if (const int result = ring.register_files(fds_); result < 0) give_up("registering files", result);
    std::iota(fds_.begin(), fds_.end(), 0);
    flags_ = IOSQE_FIXED_FILE;
  }
  int fd(std::size_t i) const noexcept { return fds_[i]; }
  void mark(io_uring_sqe* sqe) const noexcept { sqe->flags |= flags_; }

 private:
  std::vector<int> fds_;
  std::uint8_t flags_ = 0;
};

template <typename R>
class NopWork {
 public:
  static constexpr unsigned kRequests = 1;
  static Result<void> possible(const GridCell& /*cell*/) { return {}; }

  NopWork(R& ring, const GridCell& /*cell*/) : ring_(ring) {}
  void prepare(unsigned batch) {
    for (unsigned i = 0; i < batch; ++i) io_uring_prep_nop(ring_.sqe());
  }
  void take(const io_uring_cqe& cqe) {
    if (cqe.res != 0) give_up("a NOP", cqe.res);
  }

 private:
  R& ring_;
};

inline Result<int> block_file_for(Work work) {
  const Result<BlockFile*> file = shared_block_file();
  if (!file) return file.error();
  if (work != Work::kReadDirect) return (*file)->fd();
  const int fd = (*file)->direct_fd();
  if (fd < 0) return Error::from_errno(fd, "O_DIRECT in the working directory");
  return fd;
}

/// Reads of a block each, into buffers of their own.
template <typename R>
class ReadWork {
 public:
  static constexpr unsigned kRequests = 1;
  static Result<void> possible(const GridCell& cell) {
    const Result<int> fd = block_file_for(cell.work);
    return fd ? Result<void>() : Result<void>(fd.error());
  }

  ReadWork(R& ring, const GridCell& cell)
      : ring_(ring), target_(ring, cell, {*block_file_for(cell.work)}), fixed_(cell.with.buffer) {
    if (!fixed_) return;
    const iovec memory = {.iov_base = blocks_.buffer(0), .iov_len = kMostRequests / 2 * kBlock};
    if (const int result = ring.register_buffers({&memory, 1}); result < 0) give_up("registering buffers", result);
  }
  void prepare(unsigned batch) {
    for (unsigned i = 0; i < batch; ++i) {
      const std::uint32_t block = blocks_.next();
      io_uring_sqe* sqe = ring_.sqe();
      if (fixed_) {
        io_uring_prep_read_fixed(sqe, target_.fd(0), blocks_.buffer(i), kBlock, std::uint64_t{block} * kBlock, 0);
      } else {
        io_uring_prep_read(sqe, target_.fd(0), blocks_.buffer(i), kBlock, std::uint64_t{block} * kBlock);
      }
      target_.mark(sqe);
      sqe->user_data = std::uint64_t{block} << 32 | i;
    }
  }
  void take(const io_uring_cqe& cqe) {
    blocks_.check(static_cast<unsigned>(cqe.user_data), static_cast<std::uint32_t>(cqe.user_data >> 32), cqe.res);
  }

 private:
  R& ring_;
  Target target_;
  bool fixed_;
  Blocks blocks_{kMostRequests / 2};
};

/// Writes of a block each, of what the file has there already.
template <typename R>
class WriteWork {
 public:
  static constexpr unsigned kRequests = 1;
  static Result<void> possible(const GridCell& cell) { return ReadWork<R>::possible(cell); }

  WriteWork(R& ring, const GridCell& cell)
      : ring_(ring), target_(ring, cell, {*block_file_for(cell.work)}), fixed_(cell.with.buffer) {
    for (std::uint32_t i = 0; i < kMostRequests / 2; ++i) std::memcpy(blocks_.buffer(i), &i, sizeof i);
    if (!fixed_) return;
    const iovec memory = {.iov_base = blocks_.buffer(0), .iov_len = kMostRequests / 2 * kBlock};
    if (const int result = ring.register_buffers({&memory, 1}); result < 0) give_up("registering buffers", result);
  }
  void prepare(unsigned batch) {
    for (unsigned i = 0; i < batch; ++i) {
      io_uring_sqe* sqe = ring_.sqe();
      if (fixed_) {
        io_uring_prep_write_fixed(sqe, target_.fd(0), blocks_.buffer(i), kBlock, std::uint64_t{i} * kBlock, 0);
      } else {
        io_uring_prep_write(sqe, target_.fd(0), blocks_.buffer(i), kBlock, std::uint64_t{i} * kBlock);
      }
      target_.mark(sqe);
    }
  }
  void take(const io_uring_cqe& cqe) {
    if (cqe.res != static_cast<int>(kBlock)) give_up("a write", cqe.res < 0 ? cqe.res : EIO);
  }

 private:
  R& ring_;
  Target target_;
  bool fixed_;
  Blocks blocks_{kMostRequests / 2};
};

/// What is sent through each pair: a number that counts up, so that what a buffer had before is not taken for it.
class Messages {
 public:
  explicit Messages(unsigned pairs) : messages_(pairs) {
    for (Message& message : messages_) std::memcpy(message.text.data(), kMessage.data(), kMessageBytes);
  }
  std::span<const char> next(unsigned i) {
    Message& message = messages_[i];
    ++message.number;
    std::memcpy(message.text.data(), &message.number, sizeof message.number);
    return message.text;
  }
  /// Ends the program unless the last message of that pair is what came.
  void check(unsigned i, const char* data, int res) const {
    std::uint32_t number = 0;
    if (res == static_cast<int>(kMessageBytes)) std::memcpy(&number, data, sizeof number);
    if (number != messages_[i].number || data[kMessageBytes - 1] != kMessage.back()) {
      give_up("a message", res < 0 ? res : EIO);
    }
  }

 private:
  struct Message {
    std::array<char, kMessageBytes> text;
    std::uint32_t number = 0;
  };

  std::vector<Message> messages_;
};

/// Messages through sockets: each pair's one end sends and the other receives. With provided buffers a receive goes on
/// (multishot), as whoever does not know what will come asks for it.
template <typename R>
class MessageWork {
 public:
  static constexpr unsigned kRequests = 2;
  static Result<void> possible(const GridCell& /*cell*/) { return {}; }

  MessageWork(R& ring, const GridCell& cell)
      : ring_(ring),
        pairs_(cell.work == Work::kTcp, cell.batch),
        target_(ring, cell, pairs_.fds()),
        messages_(cell.batch),
        received_(cell.batch),
        receives_(cell.batch) {
    if (cell.with.provided) provided_.emplace(ring, kMostRequests, kMessageBytes);
  }
  void prepare(unsigned batch) {
    for (unsigned i = 0; i < batch; ++i) {
      io_uring_sqe* sqe = ring_.sqe();
      io_uring_prep_send(sqe, target_.fd(2 * std::size_t{i}), messages_.next(i).data(), kMessageBytes, 0);
      target_.mark(sqe);
      sqe->user_data = kSent;
    }
    for (unsigned i = 0; i < batch; ++i) {
      if (receives_[i] == 0) receive(i);
    }
  }
  void take(const io_uring_cqe& cqe) {
    if (cqe.user_data == kSent) {
      if (cqe.res != static_cast<int>(kMessageBytes)) give_up("a message", cqe.res < 0 ? cqe.res : EIO);
      return;
    }
    const auto i = static_cast<unsigned>(cqe.user_data);
    if ((cqe.flags & IORING_CQE_F_MORE) == 0) receives_[i] = 0;
    if (!provided_) {
      messages_.check(i, received_[i].data(), cqe.res);
      return;
    }
    if (cqe.res < 0) give_up("a receive that goes on (multishot, since Linux 6.0)", cqe.res);
    const unsigned id = BufferRing::id_of(cqe.flags);
    messages_.check(i, provided_->data(id), cqe.res);
    provided_->give_back(id);
    provided_->publish();
  }

 private:
  static constexpr std::uint64_t kSent = ~std::uint64_t{0};

  void receive(unsigned i) {
    io_uring_sqe* sqe = ring_.sqe();
    const int fd = target_.fd(2 * std::size_t{i} + 1);
    if (provided_) {
      io_uring_prep_recv(sqe, fd, nullptr, 0, 0);
      sqe->ioprio = IORING_RECV_MULTISHOT;
      sqe->buf_group = 0;
    } else {
      io_uring_prep_recv(sqe, fd, received_[i].data(), kMessageBytes, 0);
    }
    target_.mark(sqe);
    if (provided_) sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->user_data = i;
    receives_[i] = 1;
  }

  R& ring_;
  SocketPairs pairs_;
  Target target_;
  std::optional<BufferRing> provided_;
  Messages messages_;
  std::vector<std::array<char, kMessageBytes>> received_;
  std::vector<std::uint8_t> receives_;  // whether a receive is in flight
};

template <typename R>
class PollWork {
 public:
  static constexpr unsigned kRequests = 1;
  static Result<void> possible(const GridCell& /*cell*/) { return {}; }

  PollWork(R& ring, const GridCell& cell) : ring_(ring), target_(ring, cell, {readable_.fd()}) {}
  void prepare(unsigned batch) {
    for (unsigned i = 0; i < batch; ++i) {
      io_uring_sqe* sqe = ring_.sqe();
      io_uring_prep_poll_add(sqe, target_.fd(0), POLLIN);
      target_.mark(sqe);
    }
  }
  void take(const io_uring_cqe& cqe) {
    if (cqe.res != POLLIN) give_up("a poll", cqe.res < 0 ? cqe.res : EIO);
  }

 private:
  R& ring_;
  Eventfd readable_{1};
  Target target_;
};

template <typename R>
class TimeoutWork {
 public:
  static constexpr unsigned kRequests = 1;
  static Result<void> possible(const GridCell& /*cell*/) { return {}; }

  TimeoutWork(R& ring, const GridCell& /*cell*/) : ring_(ring) {}
  void prepare(unsigned batch) {
    for (unsigned i = 0; i < batch; ++i) io_uring_prep_timeout(ring_.sqe(), &at_once_, 0, 0);
  }
  void take(const io_uring_cqe& cqe) {
    if (cqe.res != -ETIME) give_up("a timeout", cqe.res < 0 ? cqe.res : EIO);
  }

 private:
  R& ring_;
  __kernel_timespec at_once_{};
};

/// Polls that never come true, and requests that cancel them, in one batch.
template <typename R>
class CancelWork {
 public:
  static constexpr unsigned kRequests = 2;
  static Result<void> possible(const GridCell& /*cell*/) { return {}; }

  CancelWork(R& ring, const GridCell& /*cell*/) : ring_(ring) {}
  void prepare(unsigned batch) {
    for (unsigned i = 0; i < batch; ++i) {
      io_uring_sqe* sqe = ring_.sqe();
      io_uring_prep_poll_add(sqe, idle_.fd(), POLLIN);
      sqe->user_data = kFirstPoll + i;
    }
    for (unsigned i = 0; i < batch; ++i) {
      io_uring_sqe* sqe = ring_.sqe();
      io_uring_prep_cancel64(sqe, kFirstPoll + i, 0);
      sqe->user_data = 0;
    }
  }
  void take(const io_uring_cqe& cqe) {
    if (cqe.res != (cqe.user_data == 0 ? 0 : -ECANCELED)) give_up("a cancelation", cqe.res < 0 ? cqe.res : EIO);
  }

 private:
  static constexpr std::uint64_t kFirstPoll = 1;

  R& ring_;
  Eventfd idle_{0};
};

}  // namespace assay::bench
