// Completion, in Requests: who is told what, exactly once.

#include <cerrno>
#include <utility>

#include "assay/backend/requests.h"

namespace assay::internal {

// As with `queue`, what it calls is made one function with it.
[[gnu::flatten]] unsigned Requests::dispatch(unsigned max) {
  told_ = 0;
  if (has_ended_) [[unlikely]]
    tell_ended();
  io_uring_cq& cq = ring_.raw()->cq;
  unsigned* const khead = cq.khead;
  const unsigned* const ktail = cq.ktail;
  for (; max != 0; --max) {
    // Read anew each time, since a callback may destroy the backend, whose end dispatches too.
    const unsigned head = *khead;
    if (head == io_uring_smp_load_acquire(ktail)) break;
    const io_uring_cqe& cqe = cq.cqes[head & cq.ring_mask];
    const std::uint64_t user_data = cqe.user_data;
    const Completion completion{.res = cqe.res, .flags = cqe.flags};
    // Given back before the callback, which may submit and so need the room.
    io_uring_smp_store_release(khead, head + 1);
    take(user_data, completion);
  }
  return told_;
}

void Requests::tell_ended() {
  // What callbacks add meanwhile is told by the next call. One of them may destroy the backend, whose end calls this
  // again and goes on where it was.
  if (telling_.empty()) telling_.swap(ended_);
  while (telling_at_ < telling_.size()) {
    const Queued queued = telling_[telling_at_++];
    if (table_[queued.index].generation != queued.generation) continue;
    if (table_[queued.index].state != SlotState::kEnded) continue;
    finish(queued.index, {.res = table_[queued.index].result});
  }
  telling_.clear();
  telling_at_ = 0;
  has_ended_ = !ended_.empty();
}

void Requests::take(std::uint64_t user_data, const Completion& completion) {
  const auto index = static_cast<std::uint32_t>(user_data);
  if (index >= table_.size() || table_[index].user_data() != user_data ||
      !table_[index].is_usual(SlotState::kSubmitted) || completion.more() || recovering_) {
    take_unusual(user_data, completion);
    return;
  }
  Slot& slot = table_[index];
  ++counters_.completions;
  --in_kernel_;
  --alive_;
  ++told_;
  // As a whole, since it is next read as a whole: a load of four bytes would wait for a store of one of them.
  static_cast<SlotStatus&>(slot) = {.state = SlotState::kCompleting};
  slot.operation->requests_ = nullptr;
  slot.operation->complete(completion);
  was_told(index);
}

void Requests::take_unusual(std::uint64_t user_data, const Completion& completion) {
  const std::uint32_t index = table_.find(user_data);
  if (index == InFlightTable::kNone) {
    if (user_data == InFlightTable::kMessage) {
      take_message(static_cast<std::uint32_t>(completion.res));
    } else if (InFlightTable::is_cancel(user_data)) {
      ++counters_.cancel_replies;
    } else {
      ++counters_.completions;
      ++counters_.late_completions;
    }
    return;
  }
  if (InFlightTable::is_cancel(user_data)) {
    ++counters_.cancel_replies;
    take_cancel_reply(index, completion.res);
    return;
  }
  ++counters_.completions;
  Slot& slot = table_[index];
  if (slot.state != SlotState::kSubmitted) {
    ++counters_.late_completions;
    return;
  }
  if (!completion.more()) {
    --in_kernel_;
    if (slot.sends) {
      slot.sends = false;
      --sends_in_flight_;
    }
    finish(index, completion);
    return;
  }
  Operation* operation = slot.operation;
  if (operation == nullptr) return;
  if (slot.owner == RequestOwner::kUser) ++told_;
  if (slot.cancel_requested) {
    operation->cancelled(completion);
  } else {
    operation->complete(completion);
  }
}

void Requests::take_message(std::uint32_t message) {
  if (!receiver_) return;
  ++told_;
  // Outside of its place meanwhile, since it may put another there, or none.
  UniqueFunction<void(std::uint32_t)> receiver = std::move(receiver_);
  const unsigned number = receiver_number_;
  receiver(message);
  if (receiver_number_ == number) receiver_ = std::move(receiver);
}

void Requests::finish(std::uint32_t index, Completion completion) {
  Slot& slot = table_[index];
  if (recovering_ && restart(index, completion)) return;
  if (slot.revoked) completion = {.res = -ECANCELED};
  if (slot.holds_back) {
    slot.holds_back = false;
    const bool failed = completion.res < 0 || (slot.result != 0 && completion.res != slot.result);
    resolve_held_back(std::exchange(slot.next, InFlightTable::kNone), slot.hard_linked || !failed);
  }
  Operation* operation = slot.operation;
  if (operation == nullptr) {
    release(index);
    return;
  }
  slot.state = SlotState::kCompleting;
  operation->requests_ = nullptr;
  if (slot.owner == RequestOwner::kUser) {
    --alive_;
    ++told_;
  }
  if (slot.cancel_requested) {
    operation->cancelled(completion);
  } else {
    operation->complete(completion);
  }
  was_told(index);
}

void Requests::release(std::uint32_t index) {
  if (table_[index].replies_due != 0) {
    table_[index].state = SlotState::kAwaitsReply;
    table_[index].operation = nullptr;
  } else {
    table_.give_back(index);
  }
}

unsigned Requests::end_in_flight(std::int32_t result) { return end_submitted(result, false); }

void Requests::end_all(std::int32_t result) { end_submitted(result, true); }

unsigned Requests::end_submitted(std::int32_t result, bool unsubmitted_too) {
  told_ = 0;
  in_kernel_ = 0;
  std::vector<Queued> ending;
  for (std::uint32_t index = 0; index < table_.size(); ++index) {
    Slot& slot = table_[index];
    // A reply that was to come may be among what is lost.
    slot.replies_due = 0;
    if (slot.state == SlotState::kAwaitsReply) table_.give_back(index);
    if (slot.state != SlotState::kSubmitted) continue;
    if (unsubmitted_too || !is_unsubmitted(index)) {
      ending.push_back({index, slot.generation});
    } else {
      ++in_kernel_;
    }
  }
  for (const Queued& queued : ending) {
    // A callback may have ended others.
    if (table_[queued.index].generation != queued.generation) continue;
    if (support_.has(IORING_OP_ASYNC_CANCEL)) strays_.push_back(table_.user_data(queued.index));
    // The slot is not for another request under the same generation.
    table_[queued.index].cancel_queued = true;
    finish(queued.index, {.res = result});
  }
  return told_;
}

}  // namespace assay::internal
