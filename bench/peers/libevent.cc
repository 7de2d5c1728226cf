// libevent: persistent events, also those whose callback reads, timers, and echo servers of plain events and of
// bufferevents.

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <sys/socket.h>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "assay/bench/peers/data_files.h"
#include "assay/bench/peers/echo_clients.h"
#include "assay/bench/peers/eventfds.h"
#include "assay/bench/peers/peers.h"
#include "assay/bench/peers/timer_paths.h"

namespace assay::bench {
namespace {

struct Free {
  void operator()(event_base* base) const { event_base_free(base); }
  void operator()(event* one) const { event_free(one); }
  void operator()(bufferevent* one) const { bufferevent_free(one); }
};
using Base = std::unique_ptr<event_base, Free>;
using Event = std::unique_ptr<event, Free>;
using Bufferevent = std::unique_ptr<bufferevent, Free>;

// Of one thread, so that it needs no locks.
Base create_base() {
  event_config* config = event_config_new();
  if (config == nullptr || event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK) != 0) {
    give_up("event_config_new", ENOMEM);
  }
  Base base(event_base_new_with_config(config));
  event_config_free(config);
  if (!base) give_up("event_base_new_with_config", ENOMEM);
  return base;
}

/// The number of a descriptor, and the path that watches it.
template <typename P>
struct Watched {
  P* path = nullptr;
  unsigned i = 0;
};

template <typename P>
Event watch(const Base& base, int fd, event_callback_fn callback, Watched<P>& watched, short edges = 0) {
  const auto what = static_cast<short>(EV_READ | EV_PERSIST | edges);
  Event one(event_new(base.get(), fd, what, callback, &watched));
  if (!one || event_add(one.get(), nullptr) != 0) give_up("event_add", ENOMEM);
  return one;
}

class LibeventEvents final : public EventfdPath {
 public:
  /// `edges` is EV_ET or 0.
  LibeventEvents(unsigned fds, Callback callback, short edges) : EventfdPath(fds, callback), watched_(fds) {
    for (unsigned i = 0; i < fds; ++i) {
      watched_[i] = {this, i};
      events_.push_back(watch(base_, fd(i), told, watched_[i], edges));
    }
  }

 private:
  static void told(evutil_socket_t /*fd*/, short /*what*/, void* argument) {
    const auto* watched = static_cast<Watched<LibeventEvents>*>(argument);
    if (watched->path->tell(watched->i)) event_base_loopbreak(watched->path->base_.get());
  }
  void run_loop() override { event_base_dispatch(base_.get()); }

  std::vector<Watched<LibeventEvents>> watched_;
  Base base_ = create_base();
  std::vector<Event> events_;
};

template <typename Files>
class LibeventReads final : public DataPath<Files> {
 public:
  explicit LibeventReads(unsigned fds) : DataPath<Files>(fds), watched_(fds) {
    for (unsigned i = 0; i < fds; ++i) {
      watched_[i] = {this, i};
      events_.push_back(watch(base_, this->fd(i), readable, watched_[i]));
    }
  }

 private:
  static void readable(evutil_socket_t fd, short /*what*/, void* argument) {
    const auto* watched = static_cast<Watched<LibeventReads>*>(argument);
    LibeventReads& path = *watched->path;
    const ssize_t bytes = Files::read(fd, path.memory_.data(), path.memory_.size());
    if (path.take(watched->i, path.memory_.data(), bytes)) event_base_loopbreak(path.base_.get());
  }
  void run_loop() override { event_base_dispatch(base_.get()); }

  std::vector<Watched<LibeventReads>> watched_;
  std::array<char, kDataBufferBytes> memory_{};
  Base base_ = create_base();
  std::vector<Event> events_;
};

class LibeventEcho final : public EchoPath {
 public:
  explicit LibeventEcho(unsigned connections) : EchoPath(connections), watched_(connections) {
    for (unsigned i = 0; i < connections; ++i) {
      watched_[i] = {this, i};
      events_.push_back(watch(base_, fd(i), readable, watched_[i]));
    }
  }

 private:
  static void readable(evutil_socket_t fd, short /*what*/, void* argument) {
    LibeventEcho& path = *static_cast<Watched<LibeventEcho>*>(argument)->path;
    const ssize_t received = ::recv(fd, path.memory_.data(), path.memory_.size(), 0);
    check_received(received);
    if (path.echoed(::send(fd, path.memory_.data(), static_cast<std::size_t>(received), MSG_NOSIGNAL))) {
      event_base_loopbreak(path.base_.get());
    }
  }
  void serve() override { event_base_dispatch(base_.get()); }

