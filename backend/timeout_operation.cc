#include "assay/backend/timeout_operation.h"

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <utility>

#include "assay/backend/requests.h"

namespace assay::internal {

using std::chrono::nanoseconds;
using std::chrono::seconds;

OperationHandle TimeoutOperation::start(nanoseconds duration, TimerQueue& timers, ResultCallback callback) {
  callback_ = std::move(callback);
  duration = std::max(duration, nanoseconds{0});  // a kernel refuses negative times (5.16), or waits for ever
  // TIMEOUT is older by one release than what cancels it, and counted the loop's completions until then.
  if (requests_.support().plain_timeouts) {
    const auto whole = std::chrono::floor<seconds>(duration);
    time_ = {.tv_sec = whole.count(), .tv_nsec = (duration - whole).count()};
    timers_ = nullptr;
    if (auto queued = requests_.queue(*this)) return *queued;
    return requests_.queue_ended(*this, -ECANCELED);
  }
  timers_ = &timers;
  timespec now{};
  requests_.ring().kernel().now(CLOCK_MONOTONIC, &now);
  if (auto parked = requests_.park(*this)) {
    timers.add(*this, deadline_after(seconds{now.tv_sec} + nanoseconds{now.tv_nsec}, duration));
    return *parked;
  }
  return requests_.queue_ended(*this, -ECANCELED);
}

void TimeoutOperation::prepare(io_uring_sqe& sqe) { io_uring_prep_timeout(&sqe, &time_, 0, 0); }

void TimeoutOperation::expired() { requests_.end_parked(*this, -ETIME); }

void TimeoutOperation::complete(const Completion& completion) {
  if (timers_ != nullptr) timers_->remove(*this);
  std::exchange(callback_, nullptr)(completion.res);
  pool_.give_back(*this);
}

}  // namespace assay::internal
