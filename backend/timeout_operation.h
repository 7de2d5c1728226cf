#pragma once

#include <chrono>

#include "assay/backend/function_operation.h"
#include "assay/backend/operation.h"
#include "assay/backend/timer_queue.h"
#include "assay/backend/uapi.h"

namespace assay::internal {

/// One TIMEOUT request. Where the kernel has none that can be cancelled (before 5.5), a timer of the loop that has a
/// handle as requests have.
class TimeoutOperation final : public Operation, private TimerNode {
 public:
  TimeoutOperation(OperationPool<TimeoutOperation>& pool, Requests& requests)
      : TimerNode(false), pool_(pool), requests_(requests) {}

  OperationHandle start(std::chrono::nanoseconds duration, TimerQueue& timers, ResultCallback callback);

 private:
  void prepare(io_uring_sqe& sqe) override;
  void complete(const Completion& completion) override;
  void expired() override;

  OperationPool<TimeoutOperation>& pool_;
  Requests& requests_;
  TimerQueue* timers_ = nullptr;
  __kernel_timespec time_{};
  ResultCallback callback_;
};

}  // namespace assay::internal
