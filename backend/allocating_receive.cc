#include "assay/backend/allocating_receive.h"

#include <cerrno>
#include <utility>

#include "assay/backend/operation_ways.h"
#include "assay/backend/requests.h"

namespace assay::internal {

OperationHandle AllocatingReceive::start(const ReceiveSource& source, AllocateCallback allocate,
                                         RepeatedCallback callback) {
  source_ = source;
  allocate_ = std::move(allocate);
  return start(std::move(callback));
}

OperationHandle AllocatingReceive::start_messages(const ReceiveSource& source, AllocateMessageCallback allocate,
                                                  RepeatedCallback callback) {
  source_ = source;
  allocate_message_ = std::move(allocate);
  return start(std::move(callback));
}

OperationHandle AllocatingReceive::start(RepeatedCallback callback) {
  callback_ = std::move(callback);
  polls_first_ = source_.needs_plain_call(requests_) || !requests_.support().waits_for_readiness;
  step_ = polls_first_ ? Step::kReadiness : Step::kRequest;
  if (auto queued = requests_.queue(*this)) return *queued;
  return requests_.queue_ended(*this, -ECANCELED);
}

void AllocatingReceive::prepare(io_uring_sqe& sqe) {
  if (step_ == Step::kReadiness) {
    source_.prepare_readiness(sqe);
  } else if (!prepare_request(sqe)) {
    io_uring_prep_nop(&sqe);
  }
}

bool AllocatingReceive::prepare_request(io_uring_sqe& sqe) {
  if (!has_memory()) {
    if (allocate_) memory_ = allocate_();
    if (allocate_message_) message_ = allocate_message_();
  }
  out_of_memory_ = !has_memory();
  if (out_of_memory_) return false;
  if (message_ != nullptr) {
    source_.prepare_message(sqe, *message_);
  } else {
    source_.prepare_into(sqe, memory_, requests_);
  }
  // Ready a moment ago; where somebody else was faster, the next poll tells of more.
  if (polls_first_ && source_.call() != ReceiveSource::Call::kRead) sqe.msg_flags |= MSG_DONTWAIT;
  take_older_opcode(sqe, requests_.support(), kept_);
  return true;
}

void AllocatingReceive::complete(const Completion& completion) {
  int result = completion.res;
  if (step_ == Step::kReadiness) {
    if (result == -ECANCELED || result == -EBADR) {
      end(result);
      return;
    }
    // Ready; or what is wrong with the file the call itself will say best.
    if (result != -EINTR && result != -EAGAIN) step_ = Step::kRequest;
    io_uring_sqe sqe{};
    if (step_ == Step::kReadiness || !source_.needs_plain_call(requests_)) {
      if (!requests_.queue_next_step(*this)) end(-ECANCELED);
      return;
    }
    result = 0;
    if (prepare_request(sqe)) {
      sqe.fd = source_.file().fd();
      result = call_plainly(sqe);
    }
  }
  if (out_of_memory_) result = -ENOBUFS;
  if (result == -EAGAIN || result == -EINTR) {
    // The memory stays for the next attempt.
    if (result == -EAGAIN || polls_first_) step_ = Step::kReadiness;
    if (!requests_.queue_next_step(*this)) end(-ECANCELED);
    return;
  }
  if (result < 0 || (result == 0 && !source_.has_datagrams())) {
    end(result);
    return;
  }
  forget_memory();
  if (polls_first_) step_ = Step::kReadiness;
  // In flight while the callback runs, which may want to cancel it; asked for more memory only afterwards, since it may
  // well be the same.
  const bool goes_on = requests_.park(*this).has_value();
  callback_.tell(result, true);
  goes_on ? requests_.unpark(*this) : end(-ECANCELED);
}

void AllocatingReceive::cancelled(const Completion& completion) {
  const int result = completion.res;
  const bool is_request = step_ == Step::kRequest && has_memory();
  // What was received all the same is told: it is gone from the file.
  if (is_request && (result > 0 || (result == 0 && source_.has_datagrams()))) callback_.tell(result, true);
  const bool says_something = result < 0 && result != -EINTR && result != -EAGAIN;
  end((is_request && says_something) || result == -EBADR ? result : -ECANCELED);
}

void AllocatingReceive::end(int result) {
  forget_memory();
  out_of_memory_ = false;
  allocate_ = nullptr;
  allocate_message_ = nullptr;
  source_ = {};
  callback_.end(result, false);
  pool_.give_back(*this);
}

}  // namespace assay::internal
