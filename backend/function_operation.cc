#include "assay/backend/function_operation.h"

#include <cerrno>
#include <cstring>

#include "assay/backend/requests.h"

namespace assay::internal {

OperationHandle FunctionOperation::start(ResultCallback callback) {
  callback_ = std::move(callback);
  if (auto queued = requests_.queue(*this)) return *queued;
  return requests_.queue_ended(*this, -ECANCELED);
}

OperationHandle FunctionOperation::start_ended(int result, ResultCallback callback) {
  callback_ = std::move(callback);
  return requests_.queue_ended(*this, result);
}

void FunctionOperation::prepare(io_uring_sqe& slot) {
  if (poll_events_ != 0) {
    io_uring_prep_poll_add(&slot, sqe().fd, poll_events_);
  } else {
    std::memcpy(&slot, sqe_.data(), sqe_.size());
  }
}

void FunctionOperation::complete(const Completion& completion) {
  if (poll_events_ != 0) {
    // Ready, or interrupted in the wait; whatever is wrong with the file the operation itself will say best. What is
    // final is a cancelation, or the loss of the ring's completions.
    if (completion.res != -ECANCELED && completion.res != -EBADR) {
      if (completion.res != -EINTR && completion.res != -EAGAIN) poll_events_ = 0;
      if (requests_.queue_next_step(*this)) return;
      end(-ECANCELED);
      return;
    }
  }
  end(completion.res);
}

void FunctionOperation::cancelled(const Completion& completion) {
  // Readiness that came before the cancelation did nothing yet.
  end(poll_events_ != 0 && completion.res >= 0 ? -ECANCELED : completion.res);
}

void FunctionOperation::end(int result) {
  poll_events_ = 0;
  std::exchange(callback_, nullptr)(result);
  // Only now: an operation that the callback starts must not be this one, whose handle may still be around.
  pool_.give_back(*this);
}

}  // namespace assay::internal
