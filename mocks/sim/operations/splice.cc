// SPLICE and TEE. Follows io_uring/splice.c.
//
// A worker always carries them out, and there they may wait: for the pipe or socket to read from, or for room in the
// one to write to.

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "assay/mocks/sim/operations/finish.h"
#include "assay/mocks/sim/operations/operation.h"

namespace assay::internal {

namespace {

constexpr std::uint32_t kInIsFixed = 1u << 31;  // SPLICE_F_FD_IN_FIXED
constexpr std::uint32_t kKnownFlags = kInIsFixed | SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT;

struct SpliceState : OperationState {
  Descriptor in;
  /// The other side has a slot of the file table, and keeps it.
  std::shared_ptr<RegisteredFile> slot;
};

SpliceState& state_of(const Request& request) { return static_cast<SpliceState&>(*request.state); }

/// The file to read from, as a descriptor of the request's own. 0 or -EBADF.
int take_in_file(SimRing& ring, Request& request) {
  SpliceState& state = state_of(request);
  if (state.in) return 0;
  const std::int32_t fd = request.sqe().splice_fd_in;
  if (request.sqe().splice_flags & kInIsFixed) {
    state.slot = ring.registered_file(static_cast<unsigned>(fd));
    if (state.slot) state.in = Descriptor::duplicate(state.slot->file.get());
  } else {
    state.in = Descriptor::duplicate(fd);
  }
  return state.in ? 0 : -EBADF;
}

int prepare(SimRing& ring, Request& request) {
  if (request.sqe().splice_flags & ~kKnownFlags) return -EINVAL;
  request.state = std::make_unique<SpliceState>();
  // Since 5.18 it is looked up when the request runs, as other files are.
  return ring.world().profile().semantics.linked_file_at_execution ? 0 : take_in_file(ring, request);
}

bool is_nonblocking(int fd) { return (::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0; }

/// Sockets, TCP's above all, wait for data whatever splice(2) is told.
bool is_socket_without_data(int fd) {
  return file_kind(fd) == FileKind::kSocket && !is_nonblocking(fd) && poll_now(fd, POLLIN) == 0;
}

/// Waits for whichever side is not ready, and then tries again.
Outcome wait_for_a_side(SimRing& ring, Request& request, int in) {
  const bool in_is_ready = poll_now(in, POLLIN) != 0;
  const int error =
      in_is_ready ? ring.retry_when_ready(request, EPOLLOUT) : ring.retry_when_ready(request, EPOLLIN, in);
  return error == 0 ? Outcome::kParked : finish(ring, request, error);
}

using Move = ssize_t (*)(const Request& request, int in, std::uint32_t flags);

Outcome issue(SimRing& ring, Request& request, Move move) {
  const io_uring_sqe& sqe = request.sqe();
  const auto end = [&](ssize_t moved) {
    request.result = static_cast<std::int32_t>(moved);
    // What is short cuts the chain, as an error does.
    if (moved < 0 || static_cast<std::size_t>(moved) != sqe.len) ring.fail(request);
    return Outcome::kDone;
  };
  if (const int error = take_in_file(ring, request); error != 0) return end(error);
  if (sqe.len == 0) return end(0);

  const int in = state_of(request).in.get();
  if (is_socket_without_data(in)) return wait_for_a_side(ring, request, in);
  const std::uint32_t flags = sqe.splice_flags & ~kInIsFixed;
  const ssize_t moved = move(request, in, flags | SPLICE_F_NONBLOCK);
  if (moved >= 0) return end(moved);
  const int error = errno;
  const bool never_waits = (flags & SPLICE_F_NONBLOCK) != 0 || is_nonblocking(in) || is_nonblocking(request.fd);
  return error != EAGAIN || never_waits ? end(-error) : wait_for_a_side(ring, request, in);
}

ssize_t move_by_splice(const Request& request, int in, std::uint32_t flags) {
  const io_uring_sqe& sqe = request.sqe();
  auto in_offset = static_cast<off64_t>(sqe.splice_off_in);
  auto out_offset = static_cast<off64_t>(sqe.off);
  return ::splice(in, in_offset == -1 ? nullptr : &in_offset, request.fd, out_offset == -1 ? nullptr : &out_offset,
                  sqe.len, flags);
}

ssize_t move_by_tee(const Request& request, int in, std::uint32_t flags) {
  return ::tee(in, request.fd, request.sqe().len, flags);
}

int prepare_splice(SimRing& ring, Request& request) { return prepare(ring, request); }

Outcome issue_splice(SimRing& ring, Request& request) { return issue(ring, request, move_by_splice); }

int prepare_tee(SimRing& ring, Request& request) {
  if (request.sqe().splice_off_in != 0 || request.sqe().off != 0) return -EINVAL;
  return prepare(ring, request);
}

Outcome issue_tee(SimRing& ring, Request& request) { return issue(ring, request, move_by_tee); }

}  // namespace

extern const Operation kSplice = {.prepare = prepare_splice,
                                  .issue = issue_splice,
                                  .needs_file = true,
                                  .wakes_others = true,
                                  .always_in_worker = true};
extern const Operation kTee = {
    .prepare = prepare_tee, .issue = issue_tee, .needs_file = true, .wakes_others = true, .always_in_worker = true};

}  // namespace assay::internal
