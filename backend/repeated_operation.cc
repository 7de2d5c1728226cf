#include "assay/backend/repeated_operation.h"

#include <poll.h>
#include <cerrno>
#include <utility>

#include "assay/backend/operation_ways.h"
#include "assay/backend/requests.h"

namespace assay::internal {
namespace {

// Errors of a connection that was to be accepted, rather than of the socket that listens: accept(2) asks to treat them
// as if there had been no such connection.
bool is_of_the_connection(int error) {
  switch (error) {
    case ECONNABORTED:
    case EPROTO:
    case ENOPROTOOPT:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENONET:
      return true;
    default:
      return false;
  }
}

}  // namespace

OperationHandle RepeatedOperation::start_accept(File socket, int flags, RepeatedCallback callback) {
  const KernelSupport& support = requests_.support();
  file_ = socket;
  events_ = POLLIN;
  accept_flags_ = flags;
  accepts_ = true;
  plain_ = !support.has(IORING_OP_ACCEPT);
  polls_first_ = plain_ || !support.waits_for_readiness;
  // A kernel that seemed to have it answers -EINVAL, see `judge`.
  multishot_ = support.multishot_accept && !polls_first_;
  return start(std::move(callback));
}

OperationHandle RepeatedOperation::start_poll(File file, unsigned events, RepeatedCallback callback) {
  file_ = file;
  events_ = events;
  accepts_ = plain_ = polls_first_ = false;
  multishot_ = requests_.support().multishot_poll;
  return start(std::move(callback));
}

OperationHandle RepeatedOperation::start(RepeatedCallback callback) {
  callback_ = std::move(callback);
  step_ = polls_first_ ? Step::kReadiness : Step::kRequest;
  if (auto queued = requests_.queue(*this)) return *queued;
  return requests_.queue_ended(*this, -ECANCELED);
}

void RepeatedOperation::prepare(io_uring_sqe& sqe) {
  if (step_ == Step::kRequest && accepts_) {
    io_uring_prep_accept(&sqe, file_->fd(), nullptr, nullptr, accept_flags_);
    if (multishot_) sqe.ioprio |= IORING_ACCEPT_MULTISHOT;
  } else {
    io_uring_prep_poll_add(&sqe, file_->fd(), events_);
    if (multishot_ && !accepts_) sqe.len = IORING_POLL_ADD_MULTI;
  }
  file_->give_to(sqe);
}

// Decides what a request that has ended came to, and the next step.
RepeatedOperation::Outcome RepeatedOperation::judge(int* result) {
  if (step_ == Step::kReadiness) {
    if (*result == -ECANCELED || *result == -EBADR) return Outcome::kOver;
    if (*result == -EINTR || *result == -EAGAIN) return Outcome::kGoesOn;
    step_ = Step::kRequest;
    if (!plain_) return Outcome::kGoesOn;
    io_uring_sqe sqe{};
    io_uring_prep_accept(&sqe, file_->fd(), nullptr, nullptr, accept_flags_);
    *result = call_plainly(sqe);
  }
  if (polls_first_) step_ = Step::kReadiness;
  if (*result >= 0) return Outcome::kResult;
  switch (-*result) {
    case EAGAIN:
      if (accepts_) step_ = Step::kReadiness;
      return Outcome::kGoesOn;
    case EINTR:
      return Outcome::kGoesOn;
    case EINVAL:
      // Or else it means what it says, as the next answer will show.
      return std::exchange(multishot_, false) ? Outcome::kGoesOn : Outcome::kOver;
    default:
      return accepts_ && is_of_the_connection(-*result) ? Outcome::kGoesOn : Outcome::kOver;
  }
}

void RepeatedOperation::complete(const Completion& completion) {
  if (completion.more()) {
    callback_.tell(completion.res, true);
    return;
  }
  int result = completion.res;
  switch (judge(&result)) {
    case Outcome::kResult:
      // In flight again before the callback runs, which may want to cancel it.
      if (requests_.queue(*this)) {
        callback_.tell(result, true);
        return;
      }
      break;
    case Outcome::kGoesOn:
      if (requests_.queue_next_step(*this)) return;
      result = -ECANCELED;
      break;
    case Outcome::kOver:
      break;
  }
  end(result);
}

void RepeatedOperation::cancelled(const Completion& completion) {
  // What was accepted all the same is told: somebody must close it.
  if (completion.more()) {
    callback_.tell(completion.res, true);
    return;
  }
  const bool did_nothing =
      step_ == Step::kReadiness ? completion.res != -EBADR : completion.res == -EINTR || completion.res == -EAGAIN;
  end(did_nothing ? -ECANCELED : completion.res);
}

void RepeatedOperation::end(int result) {
  file_ = File(-1);
  callback_.end(result, false);
  pool_.give_back(*this);
}

}  // namespace assay::internal
