// How requests end: their completions, alone or with their batch, and what is let go with them. Follows
// io_req_complete_post and __io_submit_flush_completions in io_uring/io_uring.c.

#include <utility>

#include "assay/mocks/sim/operations/operation.h"
#include "assay/mocks/sim/ring.h"

namespace assay::internal {
namespace {

/// As liburing's own timeouts have it, LIBURING_UDATA_TIMEOUT.
constexpr Completion kForeign{~std::uint64_t{0}, 0, 0, {0, 0}};

}  // namespace

void SimRing::fail(Request& request) {
  request.failed = true;
  if (request.skip_success) {
    request.skip_success = false;
    request.skip_link_cqes = true;
  }
}

/// Whether a completion waits for the next enter: it is task work, and nothing interrupts the program for that.
bool SimRing::holds(Request& request) {
  const bool waits_for_enter = has_flag(IORING_SETUP_COOP_TASKRUN) || has_flag(IORING_SETUP_DEFER_TASKRUN);
  if (!world_.has_chooser() || request.held || !waits_for_enter || poll_thread_ != nullptr) return false;
  if (world_.choose(ChoicePoint::kCompletionHeld, 2, &request.sqe()) == 0) return false;
  request.held = true;
  request.place = Place::kHeld;
  held_.push_back(&request);
  if (has_flag(IORING_SETUP_TASKRUN_FLAG)) memory_.set_sq_flag(IORING_SQ_TASKRUN);
  return true;
}

void SimRing::complete(Request& request) {
  if (holds(request)) return;
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
  if (request.arms_link_timeout || request.has_link_timeout) disarm_link_timeout(request);
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

void SimRing::run_complete(SimRing& ring, Request& request) { ring.complete(request); }

/// What was held back goes on as task work. Returns whether there was something.
bool SimRing::let_go_held() {
  const bool any = !held_.empty();
  while (Request* request = held_.first()) {
    held_.remove(request);
    queue_task_work(*request, run_complete);
  }
  return any;
}

void SimRing::post(Request& request, std::uint32_t flags) {
  if (world_.choose(ChoicePoint::kForeignCompletion, 2, &request.sqe()) != 0) cq_.post(kForeign, nullptr);
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

void SimRing::post_from_task_work(const Completion& completion) {
  static constexpr Operation kMessage{.issue = [](SimRing&, Request&) { return Outcome::kDone; }};
  io_uring_sqe sqe{};
  sqe.user_data = completion.user_data;
  Request& message = begin_request(sqe);
  message.operation = &kMessage;
  message.result = completion.result;
  message.cqe_flags = completion.flags;
  queue_task_work(message, run_complete);
}

/// A completion of its own for the buffers of a zero-copy send: from task work, or from a worker where it is late.
void SimRing::notify(const Request& about, std::int32_t result) {
  static constexpr Operation kNotification{.issue = [](SimRing&, Request&) { return Outcome::kDone; }};
  io_uring_sqe sqe = about.sqe();
  sqe.flags = 0;
  Request& notification = begin_request(sqe);
  notification.operation = &kNotification;
  notification.result = result;
  notification.cqe_flags = IORING_CQE_F_NOTIF;
  if (world_.choose(ChoicePoint::kNotificationLater, 2, &about.sqe()) != 0) return queue_worker(notification);
  queue_task_work(notification, run_complete);
}

}  // namespace assay::internal
