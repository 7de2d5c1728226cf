#include "assay/mocks/sim/completion_queue.h"

#include <cstring>

#include "assay/mocks/sim/ring_memory.h"
#include "assay/mocks/sim/world.h"

namespace assay::internal {

namespace {
// What strict mode leaves behind: no plausible user_data, and a negative result that is no errno.
constexpr int kScribble = 0xdb;
}  // namespace

bool CompletionQueue::is_large(const Completion& completion) const {
  return memory_.mixed_cqes() && (completion.flags & uapi::kCqeF32) != 0;
}

bool CompletionQueue::has_room(const Completion& completion) {
  const unsigned entries = memory_.cq_entries();
  const bool large = is_large(completion);
  if (large && (tail_ & (entries - 1)) == entries - 1) {
    if (waiting() >= entries) return false;
    // It does not fit before the end, so that place is filled with an entry that says nothing.
    write({0, 0, uapi::kCqeFSkip, {0, 0}});
  }
  return waiting() + (large ? 2 : 1) <= entries;
}

unsigned CompletionQueue::waiting() const { return tail_ - memory_.load_cq_head(); }

void CompletionQueue::write(const Completion& completion) {
  io_uring_cqe* cqe = memory_.cqe_at(tail_);
  cqe->user_data = completion.user_data;
  cqe->res = completion.result;
  cqe->flags = completion.flags;
  const bool large = is_large(completion);
  if (large || memory_.cqe_bytes() > sizeof(io_uring_cqe)) {
    std::memcpy(cqe + 1, completion.extra, sizeof completion.extra);
  }
  tail_ += large ? 2 : 1;
  memory_.store_cq_tail(tail_);
}

bool CompletionQueue::try_post(const Completion& completion, const io_uring_sqe* sqe) {
  if (!backlog_.empty() && world_.semantics().backlog_keeps_order) return false;
  if (!has_room(completion)) return false;
  // Where what overflows is lost, a waiter is not woken for it. A CQ that is really full has what it waits for.
  const bool may_be_full = waiting() > 0 || !world_.semantics().overflow_drops;
  if (may_be_full && world_.choose(ChoicePoint::kCqFull, 2, sqe) != 0) return false;
  write(completion);
  return true;
}

bool CompletionQueue::overflow(const Completion& completion, const io_uring_sqe* sqe) {
  if (world_.profile().semantics.overflow_drops) {
    memory_.count_overflow();
    return false;
  }
  if (world_.choose(ChoicePoint::kOverflowAllocation, 2, sqe) != 0) {
    memory_.count_overflow();
    dropped_ = true;
    return false;
  }
  if (backlog_.empty() && world_.semantics().overflow_flag) memory_.set_sq_flag(IORING_SQ_CQ_OVERFLOW);
  backlog_.push_back(completion);
  return true;
}

bool CompletionQueue::flush() {
  if (backlog_.empty()) return true;
  while (!backlog_.empty() && has_room(backlog_.front())) {
    write(backlog_.front());
    backlog_.pop_front();
  }
  if (!backlog_.empty()) return false;
  memory_.clear_sq_flag(IORING_SQ_CQ_OVERFLOW);
  return true;
}

void CompletionQueue::scribble_passed() {
  const std::uint32_t head = memory_.load_cq_head();
  // A head beyond the tail is the user's mistake, and no reason to scribble over the whole ring for ever.
  if (static_cast<std::int32_t>(tail_ - head) < 0) return;
  const unsigned entries = memory_.cq_entries();
  if (head - scribbled_ > entries) scribbled_ = head - entries;
  for (; scribbled_ != head; ++scribbled_) {
    // The slot is the kernel's again only if it has not posted there since.
    if (tail_ - scribbled_ > entries) continue;
    std::memset(static_cast<void*>(memory_.cqe_at(scribbled_)), kScribble, memory_.cqe_bytes());
  }
}

}  // namespace assay::internal
