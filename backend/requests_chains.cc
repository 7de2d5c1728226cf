// Chains, in Requests: placed as a whole, and mended where the kernel took only a part.

#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include "assay/backend/requests.h"

namespace assay::internal {

Result<void> Requests::queue_chain(std::span<Operation* const> operations, bool hard) {
  const auto count = static_cast<unsigned>(operations.size());
  for (unsigned index = 0; index < count; ++index) {
    if (auto refused = refuse(*operations[index]); !refused) return refused;
    for (unsigned other = 0; other < index; ++other) {
      if (operations[other] == operations[index]) {
        return Error::from_errno(EINPROGRESS, "submit_chain: an operation is in the chain twice");
      }
    }
  }
  const unsigned longest = std::min(ring_.sq_entries(), operation_limit_);
  if (count > longest) {
    return Error::from_errno(E2BIG, "submit_chain: " + std::to_string(count) +
                                        " operations, and a chain of this ring " + "has at most " +
                                        std::to_string(longest));
  }
  const bool at_once = backlog_.empty() &&
                       (room_for(count, operation_limit_) || (make_room(count) && room_for(count, operation_limit_)));
  std::uint32_t previous = InFlightTable::kNone;
  for (unsigned index = 0; index < count; ++index) {
    Slot& slot = take_slot(*operations[index], RequestOwner::kUser);
    slot.linked = index + 1 < count;
    slot.hard_linked = slot.linked && hard;
    slot.follows = index != 0;
    slot.previous = std::exchange(previous, slot.index);
    if (at_once) {
      place(slot);
    } else {
      backlog_.push_back({slot.index, slot.generation});
      ++counters_.backlogged;
    }
  }
  if (is_batch_full()) submit_full_batch();
  return {};
}

// A kernel that takes only a part of what it is given may stop inside a chain, and ends the chain there: the rest would
// start at once with the next submission, whatever became of the first part. So the rest is taken back, a NOP in the
// place of each, until that is known. Nobody was told anything of the first part yet, since completions are handed over
// later than this.
void Requests::hold_back_cut_chain() {
  if ((ring_.setup_flags() & IORING_SETUP_SQPOLL) != 0) return;  // the poll thread may be reading these SQEs
  std::uint32_t position = IO_URING_READ_ONCE(*ring_.raw()->sq.khead);
  const std::uint64_t user_data = sqe_at(position).user_data;
  std::uint32_t index = table_.find(user_data);
  if (index == InFlightTable::kNone || InFlightTable::is_cancel(user_data) || !table_[index].follows) return;
  if (table_[index].state != SlotState::kSubmitted || table_[index].sq_position != position) return;
  const std::uint32_t previous = table_[index].previous;
  if (table_[previous].state != SlotState::kSubmitted || !table_[previous].linked) return;  // cancelled already
  table_[index].follows = false;
  std::uint32_t last = previous;
  for (bool linked = true; linked; ++position) {
    io_uring_sqe& sqe = sqe_at(position);
    index = table_.find(sqe.user_data);
    Slot& slot = table_[index];
    linked = slot.linked;
    if (!slot.revoked) {
      io_uring_prep_nop(&sqe);
      sqe.user_data = InFlightTable::kNobody;
      slot.state = SlotState::kHeldBack;
      --in_kernel_;
      table_[last].next = index;
      table_[last].holds_back = true;
      last = index;
    }
  }
}

// The first part has ended: now the rest is queued before everything that waits, or ends as a cut chain does.
void Requests::resolve_held_back(std::uint32_t first, bool run) {
  std::vector<Queued> members;
  for (std::uint32_t index = first; index != InFlightTable::kNone;) {
    members.push_back({index, table_[index].generation});
    table_[index].holds_back = false;
    index = std::exchange(table_[index].next, InFlightTable::kNone);
  }
  if (run) {
    for (const Queued& member : members) table_[member.index].state = SlotState::kBacklog;
    backlog_.push_front(members.begin(), members.end());
  } else {
    for (const Queued& member : members) end_later(member.index, -ECANCELED);
  }
}

// What the request must transfer, or else the kernel cuts its chain; 0 where any result but an error will do.
std::int32_t Requests::expected_transfer(const io_uring_sqe& sqe) const {
  switch (sqe.opcode) {
    case IORING_OP_READ:
    case IORING_OP_WRITE:
    case IORING_OP_READ_FIXED:
    case IORING_OP_WRITE_FIXED:
      return static_cast<std::int32_t>(sqe.len);
    case IORING_OP_READV:
    case IORING_OP_WRITEV: {
      const auto* vectors = reinterpret_cast<const iovec*>(sqe.addr);
      std::size_t bytes = 0;
      for (unsigned index = 0; index < sqe.len; ++index) bytes += vectors[index].iov_len;
      return static_cast<std::int32_t>(bytes);
    }
    default:
      return 0;
  }
}

}  // namespace assay::internal
