// SOCKET, BIND, LISTEN and SHUTDOWN. Follows io_uring/net.c.

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "assay/mocks/sim/operations/operation.h"
#include "assay/mocks/sim/operations/socket_message.h"

namespace assay::internal {

namespace {

// SOCK_TYPE_MASK: what of socket(2)'s type is no flag.
constexpr int kTypeMask = 0xf;

// Its fd is the domain, `off` the type, `len` the protocol.
int prepare_socket(SimRing&, Request& request) {
  const io_uring_sqe& sqe = request.sqe();
  if (sqe.addr != 0 || sqe.rw_flags != 0 || sqe.buf_index != 0) return -EINVAL;
  const int flags = static_cast<int>(sqe.off) & ~kTypeMask;
  if (sqe.file_index != 0 && (flags & SOCK_CLOEXEC)) return -EINVAL;
  if (flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK)) return -EINVAL;
  return 0;
}

Outcome issue_socket(SimRing& ring, Request& request) {
  const io_uring_sqe& sqe = request.sqe();
  const int fd = ::socket(sqe.fd, static_cast<int>(sqe.off), static_cast<int>(sqe.len));
  if (fd < 0) return finish(ring, request, -errno);
  if (sqe.file_index == 0) return finish(ring, request, fd);
  const int result = ring.install_direct_file(sqe.file_index, fd);
  ::close(fd);
  // The kernel does not mark a socket that found no slot as failed.
  request.result = result;
  return Outcome::kDone;
}

Outcome issue_bind(SimRing& ring, Request& request) {
  const auto& state = static_cast<const AddressState&>(*request.state);
  if (state.error != 0) return finish(ring, request, state.error);
  return finish(ring, request, ::bind(request.fd, state.address.get(), state.address.bytes) == 0 ? 0 : -errno);
}

int prepare_listen(SimRing&, Request& request) {
  const io_uring_sqe& sqe = request.sqe();
  const bool clean = sqe.addr == 0 && sqe.buf_index == 0 && sqe.rw_flags == 0 && sqe.splice_fd_in == 0;
  return clean && sqe.addr2 == 0 ? 0 : -EINVAL;
}

Outcome issue_listen(SimRing& ring, Request& request) {
  return finish(ring, request, ::listen(request.fd, static_cast<int>(request.sqe().len)) == 0 ? 0 : -errno);
}

int prepare_shutdown(SimRing& ring, Request& request) {
  const io_uring_sqe& sqe = request.sqe();
  if (sqe.off != 0 || sqe.addr != 0 || sqe.rw_flags != 0 || sqe.buf_index != 0) return -EINVAL;
  return sqe.splice_fd_in != 0 && ring.world().is_since(5, 15) ? -EINVAL : 0;
}

Outcome issue_shutdown(SimRing& ring, Request& request) {
  if (const int error = socket_error(request.fd); error != 0) return finish(ring, request, error);
  // An error of shutdown(2) itself never cut a chain.
  request.result = ::shutdown(request.fd, static_cast<int>(request.sqe().len)) == 0 ? 0 : -errno;
  return Outcome::kDone;
}

}  // namespace

extern const Operation kShutdown = {.prepare = prepare_shutdown,
                                    .issue = issue_shutdown,
                                    .needs_file = true,
                                    .wakes_others = true,
                                    .always_in_worker = true};
extern const Operation kSocket = {.prepare = prepare_socket, .issue = issue_socket, .may_be_in_worker = true};
extern const Operation kBind = {.prepare = prepare_address, .issue = issue_bind, .needs_file = true};
extern const Operation kListen = {.prepare = prepare_listen, .issue = issue_listen, .needs_file = true};

}  // namespace assay::internal
