// Persistent readiness: what it costs to be told that a descriptor is readable. Eventfds that ping themselves, 1, 64
// and 1,024 of them, and 64 that are never drained. Raw liburing here is the form that is level-triggered as FdEvent
// is, a oneshot poll that is armed again; beside it the others that there are.

#include <poll.h>
#include <sys/epoll.h>
#include <array>
#include <deque>

#include <benchmark/benchmark.h>

#include "assay/backend/uapi.h"
#include "assay/bench/eventfds.h"

namespace assay::bench {
namespace {

constexpr unsigned kMaxFds = 1024;
constexpr unsigned kCqEntries = 4 * kMaxFds;

enum class Callback { kPings, kDrainsNothing };

template <Callback callback>
void tell(Eventfds& fds, unsigned i) {
  callback == Callback::kPings ? fds.ping(i) : fds.leave_readable(i);
}

void check_readable(int res) {
  if (res < 0 || (res & POLLIN) == 0) give_up("a poll", res < 0 ? res : EIO);
}

/// A poll each that is over when it was told, and armed again by the next submission.
template <Callback callback>
class OneshotPolls {
 public:
  explicit OneshotPolls(unsigned count) : fds_(count) {
    for (unsigned i = 0; i < count; ++i) to_arm_.push_back(i);
  }
  unsigned turn() {
    for (const unsigned i : to_arm_) {
      io_uring_sqe* sqe = ring_.sqe();
      io_uring_prep_poll_add(sqe, fds_[i], POLLIN);
      sqe->user_data = i;
    }
    to_arm_.clear();
    return ring_.turn(1, [this](const io_uring_cqe& cqe) {
      check_readable(cqe.res);
      const auto i = static_cast<unsigned>(cqe.user_data);
      tell<callback>(fds_, i);
      to_arm_.push_back(i);
    });
  }
  const Eventfds& fds() const { return fds_; }

 private:
  Eventfds fds_;
  std::vector<unsigned> to_arm_;
  LiburingRing ring_{kMaxFds, kCqEntries, TaskWork::kDeferred};
};

/// A multishot poll each, which tells of readiness when it comes up: edge-triggered.
template <Callback callback>
class MultishotPolls {
 public:
  explicit MultishotPolls(unsigned count) : fds_(count) {
    for (unsigned i = 0; i < count; ++i) arm(i);
  }
  unsigned turn() {
    return ring_.turn(1, [this](const io_uring_cqe& cqe) {
      check_readable(cqe.res);
      const auto i = static_cast<unsigned>(cqe.user_data);
      tell<callback>(fds_, i);
      if ((cqe.flags & IORING_CQE_F_MORE) == 0) arm(i);
    });
  }
  const Eventfds& fds() const { return fds_; }

 private:
  void arm(unsigned i) {
    io_uring_sqe* sqe = ring_.sqe();
    io_uring_prep_poll_multishot(sqe, fds_[i], POLLIN);
    sqe->user_data = i;
  }

  Eventfds fds_;
  LiburingRing ring_{kMaxFds, kCqEntries, TaskWork::kDeferred};
};

/// An epoll descriptor that holds them all.
class EpollSet {
 public:
  explicit EpollSet(const Eventfds& fds) : fd_(::epoll_create1(EPOLL_CLOEXEC)) {
    if (fd_ < 0) give_up("epoll_create1", errno);
    for (unsigned i = 0; i < fds.size(); ++i) {
      epoll_event event{.events = EPOLLIN, .data = {.u32 = i}};
      if (::epoll_ctl(fd_, EPOLL_CTL_ADD, fds[i], &event) != 0) give_up("epoll_ctl", errno);
    }
  }
  EpollSet(const EpollSet&) = delete;
  EpollSet& operator=(const EpollSet&) = delete;
  ~EpollSet() { ::close(fd_); }
  int fd() const noexcept { return fd_; }

 private:
  int fd_;
};

template <Callback callback>
class Epoll {
 public:
  explicit Epoll(unsigned count) : fds_(count), set_(fds_) {}
  unsigned turn() {
    const int ready = ::epoll_wait(set_.fd(), events_.data(), static_cast<int>(events_.size()), -1);
    if (ready < 0) give_up("epoll_wait", errno);
    for (int i = 0; i < ready; ++i) tell<callback>(fds_, events_[static_cast<unsigned>(i)].data.u32);
    return static_cast<unsigned>(ready);
  }
  const Eventfds& fds() const { return fds_; }

