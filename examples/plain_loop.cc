#include "plain_loop.h"

#include <limits>

namespace assay::examples {

Result<PlainLoop> PlainLoop::create(Kernel& kernel, unsigned entries) {
  Result<Ring> ring = Ring::create(kernel, {.sq_entries = entries});
  if (!ring) return ring.error();
  return PlainLoop(std::move(*ring));
}

Result<PlainLoop::Token> PlainLoop::start(Request request, const Prepare& prepare) {
  io_uring_sqe* sqe = ring_.get_sqe();
  if (sqe == nullptr) {
    // Submitting empties the SQ. If the kernel takes nothing now, that is the caller's problem.
    if (const int res = ring_.submit(); res < 0) return Error::from_errno(res, "io_uring_enter");
    sqe = ring_.get_sqe();
    if (sqe == nullptr) return Error::from_errno(EAGAIN, "the SQ is full");
  }
  const Token token = ++last_token_;
  Request& kept = requests_[token] = std::move(request);
  prepare(sqe, kept);
  sqe->user_data = token;
  ++in_flight_;
  return token;
}

Result<PlainLoop::Token> PlainLoop::watch(int fd, unsigned poll_events, Callback callback) {
  return start({.callback = std::move(callback)},
               [&](io_uring_sqe* sqe, Request&) { io_uring_prep_poll_add(sqe, fd, poll_events); });
}

Result<PlainLoop::Token> PlainLoop::after(std::chrono::nanoseconds delay, Callback callback) {
  // A timeout may also end after so many completions of others. Zero ought to mean that it does not, but means one in
  // Linux 5.4; this many never come.
  constexpr unsigned kNever = std::numeric_limits<unsigned>::max();
  const auto seconds = std::chrono::floor<std::chrono::seconds>(delay);
  return start(
      {.callback = std::move(callback), .delay = {.tv_sec = seconds.count(), .tv_nsec = (delay - seconds).count()}},
      [](io_uring_sqe* sqe, Request& request) { io_uring_prep_timeout(sqe, &request.delay, kNever, 0); });
}

bool PlainLoop::forget(Token token) {
  const auto found = requests_.find(token);
  if (found == requests_.end() || !found->second.callback) return false;
  // The request itself goes on, but nobody is told when its completion comes, and it keeps nobody waiting any more.
  found->second.callback = nullptr;
  --in_flight_;
  return true;
}

// READV and WRITEV rather than READ and WRITE, which came only with 5.6.
Result<PlainLoop::Token> PlainLoop::read(int fd, std::span<std::byte> buffer, std::uint64_t offset, Callback callback) {
  return start({.callback = std::move(callback), .buffer = {buffer.data(), buffer.size()}},
               [&](io_uring_sqe* sqe, Request& request) { io_uring_prep_readv(sqe, fd, &request.buffer, 1, offset); });
}

Result<PlainLoop::Token> PlainLoop::write(int fd, std::span<const std::byte> buffer, std::uint64_t offset,
                                          Callback callback) {
  return start({.callback = std::move(callback), .buffer = {const_cast<std::byte*>(buffer.data()), buffer.size()}},
               [&](io_uring_sqe* sqe, Request& request) { io_uring_prep_writev(sqe, fd, &request.buffer, 1, offset); });
}

Result<PlainLoop::Token> PlainLoop::fsync(int fd, Callback callback) {
  return start({.callback = std::move(callback)},
               [&](io_uring_sqe* sqe, Request&) { io_uring_prep_fsync(sqe, fd, 0); });
}

Result<unsigned> PlainLoop::turn(bool wait) {
  // Nothing is waited for while there is news to tell.
  const bool block = wait && in_flight_ > 0 && ring_.cq_ready() == 0;
  const int res = ring_.submit_and_wait(block ? 1 : 0);
  if (res < 0 && res != -EINTR) return Error::from_errno(res, "io_uring_enter");
  if (ring_.cq_needs_enter()) ring_.get_events();

  unsigned called = 0;
  // As many as are there now: what the callbacks bring about is for the next turn.
  for (unsigned left = ring_.cq_ready(); left > 0; --left) {
    io_uring_cqe* cqe = ring_.peek_cqe();
    if (cqe == nullptr) break;
    const auto request = requests_.extract(cqe->user_data);
    const int result = cqe->res;
    // The slot and the request are given back first, so that the callback may start new ones.
    ring_.cqe_seen(cqe);
    if (!request || !request.mapped().callback) continue;
    --in_flight_;
    ++called;
    request.mapped().callback(result);
  }
  return called;
}

}  // namespace assay::examples
