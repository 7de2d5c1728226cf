#pragma once

#include <linux/time_types.h>
#include <chrono>
#include <cstdint>
#include <optional>

#include "assay/backend/operation.h"
#include "assay/backend/requests.h"
#include "assay/backend/result.h"

namespace assay::internal {

/// What another loop waits for while this one does not run: an eventfd that the ring signals when a completion comes.
///
/// An eventfd rather than the ring's own descriptor, since it stays the same when another ring takes the first one's
/// place, and since what is no completion can signal it, too: `wake`, or events that are ready once more. While the
/// loop runs the ring is told not to signal (5.8). Time is the matter of one TIMEOUT in the ring for the earliest
/// timer, which is moved (5.11) or replaced when an earlier one comes, and left as it is when that timer goes: it wakes
/// the outer loop once for nothing then.
class Nesting {
 public:
  explicit Nesting(Requests& requests) : requests_(requests) {}
  Nesting(const Nesting&) = delete;
  Nesting& operator=(const Nesting&) = delete;
  ~Nesting();

  /// From now on another loop may wait. ENOTSUP where the kernel cannot (before 5.4).
  Result<void> begin();
  bool in_use() const noexcept { return event_fd_ >= 0; }
  int fd() const noexcept { return event_fd_; }

  /// The loop runs, and sees to everything itself.
  void take_back() noexcept;
  /// The TIMEOUT is there in time. To be submitted.
  void arm_timeout(std::optional<std::chrono::nanoseconds> earliest);
  /// The loop does not run any more. False when the ring cannot be made to signal, so that the outer loop has to look.
  bool hand_over() noexcept;
  /// Wakes the outer loop. From any thread.
  void signal() noexcept;
  /// Another ring took the place of the one that signalled.
  void ring_replaced() noexcept { registered_ = false; }

 private:
  /// The TIMEOUT.
  class Alarm final : public Operation {
   public:
    explicit Alarm(Requests& requests) : requests_(requests) {}
    ~Alarm() override = default;
    std::chrono::nanoseconds deadline{0};

   private:
    void prepare(io_uring_sqe& sqe) override;
    // Whatever it ended with, the loop turns, and arms it again if there is a timer.
    void complete(const Completion& /*completion*/) override {}

    Requests& requests_;
    __kernel_timespec time_{};
  };

  /// The request that moves it.
  class Move final : public Operation {
   public:
    Move(Requests& requests, Alarm& alarm) : requests_(requests), alarm_(alarm) {}
    ~Move() override = default;

   private:
    void prepare(io_uring_sqe& sqe) override;
    void complete(const Completion& completion) override;

    Requests& requests_;
    Alarm& alarm_;
    __kernel_timespec time_{};
  };

  Requests& requests_;
  int event_fd_ = -1;
  bool registered_ = false;
  Alarm alarm_{requests_};
  Move move_{requests_, alarm_};
};

}  // namespace assay::internal
