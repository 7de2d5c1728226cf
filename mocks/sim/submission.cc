// Consuming SQEs, chains, draining, and how requests end. Follows io_submit_sqes and its surroundings in
// io_uring/io_uring.c of Linux 6.18, and fs/io_uring.c of 5.4 to 5.15 where Semantics says so.

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "assay/mocks/sim/operations/operation.h"
#include "assay/mocks/sim/ring.h"

namespace assay::internal {

namespace {

bool takes_large_entry(std::uint8_t opcode) {
  const Operation* operation = find_operation(opcode);
  return operation != nullptr && operation->large_entry;
}

constexpr std::uint32_t kLinkFlags = IOSQE_IO_LINK | IOSQE_IO_HARDLINK;
// What strict mode leaves in a consumed slot: no opcode that exists.
constexpr int kScribble = 0xdb;

std::size_t chain_length(const Request& head) {
  std::size_t length = 0;
  for (const Request* request = &head; request != nullptr; request = request->link) ++length;
  return length;
}

void reset(Request& request, const io_uring_sqe& sqe, std::uint64_t serial) {
  std::memcpy(&request.sqe(), &sqe, sizeof sqe);
  request.operation = nullptr;
  request.step = nullptr;
  request.link = nullptr;
  request.serial = serial;
  request.result = 0;
  request.cqe_flags = 0;
  request.extra[0] = request.extra[1] = 0;
  request.place = Place::kSubmission;
  request.failed = false;
  request.skip_success = (sqe.flags & IOSQE_CQE_SKIP_SUCCESS) != 0;
  request.skip_link_cqes = false;
  request.force_worker = (sqe.flags & IOSQE_ASYNC) != 0;
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
}

}  // namespace

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
    Request* request = pool_.take();
    reset(*request, *slot, world_.next_serial());
    // A large entry in a mixed SQ is two that lie side by side.
    const bool large =
        has_flag(uapi::kSetupSqeMixed) && takes_large_entry(request->opcode()) && left > 0 && !memory_.is_last(slot);
    if (large) {
      ++consumed;
      ++sq_head_;
    }
    has_large_entry_ = large || has_flag(IORING_SETUP_SQE128);
    const bool refused = submit_one(*request, request->sqe());
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
  if (!rewinds) memory_.store_sq_head(sq_head_);
  return static_cast<int>(consumed);
}

/// A completion of its own for the buffers of a zero-copy send: from task work, or from a worker where it is late.
void SimRing::notify(const Request& about, std::int32_t result) {
  static constexpr Operation kNotification{.issue = [](SimRing&, Request&) { return Outcome::kDone; }};
  io_uring_sqe sqe = about.sqe();
  sqe.flags = 0;
  Request* notification = pool_.take();
  reset(*notification, sqe, world_.next_serial());
  notification->operation = &kNotification;
  notification->result = result;
  notification->cqe_flags = IORING_CQE_F_NOTIF;
  if (world_.choose(ChoicePoint::kNotificationLater, 2, &about.sqe()) != 0) return queue_worker(*notification);
  queue_task_work(*notification, run_complete);
}

void SimRing::post_from_task_work(const Completion& completion) {
  static constexpr Operation kMessage{.issue = [](SimRing&, Request&) { return Outcome::kDone; }};
  io_uring_sqe sqe{};
  sqe.user_data = completion.user_data;
  Request* message = pool_.take();
  reset(*message, sqe, world_.next_serial());
  message->operation = &kMessage;
  message->result = completion.result;
  message->cqe_flags = completion.flags;
  queue_task_work(*message, run_complete);
}

