// Assay's Backend, on a deferred ring: reads, events and timers.

#include <cerrno>
#include <chrono>
#include <deque>
#include <memory>

#include "assay/bench/peers/eventfds.h"
#include "assay/bench/peers/peers.h"
#include "assay/bench/peers/read_path.h"
#include "assay/bench/peers/timer_paths.h"

namespace assay::bench {
namespace {

enum class FileKind { kDescriptor, kRegistered };

/// Each read is started again by its callback.
class BackendReads final : public ReadPath {
 public:
  BackendReads(unsigned depth, const BlockFile& file, FileKind kind)
      : ReadPath(depth, file), backend_(create(depth)), file_(file.fd()) {
    if (kind == FileKind::kDescriptor) return;
    auto registered = backend_->register_file(file.fd());
    if (!registered || !registered->is_registered()) give_up("Backend::register_file", EIO);
    registered_ = *std::move(registered);
    file_ = registered_;
  }

 private:
  static std::unique_ptr<Backend> create(unsigned depth) {
    BackendOptions options = backend_options(depth, 2 * depth, kDeferredRing);
    options.registered_fds = 1;
    return create_backend(options);
  }
  void read_all() override {
    const std::uint64_t completed = backend_->counters().requests.completions;
    for (unsigned i = 0; i < depth() && has_more(); ++i) start(i);
    run_until_done(*backend_);
    count_cqes(backend_->counters().requests.completions - completed);
  }
  void start(unsigned i) {
    const std::uint32_t block = take_one();
    backend_->read(file_, {slots().buffer(i), kBlock}, std::uint64_t{block} * kBlock, [this, i, block](int res) {
      came(i, block, res);
      if (has_more()) start(i);
    });
  }

  std::unique_ptr<Backend> backend_;
  RegisteredFile registered_;
  File file_;
};

enum class Trigger {
  kLevel,
  /// Level, and the callback says that it drained the file.
  kDrained,
  kEdge,
};

class BackendEvents final : public EventfdPath {
 public:
  BackendEvents(unsigned fds, Callback callback, Trigger trigger) : EventfdPath(fds, callback) {
    const FdInterest interest{.read = true, .persistent = true, .edge_triggered = trigger == Trigger::kEdge};
    for (unsigned i = 0; i < fds; ++i) {
      if (trigger == Trigger::kDrained) {
        events_.emplace_back(*backend_, fd(i), interest, [this, i](Readiness ready) {
          told(i, ready);
          events_[i].drained();
        });
      } else {
        events_.emplace_back(*backend_, fd(i), interest, [this, i](Readiness ready) { told(i, ready); });
      }
      if (!events_.back().add()) give_up("FdEvent::add", EINVAL);
    }
  }

 private:
  void run_loop() override {
    const std::uint64_t completed = backend_->counters().requests.completions;
    run_until_done(*backend_);
    count_cqes(backend_->counters().requests.completions - completed);
  }
  void told(unsigned i, const Readiness& ready) {
    if (!ready.read || ready.error != 0) give_up("an event", EIO);
    if (tell(i)) backend_->loop_break();
  }

  std::unique_ptr<Backend> backend_ = create_backend(kMaxFds, kFdsCqEntries, kDeferredRing);
  std::deque<FdEvent> events_;
};

class BackendTimers {
 public:
  explicit BackendTimers(unsigned count) : count_(count), timers_(std::allocator<Timer>().allocate(count)) {
    for (unsigned i = 0; i < count_; ++i) std::construct_at(timers_ + i, *backend_, [this] { ++fired_; });
  }
  BackendTimers(const BackendTimers&) = delete;
  BackendTimers& operator=(const BackendTimers&) = delete;
  ~BackendTimers() {
    std::destroy_n(timers_, count_);
    std::allocator<Timer>().deallocate(timers_, count_);
  }

  /// In a callback, within which the clock is read once.
  template <typename Function>
  void in_loop(Function start_them) {
    backend_->post(start_them);
    if (!backend_->loop(LoopMode::kNonblock)) give_up("Backend::loop", EIO);
  }
  void start(unsigned i, std::chrono::nanoseconds delay) {
    if (!timers_[i].start_after(delay)) give_up("Timer::start_after", ECANCELED);
  }
  void fire_all() { run_until_done(*backend_); }
  std::uint64_t fired() const noexcept { return fired_; }
  bool armed(unsigned i) const noexcept { return timers_[i].armed(); }

 private:
  std::unique_ptr<Backend> backend_ = create_backend(64, 128, kDeferredRing);
  unsigned count_;
  // Side by side in one piece of memory, though none can be moved.
  Timer* timers_;
  std::uint64_t fired_ = 0;
};

}  // namespace

std::vector<PeerPath> backend_paths() {
  return {{"file_reads", "page_cache", "Backend", read_path_of<BackendReads>(FileKind::kDescriptor)},
          {"file_reads", "page_cache", "Backend, registered file", read_path_of<BackendReads>(FileKind::kRegistered)},
          {"events", "self_ping", "Backend", path_of<BackendEvents>(Callback::kPings, Trigger::kLevel)},
          {"events", "self_ping", "Backend, drained", path_of<BackendEvents>(Callback::kPings, Trigger::kDrained)},
          {"events", "self_ping", "Backend, edges", path_of<BackendEvents>(Callback::kPings, Trigger::kEdge)},
          {"events", "undrained", "Backend", path_of<BackendEvents>(Callback::kDrainsNothing, Trigger::kLevel)},
          {"timer_move", "random", "Backend", path_of<MovedTimers<BackendTimers>>()},
          {"timer_fire", "random", "Backend", path_of<FiredTimers<BackendTimers>>()}};
}

}  // namespace assay::bench
