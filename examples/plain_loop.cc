#include "plain_loop.h"

#include <algorithm>
#include <cerrno>
#include <ctime>

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

PlainLoop::Token PlainLoop::after(std::chrono::nanoseconds delay, Callback callback) {
  const auto time = now();
  // The longest delays would end after the clock does.
  const auto deadline = time + std::min(delay, std::chrono::nanoseconds::max() - time);
  timers_.insert({deadline, {++last_token_, std::move(callback)}});
  return last_token_;
}

bool PlainLoop::forget(Token token) {
  if (std::erase_if(timers_, [token](const auto& entry) { return entry.second.token == token; }) > 0) return true;
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
  const int res = submit_and_wait(wait && !idle() && ring_.cq_ready() == 0);
  if (res < 0 && res != -EINTR && res != -ETIME) return Error::from_errno(res, "io_uring_enter");
  if (ring_.cq_needs_enter()) ring_.get_events();

  // As many as are there now: what the callbacks bring about is for the next turn.
  unsigned called = 0;
  const auto time = now();
  for (std::size_t left = timers_.size(); left > 0 && !timers_.empty() && timers_.begin()->first <= time; --left) {
    const auto timer = timers_.extract(timers_.begin());
    ++called;
    timer.mapped().callback(-ETIME);
  }
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

int PlainLoop::submit_and_wait(bool wait) {
  if (!wait) return ring_.submit_and_wait(0);
  if (timers_.empty()) return ring_.submit_and_wait(1);
  return ring_.submit_and_wait(1, std::max(timers_.begin()->first - now(), std::chrono::nanoseconds(0)));
}

// On the kernel's clock, which may be a simulated one.
std::chrono::nanoseconds PlainLoop::now() const {
  timespec time{};
  ring_.kernel().now(CLOCK_MONOTONIC, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

}  // namespace assay::examples
