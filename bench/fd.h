#pragma once

#include <fcntl.h>
#include <unistd.h>
#include <cerrno>
#include <utility>

#include "assay/bench/setup.h"

namespace assay::bench {

/// A descriptor that is closed when this goes, also where setting up a path ends half-way.
class Fd {
 public:
  explicit Fd(int fd) noexcept : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(other.release()) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() {
    if (fd_ >= 0) ::close(fd_);
  }

  /// Another descriptor of the same file, for somebody who closes it.
  static int duplicate(int fd) {
    const int duplicate = ::fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (duplicate < 0) give_up("fcntl(F_DUPFD_CLOEXEC)", errno);
    return duplicate;
  }
  int get() const noexcept { return fd_; }
  /// From now on somebody else closes it.
  int release() noexcept { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

}  // namespace assay::bench
