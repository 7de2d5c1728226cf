#include "assay/backend/requests.h"

#include <sys/stat.h>
#include <algorithm>
#include <cerrno>
#include <utility>

namespace assay {

Operation::~Operation() {
  if (requests_ != nullptr) requests_->abandon(*this);
}

namespace internal {
namespace {

// The user_data of a cancelation that nobody waits for. Its index is beyond every table.
constexpr std::uint64_t kNobody = (std::uint64_t{1} << 63) | 0xffff'fffe;

// How often a cancelation is repeated that fails for a reason of its own.
constexpr std::uint8_t kCancelRetries = 16;

// True when the descriptor may not be ready and can say when it is: a pipe, a socket, a device, an eventfd.
bool can_wait_for_readiness(int fd) {
  struct stat status {};
  const int saved_errno = errno;
  const bool known = ::fstat(fd, &status) == 0;
  errno = saved_errno;
  if (!known) return false;
  switch (status.st_mode & S_IFMT) {
    case S_IFIFO:
    case S_IFSOCK:
    case S_IFCHR:
    case 0:  // anonymous: eventfd, timerfd, signalfd, epoll
      return true;
    default:
      return false;
  }
}

unsigned chain_flags(unsigned flags) { return flags & (IOSQE_IO_LINK | IOSQE_IO_HARDLINK); }

}  // namespace

Requests::Requests(Ring ring, unsigned max_submit)
    : ring_(std::move(ring)), support_(find_kernel_support(ring_)), max_submit_(std::max(max_submit, 1u)) {
  const unsigned cq = ring_.cq_entries();
  if (support_.keeps_overflow) {
    operation_limit_ = cancel_limit_ = ~0u;
  } else {
    // A completion that finds the CQ full is lost. The last quarter is for cancelations and for the loop's own polls,
    // so that users who fill the ring with requests that never end can still end them.
    operation_limit_ = cq - cq / 4;
    cancel_limit_ = cq;
  }
}

Requests::~Requests() {
  // Whoever is not over by now is never told; it must not refer to us any more.
  for (std::uint32_t index = 0; index < table_.size(); ++index) {
    if (Operation* operation = table_[index].operation) operation->requests_ = nullptr;
  }
}

TransferWays Requests::transfer_ways(int fd, std::uint64_t offset) const {
  const bool current = offset == ~std::uint64_t{0};
  if (support_.waits_for_readiness && (support_.knows_current_position || !current)) return {.offset = offset};
  if (!can_wait_for_readiness(fd)) return {.offset = offset};
  return {.poll_first = !support_.waits_for_readiness,
          .offset = current && !support_.knows_current_position ? 0 : offset};
}

// Queueing.

Result<void> Requests::refuse(const Operation& operation) const {
  if (operation.requests_ != nullptr) {
    return Error::from_errno(EINPROGRESS, "submit: the operation is in flight");
  }
  if (refuses_) return Error::from_errno(ECANCELED, "submit: the backend is being destroyed");
  return {};
}

std::uint32_t Requests::take_slot(Operation& operation, bool internal) {
  std::uint32_t index;
  if (&operation == completing_ && keeps_slots_ && table_[completing_index_].state == SlotState::kCompleting &&
      !table_[completing_index_].cancel_requested && table_[completing_index_].replies_due == 0) {
    // Submitted again by its own callback: it keeps its slot, so a handle stays good for an operation of many steps.
    // Not when a cancelation may be on its way, which would hit the new request.
    index = completing_index_;
  } else {
    index = table_.take();
  }
  Slot& slot = table_[index];
  slot.operation = &operation;
  slot.state = SlotState::kBacklog;
  slot.internal = internal;
  slot.cancel_requested = slot.cancel_queued = slot.revoked = slot.linked = slot.hard_linked = false;
  operation.requests_ = this;
  operation.slot_ = index;
  if (!internal) ++alive_;
  return index;
}

Result<OperationHandle> Requests::queue(Operation& operation, bool internal) {
  if (operation.requests_ != nullptr || refuses_) return refuse(operation).error();
  const std::uint32_t index = take_slot(operation, internal);
  const OperationHandle handle{index, table_[index].generation};
  if (!backlog_.empty() || !place(index)) {
    backlog_.push_back({index, handle.generation});
    ++counters_.backlogged;
  } else if (batch_ >= max_submit_) {
    submit_full_batch();
  }
  return handle;
}

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
  const bool at_once =
      backlog_.empty() && (room_for(count, operation_limit_) || (make_room() && room_for(count, operation_limit_)));
  for (unsigned index = 0; index < count; ++index) {
    const std::uint32_t slot_index = take_slot(*operations[index], false);
    Slot& slot = table_[slot_index];
    slot.linked = index + 1 < count;
    slot.hard_linked = slot.linked && hard;
    if (at_once) {
      place(slot_index);
    } else {
      backlog_.push_back({slot_index, slot.generation});
      ++counters_.backlogged;
    }
  }
  if (batch_ >= max_submit_) submit_full_batch();
  return {};
}

OperationHandle Requests::queue_ended(Operation& operation, std::int32_t result) {
  const std::uint32_t index = take_slot(operation, false);
  end_later(index, result);
  return {index, table_[index].generation};
}

void Requests::end_later(std::uint32_t index, std::int32_t result) {
  table_[index].state = SlotState::kEnded;
  table_[index].result = result;
  ended_.push_back({index, table_[index].generation});
}

// Placing: SQEs are filled in the ring itself.

bool Requests::place(std::uint32_t index) {
  if (in_kernel_ >= (table_[index].internal ? cancel_limit_ : operation_limit_)) return false;
  io_uring_sqe* sqe = ring_.get_sqe();
  if (sqe == nullptr) {
    if (!make_room()) return false;
    sqe = ring_.get_sqe();
    if (sqe == nullptr) return false;
  }
  fill_sqe(index, *sqe);
  return true;
}

void Requests::fill_sqe(std::uint32_t index, io_uring_sqe& sqe) {
  table_[index].operation->prepare(sqe);
  Slot& slot = table_[index];
  sqe.user_data = table_.user_data(index);
  unsigned flags = sqe.flags & ~static_cast<unsigned>(IOSQE_CQE_SKIP_SUCCESS);
  if (slot.linked) flags |= slot.hard_linked ? IOSQE_IO_HARDLINK : IOSQE_IO_LINK;
  sqe.flags = static_cast<std::uint8_t>(flags);
  slot.opcode = sqe.opcode;
  slot.sq_position = ring_.raw()->sq.sqe_tail - 1;
  slot.state = SlotState::kSubmitted;
  ++in_kernel_;
  ++batch_;
  ++counters_.submitted;
}

void Requests::place_backlog() {
  while (!strays_.empty() && place_stray(strays_.back())) strays_.pop_back();
  while (!cancels_.empty() && place_cancel(cancels_.front())) cancels_.pop_front();
  while (!backlog_.empty()) {
    if (!is_backlogged(backlog_.front())) {  // cancelled meanwhile
      backlog_.pop_front();
      continue;
    }
    unsigned length = 1;
    while (table_[backlog_[length - 1].index].linked) ++length;
    const unsigned limit = table_[backlog_.front().index].internal ? cancel_limit_ : operation_limit_;
    if (!room_for(length, limit) && !(length > ring_.sq_space_left() && make_room() && room_for(length, limit))) return;
    for (; length != 0; --length) {
      const std::uint32_t index = backlog_.front().index;
      backlog_.pop_front();
      place(index);
    }
  }
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
  if (support_.has(IORING_OP_ASYNC_CANCEL)) {
    io_uring_prep_cancel64(sqe, victim, 0);
  } else if (slot.opcode == IORING_OP_TIMEOUT) {
    io_uring_prep_timeout_remove(sqe, victim, 0);
  } else {
    io_uring_prep_poll_remove(sqe, victim);
  }
  sqe->user_data = table_.cancel_user_data(target.index);
  slot.cancel_queued = false;
  if (support_.skips_success_cqes) {
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
  } else {
    ++slot.replies_due;
    ++in_kernel_;
  }
  ++batch_;
  ++counters_.submitted;
  return true;
}

bool Requests::place_stray(std::uint64_t user_data) {
  // Only kernels that say EBADR get here, and all of these have ASYNC_CANCEL.
  io_uring_sqe* sqe = ring_.get_sqe();
  if (sqe == nullptr && make_room()) sqe = ring_.get_sqe();
  if (sqe == nullptr) return false;
  io_uring_prep_cancel64(sqe, user_data, 0);
  sqe->user_data = kNobody;
  if (support_.skips_success_cqes) sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
  ++batch_;
  ++counters_.submitted;
  return true;
}

bool Requests::make_room() {
  if (!may_enter_) return false;
  // A refusal leaves everything where it is; the loop's own submission meets it again and knows what to do.
  const int result = ring_.submit();
  if (result >= 0) batch_ = 0;
  ring_.wait_for_sq_space();
  return ring_.sq_space_left() != 0;
}

void Requests::submit_full_batch() {
  batch_ = 0;
  if (may_enter_) ring_.submit();
}

int Requests::submit() {
  place_backlog();
  batch_ = 0;
  return ring_.submit();
}

int Requests::submit_and_wait(std::optional<std::chrono::nanoseconds> timeout) {
  place_backlog();
  batch_ = 0;
  if (!timeout) return ring_.submit_and_wait(1);
  if ((support_.features & IORING_FEAT_EXT_ARG) != 0) return ring_.submit_and_wait(1, *timeout);
  return submit_and_poll(*timeout);
}

// Before EXT_ARG (5.11) a wait with a limit would cost a TIMEOUT request, which takes room in both rings, needs a
// submission that may be refused or interrupted, and stays behind when the wait ends early. The ring's descriptor tells
// as well, for one system call more.
int Requests::submit_and_poll(std::chrono::nanoseconds timeout) {
  const int submitted = ring_.submit();
  if (submitted < 0 || ring_.sq_ready() != 0 || ring_.cq_ready() != 0) return submitted;
  const auto seconds = std::chrono::floor<std::chrono::seconds>(timeout);
  const timespec time{.tv_sec = seconds.count(), .tv_nsec = (timeout - seconds).count()};
  const int readable = ring_.kernel().wait_readable(ring_.fd(), &time);
  if (readable > 0 && ring_.cq_ready() == 0) {
    // What it has is deferred work, or in the overflow backlog, and comes to the CQ only when asked for.
    const int flushed = ring_.get_events();
    return flushed < 0 ? flushed : submitted;
  }
  if (readable > 0 || submitted > 0) return submitted;
  return readable < 0 ? readable : -ETIME;
}

// Cancelation.

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
    linked = chain_flags(sqe.flags) != 0 && position + 1 != ring_.raw()->sq.sqe_tail;
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

void Requests::abandon(Operation& operation) noexcept {
  if (operation.requests_ != this) return;
  const std::uint32_t index = operation.slot_;
  Slot& slot = table_[index];
  slot.operation = nullptr;
  operation.requests_ = nullptr;
  if (!slot.internal) --alive_;
  slot.internal = true;
  // The outcome is nobody's concern any more, so neither is a kernel that cannot cancel this one.
  (void)cancel_slot(index);
}

void Requests::cancel_all() {
  for (std::uint32_t index = 0; index < table_.size(); ++index) {
    if (table_[index].state == SlotState::kSubmitted && !table_[index].revoked) (void)cancel_slot(index);
  }
}

// Completion.

unsigned Requests::dispatch(unsigned max) {
  told_ = 0;
  if (!ended_.empty()) {
    for (const Queued& queued : std::exchange(ended_, {})) {
      if (table_[queued.index].generation != queued.generation) continue;
      if (table_[queued.index].state != SlotState::kEnded) continue;
      finish(queued.index, {.res = table_[queued.index].result});
    }
  }
  io_uring_cq& cq = ring_.raw()->cq;
  for (; max != 0; --max) {
    const unsigned head = *cq.khead;
    if (head == io_uring_smp_load_acquire(cq.ktail)) break;
    const io_uring_cqe& cqe = cq.cqes[head & cq.ring_mask];
    const std::uint64_t user_data = cqe.user_data;
    const Completion completion{.res = cqe.res, .flags = cqe.flags};
    // Given back before the callback, which may submit and so need the room.
    io_uring_smp_store_release(cq.khead, head + 1);
    take(user_data, completion);
  }
  return told_;
}

void Requests::take(std::uint64_t user_data, const Completion& completion) {
  const std::uint32_t index = table_.find(user_data);
  if (index == InFlightTable::kNone) {
    if (InFlightTable::is_cancel(user_data)) {
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
    finish(index, completion);
    return;
  }
  Operation* operation = slot.operation;
  if (operation == nullptr) return;
  if (!slot.internal) ++told_;
  if (slot.cancel_requested) {
    operation->cancelled(completion);
  } else {
    operation->complete(completion);
  }
}

void Requests::take_cancel_reply(std::uint32_t index, std::int32_t res) {
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
    case 0:         // cancelled: its CQE says -ECANCELED, now or soon
    case EALREADY:  // it runs, and ends by itself
    case ENOENT:    // it is over, or about to be
      return;
    default:
      // The cancelation itself went wrong (EINTR, EAGAIN, ENOMEM), so nobody has asked the request to end yet.
      if (slot.cancel_retries++ < kCancelRetries || res == -EINTR || res == -EAGAIN) queue_cancel(index);
      return;
  }
}

void Requests::finish(std::uint32_t index, Completion completion) {
  Slot& slot = table_[index];
  Operation* operation = slot.operation;
  if (operation == nullptr) {
    release(index);
    return;
  }
  if (slot.revoked) completion = {.res = -ECANCELED};
  slot.operation = nullptr;
  slot.state = SlotState::kCompleting;
  operation->requests_ = nullptr;
  if (!slot.internal) {
    --alive_;
    ++told_;
  }
  Operation* outer = std::exchange(completing_, operation);
  const std::uint32_t outer_index = std::exchange(completing_index_, index);
  if (slot.cancel_requested) {
    operation->cancelled(completion);
  } else {
    operation->complete(completion);
  }
  completing_ = outer;
  completing_index_ = outer_index;
  if (table_[index].state == SlotState::kCompleting) release(index);
}

void Requests::release(std::uint32_t index) {
  if (table_[index].replies_due != 0) {
    table_[index].state = SlotState::kAwaitsReply;
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
  keeps_slots_ = false;
  for (const Queued& queued : ending) {
    // A callback may have ended others.
    if (table_[queued.index].generation != queued.generation) continue;
    if (support_.has(IORING_OP_ASYNC_CANCEL)) strays_.push_back(table_.user_data(queued.index));
    finish(queued.index, {.res = result});
  }
  keeps_slots_ = true;
  return told_;
}

void Requests::cancel_unsubmitted() {
  for (const Queued& queued : std::exchange(backlog_, {})) {
    if (!is_backlogged(queued)) continue;
    table_[queued.index].cancel_requested = true;
    end_later(queued.index, -ECANCELED);
  }
  for (std::uint32_t index = 0; index < table_.size(); ++index) {
    if (table_[index].state == SlotState::kSubmitted && !table_[index].revoked && is_unsubmitted(index)) revoke(index);
  }
}

}  // namespace internal
}  // namespace assay
