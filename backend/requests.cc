#include "assay/backend/requests.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "assay/backend/operation_ways.h"

namespace assay {

Operation::~Operation() {
  if (requests_ != nullptr) requests_->abandon(*this);
}

namespace internal {
namespace {

// How often the poll thread is looked at before something else is done meanwhile.
constexpr unsigned kPatienceWithPollThread = 1000;

// Longer than anything that a batch is for.
constexpr std::chrono::nanoseconds kForEver = std::chrono::hours{24};

// More SQEs than any ring has.
constexpr unsigned kLargestBatch = 1u << 30;

bool is_send(std::uint8_t opcode) {
  return opcode == IORING_OP_SEND || opcode == IORING_OP_SENDMSG || opcode == IORING_OP_SEND_ZC ||
         opcode == IORING_OP_SENDMSG_ZC;
}

}  // namespace

Requests::Requests(Ring ring, unsigned max_submit)
    : ring_(std::move(ring)),
      support_(find_kernel_support(ring_)),
      max_submit_(static_cast<int>(std::clamp(max_submit, 1u, kLargestBatch))) {
  begin_batch();
  set_limits();
}

void Requests::set_limits() {
  const unsigned cq = ring_.cq_entries();
  if (support_.keeps_overflow) {
    operation_limit_ = cancel_limit_ = loop_limit_ = ~0u;
  } else {
    // A completion that finds the CQ full is lost. Users have three quarters of it, so that when they fill it with
    // requests that never end, these can still be cancelled, and the last place is for what wakes the loop.
    operation_limit_ = cq - cq / 4;
    cancel_limit_ = cq - 1;
    loop_limit_ = cq;
  }
}

Requests::~Requests() {
  // Whoever is not over by now is never told; it must not refer to us any more.
  for (std::uint32_t index = 0; index < table_.size(); ++index) {
    if (Operation* operation = table_[index].operation) operation->requests_ = nullptr;
  }
}

TransferWays Requests::older_transfer_ways(int fd, std::uint64_t offset) const {
  const bool current = offset == ~std::uint64_t{0};
  if (support_.waits_for_readiness && !current) return {.offset = offset};
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

// Submitted again by its own callback, an operation keeps its slot, so that a handle stays good for one of many steps.
// Not when a cancelation may be on its way, which would hit the new request.
bool Requests::may_keep_slot(const Operation& operation) {
  if (operation.slot_ >= table_.size()) return false;
  const Slot& slot = table_[operation.slot_];
  return slot.operation == &operation && slot.is_usual(SlotState::kCompleting);
}

Slot& Requests::take_slot(Operation& operation, RequestOwner owner) {
  if (!may_keep_slot(operation)) {
    operation.slot_ = table_.take();
    table_[operation.slot_].operation = &operation;
  }
  Slot& slot = table_[operation.slot_];
  static_cast<SlotStatus&>(slot) = {.state = SlotState::kBacklog, .owner = owner};
  operation.requests_ = this;
  if (owner == RequestOwner::kUser) ++alive_;
  return slot;
}

// Every operation passes through this, so what it calls is made one function with it, except what happens rarely.
template <RequestOwner owner>
OperationHandle Requests::queue_for(Operation& operation) {
  if (operation.requests_ != nullptr || refuses_) [[unlikely]]
    return {};
  Slot& slot = take_slot(operation, owner);
  io_uring_sqe* const sqe = backlog_.empty() && may_place(slot) ? ring_.get_sqe() : nullptr;
  if (sqe == nullptr) [[unlikely]]
    return place_or_wait(slot);
  const Slot& filled = fill_sqe(slot, *sqe);
  const OperationHandle handle{filled.index, filled.generation};
  if (is_batch_full()) [[unlikely]]
    submit_full_batch();
  return handle;
}

template OperationHandle Requests::queue_for<RequestOwner::kUser>(Operation& operation);
template OperationHandle Requests::queue_for<RequestOwner::kEvent>(Operation& operation);
template OperationHandle Requests::queue_for<RequestOwner::kLoop>(Operation& operation);

OperationHandle Requests::place_or_wait(Slot& slot) {
  // What wakes the loop must not wait behind what can only go on when the loop is woken.
  const bool in_order = slot.owner != RequestOwner::kLoop;
  const OperationHandle handle{slot.index, slot.generation};
  if ((in_order && !backlog_.empty()) || !place(slot)) {
    wait_in_backlog({handle.index, handle.generation}, in_order);
  } else if (is_batch_full()) {
    submit_full_batch();
  }
  return handle;
}

void Requests::wait_in_backlog(const Queued& queued, bool in_order) {
  in_order ? backlog_.push_back(queued) : backlog_.push_front(queued);
  ++counters_.backlogged;
}

Result<OperationHandle> Requests::park(Operation& operation) {
  if (operation.requests_ != nullptr || refuses_) return refuse(operation).error();
  Slot& slot = take_slot(operation, RequestOwner::kUser);
  slot.state = SlotState::kParked;
  return OperationHandle{slot.index, slot.generation};
}

void Requests::unpark(Operation& operation) {
  if (!is_parked(operation)) return;
  Slot& slot = table_[operation.slot_];
  slot.state = SlotState::kBacklog;
  if (!backlog_.empty() || !place(slot)) wait_in_backlog({slot.index, slot.generation}, true);
}

Result<OperationHandle> Requests::queue_next_turn(Operation& operation) {
  Result<OperationHandle> parked = park(operation);
  if (parked) next_turn_.push_back({parked->index, parked->generation});
  return parked;
}

void Requests::queue_parked() {
  // Queueing calls nobody back, so the list does not change meanwhile.
  for (const Queued& queued : next_turn_) {
    Slot& slot = table_[queued.index];
    if (slot.generation != queued.generation || slot.state != SlotState::kParked) continue;
    slot.state = SlotState::kBacklog;
    if (!backlog_.empty() || !place(slot)) wait_in_backlog(queued, true);
  }
  next_turn_.clear();
}

OperationHandle Requests::queue_ended(Operation& operation, std::int32_t result) {
  const Slot& slot = take_slot(operation, RequestOwner::kUser);
  end_later(slot.index, result);
  return {slot.index, slot.generation};
}

void Requests::end_later(std::uint32_t index, std::int32_t result) {
  table_[index].state = SlotState::kEnded;
  table_[index].result = result;
  ended_.push_back({index, table_[index].generation});
  has_ended_ = true;
}

// Placing: SQEs are filled in the ring itself.

bool Requests::place(Slot& slot) {
  if (!may_place(slot)) return false;
  io_uring_sqe* sqe = ring_.get_sqe();
  if (sqe == nullptr) {
    if (!make_room()) return false;
    sqe = ring_.get_sqe();
    if (sqe == nullptr) return false;
  }
  Slot& filled = fill_sqe(slot, *sqe);
  if (filled.linked) {
    sqe->flags |= filled.hard_linked ? IOSQE_IO_HARDLINK : IOSQE_IO_LINK;
    filled.result = expected_transfer(*sqe);
  }
  return true;
}

Slot& Requests::fill_sqe(const Slot& queued, io_uring_sqe& sqe) {
  const std::uint32_t index = queued.index;
  const unsigned position = ring_.raw()->sq.sqe_tail - 1;
  queued.operation->prepare(sqe);
  // Looked up only now: one that calls the backend all the same may have made the table grow.
  Slot& slot = table_[index];
  slot.sq_position = position;
  slot.state = SlotState::kSubmitted;
  sqe.user_data = slot.user_data();
  sqe.flags &= static_cast<std::uint8_t>(~IOSQE_CQE_SKIP_SUCCESS);
  slot.opcode = sqe.opcode;
  if (wait_count_ > 1) count_send(slot);
  ++in_kernel_;
  ++counters_.submitted;
  --batch_left_;
  return slot;
}

void Requests::count_send(Slot& slot) {
  slot.sends = is_send(slot.opcode);
  sends_in_flight_ += slot.sends ? 1 : 0;
}

bool Requests::place_what_waits() {
  if (recovering_) return true;
  while (!strays_.empty() && place_stray(strays_.back())) strays_.pop_back();
  while (!cancels_.empty() && place_cancel(cancels_.front())) cancels_.pop_front();
  while (!backlog_.empty()) {
    if (!is_backlogged(backlog_.front())) {  // cancelled meanwhile
      backlog_.pop_front();
      continue;
    }
    unsigned length = 1;
    while (table_[backlog_[length - 1].index].linked) ++length;
    if (in_kernel_ + length > limit_of(table_[backlog_.front().index])) break;
    if (length > ring_.sq_space_left() && !make_room(length)) return false;
    for (; length != 0; --length) {
      const std::uint32_t index = backlog_.front().index;
      backlog_.pop_front();
      place(table_[index]);
    }
  }
  return (strays_.empty() && cancels_.empty()) || ring_.sq_space_left() != 0;
}

bool Requests::make_room(unsigned count) {
  if (!may_enter_) return false;
  // A refusal leaves everything where it is; the loop's own submission meets it again and knows what to do.
  const int result = submitted(ring_.submit());
  if (result >= 0) begin_batch();
  ring_.wait_for_sq_space();
  // One free entry is as far as the kernel waits; the poll thread is about to take the others.
  const bool polled = (ring_.setup_flags() & IORING_SETUP_SQPOLL) != 0;
  for (unsigned spins = 0; polled && ring_.sq_space_left() < count && spins < kPatienceWithPollThread; ++spins) {
    ring_.kernel().relax(ring_.fd());
  }
  return ring_.sq_space_left() >= count;
}

void Requests::submit_full_batch() {
  begin_batch();
  if (may_enter_) submitted(ring_.submit());
}

int Requests::submit() {
  place_backlog();
  begin_batch();
  return submitted(ring_.submit());
}

int Requests::submit_and_wait() {
  // What still waits for an SQE may be what everything else depends on.
  if (!place_backlog()) return submit();
  begin_batch();
  if (wait_count_ > 1) return submit_and_wait_batch(kForEver);
  return submitted(ring_.submit_and_wait(1));
}

int Requests::submit_and_wait(std::chrono::nanoseconds timeout) {
  if (!place_backlog()) return submit();
  begin_batch();
  if (wait_count_ > 1) return submit_and_wait_batch(timeout);
  if (support_.limits_waits) return submitted(ring_.submit_and_wait(1, timeout));
  return submit_and_poll(timeout);
}

std::uint64_t Requests::user_data_of(const Operation& operation) {
  return operation.requests_ == this ? table_.user_data(operation.slot_) : InFlightTable::kNobody;
}

std::chrono::nanoseconds Requests::now() {
  timespec time{};
  ring_.kernel().now(CLOCK_MONOTONIC, &time);
  return std::chrono::seconds{time.tv_sec} + std::chrono::nanoseconds{time.tv_nsec};
}

// Completions of sends bring nothing new, so they are waited for beyond the batch rather than as a part of it.
int Requests::submit_and_wait_batch(std::chrono::nanoseconds limit) {
  const unsigned count = std::min(wait_count_ + sends_in_flight_, ring_.cq_entries());
  if (!support_.limits_waits) return submit_and_poll(limit);
  const std::chrono::nanoseconds end = now() + limit;
  // Once the batch's time is over, kernels woke the waiter for what its own task posts, and not for what a poll thread,
  // a worker or another ring does: it slept on a CQ with completions in it for all of `limit` (6.12 to 6.18, and seen
  // on 6.17; mended by "io_uring: fix min_wait wakeups for SQPOLL"). With deferred task work nobody else posts.
  const bool posts_itself = (ring_.setup_flags() & IORING_SETUP_DEFER_TASKRUN) != 0;
  const bool in_one_wait = posts_itself && support_.waits_for_batches && wait_time_ < limit;
  const int taken = submitted(in_one_wait ? ring_.submit_and_wait_batch(count, wait_time_, limit)
                                          : ring_.submit_and_wait(count, std::min(wait_time_, limit)));
  if (ring_.cq_ready() != 0) return taken == -ETIME ? 0 : taken;
  // The batch's time is over and nothing came. (6.18.15 and 6.19.14 end the one wait there, too.)
  const std::chrono::nanoseconds rest = end - now();
  if ((taken != -ETIME && taken != 0) || rest <= std::chrono::nanoseconds{0}) return taken;
  return submitted(ring_.submit_and_wait(1, rest));
}

// Before EXT_ARG (5.11) a wait with a limit would cost a TIMEOUT request, which takes room in both rings, needs a
// submission that may be refused or interrupted, and stays behind when the wait ends early. The ring's descriptor tells
// as well, for one system call more.
int Requests::submit_and_poll(std::chrono::nanoseconds timeout) {
  const int taken = submitted(ring_.submit());
  // What a poll thread has not taken yet it takes while we sleep.
  const bool takes_itself = (ring_.setup_flags() & IORING_SETUP_SQPOLL) != 0;
  if (taken < 0 || (ring_.sq_ready() != 0 && !takes_itself) || ring_.cq_ready() != 0) return taken;
  const auto seconds = std::chrono::floor<std::chrono::seconds>(timeout);
  const timespec time{.tv_sec = seconds.count(), .tv_nsec = (timeout - seconds).count()};
  const int readable = ring_.kernel().wait_readable(ring_.fd(), &time);
  if (readable > 0 && ring_.cq_ready() == 0) {
    // What it has is deferred work, or in the overflow backlog, and comes to the CQ only when asked for.
    const int flushed = ring_.get_events();
    return flushed < 0 ? flushed : taken;
  }
  if (readable > 0 || taken > 0) return taken;
  return readable < 0 ? readable : -ETIME;
}

}  // namespace internal
}  // namespace assay
