// Raw liburing, on a deferred ring: reads of a registered file into registered buffers; polls, oneshot and multishot;
// and a request that waits for an epoll set.

#include <poll.h>
#include <array>
#include <cerrno>
#include <vector>

#include "assay/backend/uapi.h"
#include "assay/bench/peers/epoll_set.h"
#include "assay/bench/peers/eventfds.h"
#include "assay/bench/peers/peers.h"
#include "assay/bench/peers/read_path.h"

namespace assay::bench {
namespace {

class LiburingReads final : public ReadPath {
 public:
  LiburingReads(unsigned depth, const BlockFile& file) : ReadPath(depth, file), ring_(depth, 2 * depth, kDeferredRing) {
    const int fd = file.fd();
    if (const int result = io_uring_register_files(ring_.raw(), &fd, 1); result < 0) {
      give_up("io_uring_register_files", result);
    }
    const iovec memory{.iov_base = slots().all().data(), .iov_len = slots().all().size()};
    if (const int result = io_uring_register_buffers(ring_.raw(), &memory, 1); result < 0) {
      give_up("io_uring_register_buffers", result);
    }
  }

 private:
  void read_all() override {
    for (unsigned i = 0; i < depth() && has_more(); ++i) start(i);
    while (!is_done()) {
      count_cqes(ring_.turn(1, [this](const io_uring_cqe& cqe) {
        const auto i = static_cast<unsigned>(cqe.user_data);
        came(i, static_cast<std::uint32_t>(cqe.user_data >> 32), cqe.res);
        if (has_more()) start(i);
      }));
    }
  }
  void start(unsigned i) {
    const std::uint32_t block = take_one();
    io_uring_sqe* sqe = ring_.sqe();
    io_uring_prep_read_fixed(sqe, 0, slots().buffer(i), kBlock, std::uint64_t{block} * kBlock, 0);
    sqe->flags |= IOSQE_FIXED_FILE;
    sqe->user_data = std::uint64_t{block} << 32 | i;
  }

  LiburingRing ring_;
};

void check_readable(int res) {
  if (res < 0 || (res & POLLIN) == 0) give_up("a poll", res < 0 ? res : EIO);
}

/// A poll each that is over when it was told, and armed again by the next submission: level-triggered.
class OneshotPolls final : public EventfdPath {
 public:
  OneshotPolls(unsigned fds, Callback callback) : EventfdPath(fds, callback) {
    to_arm_.reserve(fds);
    for (unsigned i = 0; i < fds; ++i) to_arm_.push_back(i);
  }

 private:
  void run_loop() override {
    while (!is_enough()) {
      for (const unsigned i : to_arm_) {
        io_uring_sqe* sqe = ring_.sqe();
        io_uring_prep_poll_add(sqe, fd(i), POLLIN);
        sqe->user_data = i;
      }
      to_arm_.clear();
      count_cqes(ring_.turn(1, [this](const io_uring_cqe& cqe) {
        check_readable(cqe.res);
        const auto i = static_cast<unsigned>(cqe.user_data);
        tell(i);
        to_arm_.push_back(i);
      }));
    }
  }

  std::vector<unsigned> to_arm_;
  LiburingRing ring_{kMaxFds, kFdsCqEntries, kDeferredRing};
};

/// A multishot poll each, which tells of readiness when it comes up: edge-triggered.
class MultishotPolls final : public EventfdPath {
 public:
  MultishotPolls(unsigned fds, Callback callback) : EventfdPath(fds, callback) {
    for (unsigned i = 0; i < fds; ++i) arm(i);
  }

 private:
  void run_loop() override {
    while (!is_enough()) {
      count_cqes(ring_.turn(1, [this](const io_uring_cqe& cqe) {
        check_readable(cqe.res);
        const auto i = static_cast<unsigned>(cqe.user_data);
        tell(i);
        if ((cqe.flags & IORING_CQE_F_MORE) == 0) arm(i);
      }));
    }
  }
  void arm(unsigned i) {
    io_uring_sqe* sqe = ring_.sqe();
    io_uring_prep_poll_multishot(sqe, fd(i), POLLIN);
    sqe->user_data = i;
  }

  LiburingRing ring_{kMaxFds, kFdsCqEntries, kDeferredRing};
};

/// All of them in an epoll set, which one request waits for (EPOLL_WAIT, 6.15): level-triggered.
class EpollRequest final : public EventfdPath {
 public:
  EpollRequest(unsigned fds, Callback callback) : EventfdPath(fds, callback) {
    for (unsigned i = 0; i < fds; ++i) set_.add(fd(i), i);
  }

 private:
  void run_loop() override {
    while (!is_enough()) {
      io_uring_prep_rw(uapi::kOpEpollWait, ring_.sqe(), set_.fd(), events_.data(), kMaxFds, 0);
      unsigned ready = 0;
      count_cqes(ring_.turn(1, [&ready](const io_uring_cqe& cqe) {
        if (cqe.res < 0) give_up("IORING_OP_EPOLL_WAIT", cqe.res);
        ready = static_cast<unsigned>(cqe.res);
      }));
      for (unsigned n = 0; n < ready; ++n) tell(events_[n].data.u32);
    }
  }

  EpollSet set_;
  std::array<epoll_event, kMaxFds> events_{};
  LiburingRing ring_{8, 16, kDeferredRing};
};

auto epoll_request(Callback callback) {
  return [callback](unsigned fds) -> Result<std::unique_ptr<Path>> {
    if (auto is_there = kernel_has(uapi::kOpEpollWait, "IORING_OP_EPOLL_WAIT (since Linux 6.15)"); !is_there) {
      return is_there.error();
    }
    return std::unique_ptr<Path>(new EpollRequest(fds, callback));
  };
}

}  // namespace

std::vector<PeerPath> liburing_paths() {
  return {{"file_reads", "page_cache", "liburing", read_path_of<LiburingReads>()},
          {"events", "self_ping", "liburing, oneshot", path_of<OneshotPolls>(Callback::kPings)},
          {"events", "self_ping", "liburing, multishot", path_of<MultishotPolls>(Callback::kPings)},
          {"events", "self_ping", "EPOLL_WAIT request", epoll_request(Callback::kPings)},
          {"events", "undrained", "liburing, oneshot", path_of<OneshotPolls>(Callback::kDrainsNothing)},
          {"events", "undrained", "EPOLL_WAIT request", epoll_request(Callback::kDrainsNothing)}};
}

}  // namespace assay::bench