/// What is checked before the operation itself looks at its fields (io_init_req).
int SimRing::initialise(Request& request, const io_uring_sqe& sqe) {
  const Profile& profile = world_.profile();
  if (!profile.opcodes[sqe.opcode]) return -EINVAL;
  request.operation = find_operation(sqe.opcode);
  if (request.operation == nullptr) return -EINVAL;
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

/// A chain (or a single request) that cannot simply be issued: it failed already, is drained, or goes to a worker.
void SimRing::queue_chain_slowly(Request& head) {
  if (head.failed) {
    head.sqe().flags &= static_cast<std::uint8_t>(~IOSQE_IO_HARDLINK);
    head.place = Place::kSubmission;
    complete(head);
  } else if (drain_active_) {
    drain(head);
  } else {
    queue_worker(head);
  }
}

void SimRing::drain(Request& request) {
  const bool drains = (request.sqe().flags & IOSQE_IO_DRAIN) != 0;
  request.place = Place::kDrain;
  hold_memory(request);
  drained_requests_ += chain_length(request);
  drained_.push_back(&request);
  queue_drained();
  if (!drains && drained_.empty()) drain_active_ = false;
}

/// Lets go what no longer has to wait: all requests that are not in the queue themselves must be over.
void SimRing::queue_drained() {
  bool drain_seen = false;
  bool first = true;
  while (!drained_.empty()) {
    Request* request = drained_.first();
    drain_seen = drain_seen || (request->sqe().flags & IOSQE_IO_DRAIN) != 0;
    if ((drain_seen || first) && pool_.live() != drained_requests_) return;
    drained_.remove(request);
    drained_requests_ -= chain_length(*request);
    queue_task_work(*request, run_submit);
    first = false;
  }
}

bool SimRing::assign_file(Request& request) {
  if (request.fd >= 0 || !request.operation->needs_file) return true;
  if (request.sqe().flags & IOSQE_FIXED_FILE) {
    request.registered_file = registered_file(static_cast<unsigned>(request.sqe().fd));
    request.fd = request.registered_file ? request.registered_file->file.get() : -1;
  } else {
    request.fd = request.sqe().fd;
  }
  return request.fd >= 0;
}

/// The operation itself, as whoever the SQE says.
Outcome SimRing::carry_out(Request& request) {
  if (BuffersInFlight* const buffers = world_.buffers_in_flight()) buffers->use(request);
  if (!request.credentials) return request.operation->issue(*this, request);
  const BorrowedCredentials borrowed(*request.credentials);
  return request.operation->issue(*this, request);
}

void SimRing::issue(Request& request) {
  request.place = Place::kSubmission;
  if (!assign_file(request)) return complete_failed(request, -EBADF);
  if (world_.has_chooser()) {
    if (const auto error = world_.choose(ChoicePoint::kResultError, 4096, &request.sqe()); error != 0) {
      return complete_failed(request, -static_cast<std::int32_t>(error));
    }
    if (!request.in_worker && request.operation->may_be_in_worker &&
        world_.choose(ChoicePoint::kCompletionLater, 2, &request.sqe()) != 0) {
      return queue_worker(request);
    }
  }
  Request* const limit = request.arms_link_timeout ? request.link : nullptr;
  switch (carry_out(request)) {
    case Outcome::kDone:
      notice_wake_ups(request);
      return complete(request);
    case Outcome::kTaken:
      return;
    case Outcome::kWouldBlock:
      wait_for_file(request);
      break;
    case Outcome::kParked:
      break;
  }
  arm_link_timeout(request, limit);
}

/// What a request did to its file may be what others wait for. In the kernel that queues their task work at once, even
/// if the file is no longer ready when it runs.
void SimRing::notice_wake_ups(const Request& request) {
  if (armed_count_ > 0 && request.operation->wakes_others) collect();
}

/// The request goes on, so its limit starts to run. (It may have ended: then the limit was taken off the chain.)
void SimRing::arm_link_timeout(Request& request, Request* limit) {
  if (limit == nullptr || limit->place != Place::kChain) return;
  request.arms_link_timeout = false;
  request.has_link_timeout = true;
  limit->operation->issue(*this, *limit);
  limit->limited = &request;
}

void SimRing::fail(Request& request) {
  request.failed = true;
  if (request.skip_success) {
    request.skip_success = false;
    request.skip_link_cqes = true;
  }
}

void SimRing::post(Request& request, std::uint32_t flags) {
  Completion completion{request.sqe().user_data, request.result, flags, {request.extra[0], request.extra[1]}};
  cq_.post(completion, &request.sqe());
  cq_changed_ = true;
}

bool SimRing::post_multishot(Request& request, std::int32_t result, std::uint32_t flags) {
  flush_completed();
  if (world_.choose(ChoicePoint::kMultishotEnd, 2, &request.sqe()) != 0) return false;
  const Completion completion{request.sqe().user_data, result, flags | IORING_CQE_F_MORE, {0, 0}};
  cq_changed_ = true;
  const bool overflows = request.operation->ready_events != 0 && world_.semantics().io_multishot_overflows;
  if (world_.profile().semantics.multishot_ends_on_overflow && !overflows)
    return cq_.try_post(completion, &request.sqe());
  return cq_.post(completion, &request.sqe());
}

void SimRing::complete(Request& request) {
  if (BuffersInFlight* const buffers = world_.buffers_in_flight()) buffers->let_go(request);
  if (request.operation != nullptr && request.operation->settle != nullptr) request.operation->settle(*this, request);
  if (batching_) {
    request.place = Place::kCompleted;
    completed_.push_back(&request);
    return;
  }
  if (!request.skip_success) post(request, request.cqe_flags);
  finish(request);
}

/// What a batch of SQEs or of task work has completed becomes visible at its end, all at once; only then do the
/// requests that were linked to it or drained behind it go on. Counted timeouts can tell.
void SimRing::flush_completed() {
  if (completed_.empty()) return;
  const bool batching = std::exchange(batching_, false);
  for (Request* request = completed_.first(); request != nullptr; request = completed_.after(request)) {
    if (!request->skip_success) post(*request, request->cqe_flags);
  }
  cq_changed_ = true;  // also where all completions were skipped
  commit();
  while (Request* request = completed_.first()) {
    completed_.remove(request);
    finish(*request);
  }
  batching_ = batching;
}

void SimRing::finish(Request& request) {
  disarm_link_timeout(request);
  if (request.failed && !(request.sqe().flags & IOSQE_IO_HARDLINK)) fail_links(request);
  Request* next = request.link;
  request.link = nullptr;
  release(request);
  if (next != nullptr) {
    if (world_.semantics().links_run_at_once && !next->force_worker) {
      run_next_link(*next);
    } else {
      queue_task_work(*next, run_submit);
    }
  }
  if (drain_active_) queue_drained();
}

/// Not by recursion: a chain may be as long as the SQ.
void SimRing::run_next_link(Request& request) {
  next_links_.push_back(&request);
  if (std::exchange(runs_links_, true)) return;
  while (Request* next = next_links_.first()) {
    next_links_.remove(next);
    issue(*next);
  }
  runs_links_ = false;
}

/// The LINK_TIMEOUT that limits this request has nothing left to do.
void SimRing::disarm_link_timeout(Request& request) {
  if (!request.arms_link_timeout && !request.has_link_timeout) return;
  request.arms_link_timeout = request.has_link_timeout = false;
  Request* limit = request.link;
  if (limit == nullptr || limit->opcode() != IORING_OP_LINK_TIMEOUT) return;
  request.link = limit->link;
  limit->link = nullptr;
  limit->limited = nullptr;
  disarm_timer(*limit);
  limit->result = -ECANCELED;
  queue_task_work(*limit, run_complete);
}

void SimRing::fail_links(Request& request) {
  Request* first = request.link;
  if (first == nullptr) return;
  request.link = nullptr;
  for (Request* link = first; link != nullptr; link = link->link) link->skip_success = request.skip_link_cqes;
  if (world_.semantics().links_run_at_once) {
    run_fail_chain(*this, *first);
  } else {
    queue_task_work(*first, run_fail_chain);
  }
}

void SimRing::release(Request& request) {
  if (BuffersInFlight* const buffers = world_.buffers_in_flight()) buffers->let_go(request);
  disarm_file(request);
  disarm_timer(request);
  request.file.reset();
  request.registered_file.reset();
  request.registered_buffer.reset();
  request.credentials.reset();
  request.state.reset();
  request.buffers.clear();
  pool_.give_back(&request);
}

void SimRing::run_fail_chain(SimRing& ring, Request& first) {
  for (Request* link = &first; link != nullptr;) {
    Request* next = link->link;
    link->link = nullptr;
    link->arms_link_timeout = false;
    ring.complete(*link, link->failed ? link->result : -ECANCELED);
    link = next;
  }
}

void SimRing::run_submit(SimRing& ring, Request& request) {
  if (request.force_worker) {
    ring.queue_worker(request);
  } else {
    ring.issue(request);
  }
}

void SimRing::run_complete(SimRing& ring, Request& request) { ring.complete(request); }

}  // namespace assay::internal
