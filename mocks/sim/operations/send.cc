// SEND and SENDMSG. Follows io_uring/net.c.

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <memory>

#include "assay/mocks/sim/operations/operation.h"
#include "assay/mocks/sim/operations/socket_message.h"

namespace assay::internal {

namespace {

bool is_message(const Request& request) { return request.opcode() == IORING_OP_SENDMSG; }

bool is_bundle(const MessageState& state) { return state.has(uapi::kRecvsendBundle); }

std::uint32_t known_flags(const SimWorld& world) {
  std::uint32_t known = world.profile().semantics.poll_first ? IORING_RECVSEND_POLL_FIRST : 0;
  if (world.has_feature(uapi::kFeatRecvsendBundle)) known |= uapi::kRecvsendBundle;
  if (world.is_since(6, 17)) known |= uapi::kSendVectorized;
  return known;
}

/// The buffers of one turn: the caller's own, or selected ones. 0 or an errno.
int take_buffers(SimRing& ring, Request& request, MessageState& state) {
  if ((request.sqe().flags & IOSQE_BUFFER_SELECT) == 0 || !state.left.empty()) return 0;
  const std::size_t wanted = std::min<std::size_t>(state.wanted != 0 ? state.wanted : INT_MAX, INT_MAX);
  ProvidedBuffers& groups = ring.provided_buffers();
  const std::uint16_t group = request.sqe().buf_group;
  if (groups.find(group) == nullptr) return -ENOENT;
  if (!is_bundle(state)) {
    const int error = groups.select(request.selected, group, wanted, true);
    if (error == 0) state.left.push_back({reinterpret_cast<void*>(request.selected.address), request.selected.bytes});
    return error;
  }
  if (const int error = groups.select_many(request.selected, group, wanted, &state.left); error != 0) return error;
  // They are this request's, whatever becomes of it.
  BufferGroup* ring_group = groups.find(group);
  if (ring_group->is_ring()) {
    ring_group->commit(request.selected.bytes, static_cast<unsigned>(state.left.size()));
    request.selected.committed = true;
  }
  return 0;
}

int prepare_send(SimRing& ring, Request& request) {
  const SimWorld& world = ring.world();
  const io_uring_sqe& sqe = request.sqe();
  const bool has_address = !is_message(request) && world.is_since(6, 0);
  if (has_address) {
    if (sqe.__pad3[0] != 0 && world.is_since(6, 1)) return -EINVAL;
  } else if (sqe.addr2 != 0 || sqe.file_index != 0) {
    return -EINVAL;
  }
  if ((sqe.ioprio & ~known_flags(world)) != 0) return -EINVAL;
  auto state = std::make_unique<MessageState>();
  state->flags = sqe.ioprio;
  state->message_flags = static_cast<int>(sqe.msg_flags);
  if (is_bundle(*state)) {
    if (is_message(request)) return -EINVAL;
    if ((sqe.flags & IOSQE_BUFFER_SELECT) == 0 && !world.is_since(6, 17)) return -EINVAL;
    state->message_flags |= MSG_WAITALL;
  }
  if (is_message(request)) {
    state->error = copy_header_from_user(world, *state, request, true);
  } else {
    if (has_address && sqe.addr2 != 0) state->error = copy_address_from_user(&state->address, sqe.addr2, sqe.addr_len);
    if ((sqe.flags & IOSQE_BUFFER_SELECT) != 0) {
      state->wanted = sqe.len;
    } else if (state->error == 0) {
      state->error = take_send_buffers(*state, sqe);
    }
  }
  const int error = world.semantics().addresses_read_at_submission ? state->error : 0;
  request.state = std::move(state);
  return error;
}

Outcome issue_send(SimRing& ring, Request& request) {
  auto& state = static_cast<MessageState&>(*request.state);
  if (state.error != 0) return finish(ring, request, state.error);
  if (const int error = socket_error(request.fd); error != 0) return finish(ring, request, error);
  if (!request.polled && state.has(IORING_RECVSEND_POLL_FIRST)) return Outcome::kWouldBlock;
  for (;;) {
    if (const int error = take_buffers(ring, request, state); error != 0) return finish(ring, request, error);
    const std::size_t asked = total_bytes(state.left);
    const unsigned buffers = static_cast<unsigned>(state.left.size());
    const ssize_t sent = send_once(ring, request, state);
    if (sent == -EAGAIN) return wait_or_refuse(ring, request, (state.message_flags & MSG_DONTWAIT) != 0);
    if (sent < 0) return finish(ring, request, static_cast<std::int32_t>(sent));
    const bool is_short = static_cast<std::size_t>(sent) < asked && (state.message_flags & MSG_WAITALL) != 0;
    if (is_short && sent > 0 && goes_on(ring, request.fd, state.message_flags)) {
      state.done += static_cast<std::size_t>(sent);
      advance(state.left, static_cast<std::size_t>(sent));
      request.selected.kept = true;
      return wait_or_refuse(ring, request, (state.message_flags & MSG_DONTWAIT) != 0);
    }
    const auto result = static_cast<std::int32_t>(state.done + static_cast<std::size_t>(sent));
    const bool last = request.selected.last;
    request.cqe_flags = ring.provided_buffers().use(request.selected, result, buffers);
    state.left.clear();
    state.done = 0;
    if (is_short) ring.fail(request);
    if (!is_bundle(state) || last || result <= 0 || !ring.post_multishot(request, result, request.cqe_flags)) {
      request.result = result;
      return Outcome::kDone;
    }
    request.cqe_flags = 0;
  }
}

constexpr Operation sends(KernelVersion selects_buffers_since = {}) {
  return {.prepare = prepare_send,
          .issue = issue_send,
          .needs_file = true,
          .uses_ioprio = true,
          .ready_events = EPOLLOUT,
          .wakes_others = true,
          .may_be_in_worker = true,
          .selects_buffers_since = selects_buffers_since,
          .settle = settle_transfer};
}

}  // namespace

extern const Operation kSendmsg = sends();
extern const Operation kSend = sends({6, 10});

}  // namespace assay::internal
