#include "assay/backend/wake_up.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <cerrno>

namespace assay::internal {

Result<int> WakeUp::create_eventfd() {
  // Non-blocking, since a blocking one would make a worker of the kernel wait for it.
  const int fd = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (fd < 0) return Error::from_errno(errno, "eventfd");
  return fd;
}

WakeUp::~WakeUp() { ::close(event_fd_); }

void WakeUp::wake() noexcept {
  requested_.store(true);
  if (!asleep_.load()) return;
  const int saved_errno = errno;
  const std::uint64_t one = 1;
  // It can only fail when the count is at its limit, and then the loop is woken already.
  (void)!::write(told_fd_.load(), &one, sizeof(one));
  errno = saved_errno;
}

void WakeUp::prepare(io_uring_sqe& sqe) { io_uring_prep_poll_add(&sqe, event_fd_, POLLIN); }

void WakeUp::complete(const Completion& /*completion*/) {
  // Whatever it ended with, the next turn polls again. A count that is left over would only end that poll at once.
  std::uint64_t count;
  (void)!::read(event_fd_, &count, sizeof(count));
}

}  // namespace assay::internal
