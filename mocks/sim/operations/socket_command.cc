// URING_CMD on sockets. Follows io_uring/cmd_net.c. On any other file no command is modelled.

#include <sys/ioctl.h>
#include <sys/socket.h>

#include <linux/sockios.h>

#include <cerrno>
#include <cstring>

#include "assay/mocks/sim/operations/operation.h"
#include "assay/mocks/sim/operations/socket_message.h"
#include "assay/mocks/sim/user_memory.h"

namespace assay::internal {

namespace {

/// The fields of the SQE as socket commands use them; the oldest headers do not name them.
struct Command {
  std::uint32_t level;
  std::uint32_t name;
  std::uint32_t value_bytes;
  std::uint64_t value;
};

Command command_of(const io_uring_sqe& sqe) {
  Command command{};
  command.level = static_cast<std::uint32_t>(sqe.addr);
  command.name = static_cast<std::uint32_t>(sqe.addr >> 32);
  command.value_bytes = sqe.file_index;
  command.value = sqe.addr3;
  return command;
}

int count_bytes(int fd, unsigned long which) {
  // Protocols without an ioctl of their own, such as those of AF_UNIX, have none here.
  const int domain = socket_option(fd, SO_DOMAIN);
  if (domain != AF_INET && domain != AF_INET6) return -EOPNOTSUPP;
  int bytes = 0;
  return ::ioctl(fd, which, &bytes) == 0 ? bytes : -errno;
}

int get_option(int fd, const Command& command) {
  if (command.level != SOL_SOCKET) return -EOPNOTSUPP;
  socklen_t bytes = command.value_bytes;
  const int result = ::getsockopt(fd, static_cast<int>(command.level), static_cast<int>(command.name),
                                  reinterpret_cast<void*>(command.value), &bytes);
  return result == 0 ? static_cast<int>(bytes) : -errno;
}

int set_option(int fd, const Command& command) {
  const int result = ::setsockopt(fd, static_cast<int>(command.level), static_cast<int>(command.name),
                                  reinterpret_cast<const void*>(command.value), command.value_bytes);
  return result == 0 ? 0 : -errno;
}

int prepare_socket_command(SimRing& ring, Request& request) {
  const io_uring_sqe& sqe = request.sqe();
  if (sqe.__pad1 != 0) return -EINVAL;
  // IORING_URING_CMD_FIXED and _MULTISHOT mean nothing to a socket.
  const std::uint32_t known = ring.world().is_since(6, 18) ? 3u : ring.world().is_since(6, 0) ? 1u : 0u;
  return (static_cast<std::uint32_t>(sqe.rw_flags) & ~known) != 0 ? -EINVAL : 0;
}

Outcome issue_socket_command(SimRing& ring, Request& request) {
  if (socket_error(request.fd) != 0 || !ring.world().profile().semantics.socket_commands) {
    return finish(ring, request, -EOPNOTSUPP);
  }
  const Command command = command_of(request.sqe());
  switch (request.sqe().cmd_op) {
    case uapi::kSocketOpSiocinq:
      return finish(ring, request, count_bytes(request.fd, SIOCINQ));
    case uapi::kSocketOpSiocoutq:
      return finish(ring, request, count_bytes(request.fd, SIOCOUTQ));
    case uapi::kSocketOpGetsockopt:
      return finish(ring, request, get_option(request.fd, command));
    case uapi::kSocketOpSetsockopt:
      return finish(ring, request, set_option(request.fd, command));
    default:
      return finish(ring, request, -EOPNOTSUPP);
  }
}

}  // namespace

extern const Operation kSocketCommand = {
    .prepare = prepare_socket_command, .issue = issue_socket_command, .needs_file = true};

}  // namespace assay::internal
