// Timers in a std::multimap, which is what one would take oneself, and no loop around it.

#include <chrono>
#include <map>
#include <vector>

#include "assay/bench/peers/peers.h"
#include "assay/bench/peers/timer_paths.h"

namespace assay::bench {
namespace {

using std::chrono::nanoseconds;
using std::chrono::steady_clock;

class MultimapTimers {
 public:
  explicit MultimapTimers(unsigned count) : timers_(count) {
    for (Armed& timer : timers_) timer.callback = [this] { ++fired_; };
  }

  template <typename Function>
  void in_loop(Function start_them) {
    now_ = steady_clock::now();
    start_them();
  }
  void start(unsigned i, nanoseconds delay) {
    Armed& timer = timers_[i];
    const auto due = now_ + delay;
    if (timer.is_armed) {
      // Its node moves, so that nothing is allocated.
      auto node = queue_.extract(timer.place);
      node.key() = due;
      timer.place = queue_.insert(std::move(node));
    } else {
      timer.place = queue_.emplace(due, &timer);
      timer.is_armed = true;
    }
  }
  void fire_all() {
    while (!queue_.empty()) {
      now_ = steady_clock::now();
      while (!queue_.empty() && queue_.begin()->first <= now_) {
        Armed& timer = *queue_.begin()->second;
        queue_.erase(queue_.begin());
        timer.is_armed = false;
        timer.callback();
      }
    }
  }
  std::uint64_t fired() const noexcept { return fired_; }
  bool armed(unsigned i) const noexcept { return timers_[i].is_armed; }

 private:
  struct Armed;
  using Queue = std::multimap<steady_clock::time_point, Armed*>;
  struct Armed {
    UniqueFunction<void()> callback;
    Queue::iterator place{};
    bool is_armed = false;
  };

  std::vector<Armed> timers_;
  Queue queue_;
  steady_clock::time_point now_;
  std::uint64_t fired_ = 0;
};

}  // namespace

std::vector<PeerPath> multimap_paths() {
  return {{"timer_move", "random", "multimap", path_of<MovedTimers<MultimapTimers>>()},
          {"timer_fire", "random", "multimap", path_of<FiredTimers<MultimapTimers>>()}};
}

}  // namespace assay::bench
