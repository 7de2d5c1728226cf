#pragma once

#include <atomic>
#include <cstdint>

#include "assay/backend/operation.h"
#include "assay/backend/requests.h"
#include "assay/backend/result.h"

namespace assay::internal {

/// Ends the loop's wait from elsewhere: an eventfd that is polled in the ring.
///
/// A poll rather than a read, so that no buffer of ours is in the kernel's hands when the backend goes. `wake` writes
/// only while the loop sleeps: it stores its request and then looks whether the loop sleeps, and the loop says that it
/// sleeps and then looks for requests, so with sequentially consistent order one of both sees the other.
class WakeUp final : private Operation {
 public:
  static Result<int> create_eventfd();

  /// Takes the descriptor over.
  WakeUp(Requests& requests, int event_fd) : requests_(requests), event_fd_(event_fd), told_fd_(event_fd) {}
  ~WakeUp() override;

  /// From any thread, and from signal handlers: leaves errno alone.
  void wake() noexcept;

  /// Polls the eventfd in the ring, unless that is done already, or was refused too often to be tried in each turn.
  void arm() {
    if (!in_flight()) arm_anew();
  }
  /// False while nothing polls the eventfd: then a loop that sleeps has to look for itself now and then.
  bool listens() const noexcept { return in_flight(); }
  /// The loop is about to wait. False when it was woken already and must not.
  bool fall_asleep() noexcept {
    asleep_.store(true);
    if (!requested_.load()) return true;
    asleep_.store(false);
    return false;
  }
  /// While the loop sleeps in another one, that one's eventfd is written to.
  void sleep_elsewhere(int fd) noexcept { told_fd_.store(fd); }
  void sleep_here() noexcept { told_fd_.store(event_fd_); }
  /// Whether a loop that does not sleep should look.
  bool requested() const noexcept { return requested_.load(); }
  /// The loop does not wait any more. True when it was woken since the last call.
  bool awake() noexcept {
    // In no order: whoever sees it late writes to the eventfd for nothing.
    asleep_.store(false, std::memory_order_relaxed);
    return requested_.load() && requested_.exchange(false);
  }

 private:
  void arm_anew();
  void prepare(io_uring_sqe& sqe) override;
  void complete(const Completion& completion) override;

  Requests& requests_;
  const int event_fd_;
  std::atomic<int> told_fd_;
  std::atomic<bool> requested_{false};
  std::atomic<bool> asleep_{false};
  unsigned refusals_ = 0;  // in a row
  static_assert(std::atomic<bool>::is_always_lock_free, "used in signal handlers");
};

}  // namespace assay::internal
