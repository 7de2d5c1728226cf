// RECV and RECVMSG, once and many times. Follows io_uring/net.c.

#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <linux/sockios.h>
#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>

#include "assay/mocks/sim/operations/operation.h"
#include "assay/mocks/sim/operations/socket_message.h"
#include "assay/mocks/sim/user_memory.h"

namespace assay::internal {

namespace {

bool is_message(const Request& request) { return request.opcode() == IORING_OP_RECVMSG; }

/// What one system call gave.
struct Received {
  ssize_t bytes = 0;  // or -errno; with a header before the payload, both
  bool truncated = false;
  /// Nothing, for ever: the peer's end, or an error.
  bool finished = false;
};

std::uint32_t known_flags(const SimWorld& world) {
  const Semantics& semantics = world.profile().semantics;
  std::uint32_t known = 0;
  if (semantics.poll_first) known |= IORING_RECVSEND_POLL_FIRST;
  if (semantics.recv_multishot) known |= IORING_RECV_MULTISHOT;
  if (world.has_feature(uapi::kFeatRecvsendBundle)) known |= uapi::kRecvsendBundle;
  return known;
}

/// What the protocol tells of the data that waits: TCP since 5.19, streams of AF_UNIX since 6.17.
int waiting_bytes(SimRing& ring, int fd) {
  if (!ring.world().profile().semantics.poll_first || socket_option(fd, SO_TYPE) != SOCK_STREAM) return -1;
  const bool tcp = socket_option(fd, SO_PROTOCOL) == IPPROTO_TCP;
  const bool local = socket_option(fd, SO_DOMAIN) == AF_UNIX && ring.world().is_since(6, 17);
  int bytes = 0;
  if ((!tcp && !local) || ::ioctl(fd, SIOCINQ, &bytes) != 0) return -1;
  // After the peer's end TCP asks to be read once more.
  return bytes == 0 && tcp && (poll_now(fd, POLLRDHUP) & POLLRDHUP) != 0 ? 1 : bytes;
}

/// A multishot RECVMSG writes this before the name, the control data and the payload.
using Header = io_uring_recvmsg_out;

std::size_t header_bytes(const MessageState& state) { return sizeof(Header) + state.name_bytes + state.control_bytes; }

/// Writes to the user's header what recvmsg(2) writes there. Returns false where a kernel would fault.
bool tell_of_message(const MessageState& state, const msghdr& header) {
  const auto tell = [&](std::size_t offset, const auto& member) {
    return copy_to_user(reinterpret_cast<std::uint64_t>(state.user_header) + offset, &member, sizeof member);
  };
  if (header.msg_name != nullptr) {
    const auto length = std::min<std::size_t>(header.msg_namelen, state.name_bytes);
    if (!copy_to_user(state.name, header.msg_name, length)) return false;
    if (!tell(offsetof(msghdr, msg_namelen), header.msg_namelen)) return false;
  }
  return tell(offsetof(msghdr, msg_flags), header.msg_flags) &&
         tell(offsetof(msghdr, msg_controllen), header.msg_controllen);
}

Received receive(const Request& request, MessageState& state, const std::vector<iovec>& buffers) {
  msghdr header{};
  sockaddr_storage name;
  if (is_message(request)) {
    header.msg_name = state.name_bytes > 0 || state.name != nullptr ? &name : nullptr;
    header.msg_namelen = state.name_bytes;
    header.msg_control = state.control;
    header.msg_controllen = state.control_bytes;
  }
  header.msg_iov = const_cast<iovec*>(buffers.data());
  header.msg_iovlen = buffers.size();
  Received received;
  received.bytes = ::recvmsg(request.fd, &header, state.message_flags | MSG_DONTWAIT);
  received.finished = received.bytes <= 0;
  if (received.bytes < 0) {
    received.bytes = -errno;
    return received;
  }
  received.truncated = (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
  // The data is gone by then, also where there is no place for what is told besides.
  if (is_message(request) && !tell_of_message(state, header)) received.bytes = -EFAULT;
  return received;
}

/// Into a provided buffer, with what RECVMSG has to say before the payload.
Received receive_with_header(const Request& request, const MessageState& state, const iovec& buffer) {
  Received received;
  const std::size_t before = header_bytes(state);
  received.finished = true;
  if (buffer.iov_len < before) {
    received.bytes = -EFAULT;
    return received;
  }
  auto* start = static_cast<unsigned char*>(buffer.iov_base);
  iovec payload{start + before, buffer.iov_len - before};
  sockaddr_storage name;
  msghdr header{};
  header.msg_name = state.name_bytes > 0 ? &name : nullptr;
  header.msg_namelen = sizeof name;
  header.msg_control = state.control_bytes > 0 ? start + before - state.control_bytes : nullptr;
  header.msg_controllen = state.control_bytes;
  header.msg_iov = &payload;
  header.msg_iovlen = 1;
  const ssize_t bytes = ::recvmsg(request.fd, &header, state.message_flags | MSG_DONTWAIT);
  if (bytes < 0) {
    received.bytes = -errno;
    return received;
  }
  Header out{};
  out.namelen = header.msg_name != nullptr ? header.msg_namelen : 0;
  out.controllen = static_cast<std::uint32_t>(header.msg_controllen);
  out.payloadlen = static_cast<std::uint32_t>(bytes);
  out.flags = static_cast<std::uint32_t>(header.msg_flags);
  const auto name_bytes = std::min<std::size_t>(out.namelen, std::min<std::size_t>(state.name_bytes, sizeof name));
  if (!copy_to_user(start, &out, sizeof out) || !copy_to_user(start + sizeof out, &name, name_bytes)) {
    received.bytes = -EFAULT;
    return received;
  }
  received.bytes = static_cast<ssize_t>(before + std::min(static_cast<std::size_t>(bytes), payload.iov_len));
  received.finished = bytes == 0;
  received.truncated = (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
  return received;
}

/// How often a multishot receives before others have their turn: once, and MULTISHOT_MAX_RETRY times more.
unsigned most_turns(const SimWorld& world) { return world.semantics().multishot_takes_turns ? 33 : UINT_MAX; }

bool selects(const Request& request) { return (request.sqe().flags & IOSQE_BUFFER_SELECT) != 0; }

bool is_bundle(const MessageState& state) { return state.has(uapi::kRecvsendBundle); }

/// Whether a multishot bundle was given as much as its length asks for at a time (6.17), so that others have their
/// turn.
bool has_had_its_share(const MessageState& state, std::int32_t result) {
  return is_bundle(state) && state.wanted != 0 && result > 0 && static_cast<std::size_t>(result) >= state.wanted;
}

/// The buffers of one turn: the caller's own, or selected ones. 0 or an errno.
int take_buffers(SimRing& ring, Request& request, MessageState& state) {
  if (!selects(request) || !state.left.empty()) return 0;
  if (ring.finds_buffers_gone(request)) return -ENOBUFS;
  ProvidedBuffers& groups = ring.provided_buffers();
  const std::uint16_t group = request.sqe().buf_group;
  std::size_t wanted = std::min<std::size_t>(state.wanted, INT_MAX);
  if (is_bundle(state)) {
    // As many as what waits will fill; where that is unknown, one. (A single buffer is not cut to what is left of a
    // limit.) A single byte may be the peer's end, for which no buffer is to be cut.
    const int told = waiting_bytes(ring, request.fd);
    auto waiting = static_cast<std::size_t>(told > 1 ? told : 0);
    if (waiting != 0 && wanted != 0) waiting = std::min(waiting, wanted);
    if (waiting != 0 && state.limit != 0) waiting = std::min(waiting, state.limit);
    if (waiting != 0) return groups.select_many(request.selected, group, waiting, &state.left);
  }
  const int error = groups.select(request.selected, group, wanted, false);
  if (error == 0) state.left.push_back({reinterpret_cast<void*>(request.selected.address), request.selected.bytes});
  return error;
}

/// A buffer into which nothing was received is the next request's, except that up to 5.17 a request that waits keeps
/// the one that it selected.
void give_back_unfilled(SimRing& ring, Request& request, MessageState& state) {
  if (!selects(request) || request.selected.kept || ring.world().semantics().waiting_keeps_buffer) return;
  ring.provided_buffers().give_back(request.selected);
  state.left.clear();
}

/// How many of the buffers hold data.
unsigned filled(const std::vector<iovec>& buffers, std::size_t bytes) {
  unsigned count = 0;
  for (; bytes > 0 && count < buffers.size(); ++count) bytes -= std::min(bytes, buffers[count].iov_len);
  return count;
}

/// What the CQE says of the buffers.
std::uint32_t use_buffers(SimRing& ring, Request& request, MessageState& state, std::int32_t result) {
  // Up to 5.18 the peer's end and errors used a buffer up, too.
  if (result <= 0 && !ring.world().semantics().end_uses_buffer) give_back_unfilled(ring, request, state);
  return ring.provided_buffers().use(request.selected, result,
                                     filled(state.left, static_cast<std::size_t>(std::max(result, 0))));
}

int prepare_receive(SimRing& ring, Request& request) {
  const SimWorld& world = ring.world();
  const io_uring_sqe& sqe = request.sqe();
  // What other operations call file_index is, since 6.17, how much a multishot RECV receives before it ends.
  const bool has_limit = world.is_since(6, 17);
  if (sqe.addr2 != 0 || (!has_limit && sqe.file_index != 0 && world.is_since(5, 15))) return -EINVAL;
  if ((sqe.ioprio & ~known_flags(world)) != 0) return -EINVAL;
  auto state = std::make_unique<MessageState>();
  state->flags = sqe.ioprio;
  state->message_flags = static_cast<int>(sqe.msg_flags);
  if (state->has(IORING_RECV_MULTISHOT)) {
    if (!selects(request) || (sqe.msg_flags & MSG_WAITALL) != 0) return -EINVAL;
    if (!is_message(request) && sqe.len != 0 && !has_limit) return -EINVAL;
    if (is_message(request) && sqe.file_index != 0) return -EINVAL;
    state->limit = sqe.file_index;
    request.multishot = true;
  } else if (has_limit && sqe.file_index != 0) {
    return -EINVAL;
  }
  if (is_bundle(*state) && is_message(request)) return -EINVAL;
  // Whoever reads the error queue does not wait for data.
  if (sqe.msg_flags & MSG_ERRQUEUE) request.poll_events = EPOLLERR;
  if (is_message(request)) {
    state->error = copy_header_from_user(world, *state, request, false);
  } else if (selects(request)) {
    state->wanted = sqe.len;
  } else {
    state->left.push_back({reinterpret_cast<void*>(sqe.addr), sqe.len});
  }
  const int error = world.semantics().addresses_read_at_submission ? state->error : 0;
  request.state = std::move(state);
  return error;
}

Outcome issue_receive(SimRing& ring, Request& request) {
  auto& state = static_cast<MessageState&>(*request.state);
  if (state.error != 0) return finish(ring, request, state.error);
  if (const int error = socket_error(request.fd); error != 0) return finish(ring, request, error);
  if (!request.polled && state.has(IORING_RECVSEND_POLL_FIRST)) return Outcome::kWouldBlock;
  const bool never_waits = (state.message_flags & MSG_DONTWAIT) != 0;
  for (unsigned turn = 1;; ++turn) {
    if (const int error = take_buffers(ring, request, state); error != 0) return finish(ring, request, error);
    const bool with_header = request.multishot && is_message(request);
    const std::size_t asked = total_bytes(state.left);
    const Received received =
        with_header ? receive_with_header(request, state, state.left.front())
                    : receive(request, state, first_bytes(state.left, choose_bytes(ring, request, asked)));
    if (received.bytes == -EAGAIN) {
      give_back_unfilled(ring, request, state);
      return wait_or_refuse(ring, request, never_waits);
    }
    const bool waits_for_all = (state.message_flags & MSG_WAITALL) != 0 && state.control_bytes == 0;
    const bool is_short = received.bytes >= 0 && static_cast<std::size_t>(received.bytes) < asked && waits_for_all;
    if (is_short && received.bytes > 0 && goes_on(ring, request.fd, state.message_flags)) {
      const auto bytes = static_cast<std::size_t>(received.bytes);
      state.done += bytes;
      advance(state.left, bytes);
      request.selected.kept = request.selected.kind != SelectedBuffer::Kind::kNone;
      return wait_or_refuse(ring, request, never_waits);
    }
    if (received.bytes < 0 || is_short || ((state.message_flags & MSG_WAITALL) != 0 && received.truncated)) {
      ring.fail(request);
    }
    std::int32_t result = static_cast<std::int32_t>(received.bytes);
    if (state.done > 0) result = static_cast<std::int32_t>(state.done) + std::max(result, 0);

    const int waiting = waiting_bytes(ring, request.fd);
    std::uint32_t flags = waiting > 0 && received.bytes >= 0 ? IORING_CQE_F_SOCK_NONEMPTY : 0;
    flags |= use_buffers(ring, request, state, result);
    bool finished = received.finished;
    if (state.limit != 0 && result > 0) {
      state.limit -= std::min(state.limit, static_cast<std::size_t>(result));
      finished = finished || state.limit == 0;
    }
    if (!request.multishot || finished || !ring.post_multishot(request, result, flags)) {
      request.cqe_flags = flags;
      request.result = result;
      return Outcome::kDone;
    }
    state.left.clear();
    state.done = 0;
    if (is_message(request)) state.wanted = 0;
    // Up to 6.3 it was tried once more in any case.
    if (waiting == 0 && ring.world().is_since(6, 4)) return Outcome::kWouldBlock;
    if (turn >= most_turns(ring.world()) || has_had_its_share(state, result)) return Outcome::kWouldBlock;
  }
}

}  // namespace

extern const Operation kReceive = {.prepare = prepare_receive,
                                   .issue = issue_receive,
                                   .needs_file = true,
                                   .uses_ioprio = true,
                                   .ready_events = EPOLLIN,
                                   .wakes_others = true,
                                   .may_be_in_worker = true,
                                   .selects_buffers_since = {5, 7},
                                   .settle = settle_transfer};

}  // namespace assay::internal
