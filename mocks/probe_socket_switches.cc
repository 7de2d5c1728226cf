// Which flags of the socket operations, and of provided-buffer rings, a kernel knows: no feature bit tells.

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "assay/backend/uapi.h"
#include "assay/mocks/probe_trial.h"

namespace assay::internal {
namespace {

/// Flags are looked at before the file, and a pipe is no socket: -ENOTSOCK where the flag is known.
Verdict try_accept_flag(Kernel& kernel, std::uint16_t flag) {
  const TrialFds pipe = TrialFds::pipe();
  if (!pipe) return std::nullopt;
  return known_unless_einval(try_sqe(kernel, [&](io_uring_sqe& sqe) {
    sqe.opcode = IORING_OP_ACCEPT;
    sqe.fd = pipe[1];
    sqe.ioprio = flag;
  }));
}

/// A socket that listens, O_NONBLOCK, and nobody connects: does ACCEPT wait?
Verdict try_nonblocking_accept(Kernel& kernel) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return std::nullopt;
  Verdict waits;
  const sa_family_t family = AF_UNIX;  // binding to a family alone asks for an abstract name
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&family), sizeof family) == 0 && ::listen(fd, 1) == 0) {
    if (Result<Ring> ring = Ring::create(kernel, {.sq_entries = 4}); ring) {
      io_uring_sqe* sqe = ring->get_sqe();
      *sqe = {};
      sqe->opcode = IORING_OP_ACCEPT;
      sqe->fd = fd;
      if (ring->submit() == 1) waits = ring->peek_cqe() == nullptr;
    }
  }
  ::close(fd);
  return waits;
}

/// One byte waits; it is received with these flags.
Verdict try_recv(Kernel& kernel, std::uint16_t flags) {
  const TrialFds pair = TrialFds::sockets();
  if (!pair || ::write(pair[0], "x", 1) != 1) return std::nullopt;
  char byte = 0;
  return known_unless_einval(try_sqe(kernel, [&](io_uring_sqe& sqe) {
    sqe.opcode = IORING_OP_RECV;
    sqe.fd = pair[1];
    sqe.ioprio = flags;
    if (flags == IORING_RECV_MULTISHOT) {
      // Without any buffer in the group: -ENOBUFS.
      sqe.flags = IOSQE_BUFFER_SELECT;
      sqe.buf_group = 77;
      return;
    }
    sqe.addr = reinterpret_cast<std::uintptr_t>(&byte);
    sqe.len = 1;
  }));
}

/// One byte of two is received when the receive is cancelled: does its CQE tell of the byte?
Verdict try_partial_transfer(Kernel& kernel) {
  const TrialFds pair = TrialFds::sockets();
  Result<Ring> ring = Ring::create(kernel, {.sq_entries = 4});
  if (!pair || !ring || ::write(pair[0], "x", 1) != 1) return std::nullopt;
  std::array<char, 2> bytes{};
  io_uring_sqe& receive = next_sqe(*ring, IORING_OP_RECV, 1);
  receive.fd = pair[1];
  receive.addr = reinterpret_cast<std::uintptr_t>(bytes.data());
  receive.len = bytes.size();
  receive.msg_flags = MSG_WAITALL;
  if (ring->submit() != 1) return std::nullopt;
  if (ring->peek_cqe() != nullptr) return false;  // such a kernel does not try again
  next_sqe(*ring, IORING_OP_ASYNC_CANCEL, 2).addr = 1;
  const auto received = find_completion(run_trial(*ring, 2), 1);
  return received ? Verdict(received->res == 1) : std::nullopt;
}

/// A message whose header is nowhere, and a NOP in one call: is the NOP taken?
Verdict try_unreadable_header(Kernel& kernel) {
  const TrialFds pair = TrialFds::sockets();
  Result<Ring> ring = Ring::create(kernel, {.sq_entries = 4});
  if (!pair || !ring) return std::nullopt;
  io_uring_sqe& message = next_sqe(*ring, IORING_OP_SENDMSG, 1);
  message.fd = pair[0];
  message.addr = 8;
  next_sqe(*ring, IORING_OP_NOP, 2);
  const int consumed = ring->submit();
  if (consumed < 1) return std::nullopt;
  return consumed == 1;
}

