#pragma once

#include <sys/eventfd.h>
#include <unistd.h>
#include <cerrno>
#include <cstdint>

#include "assay/bench/fd.h"
#include "assay/bench/setup.h"

namespace assay::bench {

/// An eventfd that is readable from the start, or not. Non-blocking, since a kernel hands a read of others to a worker.
class Eventfd {
 public:
  explicit Eventfd(unsigned count) : fd_(::eventfd(count, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (fd_.get() < 0) give_up("eventfd", errno);
  }

  int fd() const noexcept { return fd_.get(); }
  void make_readable() const {
    constexpr std::uint64_t kOne = 1;
    if (::write(fd_.get(), &kOne, sizeof kOne) != sizeof kOne) give_up("write", errno);
  }

 private:
  Fd fd_;
};

}  // namespace assay::bench
