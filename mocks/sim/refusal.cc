// What becomes of an SQE that is refused, and of its chain: the batch may stop there. Follows io_submit_fail_init in
// io_uring/io_uring.c, and fs/io_uring.c of 5.4 to 5.15 where Semantics says so.

#include <cerrno>

#include "assay/mocks/sim/operations/operation.h"
#include "assay/mocks/sim/ring.h"

namespace assay::internal {

/// An SQE that is refused still gets a completion. io_submit_fail_init of 5.16 and later.
bool SimRing::refuse(Request& request, int error, bool by_operation) {
  if (!world_.semantics().bad_sqe_keeps_chain) return refuse_as_before_516(request, error, by_operation);

  fail(request);
  request.result = error;
  Request* head = chain_head_;
  if (head != nullptr && !head->failed) {
    fail(*head);
    head->result = -ECANCELED;
  }
  if (head != nullptr) {
    request.place = Place::kChain;
    chain_last_->link = &request;
    chain_last_ = &request;
  }
  if (request.linked()) {
    if (head == nullptr) chain_head_ = chain_last_ = &request;
    return false;
  }
  chain_head_ = chain_last_ = nullptr;
  queue_chain_slowly(head != nullptr ? *head : request);
  return true;
}

bool SimRing::refuse_as_before_516(Request& request, int error, bool by_operation) {
  if (world_.semantics().refusal_by_operation_stops_batch) {
    if (chain_head_ != nullptr) {
      Request* head = chain_head_;
      chain_head_ = chain_last_ = nullptr;
      head->sqe().flags &= static_cast<std::uint8_t>(~IOSQE_IO_HARDLINK);
      complete_failed(*head, -ECANCELED);
    }
    request.sqe().flags &= static_cast<std::uint8_t>(~kLinkFlags);
    complete_failed(request, error);
    return true;
  }
  if (by_operation && chain_head_ == nullptr) {
    if (request.linked()) {
      // The head of a chain takes the rest with it, and its own errno is lost.
      fail(request);
      request.result = -ECANCELED;
      chain_head_ = chain_last_ = &request;
    } else {
      complete_failed(request, error);
    }
    return false;
  }
  if (by_operation) {
    fail(*chain_head_);
    chain_head_->result = -ECANCELED;
  }
  complete_failed(request, error);
  return true;
}

}  // namespace assay::internal
