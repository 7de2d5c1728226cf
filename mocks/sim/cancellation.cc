// Finding requests and ending them early. Follows io_uring/cancel.c.

#include <cerrno>
#include <utility>

#include "assay/mocks/sim/operations/operation.h"
#include "assay/mocks/sim/ring.h"

namespace assay::internal {

namespace {

constexpr std::int32_t kRestartSyscall = -512;  // -ERESTARTSYS, which no system call would let out

}  // namespace

bool SimRing::matches(Request& request, const CancelMatch& match, const Request* canceller) const {
  if (&request == canceller) return false;
  const auto not_yet_found = [&] { return std::exchange(request.cancel_sequence, match.sequence) != match.sequence; };
  if (match.flags & IORING_ASYNC_CANCEL_ANY) return not_yet_found();
  if (match.flags & IORING_ASYNC_CANCEL_FD) {
    if (request.fd < 0 || !request.operation->needs_file || !same_file(request.fd, match.fd)) return false;
  }
  if ((match.flags & uapi::kAsyncCancelOp) && request.opcode() != match.opcode) return false;
  const bool by_user_data =
      (match.flags & uapi::kAsyncCancelUserdata) || !(match.flags & (IORING_ASYNC_CANCEL_FD | uapi::kAsyncCancelOp));
  if (by_user_data && request.sqe().user_data != match.user_data) return false;
  return !(match.flags & IORING_ASYNC_CANCEL_ALL) || not_yet_found();
}

/// Whether a cancelled request completes from task work, where `usual` is what this kernel does.
bool SimRing::completes_later(const Request& request, bool usual) {
  return usual != (world_.choose(ChoicePoint::kCancelOrder, 2, &request.sqe()) != 0);
}

void SimRing::post_cancelled(Request& request, bool from_task_work) {
  request.cancelled = true;
  fail(request);
  request.result = -ECANCELED;
  if (from_task_work) {
    queue_task_work(request, run_complete);
  } else {
    complete(request);
  }
}

/// What one attempt finds: first among the workers, then among polls and requests that wait for their file, of which
/// the latest comes first, then among timeouts. 0, -ENOENT or -EALREADY.
int SimRing::cancel_one(const CancelMatch& match, const Request* canceller) {
  for (Request* request = workers_.first(); request != nullptr; request = workers_.after(request)) {
    if (!matches(*request, match, canceller)) continue;
    workers_.remove(request);
    post_cancelled(*request, completes_later(*request, true));
    return 0;
  }
  for (Request* request = revisited_.first(); request != nullptr; request = revisited_.after(request)) {
    if (!request->operation->waits_in_worker || !matches(*request, match, canceller)) continue;
    request->cancelled = true;
    end_revisits(*request, kRestartSyscall);
    return -EALREADY;
  }
  for (Request* request = armed_.last(); request != nullptr; request = armed_.before(request)) {
    if (!matches(*request, match, canceller)) continue;
    const bool worker_waits = request->operation->always_in_worker || !world_.has_feature(IORING_FEAT_FAST_POLL);
    if (worker_waits && request->opcode() != IORING_OP_POLL_ADD) {
      // It is a worker that waits there; it is interrupted, and its own result says so: a splice tells what its pipe
      // said, all others what their system calls would.
      disarm_file(*request);
      request->cancelled = true;
      fail(*request);
      request->result = request->operation->always_in_worker ? kRestartSyscall : -EINTR;
      queue_task_work(*request, run_complete);
      return -EALREADY;
    }
    cancel_armed(*request);
    return 0;
  }
  // One whose task work has not run yet is found as well, whether it fired or was cancelled before.
  for (Request* request = task_work_.last(); request != nullptr; request = task_work_.before(request)) {
    if (!request->in_epoll || !matches(*request, match, canceller)) continue;
    request->cancelled = true;
    return 0;
  }
  if (match.flags & IORING_ASYNC_CANCEL_FD) return -ENOENT;
  if (const int count = cancel_waits(match); count != 0) return count;
  for (Request* request = timeouts_.first(); request != nullptr; request = timeouts_.after(request)) {
    if (!matches(*request, match, canceller)) continue;
    timeouts_.remove(request);
    disarm_timer(*request);
    post_cancelled(*request, completes_later(*request, world_.semantics().timeout_cancelled_from_task_work));
    return 0;
  }
  return -ENOENT;
}

/// Waits for children and for futexes stand in lists of their own; with IORING_ASYNC_CANCEL_ALL all of a list go at
/// once. Returns how many, which is what is told. Before 6.15 nothing but the user_data was looked at.
int SimRing::cancel_waits(const CancelMatch& match) {
  const auto is_meant = [&](Request& request) {
    if (!world_.semantics().waits_cancelled_by_user_data) return matches(request, match, nullptr);
    return request.sqe().user_data == match.user_data || (match.flags & IORING_ASYNC_CANCEL_ANY) != 0;
  };
  for (const bool children : {true, false}) {
    int count = 0;
    for (Request* request = revisited_.last(); request != nullptr;) {
      Request* const before = revisited_.before(request);
      const bool in_list = !request->operation->waits_in_worker && (request->opcode() == uapi::kOpWaitid) == children;
      if (in_list && is_meant(*request)) {
        end_revisits(*request, -ECANCELED);
        ++count;
        if (!(match.flags & IORING_ASYNC_CANCEL_ALL)) return count;
      }
      request = before;
    }
    if (count != 0) return count;
  }
  return 0;
}

/// What waits for its file ends with -ECANCELED; until its task work has run it can still be found.
void SimRing::cancel_armed(Request& request) {
  if (!completes_later(request, world_.semantics().poll_cancelled_from_task_work)) {
    disarm_file(request);
    return post_cancelled(request, false);
  }
  request.cancelled = true;
  armed_.remove(&request);
  queue_task_work(request, request.step);
}

int SimRing::cancel(CancelMatch match, const Request* canceller) {
  match.sequence = ++cancel_sequence_;
  const bool all = (match.flags & (IORING_ASYNC_CANCEL_ALL | IORING_ASYNC_CANCEL_ANY)) != 0;
  if (!all) {
    const std::uint64_t chosen =
        canceller != nullptr ? world_.choose(ChoicePoint::kCancelResult, 3, &canceller->sqe()) : 0;
    if (chosen == 1) return -ENOENT;
    const int result = cancel_one(match, canceller);
    if (chosen == 2 && result == 0) return -EALREADY;
    // A cancellation that a worker carries out finds, last of all, itself at work; by file in any case, for that is the
    // file that it has itself.
    const bool finds_itself =
        canceller != nullptr && canceller->in_worker &&
        ((match.flags & IORING_ASYNC_CANCEL_FD) != 0 || matches(const_cast<Request&>(*canceller), match, nullptr));
    return result == -ENOENT && finds_itself ? -EALREADY : result;
  }
  int cancelled = 0;
  while (cancel_one(match, canceller) != -ENOENT) ++cancelled;
  return cancelled;
}

int SimRing::cancel_timeout(std::uint64_t user_data) {
  for (Request* request = timeouts_.first(); request != nullptr; request = timeouts_.after(request)) {
    if (request->sqe().user_data != user_data) continue;
    timeouts_.remove(request);
    disarm_timer(*request);
    post_cancelled(*request, completes_later(*request, world_.semantics().timeout_cancelled_from_task_work));
    return 0;
  }
  return -ENOENT;
}

int SimRing::take_poll(std::uint64_t user_data, Request** poll) {
  const auto meant = [&](const Request& request) {
    return request.opcode() == IORING_OP_POLL_ADD && request.sqe().user_data == user_data;
  };
  for (Request* request = armed_.last(); request != nullptr; request = armed_.before(request)) {
    if (!meant(*request)) continue;
    disarm_file(*request);
    *poll = request;
    return 0;
  }
  for (Request* request = task_work_.last(); request != nullptr; request = task_work_.before(request)) {
    if (!request->in_epoll || !meant(*request)) continue;
    request->asks_again = true;
    return -EALREADY;
  }
  return -ENOENT;
}

void SimRing::finish_removed_poll(Request& poll) {
  post_cancelled(poll, completes_later(poll, world_.semantics().poll_cancelled_from_task_work));
}

Request* SimRing::find_timeout(std::uint64_t user_data) const {
  for (Request* request = timeouts_.first(); request != nullptr; request = timeouts_.after(request)) {
    if (request->sqe().user_data == user_data) return request;
  }
  return nullptr;
}

Request* SimRing::find_link_timeout(std::uint64_t user_data) const {
  for (const auto& [when, request] : timers_) {
    if (request->opcode() == IORING_OP_LINK_TIMEOUT && request->sqe().user_data == user_data) return request;
  }
  return nullptr;
}

/// The ring goes away: everything ends without a trace.
void SimRing::cancel_everything() {
  const auto drop_chain = [this](Request* request) {
    while (request != nullptr) {
      Request* next = request->link;
      release(*request);
      request = next;
    }
  };
  for (RequestList* list : {&completed_, &held_, &task_work_, &workers_, &drained_, &revisited_}) {
    while (Request* request = list->first()) {
      list->remove(request);
      drop_chain(request);
    }
  }
  while (Request* request = armed_.first()) {
    disarm_file(*request);
    drop_chain(request);
  }
  while (Request* request = timeouts_.first()) {
    timeouts_.remove(request);
    drop_chain(request);
  }
  // What is left are LINK_TIMEOUTs, which went with the chains that they limited.
  while (!timers_.empty()) release(*timers_.begin()->second);
}

}  // namespace assay::internal
