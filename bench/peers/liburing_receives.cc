// Raw liburing, on a deferred ring, where data is handed over: a request each, multishot requests out of a ring of
// buffers, and an echo server of these.

#include <sys/socket.h>
#include <array>
#include <cerrno>
#include <cstdint>
#include <vector>

#include "assay/backend/uapi.h"
#include "assay/bench/buffer_ring.h"
#include "assay/bench/peers/data_files.h"
#include "assay/bench/peers/echo_clients.h"
#include "assay/bench/peers/eventfds.h"
#include "assay/bench/peers/peers.h"

namespace assay::bench {
namespace {

/// A request each that is made again.
template <typename Files>
class SingleReads final : public DataPath<Files> {
 public:
  explicit SingleReads(unsigned fds) : DataPath<Files>(fds), memory_(fds) {
    to_arm_.reserve(fds);
    for (unsigned i = 0; i < fds; ++i) to_arm_.push_back(i);
  }

 private:
  void run_loop() override {
    while (!this->is_enough()) {
      for (const unsigned i : to_arm_) arm(i);
      to_arm_.clear();
      this->count_cqes(ring_.turn(1, [this](const io_uring_cqe& cqe) {
        const auto i = static_cast<unsigned>(cqe.user_data);
        to_arm_.push_back(i);
        // What a read of a file says that is O_NONBLOCK, rather than wait.
        if (cqe.res != -EAGAIN) this->take(i, memory_[i].data(), cqe.res);
      }));
    }
  }
  void arm(unsigned i) {
    io_uring_sqe* sqe = ring_.sqe();
    if (Files::kAreSockets) {
      io_uring_prep_recv(sqe, this->fd(i), memory_[i].data(), kDataBufferBytes, 0);
    } else {
      io_uring_prep_read(sqe, this->fd(i), memory_[i].data(), kDataBufferBytes, ~std::uint64_t{0});
    }
    sqe->user_data = i;
  }

  std::vector<std::array<char, kDataBufferBytes>> memory_;
  std::vector<unsigned> to_arm_;
  LiburingRing ring_{kMaxFds, kFdsCqEntries, kDeferredRing};
};

/// A multishot request each, out of one ring of buffers.
template <typename Files>
class MultishotReads final : public DataPath<Files> {
 public:
  explicit MultishotReads(unsigned fds) : DataPath<Files>(fds) {
    for (unsigned i = 0; i < fds; ++i) arm(i);
  }

 private:
  void run_loop() override {
    while (!this->is_enough()) {
      this->count_cqes(ring_.turn(1, [this](const io_uring_cqe& cqe) {
        const auto i = static_cast<unsigned>(cqe.user_data);
        if (cqe.res < 0) give_up("a multishot request", cqe.res);
        const unsigned id = BufferRing::id_of(cqe.flags);
        this->take(i, buffers_.data(id), cqe.res);
        buffers_.give_back(id);
        if ((cqe.flags & IORING_CQE_F_MORE) == 0) arm(i);
      }));
      buffers_.publish();
    }
  }
  void arm(unsigned i) {
    io_uring_sqe* sqe = ring_.sqe();
    if (Files::kAreSockets) {
      io_uring_prep_recv_multishot(sqe, this->fd(i), nullptr, 0, 0);
    } else {
      io_uring_prep_rw(uapi::kOpReadMultishot, sqe, this->fd(i), nullptr, 0, ~std::uint64_t{0});
    }
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->user_data = i;
  }

  LiburingRing ring_{kMaxFds, kFdsCqEntries, kDeferredRing};
  BufferRing buffers_{ring_, kMaxFds, kDataBufferBytes};
};

Result<std::unique_ptr<Path>> multishot_reads(unsigned fds) {
  if (auto is_there = kernel_has(uapi::kOpReadMultishot, "IORING_OP_READ_MULTISHOT (since Linux 6.7)"); !is_there) {
    return is_there.error();
  }
  return std::unique_ptr<Path>(new MultishotReads<DataEventfds>(fds));
}

/// A multishot receive a connection; what has come in a turn is sent back by the next submission, out of the buffers
/// that it came into.
class LiburingEcho final : public EchoPath {
 public:
  explicit LiburingEcho(unsigned connections) : EchoPath(connections) {
    for (unsigned i = 0; i < connections; ++i) receive(i);
  }

 private:
  // The user_data of a receive is its connection's number, that of a send the buffer's with this.
  static constexpr std::uint64_t kSend = std::uint64_t{1} << 32;

  void serve() override {
    while (!is_done()) {
      count_cqes(
          ring_.turn(1, [this](const io_uring_cqe& cqe) { (cqe.user_data & kSend) != 0 ? sent(cqe) : received(cqe); }));
      buffers_.publish();
    }
  }
  void receive(unsigned i) {
    io_uring_sqe* sqe = ring_.sqe();
    io_uring_prep_recv_multishot(sqe, fd(i), nullptr, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->user_data = i;
  }
  void received(const io_uring_cqe& cqe) {
    check_received(cqe.res);
    const auto i = static_cast<unsigned>(cqe.user_data);
    const unsigned id = BufferRing::id_of(cqe.flags);
    io_uring_sqe* sqe = ring_.sqe();
    io_uring_prep_send(sqe, fd(i), buffers_.data(id), static_cast<std::size_t>(cqe.res), MSG_NOSIGNAL);
    sqe->user_data = kSend | id;
    if ((cqe.flags & IORING_CQE_F_MORE) == 0) receive(i);
  }
  void sent(const io_uring_cqe& cqe) {
    echoed(cqe.res);
    buffers_.give_back(static_cast<unsigned>(cqe.user_data & ~kSend));
  }

  LiburingRing ring_{2 * kMaxConnections, 4 * kMaxConnections, kDeferredRing};
  BufferRing buffers_{ring_, kMaxConnections, kEchoBufferBytes};
};

}  // namespace

std::vector<PeerPath> liburing_receive_paths() {
  return {{"data", "eventfd", "liburing, one each", path_of<SingleReads<DataEventfds>>()},
          {"data", "eventfd", "liburing, multishot", multishot_reads},
          {"data", "socketpair", "liburing, one each", path_of<SingleReads<DataSockets>>()},
          {"data", "socketpair", "liburing, multishot", path_of<MultishotReads<DataSockets>>()},
          {"echo", "tcp", "liburing", path_of<LiburingEcho>()}};
}

}  // namespace assay::bench
