// ACCEPT. Follows io_uring/net.c.

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "assay/mocks/sim/operations/brief_timeout.h"
#include "assay/mocks/sim/operations/operation.h"
#include "assay/mocks/sim/operations/socket_message.h"
#include "assay/mocks/sim/user_memory.h"

namespace assay::internal {

namespace {

/// io_uring_sqe::file_index: a slot of the file table plus one, or this for whichever is free (5.19).
constexpr std::uint32_t kAllocateSlot = ~0u;

std::uint32_t known_flags(const Semantics& semantics) {
  std::uint32_t known = 0;
  if (semantics.accept_multishot) known |= IORING_ACCEPT_MULTISHOT;
  if (semantics.accept_dontwait) known |= uapi::kAcceptDontwait | uapi::kAcceptPollFirst;
  return known;
}

/// Copies the peer's address to where the SQE wants it (move_addr_to_user). 0 or a negative errno.
int tell_peer(const io_uring_sqe& sqe, const sockaddr_storage& peer, socklen_t bytes) {
  if (sqe.addr == 0) return 0;
  std::int32_t room;
  if (!copy_from_user(&room, sqe.addr2, sizeof room)) return -EFAULT;
  if (room < 0) return -EINVAL;
  if (!copy_to_user(sqe.addr, &peer, std::min<std::size_t>(bytes, static_cast<std::size_t>(room)))) return -EFAULT;
  return copy_to_user(sqe.addr2, &bytes, sizeof bytes) ? 0 : -EFAULT;
}

/// One connection: an fd of ours, or -errno; -EAGAIN where there is none.
int accept_one(const Request& request) {
  const io_uring_sqe& sqe = request.sqe();
  if (const int error = socket_error(request.fd); error != 0) return error;
  // What is not ready would have us wait; what only looks ready is caught by the time limit.
  if (socket_option(request.fd, SO_ACCEPTCONN) == 1 && poll_now(request.fd, POLLIN) == 0) return -EAGAIN;
  const BriefTimeout brief(request.fd, SO_RCVTIMEO);
  sockaddr_storage peer;
  socklen_t bytes = sizeof peer;
  const int fd = ::accept4(request.fd, reinterpret_cast<sockaddr*>(&peer), &bytes, static_cast<int>(sqe.accept_flags));
  if (fd < 0) return errno == EINTR ? -EAGAIN : -errno;  // Linux would not have waited for a signal to come
  if (const int error = tell_peer(sqe, peer, bytes); error != 0) {
    // Too late: the connection is lost.
    ::close(fd);
    return error;
  }
  return fd;
}

/// Puts the fd where the SQE wants it: the result of the request.
int install(SimRing& ring, const Request& request, int fd) {
  const std::uint32_t index = request.sqe().file_index;
  if (index == 0 || fd < 0) return fd;
  const int result = ring.install_direct_file(index, fd);
  ::close(fd);
  return result;
}

/// Since 6.10 TCP tells whether more connections wait.
std::uint32_t more_waiting(SimRing& ring, int fd) {
  if (!ring.world().profile().semantics.accept_dontwait || socket_option(fd, SO_PROTOCOL) != IPPROTO_TCP) return 0;
  return poll_now(fd, POLLIN) != 0 ? IORING_CQE_F_SOCK_NONEMPTY : 0;
}

int prepare_accept(SimRing& ring, Request& request) {
  const SimWorld& world = ring.world();
  const io_uring_sqe& sqe = request.sqe();
  if (sqe.len != 0 || sqe.buf_index != 0) return -EINVAL;
  if ((sqe.ioprio & ~known_flags(world.profile().semantics)) != 0) return -EINVAL;
  request.multishot = (sqe.ioprio & IORING_ACCEPT_MULTISHOT) != 0;
  if (sqe.file_index != 0) {
    if (!world.is_since(5, 15)) return -EINVAL;
    if (sqe.accept_flags & SOCK_CLOEXEC) return -EINVAL;
    if (request.multishot && sqe.file_index != kAllocateSlot) return -EINVAL;
  }
  if (sqe.accept_flags & ~static_cast<std::uint32_t>(SOCK_CLOEXEC | SOCK_NONBLOCK)) return -EINVAL;
  return 0;
}

Outcome issue_accept(SimRing& ring, Request& request) {
  const io_uring_sqe& sqe = request.sqe();
  if (!request.polled && (sqe.ioprio & uapi::kAcceptPollFirst) != 0) return Outcome::kWouldBlock;
  for (;;) {
    const int fd = accept_one(request);
    if (fd == -EAGAIN) {
      const bool refuses = !ring.world().profile().semantics.nonblocking_accept_waits &&
                           (::fcntl(request.fd, F_GETFL) & O_NONBLOCK) != 0;
      return wait_or_refuse(ring, request, refuses || (sqe.ioprio & uapi::kAcceptDontwait) != 0);
    }
    const std::uint32_t flags = fd >= 0 ? more_waiting(ring, request.fd) : 0;
    const int result = install(ring, request, fd);
    if (result < 0 || !request.multishot || !ring.post_multishot(request, result, flags)) {
      request.cqe_flags = flags;
      return finish(ring, request, result);
    }
  }
}

}  // namespace

extern const Operation kAccept = {.prepare = prepare_accept,
                                  .issue = issue_accept,
                                  .needs_file = true,
                                  .uses_ioprio = true,
                                  .ready_events = EPOLLIN,
                                  .wakes_others = true};

}  // namespace assay::internal
