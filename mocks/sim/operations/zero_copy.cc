// SEND_ZC and SENDMSG_ZC. Follows io_uring/net.c and io_uring/notif.c.
//
// The bytes are copied by an ordinary send, as Linux does where a device cannot do without (loopback always); so the
// buffers are the user's again at once, and the notification says so.

#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>
#include <memory>

#include "assay/mocks/sim/operations/operation.h"
#include "assay/mocks/sim/operations/socket_message.h"

namespace assay::internal {

namespace {

/// A send that owes a notification from the moment in which its preparation allocated one.
struct ZeroCopyState final : MessageState {
  bool owes_notification = true;
  /// With IORING_RECVSEND_FIXED_BUF.
  std::shared_ptr<RegisteredBuffer> registered;
};

bool is_message(const Request& request) { return request.opcode() == IORING_OP_SENDMSG_ZC; }

std::uint32_t known_flags(const SimWorld& world) {
  std::uint32_t known = IORING_RECVSEND_POLL_FIRST | IORING_RECVSEND_FIXED_BUF;
  if (world.profile().semantics.send_zc_report) known |= uapi::kSendZcReportUsage;
  if (world.is_since(6, 17)) known |= uapi::kSendVectorized;
  return known;
}

/// TCP and UDP can; sockets of AF_UNIX cannot.
bool can_send_without_copy(int fd) {
  const int domain = socket_option(fd, SO_DOMAIN);
  const int protocol = socket_option(fd, SO_PROTOCOL);
  return (domain == AF_INET || domain == AF_INET6) && (protocol == IPPROTO_TCP || protocol == IPPROTO_UDP);
}

int prepare_send_zero_copy(SimRing& ring, Request& request) {
  const SimWorld& world = ring.world();
  const io_uring_sqe& sqe = request.sqe();
  if ((sqe.addr3 != 0 && !world.is_since(7, 1)) || sqe.__pad2[0] != 0) return -EINVAL;
  if (sqe.flags & IOSQE_CQE_SKIP_SUCCESS) return -EINVAL;
  if (!world.profile().semantics.send_zc_report) {
    if ((sqe.ioprio & ~known_flags(world)) != 0) return -EINVAL;
    const bool fixed = (sqe.ioprio & IORING_RECVSEND_FIXED_BUF) != 0;
    if (fixed && ring.registered_buffer(sqe.buf_index) == nullptr) return -EFAULT;
  }
  // From here on there is a notification, even if the request is refused.
  request.state = std::make_unique<ZeroCopyState>();
  auto& state = static_cast<ZeroCopyState&>(*request.state);
  state.flags = sqe.ioprio;
  if ((state.flags & ~known_flags(world)) != 0) return -EINVAL;
  if (is_message(request)) {
    if (sqe.addr2 != 0 || sqe.file_index != 0) return -EINVAL;
    if (state.has(IORING_RECVSEND_FIXED_BUF) && !world.is_since(6, 15)) return -EINVAL;
  }
  state.message_flags = static_cast<int>(sqe.msg_flags);
  if (is_message(request)) {
    state.error = copy_header_from_user(world, state, request, true);
  } else {
    if (sqe.__pad3[0] != 0) return -EINVAL;
    if (sqe.addr2 != 0) state.error = copy_address_from_user(&state.address, sqe.addr2, sqe.addr_len);
    state.error = state.error != 0 ? state.error : take_send_buffers(state, sqe);
  }
  return world.semantics().addresses_read_at_submission ? state.error : 0;
}

Outcome issue_send_zero_copy(SimRing& ring, Request& request) {
  auto& state = static_cast<ZeroCopyState&>(*request.state);
  if (state.error != 0) return finish(ring, request, state.error);
  if (const int error = socket_error(request.fd); error != 0) return finish(ring, request, error);
  if (!can_send_without_copy(request.fd)) return finish(ring, request, -EOPNOTSUPP);
  if (!request.polled && state.has(IORING_RECVSEND_POLL_FIRST)) return Outcome::kWouldBlock;
  if (state.has(IORING_RECVSEND_FIXED_BUF) && !is_message(request)) {
    state.registered = ring.registered_buffer(request.sqe().buf_index);
    const bool contained =
        state.registered != nullptr && state.registered->contains(request.sqe().addr, request.sqe().len);
    if (!contained) return finish(ring, request, -EFAULT);
  }
  const std::size_t asked = total_bytes(state.left);
  const ssize_t sent = send_once(ring, request, state);
  const bool never_waits = (state.message_flags & MSG_DONTWAIT) != 0;
  if (sent == -EAGAIN) return wait_or_refuse(ring, request, never_waits);
  const bool is_short = sent >= 0 && static_cast<std::size_t>(sent) < asked && (state.message_flags & MSG_WAITALL) != 0;
  if (is_short && sent > 0 && goes_on(ring, request.fd, state.message_flags)) {
    state.done += static_cast<std::size_t>(sent);
    advance(state.left, static_cast<std::size_t>(sent));
    return wait_or_refuse(ring, request, never_waits);
  }
  if (is_short) ring.fail(request);
  if (sent < 0) return finish(ring, request, static_cast<std::int32_t>(sent));
  request.result = static_cast<std::int32_t>(state.done + static_cast<std::size_t>(sent));
  return Outcome::kDone;
}

void settle_send_zero_copy(SimRing& ring, Request& request) {
  auto* state = static_cast<ZeroCopyState*>(request.state.get());
  if (state == nullptr || !state->owes_notification) return;
  state->owes_notification = false;
  if (request.result < 0 && state->done > 0) request.result = static_cast<std::int32_t>(state->done);
  // One whose chain was cut before it ran does not announce its notification, which comes all the same.
  if (request.place != Place::kChain) request.cqe_flags |= IORING_CQE_F_MORE;
  const bool copied = state->has(uapi::kSendZcReportUsage) && request.result > 0;
  ring.notify(request, copied ? static_cast<std::int32_t>(uapi::kNotifUsageZcCopied) : 0);
}

}  // namespace

extern const Operation kSendZeroCopy = {.prepare = prepare_send_zero_copy,
                                        .issue = issue_send_zero_copy,
                                        .needs_file = true,
                                        .uses_ioprio = true,
                                        .ready_events = EPOLLOUT,
                                        .wakes_others = true,
                                        .may_be_in_worker = true,
                                        .settle = settle_send_zero_copy};

}  // namespace assay::internal
