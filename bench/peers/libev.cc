// libev, on epoll: watchers of descriptors, also those whose callback reads, timers, and an echo server.

#include <ev.h>
#include <sys/socket.h>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include "assay/bench/peers/data_files.h"
#include "assay/bench/peers/echo_clients.h"
#include "assay/bench/peers/eventfds.h"
#include "assay/bench/peers/peers.h"
#include "assay/bench/peers/timer_paths.h"

namespace assay::bench {
namespace {

struct DestroyLoop {
  void operator()(struct ev_loop* loop) const { ev_loop_destroy(loop); }
};
using Loop = std::unique_ptr<struct ev_loop, DestroyLoop>;

Loop create_loop() {
  Loop loop(ev_loop_new(unsigned{EVBACKEND_EPOLL} | unsigned{EVFLAG_NOENV}));
  if (!loop) give_up("ev_loop_new", ENOMEM);
  return loop;
}

/// A watcher and the number of its descriptor; libev's own `data` is the path.
struct Watcher {
  ev_io io{};
  unsigned i = 0;
};

void watch(const Loop& loop, int fd, void (*told)(struct ev_loop*, ev_io*, int), Watcher& watcher, void* path) {
  ev_io_init(&watcher.io, told, fd, EV_READ);
  watcher.io.data = path;
  ev_io_start(loop.get(), &watcher.io);
}
unsigned number_of(const ev_io* io) { return reinterpret_cast<const Watcher*>(io)->i; }

class LibevEvents final : public EventfdPath {
 public:
  LibevEvents(unsigned fds, Callback callback) : EventfdPath(fds, callback), watchers_(fds) {
    for (unsigned i = 0; i < fds; ++i) {
      watchers_[i].i = i;
      watch(loop_, fd(i), told, watchers_[i], this);
    }
  }

 private:
  static void told(struct ev_loop* loop, ev_io* io, int /*events*/) {
    if (static_cast<LibevEvents*>(io->data)->tell(number_of(io))) ev_break(loop, EVBREAK_ALL);
  }
  void run_loop() override { ev_run(loop_.get(), 0); }

  std::vector<Watcher> watchers_;
  Loop loop_ = create_loop();
};

template <typename Files>
class LibevReads final : public DataPath<Files> {
 public:
  explicit LibevReads(unsigned fds) : DataPath<Files>(fds), watchers_(fds) {
    for (unsigned i = 0; i < fds; ++i) {
      watchers_[i].i = i;
      watch(loop_, this->fd(i), readable, watchers_[i], this);
    }
  }

 private:
  static void readable(struct ev_loop* loop, ev_io* io, int /*events*/) {
    LibevReads& path = *static_cast<LibevReads*>(io->data);
    const ssize_t bytes = Files::read(io->fd, path.memory_.data(), path.memory_.size());
    if (path.take(number_of(io), path.memory_.data(), bytes)) ev_break(loop, EVBREAK_ALL);
  }
  void run_loop() override { ev_run(loop_.get(), 0); }

  std::vector<Watcher> watchers_;
  std::array<char, kDataBufferBytes> memory_{};
  Loop loop_ = create_loop();
};

class LibevEcho final : public EchoPath {
 public:
  explicit LibevEcho(unsigned connections) : EchoPath(connections), watchers_(connections) {
    for (unsigned i = 0; i < connections; ++i) watch(loop_, fd(i), readable, watchers_[i], this);
  }

 private:
  static void readable(struct ev_loop* loop, ev_io* io, int /*events*/) {
    LibevEcho& path = *static_cast<LibevEcho*>(io->data);
    const ssize_t received = ::recv(io->fd, path.memory_.data(), path.memory_.size(), 0);
    check_received(received);
    if (path.echoed(::send(io->fd, path.memory_.data(), static_cast<std::size_t>(received), MSG_NOSIGNAL))) {
      ev_break(loop, EVBREAK_ALL);
    }
  }
  void serve() override { ev_run(loop_.get(), 0); }

  std::vector<Watcher> watchers_;
  std::array<char, kEchoBufferBytes> memory_{};
  Loop loop_ = create_loop();
};

class LibevTimers {
 public:
  explicit LibevTimers(unsigned count) : timers_(count) {
    for (ev_timer& timer : timers_) {
      ev_timer_init(&timer, fire, 0, 0);
      timer.data = this;
    }
  }

  /// Timers are started from the loop's time, which a turn brings up to date.
  template <typename Function>
  void in_loop(Function start_them) {
    ev_run(loop_.get(), EVRUN_NOWAIT);
    start_them();
  }
  void start(unsigned i, std::chrono::nanoseconds delay) {
    ev_timer& timer = timers_[i];
    // Moves it in one step when it is armed, and does not repeat it then: `repeat` is looked at when it has fired.
    timer.repeat = std::chrono::duration<ev_tstamp>(delay).count();
    ev_timer_again(loop_.get(), &timer);
    timer.repeat = 0;
  }
  void fire_all() { ev_run(loop_.get(), 0); }
  std::uint64_t fired() const noexcept { return fired_; }
  bool armed(unsigned i) const noexcept { return ev_is_active(&timers_[i]); }

 private:
  static void fire(struct ev_loop* /*loop*/, ev_timer* timer, int /*events*/) {
    ++static_cast<LibevTimers*>(timer->data)->fired_;
  }

  Loop loop_ = create_loop();
  std::vector<ev_timer> timers_;
  std::uint64_t fired_ = 0;
};

}  // namespace

std::vector<PeerPath> libev_paths() {
  return {{"events", "self_ping", "libev", path_of<LibevEvents>(Callback::kPings)},
          {"events", "undrained", "libev", path_of<LibevEvents>(Callback::kDrainsNothing)},
          {"data", "eventfd", "libev", path_of<LibevReads<DataEventfds>>()},
          {"data", "socketpair", "libev", path_of<LibevReads<DataSockets>>()},
          {"echo", "tcp", "libev", path_of<LibevEcho>()},
          {"timer_move", "random", "libev", path_of<MovedTimers<LibevTimers>>()},
          {"timer_fire", "random", "libev", path_of<FiredTimers<LibevTimers>>()}};
}

}  // namespace assay::bench
