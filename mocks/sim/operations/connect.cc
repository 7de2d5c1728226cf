// CONNECT. Follows io_uring/net.c.

#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>
#include <memory>

#include "assay/mocks/sim/operations/brief_timeout.h"
#include "assay/mocks/sim/operations/operation.h"
#include "assay/mocks/sim/operations/socket_message.h"

namespace assay::internal {

namespace {

int connect_once(int fd, const SocketAddress& address) {
  const BriefTimeout brief(fd, SO_SNDTIMEO);
  return ::connect(fd, address.get(), address.bytes) == 0 ? 0 : -errno;
}

int take_socket_error(int fd) {
  const int error = socket_option(fd, SO_ERROR);
  return error > 0 ? -error : 0;
}

Outcome issue_connect(SimRing& ring, Request& request) {
  auto& state = static_cast<AddressState&>(*request.state);
  if (state.error != 0) return finish(ring, request, state.error);
  if (const int error = socket_error(request.fd); error != 0) return finish(ring, request, error);
  int result = connect_once(request.fd, state.address);
  switch (result) {
    case -EINPROGRESS:
    case -EALREADY:
    case -EINTR:  // a signal came in the brief wait, which Linux has not; the connection goes on being made
      state.in_progress = true;
      return Outcome::kWouldBlock;
    case -ECONNABORTED:
      // Told once of a connection that an earlier attempt left behind (6.3).
      if (!ring.world().is_since(6, 3) || state.seen_aborted) break;
      state.seen_aborted = true;
      return Outcome::kWouldBlock;
    case -EBADFD:
    case -EISCONN:
      if (state.in_progress) result = take_socket_error(request.fd);
      break;
    default:
      break;
  }
  return finish(ring, request, result);
}

}  // namespace

extern const Operation kConnect = {.prepare = prepare_address,
                                   .issue = issue_connect,
                                   .needs_file = true,
                                   .ready_events = EPOLLOUT,
                                   .wakes_others = true};

}  // namespace assay::internal
