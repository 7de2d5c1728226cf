// Cancelation, in Requests: of what waits for an SQE, of what has one that the kernel has not seen, and of what is in
// flight.

#include <cerrno>
#include <utility>

#include "assay/backend/requests.h"

namespace assay::internal {
namespace {

// How often a cancelation is repeated that fails for a reason of its own.
constexpr std::uint8_t kCancelRetries = 16;

}  // namespace

bool Requests::is_unsubmitted(std::uint32_t index) noexcept {
  const io_uring* raw = ring_.raw();
  const std::uint32_t position = table_[index].sq_position;
  // The poll thread may take an SQE as soon as it was flushed; otherwise the kernel takes them only during enter.
  const bool polled = (ring_.setup_flags() & IORING_SETUP_SQPOLL) != 0;
  const std::uint32_t first = polled ? raw->sq.sqe_head : IO_URING_READ_ONCE(*raw->sq.khead);
  // Positions wrap, and a request can be in flight for that long; its user_data tells it from a later one.
  return position - first < raw->sq.sqe_tail - first && sqe_at(position).user_data == table_.user_data(index);
}

Result<void> Requests::cancel(OperationHandle handle) {
  const std::uint32_t index = table_.find(handle.index, handle.generation);
  if (index == InFlightTable::kNone || table_[index].operation == nullptr) {
    return Error::from_errno(ENOENT, "cancel: the operation is not in flight");
  }
  return cancel_slot(index);
}

Result<void> Requests::cancel(const Operation& operation) {
  if (operation.requests_ != this) return Error::from_errno(ENOENT, "cancel: the operation is not in flight");
  return cancel_slot(operation.slot_);
}

Result<void> Requests::cancel_slot(std::uint32_t index) {
  Slot& slot = table_[index];
  switch (slot.state) {
    case SlotState::kBacklog:
      cancel_backlogged(index);
      return {};
    case SlotState::kSubmitted:
      if (is_unsubmitted(index)) {
        revoke(index);
        return {};
      }
      if (!queue_cancel(index)) {
        return Error::from_errno(ENOTSUP, "cancel: this kernel has no IORING_OP_ASYNC_CANCEL (since 5.5)");
      }
      slot.cancel_requested = true;
      return {};
    case SlotState::kHeldBack:
      cancel_held_back(index);
      return {};
    case SlotState::kParked:
      slot.cancel_requested = true;
      end_later(index, -ECANCELED);
      return {};
    case SlotState::kEnded:
      return {};
    case SlotState::kFree:
    case SlotState::kCompleting:
    case SlotState::kAwaitsReply:
      break;
  }
  return Error::from_errno(ENOENT, "cancel: the operation is not in flight");
}

// Those that are linked behind a cancelled request are cancelled with it, as the kernel would.
void Requests::cancel_backlogged(std::uint32_t index) {
  if (!table_[index].linked && !table_[index].follows) {
    // Its place in the line is passed over when its turn comes.
    table_[index].cancel_requested = true;
    end_later(index, -ECANCELED);
    return;
  }
  std::size_t at = 0;
  while (!(backlog_[at].index == index && is_backlogged(backlog_[at]))) ++at;
  if (at > 0 && is_backlogged(backlog_[at - 1])) table_[backlog_[at - 1].index].linked = false;
  for (bool linked = true; linked; ++at) {
    const std::uint32_t member = backlog_[at].index;
    linked = table_[member].linked;
    table_[member].cancel_requested = true;
    end_later(member, -ECANCELED);
  }
}

void Requests::cancel_held_back(std::uint32_t index) {
  table_[index].cancel_requested = true;
  for (std::uint32_t other = 0; other < table_.size(); ++other) {
    Slot& before = table_[other];
    if (!before.holds_back || before.next != index) continue;
    before.holds_back = false;
    before.next = InFlightTable::kNone;
    if (before.state == SlotState::kHeldBack) before.linked = false;
    break;
  }
  resolve_held_back(index, false);
}

void Requests::revoke(std::uint32_t index) {
  std::uint32_t position = table_[index].sq_position;
  const std::uint32_t before = table_.find(sqe_at(position - 1).user_data);
  if (before != InFlightTable::kNone && table_[before].linked && table_[before].sq_position == position - 1 &&
      is_unsubmitted(before)) {
    sqe_at(position - 1).flags &= static_cast<std::uint8_t>(~(IOSQE_IO_LINK | IOSQE_IO_HARDLINK));
    table_[before].linked = false;
  }
  for (bool linked = true; linked; ++position) {
    io_uring_sqe& sqe = sqe_at(position);
    const std::uint64_t user_data = sqe.user_data;
    linked = (sqe.flags & (IOSQE_IO_LINK | IOSQE_IO_HARDLINK)) != 0 && position + 1 != ring_.raw()->sq.sqe_tail;
    io_uring_prep_nop(&sqe);
    sqe.user_data = user_data;
    const std::uint32_t member = table_.find(user_data);
    if (member == InFlightTable::kNone) continue;
    table_[member].revoked = true;
    table_[member].cancel_requested = true;
    table_[member].opcode = IORING_OP_NOP;
  }
}

bool Requests::queue_cancel(std::uint32_t index) {
  Slot& slot = table_[index];
  const bool possible = support_.has(IORING_OP_ASYNC_CANCEL) || slot.opcode == IORING_OP_POLL_ADD ||
                        (slot.opcode == IORING_OP_TIMEOUT && support_.has(IORING_OP_TIMEOUT_REMOVE));
  if (!possible) return false;
  // One cancelation at a time: another would only be told what the first is told.
  if (slot.cancel_queued || slot.replies_due != 0) return true;
  slot.cancel_queued = true;
  cancels_.push_back({index, slot.generation});
  return true;
}

bool Requests::place_cancel(const Queued& target) {
  if (table_[target.index].generation != target.generation) return true;  // over
  Slot& slot = table_[target.index];
  if (slot.state != SlotState::kSubmitted) {
    slot.cancel_queued = false;
    return true;
  }
  if (in_kernel_ >= cancel_limit_) return false;
  io_uring_sqe* sqe = ring_.get_sqe();
  if (sqe == nullptr && make_room()) sqe = ring_.get_sqe();
  if (sqe == nullptr) return false;
  const std::uint64_t victim = table_.user_data(target.index);
  // Once ASYNC_CANCEL has been refused, whatever the probe said, polls and timeouts are ended by requests of their own.
  const bool anyhow = support_.has(IORING_OP_ASYNC_CANCEL) && slot.cancel_retries == 0;
  if (!anyhow && slot.opcode == IORING_OP_POLL_ADD) {
    io_uring_prep_poll_remove(sqe, victim);
  } else if (!anyhow && slot.opcode == IORING_OP_TIMEOUT && support_.has(IORING_OP_TIMEOUT_REMOVE)) {
    io_uring_prep_timeout_remove(sqe, victim, 0);
  } else {
    io_uring_prep_cancel64(sqe, victim, 0);
  }
  sqe->user_data = table_.cancel_user_data(target.index);
  slot.cancel_queued = false;
  if (support_.skips_success_cqes) {
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
  } else {
    ++slot.replies_due;
    ++in_kernel_;
  }
  --batch_left_;
  ++counters_.submitted;
  return true;
}

bool Requests::place_stray(std::uint64_t user_data) {
  // Only kernels that say EBADR get here, and all of these have ASYNC_CANCEL.
  io_uring_sqe* sqe = ring_.get_sqe();
  if (sqe == nullptr && make_room()) sqe = ring_.get_sqe();
  if (sqe == nullptr) return false;
  io_uring_prep_cancel64(sqe, user_data, 0);
  sqe->user_data = InFlightTable::kNobody;
  if (support_.skips_success_cqes) sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
  --batch_left_;
  ++counters_.submitted;
  return true;
}

void Requests::take_cancel_reply(std::uint32_t index, std::int32_t res) {
  if (take_fate(index, res)) return;
  Slot& slot = table_[index];
  if (slot.replies_due != 0) {
    --slot.replies_due;
    --in_kernel_;
  }
  if (slot.state == SlotState::kAwaitsReply) {
    if (slot.replies_due == 0) table_.give_back(index);
    return;
  }
  if (slot.state != SlotState::kSubmitted) return;
  switch (-res) {
    case 0:  // cancelled: its CQE says -ECANCELED, now or soon
      return;
    case EALREADY:  // it runs, and was told to end
    case ENOENT:    // it is over, or about to be
      unheard_.push_back({index, slot.generation});
      return;
    default:
      // The cancelation itself went wrong (EINTR, EAGAIN, ENOMEM), so nobody has asked the request to end yet.
      if (slot.cancel_retries++ < kCancelRetries || res == -EINTR || res == -EAGAIN) queue_cancel(index);
      return;
  }
}

void Requests::repeat_unheard_cancels() {
  for (const Queued& queued : unheard_) {
    const Slot& slot = table_[queued.index];
    if (slot.generation == queued.generation && slot.state == SlotState::kSubmitted) queue_cancel(queued.index);
  }
  unheard_.clear();
}

void Requests::abandon(Operation& operation) noexcept {
  if (operation.requests_ != this) return;
  const std::uint32_t index = operation.slot_;
  Slot& slot = table_[index];
  slot.operation = nullptr;
  operation.requests_ = nullptr;
  if (slot.owner == RequestOwner::kUser) --alive_;
  slot.owner = RequestOwner::kEvent;
  // The outcome is nobody's concern any more, so neither is a kernel that cannot cancel this one.
  (void)cancel_slot(index);
}

// Newest first: kernels look a request up in lists to which they add at the front, so that the oldest of 100,000 stands
// behind all others. A part at a time: what is cancelled stays in these lists until its task work has run. (One
// cancelation of everything, IORING_ASYNC_CANCEL_ANY, passes over all that it has cancelled to find the next: 7 s for
// 30,000 polls on 6.18, which take 0.02 s so.)
unsigned Requests::cancel_next(unsigned max) {
  unsigned asked = 0;
  while (cancel_from_ != 0 && asked < max) {
    const std::uint32_t index = --cancel_from_;
    if (table_[index].state != SlotState::kSubmitted || table_[index].revoked) continue;
    if (cancel_slot(index)) ++asked;
  }
  return asked;
}

void Requests::cancel_unsubmitted() {
  for (const Queued& queued : std::exchange(backlog_, {})) {
    if (!is_backlogged(queued)) continue;
    table_[queued.index].cancel_requested = true;
    end_later(queued.index, -ECANCELED);
  }
  for (std::uint32_t index = 0; index < table_.size(); ++index) {
    if (table_[index].state == SlotState::kHeldBack) cancel_held_back(index);
    if (table_[index].state == SlotState::kParked) (void)cancel_slot(index);
    if (table_[index].state == SlotState::kSubmitted && !table_[index].revoked && is_unsubmitted(index)) revoke(index);
  }
}

}  // namespace assay::internal