 private:
  Eventfds fds_;
  EpollSet set_;
  std::array<epoll_event, kMaxFds> events_;
};

/// The same set, asked by one request of a ring (EPOLL_WAIT, 6.15): level-triggered too.
template <Callback callback>
class EpollRequest {
 public:
  explicit EpollRequest(unsigned count) : fds_(count), set_(fds_) {}
  unsigned turn() {
    io_uring_prep_rw(uapi::kOpEpollWait, ring_.sqe(), set_.fd(), events_.data(), kMaxFds, 0);
    unsigned told = 0;
    ring_.turn(1, [&told](const io_uring_cqe& cqe) {
      if (cqe.res < 0) give_up("IORING_OP_EPOLL_WAIT", cqe.res);
      told = static_cast<unsigned>(cqe.res);
    });
    for (unsigned i = 0; i < told; ++i) tell<callback>(fds_, events_[i].data.u32);
    return told;
  }
  const Eventfds& fds() const { return fds_; }

 private:
  Eventfds fds_;
  EpollSet set_;
  std::array<epoll_event, kMaxFds> events_;
  LiburingRing ring_{kMaxFds, kCqEntries, TaskWork::kDeferred};
};

enum class Trigger {
  kLevel,
  /// Level, and the callback says that it drained the file.
  kDrained,
  kEdge,
};

template <Callback callback, Trigger trigger>
class FdEvents {
 public:
  explicit FdEvents(unsigned count) : fds_(count) {
    for (unsigned i = 0; i < count; ++i) {
      events_.emplace_back(*backend_, fds_[i],
                           FdInterest{.read = true, .persistent = true, .edge_triggered = trigger == Trigger::kEdge},
                           [this, i](Readiness ready) {
                             if (!ready.read || ready.error != 0) give_up("an event", EIO);
                             tell<callback>(fds_, i);
                             if (trigger == Trigger::kDrained) events_[i].drained();
                             ++told_;
                           });
      if (!events_.back().add()) give_up("FdEvent::add", EINVAL);
    }
  }
  unsigned turn() {
    told_ = 0;
    turn_of(*backend_);
    return told_;
  }
  const Eventfds& fds() const { return fds_; }

 private:
  Eventfds fds_;
  unsigned told_ = 0;
  std::unique_ptr<Backend> backend_ = create_backend(kMaxFds, kCqEntries, TaskWork::kDeferred);
  std::deque<FdEvent> events_;
};

bool has_epoll_wait() {
  static const bool has = [] {
    io_uring_probe* probe = io_uring_get_probe();
    const bool supported = probe != nullptr && io_uring_opcode_supported(probe, uapi::kOpEpollWait) != 0;
    io_uring_free_probe(probe);
    return supported;
  }();
  return has;
}

template <typename Path>
void be_told(benchmark::State& state) {
  Path path(static_cast<unsigned>(state.range(0)));
  std::uint64_t told = 0;
  for (auto _ : state) told += path.turn();
  path.fds().check(told);
  state.SetItemsProcessed(static_cast<std::int64_t>(told));
}

template <typename Path>
void be_told_by_epoll_request(benchmark::State& state) {
  if (!has_epoll_wait()) {
    state.SkipWithError("this kernel has no IORING_OP_EPOLL_WAIT (since 6.15)");
    return;
  }
  be_told<Path>(state);
}

#define ASSAY_PING_BENCH(run, path, name) \
  BENCHMARK_TEMPLATE(run, path)->Name("ready/pings/" name)->ArgName("fds")->Arg(1)->Arg(64)->Arg(1024)

ASSAY_PING_BENCH(be_told, OneshotPolls<Callback::kPings>, "liburing");
ASSAY_PING_BENCH(be_told, MultishotPolls<Callback::kPings>, "multishot");
ASSAY_PING_BENCH(be_told_by_epoll_request, EpollRequest<Callback::kPings>, "EPOLL_WAIT");
ASSAY_PING_BENCH(be_told, Epoll<Callback::kPings>, "epoll");
using LevelTriggered = FdEvents<Callback::kPings, Trigger::kLevel>;
ASSAY_PING_BENCH(be_told, LevelTriggered, "FdEvent");
using Drained = FdEvents<Callback::kPings, Trigger::kDrained>;
ASSAY_PING_BENCH(be_told, Drained, "FdEvent, drained");
using EdgeTriggered = FdEvents<Callback::kPings, Trigger::kEdge>;
ASSAY_PING_BENCH(be_told, EdgeTriggered, "FdEvent, edges");

#define ASSAY_UNDRAINED_BENCH(run, path, name) \
  BENCHMARK_TEMPLATE(run, path)->Name("ready/undrained/" name)->ArgName("fds")->Arg(64)

ASSAY_UNDRAINED_BENCH(be_told, OneshotPolls<Callback::kDrainsNothing>, "liburing");
ASSAY_UNDRAINED_BENCH(be_told_by_epoll_request, EpollRequest<Callback::kDrainsNothing>, "EPOLL_WAIT");
ASSAY_UNDRAINED_BENCH(be_told, Epoll<Callback::kDrainsNothing>, "epoll");
using Undrained = FdEvents<Callback::kDrainsNothing, Trigger::kLevel>;
ASSAY_UNDRAINED_BENCH(be_told, Undrained, "FdEvent");

}  // namespace
}  // namespace assay::bench
