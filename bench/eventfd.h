#pragma once

#include <sys/eventfd.h>
#include <unistd.h>
#include <cerrno>
#include <cstdint>

#include "assay/bench/setup.h"

namespace assay::bench {

/// An eventfd that is readable from the start, or not. Non-blocking, since a kernel hands a read of others to a worker.
class Eventfd {
 public:
  explicit Eventfd(unsigned count) : fd_(::eventfd(count, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (fd_ < 0) give_up("eventfd", errno);
  }
  Eventfd(const Eventfd&) = delete;
  Eventfd& operator=(const Eventfd&) = delete;
  ~Eventfd() { ::close(fd_); }

  int fd() const noexcept { return fd_; }
  void make_readable() const {
    constexpr std::uint64_t kOne = 1;
    if (::write(fd_, &kOne, sizeof kOne) != sizeof kOne) give_up("write", errno);
  }

 private:
  int fd_;
};

}  // namespace assay::bench
