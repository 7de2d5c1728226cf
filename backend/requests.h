#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "assay/backend/backlog.h"
#include "assay/backend/in_flight_table.h"
#include "assay/backend/kernel_support.h"
#include "assay/backend/operation.h"
#include "assay/backend/result.h"
#include "assay/backend/ring.h"
#include "assay/backend/unique_function.h"

namespace assay::internal {

/// What the requests of one ring came to, since it was set up.
struct RequestCounters {
  /// Requests that were given an SQE, cancelations included.
  std::uint64_t submitted = 0;
  /// CQEs that were taken from the ring, replies of cancelations left out.
  std::uint64_t completions = 0;
  /// Replies of cancelations.
  std::uint64_t cancel_replies = 0;
  /// Of these, those whose request had been given up before.
  std::uint64_t late_completions = 0;
  /// Requests that had to wait for a free SQE, or for room in a CQ that drops.
  std::uint64_t backlogged = 0;
};

/// What became of what was in flight when the kernel dropped completions.
struct RecoveryCounts {
  /// Users' operations that ended with -EBADR, since nobody knows what became of them.
  unsigned lost = 0;
  /// Undone, and to be started again.
  unsigned restarted = 0;
  /// Users' operations that were told something.
  unsigned told = 0;
};

/// What a kernel needs to be told so that a read or write does what it does on a newer one.
struct TransferWays {
  /// Wait for readiness first, by a poll: the kernel would block a worker.
  bool poll_first = false;
  /// The offset to give.
  std::uint64_t offset = 0;
};

/// Everything that goes through one ring: who waits for an SQE, who is in flight, who is told what.
///
/// An operation holds a slot of the InFlightTable from when it is queued until its last CQE is in, and the reply of its
/// cancelation too if one is to come. Requests get their SQE in the order in which they were queued; those that find
/// the SQ full wait in the backlog. A chain gets its SQEs all at once.
class Requests {
 public:
  Requests(Ring ring, unsigned max_submit);
  Requests(const Requests&) = delete;
  Requests& operator=(const Requests&) = delete;
  ~Requests();

  Ring& ring() noexcept { return ring_; }
  const KernelSupport& support() const noexcept { return support_; }
  /// How a read or write of this file at this offset has to be asked for.
  TransferWays transfer_ways(int fd, std::uint64_t offset) const {
    if (support_.waits_for_readiness && support_.knows_current_position) return {.offset = offset};
    return older_transfer_ways(fd, offset);
  }
  const RequestCounters& counters() const noexcept { return counters_; }

  /// From now on submission may enter the kernel; before, the ring may not be enabled or its thread not known.
  void allow_entering() noexcept { may_enter_ = true; }
  /// From now on nothing can be queued.
  void refuse_more() noexcept {
    refuses_ = true;
    // A callback that recovery calls may be what ends everything: nothing starts anew then.
    recovering_ = false;
  }

  // Queueing.

  Result<OperationHandle> queue(Operation& operation, RequestOwner owner = RequestOwner::kUser) {
    const OperationHandle handle = owner == RequestOwner::kUser    ? queue_for<RequestOwner::kUser>(operation)
                                   : owner == RequestOwner::kEvent ? queue_for<RequestOwner::kEvent>(operation)
                                                                   : queue_for<RequestOwner::kLoop>(operation);
    if (handle.index == InFlightTable::kNone) [[unlikely]]
      return refused(operation);
    return handle;
  }
  Result<void> queue_chain(std::span<Operation* const> operations, bool hard);
  /// The same in the next turn, and in no submission before.
  Result<OperationHandle> queue_next_turn(Operation& operation);
  bool has_next_turn() const noexcept { return !next_turn_.empty(); }
  /// A turn begins.
  void take_next_turn() {
    if (!next_turn_.empty()) queue_parked();
  }
  /// The next step of an operation of many, from inside its completion, which then was nobody's business but its own.
  /// False when nothing can be queued any more.
  bool queue_next_step(Operation& operation) {
    if (!queue(operation)) return false;
    told_nobody();
    return true;
  }
  /// The completion that is being handed over was nobody's business but the operation's own.
  void told_nobody() noexcept { --told_; }
  /// An operation that is over already: it is told `result` by the next `dispatch`.
  OperationHandle queue_ended(Operation& operation, std::int32_t result);
  /// True when a cancelation was answered and its request is in flight all the same. Kernels overlook a request that is
  /// on its way to a worker (-ENOENT: 24 of 3,000 tries on an emulated 6.1), and a worker its interruption (-EALREADY:
  /// 1 of 3,000 on 5.10 and 6.1). A worker may also just not be interruptible, so it is asked again after a while.
  bool has_unheard_cancels() const noexcept { return !unheard_.empty(); }
  void repeat_unheard_cancels();
  /// An operation that waits for something of the loop's own. It ends by `end_parked`, or as all others do.
  Result<OperationHandle> park(Operation& operation);
  void end_parked(Operation& operation, std::int32_t result) {
    if (is_parked(operation)) end_later(operation.slot_, result);
  }
  /// One that is parked, and was not cancelled meanwhile, is queued after all.
  void unpark(Operation& operation);
  Result<void> cancel(OperationHandle handle);
  Result<void> cancel(const Operation& operation);
  /// The operation is not told any more, and is free; its request is cancelled and ends on its own.
  void abandon(Operation& operation) noexcept;
  /// How the kernel knows an operation that is in flight; otherwise as nobody.
  std::uint64_t user_data_of(const Operation& operation);
  /// The Kernel's CLOCK_MONOTONIC.
  std::chrono::nanoseconds now();

