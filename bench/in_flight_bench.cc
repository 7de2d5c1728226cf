// Whether what is in flight makes what turns over dearer: batches of NOPs while so many polls of an idle eventfd are
// outstanding, raw liburing and Backend side by side.

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <deque>

#include <benchmark/benchmark.h>

#include "assay/bench/nop_path.h"

namespace assay::bench {
namespace {

constexpr unsigned kBatch = 32;

/// An eventfd that nobody ever writes to.
class IdleFile {
 public:
  IdleFile() : fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (fd_ < 0) give_up("eventfd", errno);
  }
  IdleFile(const IdleFile&) = delete;
  IdleFile& operator=(const IdleFile&) = delete;
  ~IdleFile() { ::close(fd_); }
  int fd() const noexcept { return fd_; }
  /// Ends all polls: to be cancelled, each would be looked for among all others by the kernel.
  void end_polls() {
    const std::uint64_t one = 1;
    if (::write(fd_, &one, sizeof one) != sizeof one) give_up("write", errno);
  }

 private:
  int fd_;
};

class LiburingAmongIdle : public LiburingNops {
 public:
  explicit LiburingAmongIdle(unsigned in_flight) : LiburingNops(TaskWork::kDeferred) {
    for (unsigned i = 0; i < in_flight; ++i) {
      io_uring_prep_poll_add(ring_.sqe(), idle_.fd(), POLLIN);
      if (i % kMaxBatch == kMaxBatch - 1 || i == in_flight - 1) {
        ring_.turn(0, [](const io_uring_cqe& cqe) { give_up("a poll", cqe.res); });
      }
    }
  }

 private:
  IdleFile idle_;
};

class BackendAmongIdle : public BackendNops {
 public:
  explicit BackendAmongIdle(unsigned in_flight) : BackendNops(TaskWork::kDeferred) {
    for (unsigned i = 0; i < in_flight; ++i) {
      if (!backend_->submit(polls_.emplace_back(idle_.fd()))) give_up("Backend::submit", EBUSY);
    }
    if (!backend_->loop(LoopMode::kNonblock)) give_up("Backend::loop", EIO);
  }
  ~BackendAmongIdle() {
    idle_.end_polls();
    if (!backend_->loop()) give_up("Backend::loop", EIO);
  }

 private:
  class Poll final : public Operation {
   public:
    explicit Poll(int fd) : fd_(fd) {}

   private:
    void prepare(io_uring_sqe& sqe) override { io_uring_prep_poll_add(&sqe, fd_, POLLIN); }
    void complete(const Completion& completion) override {
      if (completion.res != POLLIN) give_up("a poll", EIO);
    }

    int fd_;
  };

  IdleFile idle_;
  std::deque<Poll> polls_;
};

template <typename Path>
void turn_among_idle(benchmark::State& state) {
  Path path(static_cast<unsigned>(state.range(0)));
  while (state.KeepRunningBatch(kRounds)) path.rounds(kBatch, kRounds);
  state.SetItemsProcessed(state.iterations() * kBatch);
}

#define ASSAY_IN_FLIGHT_BENCH(path, name)   \
  BENCHMARK_TEMPLATE(turn_among_idle, path) \
      ->Name(name)                          \
      ->ArgName("in_flight")                \
      ->Arg(1)                              \
      ->Arg(1000)                           \
      ->Arg(10000)                          \
      ->Arg(100000)

ASSAY_IN_FLIGHT_BENCH(LiburingAmongIdle, "nop/among polls/liburing");
ASSAY_IN_FLIGHT_BENCH(BackendAmongIdle, "nop/among polls/Backend");

}  // namespace
}  // namespace assay::bench
