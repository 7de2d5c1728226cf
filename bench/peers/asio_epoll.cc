// Boost.Asio as it is by default, on epoll; and its timers, which the other configuration has as well.

#include <boost/asio/basic_waitable_timer.hpp>

#include "assay/bench/peers/asio_paths.h"
#include "assay/bench/peers/timer_paths.h"

namespace assay::bench {
namespace {

using std::chrono::steady_clock;

class AsioTimers {
 public:
  explicit AsioTimers(unsigned count) {
    timers_.reserve(count);
    for (unsigned i = 0; i < count; ++i) timers_.emplace_back(context_.raw());
  }

  /// The clock is read once. The turn calls the handlers of waits that were given up the last time.
  template <typename Function>
  void in_loop(Function start_them) {
    context_.raw().restart();
    context_.raw().poll();
    now_ = steady_clock::now();
    start_them();
  }
  void start(unsigned i, std::chrono::nanoseconds delay) {
    timers_[i].expires_at(now_ + delay);
    timers_[i].async_wait([this](const Code& error) {
      if (!error) ++fired_;
    });
  }
  void fire_all() { context_.run(); }
  std::uint64_t fired() const noexcept { return fired_; }
  /// It would have kept `fire_all` from ending.
  static bool armed(unsigned /*i*/) noexcept { return false; }

 private:
  Context context_;
  std::vector<boost::asio::basic_waitable_timer<steady_clock, boost::asio::wait_traits<steady_clock>, Executor>>
      timers_;
  steady_clock::time_point now_;
  std::uint64_t fired_ = 0;
};

}  // namespace

std::vector<PeerPath> asio_epoll_paths() {
  std::vector<PeerPath> paths = common_asio_paths("asio, epoll");
  paths.push_back({"timer_move", "random", "asio, epoll", path_of<MovedTimers<AsioTimers>>()});
  paths.push_back({"timer_fire", "random", "asio, epoll", path_of<FiredTimers<AsioTimers>>()});
  return paths;
}

}  // namespace assay::bench