  // Entering the kernel. These return what Ring returns.

  int submit();
  /// From now on waits are for so many completions, for at most so long, before they are for one.
  void wait_for_batches(unsigned count, std::chrono::nanoseconds time) noexcept {
    wait_count_ = count;
    wait_time_ = time;
  }
  /// From now on each request is submitted as it gets its SQE, which costs no call where a poll thread is awake.
  void submit_at_once() noexcept { max_submit_ = batch_left_ = 1; }
  int submit_and_wait();
  int submit_and_wait(std::chrono::nanoseconds timeout);

  // Completion.

  /// Who is told what other rings send to this one; whoever did so before is not any more. What comes while there is
  /// nobody is dropped.
  void receive_messages(UniqueFunction<void(std::uint32_t)> receiver) {
    receiver_ = std::move(receiver);
    ++receiver_number_;
  }
  [[gnu::noinline]] void take_message(std::uint32_t message);
  bool receives_messages() const noexcept { return static_cast<bool>(receiver_); }
  /// True when `dispatch` would find something.
  bool has_completed() const noexcept { return has_ended_ || ring_.cq_ready() != 0; }
  /// Hands over what has completed, at most `max` CQEs. Returns how many completions went to users' operations.
  unsigned dispatch(unsigned max);
  /// Ends every request that the kernel has, without it: each is told `result`, once. The kernel is asked to cancel
  /// them; whatever it still says of them is ignored. Returns how many users' operations were told.
  unsigned end_in_flight(std::int32_t result);
  /// Cancels every request that the kernel has not seen: it never will, though a NOP may take the place of its SQE.
  void cancel_unsubmitted();
  /// Ends every request that has an SQE, whoever has it, as `end_in_flight` does.
  void end_all(std::int32_t result);
  /// Asks the kernel to cancel everything that it has, by and by: `cancel_next` asks for the next `max` at most, and
  /// returns for how many it has asked; 0 once it was through.
  void cancel_all() noexcept { cancel_from_ = table_.size(); }
  unsigned cancel_next(unsigned max);

  // Recovery, after the kernel dropped completions.

  /// Empties the ring: what the kernel never saw waits for an SQE again; everything else is cancelled and awaited, and
  /// starts anew with the next ring unless it ended by itself; what the kernel does not know any more ends with -EBADR.
  /// What is queued meanwhile waits. Ends within some seconds, whatever the kernel does.
  RecoveryCounts salvage();
  /// Goes on, in another ring, or in this one when none is given.
  void resume(std::optional<Ring> ring);

  /// Users' operations that are not over.
  std::uint32_t alive() const noexcept { return alive_; }
  /// CQEs that are still to come, unless multishot requests bring more.
  std::uint32_t completions_due() const noexcept { return in_kernel_; }
  /// True while something waits for an SQE.
  bool has_backlog() const noexcept { return !backlog_.empty() || !cancels_.empty() || !strays_.empty(); }

 private:
  struct Queued {
    std::uint32_t index;
    std::uint32_t generation;
  };

