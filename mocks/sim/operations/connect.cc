// CONNECT. Follows io_uring/net.c.

#include <sys/socket.h>

#include <cerrno>
#include <memory>

#include "assay/mocks/sim/operations/brief_timeout.h"
#include "assay/mocks/sim/operations/families.h"
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

}  // namespace

int prepare_address(SimRing& ring, Request& request) {
  const io_uring_sqe& sqe = request.sqe();
  if (sqe.len != 0 || sqe.buf_index != 0 || sqe.rw_flags != 0) return -EINVAL;
  if (sqe.splice_fd_in != 0 && ring.world().is_since(5, 15)) return -EINVAL;
  auto state = std::make_unique<AddressState>();
  state->error = copy_address_from_user(&state->address, sqe.addr, sqe.addr2);
  const int error = ring.world().is_since(6, 10) ? state->error : 0;
  request.state = std::move(state);
  return error;
}

Outcome issue_connect(SimRing& ring, Request& request) {
  auto& state = static_cast<AddressState&>(*request.state);
  if (state.error != 0) return finish(ring, request, state.error);
  if (!is_socket(request.fd)) return finish(ring, request, -ENOTSOCK);
  int result = connect_once(request.fd, state.address);
  switch (result) {
    case -EINPROGRESS:
    case -EALREADY:
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

}  // namespace assay::internal
