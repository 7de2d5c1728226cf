// Carrying requests out: during submission, in a worker, or again when the file that they wait for is ready. Follows
// io_issue_sqe and io_wq_submit_work in io_uring/io_uring.c.

#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>

#include "assay/mocks/sim/operations/operation.h"
#include "assay/mocks/sim/ring.h"

namespace assay::internal {

namespace {

/// Whether this is a read or a receive, which is over at the end of its file.
bool finds_end_of_file(const Request& request) {
  switch (request.opcode()) {
    case IORING_OP_READ:
    case IORING_OP_READV:
    case IORING_OP_READ_FIXED:
    case IORING_OP_RECV:
    case IORING_OP_RECVMSG:
    case uapi::kOpReadMultishot:
      return true;
    default:
      return false;
  }
}

}  // namespace

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
  if (!assign_file(request)) return conclude_failed(request, -EBADF);
  if (world_.has_chooser()) {
    if (const auto error = world_.choose(ChoicePoint::kResultError, 4096, &request.sqe()); error != 0) {
      return conclude_failed(request, -static_cast<std::int32_t>(error));
    }
    if (finds_end_of_file(request) && world_.choose(ChoicePoint::kEndOfFile, 2, &request.sqe()) != 0) {
      request.result = 0;
      return conclude(request);
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
      return conclude(request);
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

/// With deferred task work only the issuer may post, so a worker hands its result over.
void SimRing::conclude(Request& request) {
  if (request.in_worker && has_flag(IORING_SETUP_DEFER_TASKRUN)) return queue_task_work(request, run_complete);
  complete(request);
}

void SimRing::conclude_failed(Request& request, std::int32_t error) {
  fail(request);
  request.result = error;
  conclude(request);
}

/// What a request did to its file may be what others wait for. In the kernel that queues their task work at once, even
/// if the file is no longer ready when it runs.
void SimRing::notice_wake_ups(const Request& request) {
  if (armed_count_ > 0 && request.operation->wakes_others) collect();
}

/// A request that would block waits for its file to become ready, and is then tried again.
void SimRing::wait_for_file(Request& request) {
  hold_memory(request);
  const std::uint32_t events = request.poll_events != 0 ? request.poll_events : request.operation->ready_events;
  const int error = arm_file(request, events | EPOLLONESHOT, run_retry);
  if (error == -EPERM) return queue_worker(request);  // a file that cannot be polled is left to a worker
  if (error != 0) {
    fail(request);
    request.result = error;
    queue_task_work(request, run_complete);
  }
}

void SimRing::run_retry(SimRing& ring, Request& request) {
  request.polled = true;
  if (request.cancelled) return ring.complete_failed(request, -ECANCELED);
  switch (ring.carry_out(request)) {
    case Outcome::kDone:
      ring.notice_wake_ups(request);
      return ring.complete(request);
    case Outcome::kTaken:
      return;
    case Outcome::kWouldBlock:
      return ring.wait_for_file(request);
    case Outcome::kParked:
      return;
  }
}

int SimRing::retry_when_ready(Request& request, std::uint32_t events, int fd) {
  if (fd < 0) return arm_file(request, events | EPOLLONESHOT, run_retry);
  return arm_descriptor(request, fd, events | EPOLLONESHOT, run_retry);
}

void SimRing::queue_worker(Request& request) {
  // The worker may run when the caller has closed the fd. (A chain's file is looked up when it runs.)
  if (request.place != Place::kChain && assign_file(request) && request.operation->needs_file && !request.file) {
    request.file = Descriptor::duplicate(request.fd);
    if (request.file) request.fd = request.file.get();
  }
  request.place = Place::kWorker;
  hold_memory(request);
  workers_.push_back(&request);
}

bool SimRing::run_workers() {
  if (workers_.empty()) return false;
  // Only those that are there now: what they start runs in its turn. One of them may cancel others of them.
  for (std::size_t count = workers_.size(); count > 0; count = std::min(count - 1, workers_.size())) {
    const std::size_t index = count > 1 ? world_.choose(ChoicePoint::kCompletionOrder, count, nullptr) : 0;
    Request* request = workers_.take(index);
    in_worker_ = true;
    run_in_worker(*request);
    commit();
    in_worker_ = false;
  }
  return true;
}

void SimRing::run_in_worker(Request& request) {
  request.in_worker = true;
  request.force_worker = false;
  issue(request);
}

}  // namespace assay::internal