  bool is_parked(const Operation& operation) {
    return operation.requests_ == this && table_[operation.slot_].state == SlotState::kParked;
  }
  TransferWays older_transfer_ways(int fd, std::uint64_t offset) const;
  [[gnu::cold]] Result<void> refuse(const Operation& operation) const;
  [[gnu::cold]] Result<OperationHandle> refused(const Operation& operation) const { return refuse(operation).error(); }
  /// What `queue` does, once for each owner and without a Result, since every operation passes through this. The index
  /// is kNone when it was refused.
  template <RequestOwner owner>
  [[gnu::flatten]] OperationHandle queue_for(Operation& operation);
  [[gnu::noinline]] OperationHandle place_or_wait(Slot& slot);
  bool may_keep_slot(const Operation& operation);
  Slot& take_slot(Operation& operation, RequestOwner owner);
  void wait_in_backlog(const Queued& queued, bool in_order);
  bool is_backlogged(const Queued& queued) {
    return table_[queued.index].generation == queued.generation && table_[queued.index].state == SlotState::kBacklog;
  }
  bool room_for(unsigned count, unsigned limit) const noexcept {
    return count <= ring_.sq_space_left() && in_kernel_ + count <= limit;
  }
  unsigned limit_of(const Slot& slot) const noexcept {
    return slot.owner == RequestOwner::kLoop ? loop_limit_ : operation_limit_;
  }
  bool may_place(const Slot& slot) const noexcept { return !recovering_ && in_kernel_ < limit_of(slot); }
  void queue_parked();
  bool place(Slot& slot);
  Slot& fill_sqe(const Slot& queued, io_uring_sqe& sqe);
  /// False when something still waits for an SQE.
  bool place_backlog() { return !has_backlog() || place_what_waits(); }
  [[gnu::noinline]] bool place_what_waits();
  bool place_cancel(const Queued& target);
  bool place_stray(std::uint64_t user_data);
  /// Submits, so that so many SQEs are free. False when they are not.
  [[gnu::noinline]] bool make_room(unsigned count = 1);
  void begin_batch() noexcept { batch_left_ = max_submit_; }
  bool is_batch_full() const noexcept { return batch_left_ <= 0; }
  [[gnu::noinline]] void submit_full_batch();
  [[gnu::noinline]] void count_send(Slot& slot);
  int submit_and_wait_batch(std::chrono::nanoseconds limit);
  int submit_and_poll(std::chrono::nanoseconds timeout);
  /// To be told of every answer to a submission.
  int submitted(int answer) {
    if (answer > 0 && ring_.sq_ready() != 0) hold_back_cut_chain();
    return answer;
  }

  void hold_back_cut_chain();
  void resolve_held_back(std::uint32_t first, bool run);
  std::int32_t expected_transfer(const io_uring_sqe& sqe) const;

  bool is_unsubmitted(std::uint32_t index) noexcept;
  io_uring_sqe& sqe_at(std::uint32_t position) noexcept {
    return ring_.raw()->sq.sqes[position & ring_.raw()->sq.ring_mask];
  }
  Result<void> cancel_slot(std::uint32_t index);
  void cancel_backlogged(std::uint32_t index);
  void cancel_held_back(std::uint32_t index);
  void revoke(std::uint32_t index);
  bool queue_cancel(std::uint32_t index);
  void end_later(std::uint32_t index, std::int32_t result);

  void set_limits();
  void take_back_unsubmitted();
  void flush();
  bool ask_for_fates();
  bool take_fate(std::uint32_t index, std::int32_t res);
  void await_cancelled();
  void end_lost();
  bool restart(std::uint32_t index, const Completion& completion);
  template <typename Done>
  bool wait_until(Done done);

  [[gnu::noinline]] void tell_ended();
  void take(std::uint64_t user_data, const Completion& completion);
  [[gnu::noinline]] void take_unusual(std::uint64_t user_data, const Completion& completion);
  void take_cancel_reply(std::uint32_t index, std::int32_t res);
  void finish(std::uint32_t index, Completion completion);
  void was_told(std::uint32_t index) {
    if (table_[index].state == SlotState::kCompleting) release(index);
  }
  unsigned end_submitted(std::int32_t result, bool unsubmitted_too);
  void release(std::uint32_t index);

  Ring ring_;
  KernelSupport support_;
  InFlightTable table_;
  RequestCounters counters_;
  int max_submit_;
  unsigned operation_limit_;  // how much may be in flight for something to be added
  unsigned cancel_limit_;
  unsigned loop_limit_;
  unsigned wait_count_ = 1;
  std::chrono::nanoseconds wait_time_{0};
  unsigned sends_in_flight_ = 0;  // while waits are for batches
  unsigned told_ = 0;
  bool may_enter_ = false;
  bool refuses_ = false;
  std::uint32_t cancel_from_ = 0;  // those below are still to be cancelled by `cancel_next`
  bool recovering_ = false;        // nothing is placed
  bool confirming_ = false;        // what the kernel denied once is asked for again
  RecoveryCounts recovery_;

  Backlog<Queued> backlog_;
  Backlog<Queued> cancels_;            // targets of cancelations that wait for an SQE
  std::vector<Queued> unheard_;        // targets of cancelations that came to nothing so far
  std::vector<std::uint64_t> strays_;  // requests that were given up and are still to be cancelled
  std::vector<Queued> ended_;          // kEnded, to be told
  std::vector<Queued> telling_;        // those of them that are being told
  std::size_t telling_at_ = 0;         // the next one
  bool has_ended_ = false;             // either has something
  std::vector<Queued> next_turn_;      // kParked, and queued when the next turn begins

  UniqueFunction<void(std::uint32_t)> receiver_;
  unsigned receiver_number_ = 0;  // tells one receiver from the next

  std::uint32_t in_kernel_ = 0;
  int batch_left_;  // SQEs that may still be taken until the next submission; none once it is not above 0
  std::uint32_t alive_ = 0;
};

}  // namespace assay::internal
