#pragma once

#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "assay/mocks/sim/operations/finish.h"
#include "assay/mocks/sim/operations/operation.h"
#include "assay/mocks/sim/ring.h"

/// What the socket operations share: addresses and message headers copied from the user, and a transfer's progress.
namespace assay::internal {

/// A socket address as it was copied from the user at submission.
struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t bytes = 0;

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

/// Copies an address in: 0, -EINVAL for an impossible length, -EFAULT.
int copy_address_from_user(SocketAddress* address, std::uint64_t from, std::uint64_t bytes);

/// The state of a CONNECT or BIND, and of any operation that has an address and nothing else.
struct AddressState final : OperationState {
  SocketAddress address;
  /// What copying it gave, where that is told only when the operation runs (before 6.10).
  int error = 0;
  /// CONNECT: it was under way when it was tried last.
  bool in_progress = false;
  bool seen_aborted = false;
};

/// The state of a send or receive (struct io_sr_msg with struct io_async_msghdr).
struct MessageState : OperationState {
  /// IORING_RECVSEND_* and the like, and MSG_*.
  std::uint32_t flags = 0;
  int message_flags = 0;
  /// The user's own header, for what RECVMSG writes back, and what is kept of it.
  msghdr* user_header = nullptr;
  SocketAddress address;
  void* control = nullptr;
  std::size_t control_bytes = 0;
  /// For RECVMSG: where the user wants the sender's address, and how much room is there.
  void* name = nullptr;
  socklen_t name_bytes = 0;
  /// How much of a buffer that is to be selected is wanted; 0 is all of it.
  std::size_t wanted = 0;
  /// How much a multishot RECV still receives before it ends (6.17); 0 is no limit.
  std::size_t limit = 0;
  /// What is still to be transferred, and how much was.
  std::vector<iovec> left;
  std::size_t done = 0;
  /// What the preparation gave, where that is told only when the operation runs (before 6.10).
  int error = 0;

  bool has(std::uint32_t flag) const { return (flags & flag) != 0; }
  const std::vector<iovec>* memory() const override { return &left; }
};

/// For `Operation::prepare` of CONNECT and BIND: copies the address into an AddressState.
int prepare_address(SimRing& ring, Request& request);

/// Whether the fd is a socket; otherwise an operation answers -ENOTSOCK.
int socket_error(int fd);
/// SO_DOMAIN, SO_TYPE or SO_PROTOCOL of a socket; -1 if it has none.
int socket_option(int fd, int name);

/// Copies the header of SENDMSG or RECVMSG: 0 or -EFAULT, -EINVAL, -EMSGSIZE. `sends` copies the address too.
int copy_header_from_user(const SimWorld& world, MessageState& state, const Request& request, bool sends);

/// What SEND and SEND_ZC are to send: one buffer, or with IORING_SEND_VECTORIZED (6.17) several. 0 or an errno.
int take_send_buffers(MessageState& state, const io_uring_sqe& sqe);

std::size_t total_bytes(const std::vector<iovec>& buffers);
/// Takes the first `bytes` bytes off.
void advance(std::vector<iovec>& buffers, std::size_t bytes);
/// How many bytes one system call is to move: all, unless a Chooser shortens it. Datagrams are never shortened.
std::size_t choose_bytes(SimRing& ring, const Request& request, std::size_t total);
/// The first `bytes` bytes of the buffers.
std::vector<iovec> first_bytes(const std::vector<iovec>& buffers, std::size_t bytes);

/// One system call that sends what is left, or the first of it. Bytes, or -errno.
ssize_t send_once(SimRing& ring, Request& request, MessageState& state);

/// Ends it with -EAGAIN where it must not wait, else waits for its file.
Outcome wait_or_refuse(SimRing& ring, Request& request, bool never_waits);

/// Whether what a transfer did is less than was asked for and it goes on (io_net_retry).
bool goes_on(SimRing& ring, int fd, int message_flags);

/// For `Operation::settle`: what was transferred before the end is told rather than the error, and a buffer that is
/// still held is given back.
void settle_transfer(SimRing& ring, Request& request);

}  // namespace assay::internal
