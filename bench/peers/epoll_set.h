#pragma once

#include <sys/epoll.h>
#include <unistd.h>
#include <array>
#include <cerrno>

#include "assay/bench/setup.h"

namespace assay::bench {

/// An epoll descriptor whose members are watched for data, and known by a number.
class EpollSet {
 public:
  static constexpr unsigned kEventsAtATime = 1024;

  EpollSet() : fd_(::epoll_create1(EPOLL_CLOEXEC)) {
    if (fd_ < 0) give_up("epoll_create1", errno);
  }
  EpollSet(const EpollSet&) = delete;
  EpollSet& operator=(const EpollSet&) = delete;
  ~EpollSet() { ::close(fd_); }

  /// Level-triggered, or, with EPOLLET, told of only when more has come.
  void add(int fd, unsigned i, unsigned events = EPOLLIN) {
    epoll_event event{.events = events, .data = {.u32 = i}};
    if (::epoll_ctl(fd_, EPOLL_CTL_ADD, fd, &event) != 0) give_up("epoll_ctl", errno);
  }
  /// Waits until some are ready, and calls `visit` with the number of each.
  template <typename Visit>
  void wait(Visit visit) {
    const int ready = ::epoll_wait(fd_, events_.data(), static_cast<int>(events_.size()), -1);
    if (ready < 0) give_up("epoll_wait", errno);
    for (unsigned n = 0; n < static_cast<unsigned>(ready); ++n) visit(events_[n].data.u32);
  }
  int fd() const noexcept { return fd_; }

 private:
  int fd_;
  std::array<epoll_event, kEventsAtATime> events_{};
};

}  // namespace assay::bench
