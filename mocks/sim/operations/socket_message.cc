// What the socket operations share. Follows io_uring/net.c.

#include "assay/mocks/sim/operations/socket_message.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>

#include "assay/mocks/sim/user_memory.h"

namespace assay::internal {

namespace {

/// Whether what a multishot RECVMSG writes before the payload has a size that the kernel can reckon with.
bool fits_before_payload(const msghdr& header) {
  const std::int64_t most = INT32_MAX - static_cast<std::int64_t>(sizeof(io_uring_recvmsg_out));
  const auto name_bytes = static_cast<std::int32_t>(header.msg_namelen);
  return name_bytes >= 0 && name_bytes <= most &&
         header.msg_controllen <= static_cast<std::uint64_t>(most - name_bytes);
}

int copy_vector_from_user(MessageState& state, const void* vector, std::size_t count) {
  state.left.resize(count);
  if (!copy_from_user(state.left.data(), vector, count * sizeof(iovec))) return -EFAULT;
  for (const iovec& buffer : state.left) {
    if (static_cast<ssize_t>(buffer.iov_len) < 0) return -EINVAL;
  }
  return 0;
}

}  // namespace

int copy_address_from_user(SocketAddress* address, std::uint64_t from, std::uint64_t bytes) {
  // The kernel has the length in an int.
  const auto length = static_cast<std::int32_t>(bytes);
  if (length < 0 || static_cast<std::size_t>(length) > sizeof address->storage) return -EINVAL;
  address->bytes = static_cast<socklen_t>(length);
  if (length == 0) return 0;
  return copy_from_user(&address->storage, from, static_cast<std::size_t>(length)) ? 0 : -EFAULT;
}

int prepare_address(SimRing& ring, Request& request) {
  const io_uring_sqe& sqe = request.sqe();
  if (sqe.len != 0 || sqe.buf_index != 0 || sqe.rw_flags != 0) return -EINVAL;
  if (sqe.splice_fd_in != 0 && ring.world().is_since(5, 15)) return -EINVAL;
  auto state = std::make_unique<AddressState>();
  state->error = copy_address_from_user(&state->address, sqe.addr, sqe.addr2);
  const int error = ring.world().semantics().addresses_read_at_submission ? state->error : 0;
  request.state = std::move(state);
  return error;
}

int socket_error(int fd) {
  struct stat status;
  if (::fstat(fd, &status) != 0) return -errno;
  return S_ISSOCK(status.st_mode) ? 0 : -ENOTSOCK;
}

int socket_option(int fd, int name) {
  int value = -1;
  socklen_t bytes = sizeof value;
  return ::getsockopt(fd, SOL_SOCKET, name, &value, &bytes) == 0 ? value : -1;
}

int copy_header_from_user(const SimWorld& world, MessageState& state, const Request& request, bool sends) {
  msghdr header;
  state.user_header = reinterpret_cast<msghdr*>(request.sqe().addr);
  if (!copy_from_user(&header, state.user_header, sizeof header)) return -EFAULT;
  // A multishot RECVMSG learns from it how much room to leave for a name in each buffer, and has no use for a pointer.
  if (request.multishot) {
    state.name_bytes = header.msg_namelen;
    if (!fits_before_payload(header)) return -EOVERFLOW;
  } else {
    if (header.msg_name == nullptr) header.msg_namelen = 0;
    if (static_cast<std::int32_t>(header.msg_namelen) < 0) return -EINVAL;
    state.name = header.msg_name;
    state.name_bytes = std::min<socklen_t>(header.msg_namelen, sizeof(sockaddr_storage));
  }
  if (sends && state.name_bytes > 0) {
    const auto from = reinterpret_cast<std::uint64_t>(header.msg_name);
    if (const int error = copy_address_from_user(&state.address, from, state.name_bytes); error != 0) return error;
  }
  state.control = header.msg_control;
  state.control_bytes = header.msg_controllen;

  if (request.sqe().flags & IOSQE_BUFFER_SELECT) {
    state.wanted = 0;
    if (header.msg_iovlen > 1) return -EINVAL;
    if (header.msg_iovlen == 0) return 0;
    iovec only;
    if (!copy_from_user(&only, header.msg_iov, sizeof only)) return -EFAULT;
    state.wanted = only.iov_len;
    return 0;
  }
  // From 6.0 to 6.12 the vector was looked at before the header.
  if (header.msg_iovlen > IOV_MAX) return world.is_since(6, 0) && !world.is_since(6, 13) ? -EINVAL : -EMSGSIZE;
  return copy_vector_from_user(state, header.msg_iov, header.msg_iovlen);
}

int take_send_buffers(MessageState& state, const io_uring_sqe& sqe) {
  if (!state.has(uapi::kSendVectorized)) {
    state.left.push_back({reinterpret_cast<void*>(sqe.addr), sqe.len});
    return 0;
  }
  if (sqe.len > IOV_MAX) return -EINVAL;
  return copy_vector_from_user(state, reinterpret_cast<const void*>(sqe.addr), sqe.len);
}

std::size_t total_bytes(const std::vector<iovec>& buffers) {
  std::size_t total = 0;
  for (const iovec& buffer : buffers) total += buffer.iov_len;
  return total;
}

void advance(std::vector<iovec>& buffers, std::size_t bytes) {
  std::size_t passed = 0;
  while (passed < buffers.size() && bytes >= buffers[passed].iov_len) bytes -= buffers[passed++].iov_len;
  buffers.erase(buffers.begin(), buffers.begin() + static_cast<std::ptrdiff_t>(passed));
  if (buffers.empty()) return;
  buffers.front().iov_base = static_cast<char*>(buffers.front().iov_base) + bytes;
  buffers.front().iov_len -= bytes;
}

std::size_t choose_bytes(SimRing& ring, const Request& request, std::size_t total) {
  if (total <= 1 || !ring.world().has_chooser() || socket_option(request.fd, SO_TYPE) != SOCK_STREAM) return total;
  const auto bytes = ring.world().choose(ChoicePoint::kTransferLength, total, &request.sqe());
  return std::clamp<std::size_t>(bytes, 1, total);
}

std::vector<iovec> first_bytes(const std::vector<iovec>& buffers, std::size_t bytes) {
  std::vector<iovec> first;
  for (const iovec& buffer : buffers) {
    if (bytes == 0) break;
    first.push_back({buffer.iov_base, std::min(buffer.iov_len, bytes)});
    bytes -= first.back().iov_len;
  }
  return first;
}

ssize_t send_once(SimRing& ring, Request& request, MessageState& state) {
  const std::vector<iovec> part = first_bytes(state.left, choose_bytes(ring, request, total_bytes(state.left)));
  msghdr header{};
  if (state.address.bytes > 0) header.msg_name = &state.address.storage;
  header.msg_namelen = state.address.bytes;
  header.msg_iov = const_cast<iovec*>(part.data());
  header.msg_iovlen = part.size();
  // Control data goes with the first part only.
  if (state.done == 0) {
    header.msg_control = state.control;
    header.msg_controllen = state.control_bytes;
  }
  const ssize_t sent = ::sendmsg(request.fd, &header, state.message_flags | MSG_DONTWAIT | MSG_NOSIGNAL);
  return sent >= 0 ? sent : -errno;
}

Outcome wait_or_refuse(SimRing& ring, Request& request, bool never_waits) {
  return never_waits ? finish(ring, request, -EAGAIN) : Outcome::kWouldBlock;
}

bool goes_on(SimRing& ring, int fd, int message_flags) {
  if ((message_flags & MSG_WAITALL) == 0 || !ring.world().profile().semantics.waitall_retries) return false;
  const int type = socket_option(fd, SO_TYPE);
  return type == SOCK_STREAM || type == SOCK_SEQPACKET;
}

void settle_transfer(SimRing& ring, Request& request) {
  auto* state = static_cast<MessageState*>(request.state.get());
  // Before 6.0 an error, such as that of a cancelation, hid what had been transferred.
  if (state != nullptr && request.result < 0 && state->done > 0 && ring.world().semantics().partial_transfer_told) {
    request.result = static_cast<std::int32_t>(state->done);
  }
  if (request.selected.kind == SelectedBuffer::Kind::kNone) return;
  // Whoever ends while holding a buffer tells of it, as the kernel does.
  request.cqe_flags |= ring.provided_buffers().use(request.selected, request.result);
}

}  // namespace assay::internal