/// One byte of two waits; the other one follows.
Verdict try_waitall(Kernel& kernel) {
  const TrialFds pair = TrialFds::sockets();
  Result<Ring> ring = Ring::create(kernel, {.sq_entries = 4});
  if (!pair || !ring || ::write(pair[0], "x", 1) != 1) return std::nullopt;
  std::array<char, 2> bytes{};
  io_uring_sqe* sqe = ring->get_sqe();
  *sqe = {};
  sqe->opcode = IORING_OP_RECV;
  sqe->fd = pair[1];
  sqe->addr = reinterpret_cast<std::uintptr_t>(bytes.data());
  sqe->len = bytes.size();
  sqe->msg_flags = MSG_WAITALL;
  if (ring->submit() != 1) return std::nullopt;
  if (::write(pair[0], "y", 1) != 1) return std::nullopt;
  const std::vector<TrialCompletion> completions = run_trial(*ring, 1);
  if (completions.empty() || completions.front().res < 0) return std::nullopt;
  return completions.front().res == 2;
}

/// A send to a socket of AF_UNIX, which cannot do without a copy: -EOPNOTSUPP where the flag is known.
Verdict try_send_zc(Kernel& kernel, std::uint16_t flags) {
  const TrialFds pair = TrialFds::sockets();
  if (!pair) return std::nullopt;
  return known_unless_einval(try_sqe(kernel, [&](io_uring_sqe& sqe) {
    sqe.opcode = IORING_OP_SEND_ZC;
    sqe.fd = pair[0];
    sqe.ioprio = flags;
    sqe.addr = reinterpret_cast<std::uintptr_t>("x");
    sqe.len = 1;
  }));
}

/// SOCKET_URING_OP_GETSOCKOPT of SO_TYPE. Not of a socket of AF_UNIX, which had no commands at all before 6.19.
Verdict try_socket_command(Kernel& kernel) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return std::nullopt;
  int type = 0;
  const std::optional<int> answer = try_sqe(kernel, [&](io_uring_sqe& sqe) {
    sqe.opcode = IORING_OP_URING_CMD;
    sqe.fd = fd;
    sqe.cmd_op = uapi::kSocketOpGetsockopt;
    sqe.addr = std::uint64_t{SOL_SOCKET} | (std::uint64_t{SO_TYPE} << 32);
    sqe.file_index = sizeof type;
    sqe.addr3 = reinterpret_cast<std::uintptr_t>(&type);
  });
  ::close(fd);
  if (!answer.has_value()) return std::nullopt;
  return *answer == static_cast<int>(sizeof type);
}

/// Registers a ring of one buffer with these IOU_PBUF_RING_*.
Verdict try_buffer_ring(Kernel& kernel, std::uint16_t flags, std::uint32_t min_left = 0) {
  const TrialRing ring(kernel, 0);
  constexpr std::size_t kBytes = 4096;
  void* memory = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (!ring || memory == MAP_FAILED) return std::nullopt;
  io_uring_buf_reg request{};
  if ((flags & uapi::kPbufRingMmap) == 0) request.ring_addr = reinterpret_cast<std::uintptr_t>(memory);
  request.ring_entries = 1;
  uapi::set_pbuf_flags(request, flags);
  uapi::set_pbuf_min_left(request, min_left);
  const int result = kernel.register_op(ring.fd(), IORING_REGISTER_PBUF_RING, &request, 1);
  ::munmap(memory, kBytes);
  // Where the flag is no flag yet but has to be zero, or the address is missed: -EINVAL, -EFAULT.
  return result == 0;
}

}  // namespace

std::vector<SwitchTrial> try_socket_switches(Kernel& kernel) {
  return {
      {&Semantics::accept_multishot, try_accept_flag(kernel, IORING_ACCEPT_MULTISHOT)},
      {&Semantics::accept_dontwait, try_accept_flag(kernel, uapi::kAcceptDontwait)},
      {&Semantics::nonblocking_accept_waits, try_nonblocking_accept(kernel)},
      {&Semantics::poll_first, try_recv(kernel, IORING_RECVSEND_POLL_FIRST)},
      {&Semantics::recv_multishot, try_recv(kernel, IORING_RECV_MULTISHOT)},
      {&Semantics::waitall_retries, try_waitall(kernel)},
      {&Semantics::partial_transfer_told, try_partial_transfer(kernel)},
      {&Semantics::addresses_read_at_submission, try_unreadable_header(kernel)},
      {&Semantics::send_zc_report, try_send_zc(kernel, uapi::kSendZcReportUsage)},
      {&Semantics::socket_commands, try_socket_command(kernel)},
      {&Semantics::buffer_ring_mmap, try_buffer_ring(kernel, uapi::kPbufRingMmap)},
      {&Semantics::buffer_ring_incremental, try_buffer_ring(kernel, uapi::kPbufRingInc)},
      {&Semantics::buffer_ring_min_left, try_buffer_ring(kernel, uapi::kPbufRingInc, 1)},
  };
}

}  // namespace assay::internal
