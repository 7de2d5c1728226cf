#include "assay/conformance/specimens/small_loop.h"

#include <algorithm>
#include <cerrno>
#include <utility>

namespace assay::conformance {
namespace {

// A kernel that refuses every call would otherwise keep a loop that has ended from coming to its end.
constexpr unsigned kMostFailures = 8;
// No job takes a hundredth of that.
constexpr unsigned kAbsurdlyManyTurns = 20'000;

}  // namespace

SmallLoop::SmallLoop(Kernel& kernel, const RingOptions& options) {
  Result<Ring> ring = Ring::create(kernel, options);
  if (!ring) {
    error_ = -ring.error().code.value();
    return;
  }
  ring_.emplace(*std::move(ring));
}

std::uint64_t SmallLoop::start(Prepare prepare, Told told) {
  std::vector<Link> chain;
  chain.push_back({std::move(prepare), std::move(told)});
  return start_chain(std::move(chain)).front();
}

std::vector<std::uint64_t> SmallLoop::start_chain(std::vector<Link> chain) {
  if (error_ == 0) return queue(std::move(chain));
  for (const Link& link : chain) link.told({.user_data = 0, .res = -ECANCELED, .flags = 0});
  return std::vector<std::uint64_t>(chain.size(), 0);
}

std::vector<std::uint64_t> SmallLoop::queue(std::vector<Link> chain) {
  std::vector<std::uint64_t> names;
  for (Link& link : chain) {
    names.push_back(new_user_data());
    requests_.emplace(names.back(), std::make_shared<Request>(Request{std::move(link.prepare), std::move(link.told)}));
  }
  waiting_.push_back(names);
  return names;
}

void SmallLoop::cancel(std::uint64_t user_data) {
  if (!in_flight(user_data)) return;
  // It is asked for behind the request itself: SQEs go in order.
  queue({{.prepare = [user_data](io_uring_sqe& sqe) { io_uring_prep_cancel64(&sqe, user_data, 0); },
          .told = [this, user_data](const io_uring_cqe& cqe) { cancel_answered(user_data, cqe.res); }}});
}

void SmallLoop::cancel_answered(std::uint64_t user_data, int answer) {
  if (!in_flight(user_data)) return;
  switch (answer) {
    case -ENOENT:  // it was between two states, unless its completion was dropped
      if (ring_->cq_overflow_count() == dropped_) cancel(user_data);
      break;
    case -EINVAL: {  // this kernel has no such request, but perhaps the call
      io_uring_sync_cancel_reg request{.addr = user_data, .fd = -1, .flags = 0, .timeout = {-1, -1}, .pad = {}};
      ring_->register_op(IORING_REGISTER_SYNC_CANCEL, &request, 1);
      break;
    }
    default:  // it is told -ECANCELED, or what came first
      break;
  }
}

void SmallLoop::submit_all() {
  while (error_ == 0 && (!waiting_.empty() || ring_->sq_ready() != 0)) {
    fill_sq();
    const int answer = ring_->submit();
    if (answer >= 0) continue;
    if (!bears(answer)) fail(answer);
    reap();
  }
}

int SmallLoop::run_until(const std::function<bool()>& done) {
  while (!done() && !requests_.empty() && failures_ < kMostFailures && turns_ < kAbsurdlyManyTurns) {
    ++turns_;
    turn();
  }
  if (turns_ == kAbsurdlyManyTurns && error_ == 0) error_ = -ELOOP;
  return error_;
}

void SmallLoop::turn() {
  fill_sq();
  // A poll thread gives SQEs back after their completions: there may be nothing to wait for but room.
  if (placed() == 0 && !waiting_.empty()) {
    if (ring_->wait_for_sq_space() < 0) ring_->kernel().relax(ring_->fd());
    return;
  }
  const int answer = enter();
  if (answer < 0 && !bears(answer)) fail(answer);
  reap();
  tell_what_is_lost();
}

void SmallLoop::fill_sq() {
  while (!waiting_.empty() && has_room(waiting_.front().size())) {
    for (const std::uint64_t name : waiting_.front()) {
      io_uring_sqe* sqe = next_sqe();
      *sqe = {};
      requests_.at(name)->prepare(*sqe);
      sqe->user_data = name;
    }
    waiting_.pop_front();
  }
}

bool SmallLoop::bears(int answer) {
  switch (answer) {
    case -EINTR:   // a signal; nothing was submitted
    case -EAGAIN:  // no memory for a request; what completes gives some back
    case -EBUSY:   // completions must be reaped first, which is what comes next
    case -ETIME:   // nothing came in time
      return true;
    case -EBADR:  // completions were dropped, unless the kernel's count says that none was
      return ring_->cq_overflow_count() == dropped_;
    default:
      return false;
  }
}

void SmallLoop::reap() {
  ring_->for_each_cqe([this](const io_uring_cqe& cqe) { tell(cqe); });
}

void SmallLoop::tell(const io_uring_cqe& cqe) {
  const auto found = requests_.find(cqe.user_data);
  if (found == requests_.end()) return unasked(cqe);
  // What is told may start requests, and end with this one.
  const std::shared_ptr<Request> request = found->second;
  if ((cqe.flags & IORING_CQE_F_MORE) == 0) requests_.erase(found);
  const io_uring_cqe copy{.user_data = cqe.user_data, .res = cqe.res, .flags = cqe.flags};
  request->told(copy);
}

void SmallLoop::end(std::uint64_t user_data, int res) { tell({.user_data = user_data, .res = res, .flags = 0}); }

void SmallLoop::fail(int error) {
  ++failures_;
  if (error_ == 0) error_ = error;
  while (!waiting_.empty()) {
    const std::vector<std::uint64_t> names = std::move(waiting_.front());
    waiting_.pop_front();
    for (const std::uint64_t name : names) end(name, -ECANCELED);
  }
  std::vector<std::uint64_t> in_flight;
  for (const auto& [name, request] : requests_) in_flight.push_back(name);
  for (const std::uint64_t name : in_flight) cancel(name);
}

std::size_t SmallLoop::placed() const {
  std::size_t waiting = 0;
  for (const std::vector<std::uint64_t>& names : waiting_) waiting += names.size();
  return requests_.size() - waiting;
}

std::size_t SmallLoop::taken() const { return placed() - std::min<std::size_t>(placed(), ring_->sq_ready()); }

// Where completions were dropped nobody can tell whose they were, until as many requests are left as were dropped.
void SmallLoop::tell_what_is_lost() {
  const unsigned dropped = ring_->cq_overflow_count() - dropped_;
  if (dropped == 0 || taken() != requests_.size() || taken() > dropped) return;
  dropped_ += dropped;
  std::vector<std::uint64_t> lost;
  for (const auto& [name, request] : requests_) lost.push_back(name);
  for (const std::uint64_t name : lost) end(name, -EBADR);
}

}  // namespace assay::conformance