  std::vector<Watched<LibeventEcho>> watched_;
  std::array<char, kEchoBufferBytes> memory_{};
  Base base_ = create_base();
  std::vector<Event> events_;
};

/// What is received moves from the input to the output, which the loop writes when the socket has room.
class BuffereventEcho final : public EchoPath {
 public:
  explicit BuffereventEcho(unsigned connections) : EchoPath(connections), connections_(connections) {
    for (unsigned i = 0; i < connections; ++i) {
      connections_[i].path = this;
      bufferevents_.emplace_back(bufferevent_socket_new(base_.get(), fd(i), 0));
      bufferevent* const one = bufferevents_.back().get();
      if (one == nullptr) give_up("bufferevent_socket_new", ENOMEM);
      bufferevent_setcb(one, received, written, failed, &connections_[i]);
      if (bufferevent_enable(one, EV_READ | EV_WRITE) != 0) give_up("bufferevent_enable", EIO);
    }
  }

 private:
  struct Connection {
    BuffereventEcho* path = nullptr;
    bool writes = false;
  };

  static void received(bufferevent* one, void* argument) {
    static_cast<Connection*>(argument)->writes = true;
    evbuffer* const input = bufferevent_get_input(one);
    check_received(static_cast<std::ptrdiff_t>(evbuffer_get_length(input)));
    bufferevent_write_buffer(one, input);
  }
  // Called when all was written, and at first, when there was nothing to write.
  static void written(bufferevent* /*one*/, void* argument) {
    auto& connection = *static_cast<Connection*>(argument);
    if (!std::exchange(connection.writes, false)) return;
    if (connection.path->echoed(kEchoBytes)) event_base_loopbreak(connection.path->base_.get());
  }
  static void failed(bufferevent* /*one*/, short /*what*/, void* /*argument*/) { give_up("a bufferevent", EIO); }
  void serve() override { event_base_dispatch(base_.get()); }

  std::vector<Connection> connections_;
  Base base_ = create_base();
  std::vector<Bufferevent> bufferevents_;
};

class LibeventTimers {
 public:
  explicit LibeventTimers(unsigned count) : timers_(count) {
    for (event& timer : timers_) {
      if (evtimer_assign(&timer, base_.get(), fire, this) != 0) give_up("evtimer_assign", EINVAL);
    }
  }
  LibeventTimers(const LibeventTimers&) = delete;
  LibeventTimers& operator=(const LibeventTimers&) = delete;
  ~LibeventTimers() {
    for (event& timer : timers_) evtimer_del(&timer);
  }

  /// In a callback, within which the clock is not read again: event_add takes the loop's time.
  template <typename Function>
  void in_loop(Function start_them) {
    const Event starter(event_new(base_.get(), -1, 0, call<Function>, &start_them));
    event_active(starter.get(), 0, 0);
    if (event_base_loop(base_.get(), EVLOOP_ONCE) < 0) give_up("event_base_loop", EIO);
  }
  void start(unsigned i, std::chrono::nanoseconds delay) {
    const auto us = std::chrono::duration_cast<std::chrono::microseconds>(delay).count();
    const timeval after{.tv_sec = us / 1'000'000, .tv_usec = us % 1'000'000};
    if (evtimer_add(&timers_[i], &after) != 0) give_up("evtimer_add", ENOMEM);
  }
  void fire_all() {
    if (event_base_dispatch(base_.get()) < 0) give_up("event_base_dispatch", EIO);
  }
  std::uint64_t fired() const noexcept { return fired_; }
  bool armed(unsigned i) const noexcept { return evtimer_pending(&timers_[i], nullptr) != 0; }

 private:
  static void fire(evutil_socket_t /*fd*/, short /*what*/, void* argument) {
    ++static_cast<LibeventTimers*>(argument)->fired_;
  }
  template <typename Function>
  static void call(evutil_socket_t /*fd*/, short /*what*/, void* argument) {
    (*static_cast<Function*>(argument))();
  }

  Base base_ = create_base();
  std::vector<event> timers_;
  std::uint64_t fired_ = 0;
};

}  // namespace

std::vector<PeerPath> libevent_paths() {
  return {{"events", "self_ping", "libevent", path_of<LibeventEvents>(Callback::kPings, short{0})},
          {"events", "self_ping", "libevent, edges", path_of<LibeventEvents>(Callback::kPings, short{EV_ET})},
          {"events", "undrained", "libevent", path_of<LibeventEvents>(Callback::kDrainsNothing, short{0})},
          {"data", "eventfd", "libevent", path_of<LibeventReads<DataEventfds>>()},
          {"data", "socketpair", "libevent", path_of<LibeventReads<DataSockets>>()},
          {"echo", "tcp", "libevent", path_of<LibeventEcho>()},
          {"echo", "tcp", "libevent, bufferevent", path_of<BuffereventEcho>()},
          {"timer_move", "random", "libevent", path_of<MovedTimers<LibeventTimers>>()},
          {"timer_fire", "random", "libevent", path_of<FiredTimers<LibeventTimers>>()}};
}

}  // namespace assay::bench
