// Raw epoll, level-triggered where nothing else is said, with a read(2), recv(2) or send(2) for each descriptor that is
// ready.

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <array>
#include <cerrno>

#include "assay/bench/peers/data_files.h"
#include "assay/bench/peers/echo_clients.h"
#include "assay/bench/peers/epoll_set.h"
#include "assay/bench/peers/eventfds.h"
#include "assay/bench/peers/peers.h"

namespace assay::bench {
namespace {

constexpr unsigned kLevel = EPOLLIN;

class EpollEvents final : public EventfdPath {
 public:
  EpollEvents(unsigned fds, Callback callback, unsigned events) : EventfdPath(fds, callback) {
    for (unsigned i = 0; i < fds; ++i) set_.add(fd(i), i, events);
  }

 private:
  void run_loop() override {
    while (!is_enough()) {
      set_.wait([this](unsigned i) { tell(i); });
    }
  }

  EpollSet set_;
};

template <typename Files>
class EpollReads final : public DataPath<Files> {
 public:
  explicit EpollReads(unsigned fds) : DataPath<Files>(fds) {
    for (unsigned i = 0; i < fds; ++i) set_.add(this->fd(i), i);
  }

 private:
  void run_loop() override {
    while (!this->is_enough()) {
      set_.wait([this](unsigned i) {
        this->take(i, memory_.data(), Files::read(this->fd(i), memory_.data(), memory_.size()));
      });
    }
  }

  EpollSet set_;
  std::array<char, kDataBufferBytes> memory_{};
};

class EpollEcho final : public EchoPath {
 public:
  explicit EpollEcho(unsigned connections) : EchoPath(connections) {
    for (unsigned i = 0; i < connections; ++i) set_.add(fd(i), i);
  }

 private:
  void serve() override {
    while (!is_done()) {
      set_.wait([this](unsigned i) {
        const ssize_t received = ::recv(fd(i), memory_.data(), memory_.size(), 0);
        check_received(received);
        echoed(::send(fd(i), memory_.data(), static_cast<std::size_t>(received), MSG_NOSIGNAL));
      });
    }
  }

  EpollSet set_;
  std::array<char, kEchoBufferBytes> memory_{};
};

}  // namespace

std::vector<PeerPath> epoll_paths() {
  return {{"events", "self_ping", "epoll", path_of<EpollEvents>(Callback::kPings, kLevel)},
          {"events", "self_ping", "epoll, edges", path_of<EpollEvents>(Callback::kPings, kLevel | EPOLLET)},
          {"events", "undrained", "epoll", path_of<EpollEvents>(Callback::kDrainsNothing, kLevel)},
          {"data", "eventfd", "epoll", path_of<EpollReads<DataEventfds>>()},
          {"data", "socketpair", "epoll", path_of<EpollReads<DataSockets>>()},
          {"echo", "tcp", "epoll", path_of<EpollEcho>()}};
}

}  // namespace assay::bench
