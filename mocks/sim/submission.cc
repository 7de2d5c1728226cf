// Consuming SQEs: from the slot to a request that is checked, chained and sent on its way. Follows io_submit_sqes and
// its surroundings in io_uring/io_uring.c of Linux 6.18, and fs/io_uring.c of 5.4 to 5.15 where Semantics says so.

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "assay/mocks/sim/operations/operation.h"
#include "assay/mocks/sim/ring.h"

namespace assay::internal {

namespace {

bool takes_large_entry(std::uint8_t opcode) {
  const Operation* operation = find_operation(opcode);
  return operation != nullptr && operation->large_entry;
}

// What strict mode leaves in a consumed slot: no opcode that exists.
constexpr int kScribble = 0xdb;

}  // namespace

/// A request that has just begun, with this SQE.
Request& SimRing::begin_request(const io_uring_sqe& sqe) {
  Request& request = *pool_.take();
  std::memcpy(&request.sqe(), &sqe, sizeof sqe);
  // From here on the copy: the slot is the user's to change.
  const std::uint8_t flags = request.sqe().flags;
  request.operation = nullptr;
  request.step = nullptr;
  request.link = nullptr;
  request.serial = world_.next_serial();
  request.result = 0;
  request.cqe_flags = 0;
  request.extra[0] = request.extra[1] = 0;
  request.place = Place::kSubmission;
  request.failed = false;
  request.skip_success = (flags & IOSQE_CQE_SKIP_SUCCESS) != 0;
  request.skip_link_cqes = false;
  request.force_worker = (flags & IOSQE_ASYNC) != 0;
  request.in_worker = false;
  request.cancelled = false;
  request.cancel_sequence = 0;
  request.in_epoll = false;
  request.chosen_bytes = 0;
  request.multishot = false;
  request.arms_link_timeout = false;
  request.has_link_timeout = false;
  request.fd = -1;
  request.limited = nullptr;
  request.ready_events = 0;
  request.asks_again = false;
  request.poll_events = 0;
  request.selected = {};
  request.polled = false;
  request.held = false;
  return request;
}

int SimRing::submit(unsigned count) {
  if (!poll_thread_ && issued_by_other()) return -EEXIST;
  const Semantics& semantics = world_.profile().semantics;
  if (semantics.submit_ebusy_on_overflow && !flush_backlog()) return -EBUSY;

  const bool rewinds = has_flag(uapi::kSetupSqRewind);
  if (rewinds) sq_head_ = 0;
  unsigned available = rewinds ? memory_.sq_entries() : memory_.load_sq_tail() - sq_head_;
  if (available > memory_.sq_entries()) available = memory_.sq_entries();
  if (available < count) count = available;

  unsigned consumed = 0;
  // Up to 5.8 each completion was posted by itself, and what is linked to it ran then.
  batching_ = !semantics.links_run_at_once;
  while (consumed < count) {
    io_uring_sqe* slot = memory_.sqe_at(sq_head_++);
    if (slot == nullptr) {
      // The entry of the index array is used up, yet not counted as consumed.
      memory_.count_dropped_sqe();
      break;
    }
    ++consumed;
    const unsigned left = count - consumed;
    Request& request = begin_request(*slot);
    // A large entry in a mixed SQ is two that lie side by side.
    const bool large =
        has_flag(uapi::kSetupSqeMixed) && takes_large_entry(request.opcode()) && left > 0 && !memory_.is_last(slot);
    if (large) {
      ++consumed;
      ++sq_head_;
    }
    has_large_entry_ = large || has_flag(IORING_SETUP_SQE128);
    const bool refused = submit_one(request, request.sqe());
    if (world_.strict()) std::memset(static_cast<void*>(slot), kScribble, memory_.sqe_bytes() * (large ? 2 : 1));
    if (refused && semantics.batch_stops_at_bad_sqe && !has_flag(IORING_SETUP_SUBMIT_ALL)) break;
  }

  // A chain ends with its batch.
  if (chain_head_ != nullptr) {
    Request* head = chain_head_;
    chain_head_ = chain_last_ = nullptr;
    if (head->failed || head->force_worker || !world_.semantics().links_run_at_once) {
      queue_chain_slowly(*head);
    } else {
      issue(*head);
    }
  }
  batching_ = false;
  flush_completed();
  commit();
  // Only now, and so later than the completions are there. Who shares no thread with a poll thread can see that.
  const bool head_is_late = poll_thread_ && consumed != 0 && world_.choose(ChoicePoint::kSqHeadLate, 2, nullptr) != 0;
  if (!rewinds && !head_is_late) memory_.store_sq_head(sq_head_);
  return static_cast<int>(consumed);
}

/// What is checked before the operation itself looks at its fields (io_init_req).
int SimRing::initialise(Request& request, const io_uring_sqe& sqe) {
  const Profile& profile = world_.profile();
  if (!profile.opcodes[sqe.opcode]) return -EINVAL;
  request.operation = find_operation(sqe.opcode);
  if (request.operation == nullptr) return -EINVAL;
  if (world_.choose(ChoicePoint::kOpcodeRefused, 2, &sqe) != 0) return -EINVAL;
  if (request.operation->large_entry && !has_large_entry_) return -EINVAL;

  if (sqe.flags & ~(IOSQE_FIXED_FILE | kLinkFlags | IOSQE_ASYNC) || !world_.is_since(5, 6)) {
    std::uint32_t known = IOSQE_FIXED_FILE;
    if (world_.is_since(5, 2)) known |= IOSQE_IO_DRAIN;
    if (world_.is_since(5, 3)) known |= IOSQE_IO_LINK;
    if (world_.is_since(5, 5)) known |= IOSQE_IO_HARDLINK;
    if (world_.is_since(5, 6)) known |= IOSQE_ASYNC;
    if (world_.has_feature(IORING_FEAT_CQE_SKIP)) known |= IOSQE_CQE_SKIP_SUCCESS;
    if (world_.is_since(5, 7)) known |= IOSQE_BUFFER_SELECT;
    if (sqe.flags & ~known) return -EINVAL;
    if (sqe.flags & IOSQE_BUFFER_SELECT) {
      const KernelVersion since = request.operation->selects_buffers_since;
      if (since == KernelVersion{} || world_.version() < since) return -EOPNOTSUPP;
    }
    if (sqe.flags & IOSQE_CQE_SKIP_SUCCESS) drain_disabled_ = true;
    if (sqe.flags & IOSQE_IO_DRAIN) {
      if (drain_disabled_) return -EOPNOTSUPP;
      drain_active_ = true;
      if (chain_head_ != nullptr) {
        // In the middle of a chain its head is drained, and what follows the chain.
        chain_head_->sqe().flags |= IOSQE_IO_DRAIN;
        chain_head_->force_worker = true;
        drain_next_ = true;
      }
    }
  }
  if (drain_active_ || drain_next_) {
    if (drain_active_) request.force_worker = true;
    if (drain_next_ && chain_head_ == nullptr) {
      drain_next_ = false;
      drain_active_ = true;
      request.sqe().flags |= IOSQE_IO_DRAIN;
      request.force_worker = true;
    }
  }

  if (restrictions_.forbids(sqe)) return -EACCES;
  if (sqe.ioprio != 0 && !request.operation->uses_ioprio) return -EINVAL;
  if (sqe.personality != 0) {
    request.credentials = personalities_.find(sqe.personality);
    if (!request.credentials) return -EINVAL;
  }
  if (request.operation->always_in_worker) request.force_worker = true;

  if (request.operation->needs_file && !profile.semantics.linked_file_at_execution) {
    // The file is looked up now. A request that runs now needs no reference of its own.
    if (!assign_file(request)) return -EBADF;
    if (has_flag(IORING_SETUP_SQPOLL) && profile.semantics.sqpoll_needs_fixed_files &&
        !(sqe.flags & IOSQE_FIXED_FILE)) {
      return -EBADF;
    }
    const bool runs_now = chain_head_ == nullptr && !(sqe.flags & kLinkFlags) && !request.force_worker;
    if (runs_now) {
      if (::fcntl(request.fd, F_GETFD) < 0) return -EBADF;
    } else {
      request.file = Descriptor::duplicate(request.fd);
      if (!request.file) return -EBADF;
      request.fd = request.file.get();
    }
  }
  return 0;
}

/// Returns whether the SQE was refused, so that the batch may have to stop.
bool SimRing::submit_one(Request& request, const io_uring_sqe& sqe) {
  int error = initialise(request, sqe);
  const bool by_operation = error == 0;
  if (error == 0) error = request.operation->prepare(*this, request);
  if (error != 0) return refuse(request, error, by_operation);

  if (chain_head_ != nullptr) {
    request.place = Place::kChain;
    hold_memory(request);
    chain_last_->link = &request;
    chain_last_ = &request;
    if (request.linked()) return false;
    Request* head = chain_head_;
    chain_head_ = chain_last_ = nullptr;
    if (head->force_worker || head->failed) {
      queue_chain_slowly(*head);
    } else {
      issue(*head);
    }
  } else if (request.linked()) {
    request.place = Place::kChain;
    hold_memory(request);
    chain_head_ = chain_last_ = &request;
  } else if (request.force_worker) {
    queue_chain_slowly(request);
  } else {
    issue(request);
  }
  return false;
}

}  // namespace assay::internal
