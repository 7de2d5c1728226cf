// What a timer costs while so many are armed: moving it (stop and start), and firing it. Through Timer and Backend, and
// by a std::multimap, which is what one would take oneself. Time is a number here that only the benchmark moves, so
// nobody waits for it.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <random>
#include <vector>

#include <benchmark/benchmark.h>

#include "assay/bench/setup.h"

namespace assay::bench {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

constexpr unsigned kMovedAtATime = 1000;
// The distance of the timers from each other, on average.
constexpr nanoseconds kDistance = 10us;

/// The running kernel with a clock that stands still until it is moved.
class StoppedClock final : public Kernel {
 public:
  void advance(nanoseconds by) { now_ += by; }
  nanoseconds time() const { return now_; }

  int setup(unsigned entries, io_uring_params* params) override { return linux_.setup(entries, params); }
  int enter(int ring_fd, unsigned to_submit, unsigned min_complete, unsigned flags, const void* arg,
            std::size_t arg_bytes) override {
    return linux_.enter(ring_fd, to_submit, min_complete, flags, arg, arg_bytes);
  }
  int register_op(int ring_fd, unsigned opcode, void* arg, unsigned nr_args) override {
    return linux_.register_op(ring_fd, opcode, arg, nr_args);
  }
  int map(int ring_fd, std::uint64_t offset, std::size_t bytes, void** address) override {
    return linux_.map(ring_fd, offset, bytes, address);
  }
  int unmap(void* address, std::size_t bytes) override { return linux_.unmap(address, bytes); }
  int close(int ring_fd) override { return linux_.close(ring_fd); }
  int now(clockid_t /*clock*/, timespec* time) override {
    *time = {.tv_sec = now_ / 1s, .tv_nsec = (now_ % 1s).count()};
    return 0;
  }
  int wait_readable(int ring_fd, const timespec* timeout) override { return linux_.wait_readable(ring_fd, timeout); }
  void relax(int ring_fd) override { linux_.relax(ring_fd); }
  std::string name() const override { return "linux"; }

 private:
  LinuxKernel& linux_ = LinuxKernel::instance();
  nanoseconds now_ = 1'000'000s;
};

/// Delays of up to kDistance a timer, in an order that is the same in every run.
class Delays {
 public:
  explicit Delays(unsigned count) : longest_(kDistance * count) {}
  nanoseconds longest() const { return longest_; }
  nanoseconds next() {
    return nanoseconds{1 + static_cast<std::int64_t>(random_() % static_cast<std::uint64_t>(longest_.count()))};
  }

 private:
  nanoseconds longest_;
  std::mt19937_64 random_{7};
};

class BackendTimers {
 public:
  explicit BackendTimers(unsigned count) : delays_(count) {
    for (unsigned i = 0; i < count; ++i) timers_.emplace_back(*this);
  }

  void arm_all() {
    run([this] {
      for (Armed& armed : timers_) arm(armed);
    });
    if (!backend_->loop(LoopMode::kNonblock)) give_up("Backend::loop", EIO);
  }
  /// Stops and starts the next thousand. A callback of the loop does it, as in a program.
  void move_some() {
    run([this] {
      for (unsigned moved = 0; moved < kMovedAtATime; ++moved) {
        if (!timers_[next_].timer.stop()) give_up("Timer::stop", ENOENT);
        arm(timers_[next_]);
        if (++next_ == timers_.size()) next_ = 0;
      }
    });
  }
  /// Lets all of them come due, and a turn of the loop fire them.
  unsigned fire_all() {
    fired_ = 0;
    clock_.advance(delays_.longest());
    turn_of(*backend_);
    return fired_;
  }

 private:
  struct Armed {
    explicit Armed(BackendTimers& all)
        : timer(*all.backend_, [this, &all] {
            if (all.clock_.time() < due) give_up("a timer that fired early", EIO);
            ++all.fired_;
          }) {}

    Timer timer;
    nanoseconds due{0};
  };

  void arm(Armed& armed) {
    const nanoseconds delay = delays_.next();
    armed.due = clock_.time() + delay;
    if (!armed.timer.start_after(delay)) give_up("Timer::start_after", ECANCELED);
  }
  template <typename Function>
  void run(Function function) {
    backend_->post(function);
    turn_of(*backend_);
  }

  StoppedClock clock_;
  Delays delays_;
  std::unique_ptr<Backend> backend_ = create_backend(64, 128, TaskWork::kDeferred, clock_);
  std::deque<Armed> timers_;
  unsigned next_ = 0;
  unsigned fired_ = 0;
};

class MultimapTimers {
 public:
  explicit MultimapTimers(unsigned count) : delays_(count) {
    for (unsigned i = 0; i < count; ++i) {
      timers_.push_back({.callback = [this, i] {
        if (now_ < timers_[i].due) give_up("a timer that fired early", EIO);
        ++fired_;
      }});
    }
  }

  void arm_all() {
    for (unsigned i = 0; i < timers_.size(); ++i) arm(i);
  }
  void move_some() {
    for (unsigned moved = 0; moved < kMovedAtATime; ++moved) {
      queue_.erase(timers_[next_].place);
      arm(next_);
      if (++next_ == timers_.size()) next_ = 0;
    }
  }
  unsigned fire_all() {
    fired_ = 0;
    now_ += delays_.longest();
    while (!queue_.empty() && queue_.begin()->first <= now_) {
      Armed& timer = timers_[queue_.begin()->second];
      queue_.erase(queue_.begin());
      timer.callback();
    }
    return fired_;
  }

 private:
  using Queue = std::multimap<nanoseconds, unsigned>;
  struct Armed {
    UniqueFunction<void()> callback;
    Queue::iterator place{};
    nanoseconds due{0};
  };

  void arm(unsigned i) {
    timers_[i].due = now_ + delays_.next();
    timers_[i].place = queue_.emplace(timers_[i].due, i);
  }

  Delays delays_;
  nanoseconds now_ = 1'000'000s;
  std::deque<Armed> timers_;
  Queue queue_;
  unsigned next_ = 0;
  unsigned fired_ = 0;
};

template <typename Path>
void move_timers(benchmark::State& state) {
  Path path(static_cast<unsigned>(state.range(0)));
  path.arm_all();
  for (auto _ : state) path.move_some();
  state.SetItemsProcessed(state.iterations() * kMovedAtATime);
}

template <typename Path>
void fire_timers(benchmark::State& state) {
  const auto count = static_cast<unsigned>(state.range(0));
  Path path(count);
  for (auto _ : state) {
    state.PauseTiming();
    path.arm_all();
    state.ResumeTiming();
    if (path.fire_all() != count) give_up("a timer that did not fire", EIO);
  }
  state.SetItemsProcessed(state.iterations() * count);
}

#define ASSAY_TIMER_BENCH(run, path, name) \
  BENCHMARK_TEMPLATE(run, path)->Name("timer/" name)->ArgName("armed")->Arg(1000)->Arg(100000)->Arg(1000000)

ASSAY_TIMER_BENCH(move_timers, MultimapTimers, "move/multimap");
ASSAY_TIMER_BENCH(move_timers, BackendTimers, "move/Backend");
ASSAY_TIMER_BENCH(fire_timers, MultimapTimers, "fire/multimap");
ASSAY_TIMER_BENCH(fire_timers, BackendTimers, "fire/Backend");

}  // namespace
}  // namespace assay::bench
