#include "assay/backend/nesting.h"

#include <sys/eventfd.h>
#include <unistd.h>
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <utility>

namespace assay::internal {
namespace {

using std::chrono::nanoseconds;

__kernel_timespec time_until(Requests& requests, nanoseconds deadline) {
  const auto left = std::max(deadline - requests.now(), nanoseconds{0});
  const auto whole = std::chrono::floor<std::chrono::seconds>(left);
  return {.tv_sec = whole.count(), .tv_nsec = (left - whole).count()};
}

}  // namespace

void Nesting::Alarm::prepare(io_uring_sqe& sqe) {
  time_ = time_until(requests_, deadline);
  io_uring_prep_timeout(&sqe, &time_, 0, 0);
}

void Nesting::Move::prepare(io_uring_sqe& sqe) {
  time_ = time_until(requests_, alarm_.deadline);
  io_uring_prep_timeout_update(&sqe, &time_, requests_.user_data_of(alarm_), 0);
}

void Nesting::Move::complete(const Completion& completion) {
  // It was too late, or refused: another TIMEOUT is armed when the loop is left.
  if (completion.res < 0) requests_.abandon(alarm_);
}

Nesting::~Nesting() {
  if (event_fd_ >= 0) ::close(event_fd_);
}

Result<void> Nesting::begin() {
  if (in_use()) return {};
  if (!requests_.support().nests) {
    return Error::from_errno(ENOTSUP, "pollable_fd: this kernel has no IORING_OP_TIMEOUT (since 5.4)");
  }
  const int fd = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (fd < 0) return Error::from_errno(errno, "pollable_fd: eventfd");
  event_fd_ = fd;
  if (const int answer = requests_.ring().register_eventfd(fd); answer < 0) {
    ::close(std::exchange(event_fd_, -1));
    return Error::from_errno(answer, "pollable_fd: IORING_REGISTER_EVENTFD");
  }
  registered_ = true;
  return {};
}

void Nesting::take_back() noexcept {
  // Stable releases of 6.12 signal for deferred work once, and not again until the eventfd is registered anew. No
  // kernel says of itself that it is like that, and to register it takes little.
  const bool deferred = (requests_.ring().setup_flags() & IORING_SETUP_DEFER_TASKRUN) != 0;
  if (deferred && registered_) registered_ = requests_.ring().unregister_eventfd() < 0;
  // Before 5.8 there is no such flag, and signals while the loop runs wake the outer one for nothing.
  if (unsigned* flags = requests_.ring().raw()->cq.kflags) {
    IO_URING_WRITE_ONCE(*flags, *flags | IORING_CQ_EVENTFD_DISABLED);
  }
  const int saved_errno = errno;
  std::uint64_t count;
  (void)!::read(event_fd_, &count, sizeof(count));
  errno = saved_errno;
}

void Nesting::arm_timeout(std::optional<nanoseconds> earliest) {
  if (!earliest || (alarm_.in_flight() && alarm_.deadline <= *earliest)) return;
  alarm_.deadline = *earliest;
  if (alarm_.in_flight() && requests_.support().moves_timeouts && !move_.in_flight()) {
    (void)requests_.queue(move_, RequestOwner::kLoop);
    return;
  }
  requests_.abandon(alarm_);
  (void)requests_.queue(alarm_, RequestOwner::kLoop);
}

bool Nesting::hand_over() noexcept {
  if (!registered_) registered_ = requests_.ring().register_eventfd(event_fd_) >= 0;
  if (unsigned* flags = requests_.ring().raw()->cq.kflags) {
    IO_URING_WRITE_ONCE(*flags, *flags & ~static_cast<unsigned>(IORING_CQ_EVENTFD_DISABLED));
    // The ring is looked at by the caller only after the kernel can see this.
    std::atomic_thread_fence(std::memory_order_seq_cst);
  }
  return registered_;
}

void Nesting::signal() noexcept {
  const int saved_errno = errno;
  const std::uint64_t one = 1;
  // It can only fail when the count is at its limit, and then the descriptor is readable already.
  (void)!::write(event_fd_, &one, sizeof(one));
  errno = saved_errno;
}

}  // namespace assay::internal
