#pragma once

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>

namespace assay::internal {

/// accept(2) and connect(2) have no MSG_DONTWAIT, and the caller's O_NONBLOCK is not ours to change. So for the time of
/// one such call its time limit (SO_RCVTIMEO, SO_SNDTIMEO) is the shortest that there is. Nothing happens where the
/// socket does not block anyway.
class BriefTimeout {
 public:
  BriefTimeout(int fd, int option) : fd_(fd), option_(option) {
    if ((::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0) return;
    socklen_t bytes = sizeof before_;
    if (::getsockopt(fd, SOL_SOCKET, option, &before_, &bytes) != 0) return;
    const timeval shortest{0, 1};
    changed_ = ::setsockopt(fd, SOL_SOCKET, option, &shortest, sizeof shortest) == 0;
  }
  BriefTimeout(const BriefTimeout&) = delete;
  BriefTimeout& operator=(const BriefTimeout&) = delete;
  /// Leaves errno alone, since it is that of the call.
  ~BriefTimeout() {
    const int error = errno;
    if (changed_) ::setsockopt(fd_, SOL_SOCKET, option_, &before_, sizeof before_);
    errno = error;
  }

 private:
  int fd_;
  int option_;
  timeval before_{};
  bool changed_ = false;
};

}  // namespace assay::internal
