// EPOLL_CTL, and EPOLL_WAIT (6.15). Follows io_uring/epoll.c.

#include <sys/epoll.h>

#include <cerrno>
#include <cstring>

#include "assay/mocks/sim/operations/finish.h"
#include "assay/mocks/sim/operations/operation.h"
#include "assay/mocks/sim/user_memory.h"

namespace assay::internal {

namespace {

int prepare_epoll_ctl(SimRing& ring, Request& request) {
  const io_uring_sqe& sqe = request.sqe();
  if (sqe.buf_index != 0 || has_second_descriptor(ring, sqe)) return -EINVAL;
  request.bytes.resize(sizeof(epoll_event));
  if (sqe.len == EPOLL_CTL_DEL) return 0;
  return copy_from_user(request.bytes.data(), sqe.addr, sizeof(epoll_event)) ? 0 : -EFAULT;
}

Outcome issue_epoll_ctl(SimRing& ring, Request& request) {
  const io_uring_sqe& sqe = request.sqe();
  if (ring.world().find(sqe.fd) != nullptr) return finish(ring, request, -EINVAL);  // ours is an epoll, a ring's is not
  epoll_event event;
  std::memcpy(&event, request.bytes.data(), sizeof event);
  const int result = ::epoll_ctl(sqe.fd, static_cast<int>(sqe.len), static_cast<int>(sqe.off), &event);
  return finish(ring, request, result < 0 ? -errno : 0);
}

int prepare_epoll_wait(SimRing&, Request& request) {
  const io_uring_sqe& sqe = request.sqe();
  return sqe.off != 0 || sqe.rw_flags != 0 || sqe.buf_index != 0 || sqe.splice_fd_in != 0 ? -EINVAL : 0;
}

Outcome issue_epoll_wait(SimRing& ring, Request& request) {
  const io_uring_sqe& sqe = request.sqe();
  if (ring.world().find(request.fd) != nullptr) return finish(ring, request, -EINVAL);
  const int count = ::epoll_wait(request.fd, reinterpret_cast<epoll_event*>(sqe.addr), static_cast<int>(sqe.len), 0);
  if (count < 0) return finish(ring, request, -errno);
  return count == 0 ? Outcome::kWouldBlock : finish(ring, request, count);
}

}  // namespace

extern const Operation kEpollCtl = {.prepare = prepare_epoll_ctl, .issue = issue_epoll_ctl, .wakes_others = true};
extern const Operation kEpollWait = {
    .prepare = prepare_epoll_wait, .issue = issue_epoll_wait, .needs_file = true, .ready_events = EPOLLIN};

}  // namespace assay::internal
