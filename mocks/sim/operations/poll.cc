// POLL_ADD and POLL_REMOVE. Follows io_uring/poll.c.

#include <poll.h>
#include <sys/epoll.h>

#include <cerrno>

#include "assay/mocks/sim/operations/operation.h"
#include "assay/mocks/sim/ring.h"

namespace assay::internal {

namespace {

// Reported whether asked for or not.
constexpr std::uint32_t kAlways = POLLERR | POLLHUP | POLLNVAL;

std::uint32_t watched_events(const SimWorld& world, const io_uring_sqe& sqe) {
  std::uint32_t events = world.has_feature(IORING_FEAT_POLL_32BITS) ? sqe.poll32_events & 0xffff : sqe.poll_events;
  if (world.semantics().polls_watch_hangup) events |= POLLRDHUP;
  return events;
}

bool is_multishot(const io_uring_sqe& sqe) { return (sqe.len & IORING_POLL_ADD_MULTI) != 0; }

void run_ready_poll(SimRing& ring, Request& request);

// A multishot poll is edge-triggered, as a wait queue is: each wake-up reports once.
int arm_poll(SimRing& ring, Request& request) {
  const std::uint32_t mode = is_multishot(request.sqe()) ? EPOLLET : EPOLLONESHOT;
  return ring.arm_file(request, request.poll_events | mode, run_ready_poll);
}

void run_ready_poll(SimRing& ring, Request& request) {
  if (request.cancelled) return ring.complete_failed(request, -ECANCELED);
  if (request.asks_again) {
    request.ready_events = static_cast<std::uint16_t>(poll_now(request.fd, static_cast<short>(request.poll_events)));
  }
  const auto events = static_cast<std::int32_t>(request.ready_events & (request.poll_events | kAlways));
  if (events == 0) {
    if (request.multishot) return ring.stay_armed(request, run_ready_poll);
    if (arm_poll(ring, request) != 0) ring.complete_failed(request, -ENOMEM);
    return;
  }
  if (!is_multishot(request.sqe()) || !ring.post_multishot(request, events)) return ring.complete(request, events);
  ring.stay_armed(request, run_ready_poll);
}

int prepare_poll_add(SimRing& ring, Request& request) {
  const SimWorld& world = ring.world();
  const io_uring_sqe& sqe = request.sqe();
  if (sqe.buf_index != 0 || sqe.off != 0 || sqe.addr != 0) return -EINVAL;
  // IORING_POLL_ADD_LEVEL stands in the header since 6.0, and no kernel takes it.
  const std::uint32_t known = world.profile().semantics.poll_multishot ? IORING_POLL_ADD_MULTI : 0;
  if (sqe.len & ~known) return -EINVAL;
  if (is_multishot(sqe) && (sqe.flags & IOSQE_CQE_SKIP_SUCCESS)) return -EINVAL;
  request.poll_events = watched_events(world, sqe);
  request.multishot = is_multishot(sqe);
  return 0;
}

Outcome issue_poll_add(SimRing& ring, Request& request) {
  if (!request.multishot) {
    const short events = poll_now(request.fd, static_cast<short>(request.poll_events));
    if (events == POLLNVAL) {
      ring.fail(request);
      request.result = -EBADF;
      return Outcome::kDone;
    }
    if (events != 0) {
      request.result = events;
      return Outcome::kDone;
    }
  }
  const int error = arm_poll(ring, request);
  if (error == 0) {
    // What is ready now is reported from task work, which stands in the queue from this moment on.
    if (request.multishot) ring.collect();
    return Outcome::kParked;
  }
  // A file without wait queues is always ready to be read and written, once.
  request.result = error;
  if (error == -EPERM) {
    const auto always = static_cast<std::int32_t>(request.poll_events & (POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM));
    request.result = always != 0 ? always : -EINVAL;
  }
  if (request.result < 0) ring.fail(request);
  return Outcome::kDone;
}

int prepare_poll_remove(SimRing& ring, Request& request) {
  const SimWorld& world = ring.world();
  const io_uring_sqe& sqe = request.sqe();
  if (!world.profile().semantics.poll_multishot) {
    const bool clean = sqe.off == 0 && sqe.len == 0 && sqe.buf_index == 0 && sqe.poll_events == 0;
    return clean ? 0 : -EINVAL;
  }
  if (sqe.buf_index != 0 || sqe.splice_fd_in != 0) return -EINVAL;
  const std::uint32_t flags = sqe.len;
  if (flags & ~(IORING_POLL_UPDATE_EVENTS | IORING_POLL_UPDATE_USER_DATA | IORING_POLL_ADD_MULTI)) return -EINVAL;
  if (flags == IORING_POLL_ADD_MULTI) return -EINVAL;
  if (!(flags & IORING_POLL_UPDATE_USER_DATA) && sqe.off != 0) return -EINVAL;
  if (!(flags & IORING_POLL_UPDATE_EVENTS) && sqe.poll32_events != 0) return -EINVAL;
  return 0;
}

Outcome issue_poll_remove(SimRing& ring, Request& request) {
  const io_uring_sqe& sqe = request.sqe();
  request.result = 0;
  Request* poll = nullptr;
  if (const int error = ring.take_poll(sqe.addr, &poll); error != 0) {
    ring.fail(request);
    request.result = error;
    return Outcome::kDone;
  }
  const bool updates = ring.world().profile().semantics.poll_multishot &&
                       (sqe.len & (IORING_POLL_UPDATE_EVENTS | IORING_POLL_UPDATE_USER_DATA)) != 0;
  if (!updates) {
    ring.finish_removed_poll(*poll);
    return Outcome::kDone;
  }
  if (sqe.len & IORING_POLL_UPDATE_EVENTS) poll->poll_events = watched_events(ring.world(), sqe);
  if (sqe.len & IORING_POLL_UPDATE_USER_DATA) poll->sqe().user_data = sqe.off;
  switch (issue_poll_add(ring, *poll)) {
    case Outcome::kDone:
      // Where it is lost, it stays in flight for as long as the ring lives.
      if (poll->failed || !ring.world().semantics().poll_update_loses_ready) ring.complete(*poll);
      break;
    default:
      break;
  }
  return Outcome::kDone;
}

}  // namespace

extern const Operation kPollAdd = {.prepare = prepare_poll_add, .issue = issue_poll_add, .needs_file = true};
extern const Operation kPollRemove = {.prepare = prepare_poll_remove, .issue = issue_poll_remove};

}  // namespace assay::internal
