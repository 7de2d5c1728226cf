#include "assay/backend/wake_up.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <cerrno>

namespace assay::internal {
namespace {

// How often in a row the poll may fail before it is not tried in every turn any more.
constexpr unsigned kMostRefusals = 3;

}  // namespace

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

void WakeUp::arm_anew() {
  if (refusals_ == kMostRefusals) {
    --refusals_;  // every other turn from now on
    return;
  }
  (void)requests_.queue(*this, RequestOwner::kLoop);
}

void WakeUp::prepare(io_uring_sqe& sqe) { io_uring_prep_poll_add(&sqe, event_fd_, POLLIN); }

void WakeUp::complete(const Completion& completion) {
  refusals_ = completion.res < 0 ? refusals_ + 1 : 0;
  // Whatever it ended with, the next turn polls again. A count that is left over would only end that poll at once.
  std::uint64_t count;
  (void)!::read(event_fd_, &count, sizeof(count));
}

}  // namespace assay::internal
