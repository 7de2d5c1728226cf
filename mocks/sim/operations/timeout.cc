// TIMEOUT, LINK_TIMEOUT and TIMEOUT_REMOVE. Follows io_uring/timeout.c.

#include <bit>
#include <cerrno>
#include <utility>

#include "assay/mocks/sim/operations/operation.h"
#include "assay/mocks/sim/ring.h"
#include "assay/mocks/sim/user_memory.h"

namespace assay::internal {

namespace {

std::uint32_t known_flags(const SimWorld& world) {
  const Semantics& semantics = world.profile().semantics;
  std::uint32_t known = IORING_TIMEOUT_ABS;
  if (semantics.timeout_clocks) known |= IORING_TIMEOUT_CLOCK_MASK;
  if (semantics.timeout_etime_success) known |= IORING_TIMEOUT_ETIME_SUCCESS;
  if (semantics.timeout_multishot) known |= uapi::kTimeoutMultishot;
  if (world.is_since(7, 1)) known |= uapi::kTimeoutImmediateArg;
  return known;
}

clockid_t clock_of(std::uint32_t flags) {
  if (flags & IORING_TIMEOUT_BOOTTIME) return CLOCK_BOOTTIME;
  if (flags & IORING_TIMEOUT_REALTIME) return CLOCK_REALTIME;
  return CLOCK_MONOTONIC;
}

/// Reads a __kernel_timespec, or with IORING_TIMEOUT_IMMEDIATE_ARG takes the argument itself for nanoseconds. 0 or a
/// negative errno.
int read_time(const SimWorld& world, std::uint64_t address, std::uint32_t flags, Nanoseconds* time) {
  if (flags & uapi::kTimeoutImmediateArg) {
    *time = static_cast<Nanoseconds>(address);
    return *time < 0 ? -EINVAL : 0;
  }
  __kernel_timespec value;
  if (!copy_from_user(&value, address, sizeof value)) return -EFAULT;
  if (world.semantics().negative_times_refused && (value.tv_sec < 0 || value.tv_nsec < 0)) return -EINVAL;
  *time = to_nanoseconds(value.tv_sec, value.tv_nsec);
  return 0;
}

bool is_multishot(const Request& request) { return (request.timeout_flags & uapi::kTimeoutMultishot) != 0; }

/// A timeout that does not count completions.
bool is_uncounted(const Request& request) { return request.timeout_count == 0 || is_multishot(request); }

int prepare_any_timeout(SimRing& ring, Request& request) {
  const io_uring_sqe& sqe = request.sqe();
  if (sqe.buf_index != 0 || sqe.len != 1) return -EINVAL;
  if (ring.world().is_since(5, 15) && sqe.splice_fd_in != 0) return -EINVAL;
  const std::uint32_t flags = sqe.timeout_flags;
  if (flags & ~known_flags(ring.world())) return -EINVAL;
  if (std::popcount(flags & IORING_TIMEOUT_CLOCK_MASK) > 1) return -EINVAL;
  constexpr std::uint32_t kAbsoluteMultishot = uapi::kTimeoutMultishot | IORING_TIMEOUT_ABS;
  if ((flags & kAbsoluteMultishot) == kAbsoluteMultishot) return -EINVAL;
  request.timeout_flags = flags;
  return read_time(ring.world(), sqe.addr, flags, &request.interval);
}

void start_timer(SimRing& ring, Request& request, Step expired) {
  const bool absolute = (request.timeout_flags & IORING_TIMEOUT_ABS) != 0;
  request.deadline = ring.world().clock().deadline(clock_of(request.timeout_flags), request.interval, absolute);
  // A span below zero is an overflow in the kernel's sum (ktime_add_safe), and so it never ends.
  if (!absolute && request.interval < 0) request.deadline = kNever;
  ring.arm_timer(request, expired);
}

void run_expired(SimRing& ring, Request& request);

void on_timeout(SimRing& ring, Request& request) {
  ring.timeouts().remove(&request);
  ring.count_fired_timeout();
  if (!(request.timeout_flags & IORING_TIMEOUT_ETIME_SUCCESS)) ring.fail(request);
  request.result = -ETIME;
  ring.queue_task_work(request, run_expired);
}

void run_expired(SimRing& ring, Request& request) {
  if (is_multishot(request)) {
    const bool goes_on = request.timeout_repeats == 0 || --request.timeout_repeats > 0;
    if (goes_on && ring.post_multishot(request, -ETIME)) {
      ring.timeouts().push_back(&request);
      start_timer(ring, request, on_timeout);
      return;
    }
  }
  ring.complete(request);
}

void run_link_timeout(SimRing& ring, Request& request) {
  int result = -ETIME;
  if (request.found_limited) {
    CancelMatch match;
    match.user_data = request.limited_user_data;
    // Waits for children and futexes are told of by their number, which kernels took for an error until 7.3.
    const int ended = ring.cancel(match, &request);
    const bool tells_number = ended > 0 && !ring.world().profile().semantics.link_timeout_tells_etime;
    if (ended < 0 || tells_number) result = ended;
  }
  ring.complete(request, result);
}

void on_link_timeout(SimRing& ring, Request& request) {
  Request* limited = std::exchange(request.limited, nullptr);
  request.found_limited = limited != nullptr;
  if (limited != nullptr) {
    // Off the chain, so that the end of the limited request does not end this one too.
    limited->has_link_timeout = false;
    limited->link = std::exchange(request.link, nullptr);
    request.limited_user_data = limited->sqe().user_data;
  }
  ring.queue_task_work(request, run_link_timeout);
}

int prepare_timeout(SimRing& ring, Request& request) {
  if (const int error = prepare_any_timeout(ring, request); error != 0) return error;
  request.timeout_count = static_cast<std::uint32_t>(request.sqe().off);
  if (request.timeout_count == 0 && ring.world().semantics().timeouts_count_at_least_one) request.timeout_count = 1;
  request.timeout_repeats = is_multishot(request) ? request.timeout_count : 0;
  return 0;
}

Outcome issue_timeout(SimRing& ring, Request& request) {
  RequestList& timeouts = ring.timeouts();
  if (is_uncounted(request)) {
    timeouts.push_back(&request);
  } else {
    ring.note_counted_timeout();
    const std::uint32_t now = ring.cq().tail() - ring.timeouts_fired();
    request.timeout_target = now + request.timeout_count;
    ring.set_last_timeout_flush(now);
    // Counted ones stand in the order of their targets, and before the others.
    Request* position = timeouts.last();
    while (position != nullptr && (is_uncounted(*position) || request.timeout_count < position->timeout_target - now)) {
      position = timeouts.before(position);
    }
    timeouts.insert_after(position, &request);
  }
  start_timer(ring, request, on_timeout);
  return Outcome::kParked;
}

int prepare_link_timeout(SimRing& ring, Request& request) {
  if (request.sqe().off != 0) return -EINVAL;
  if (const int error = prepare_any_timeout(ring, request); error != 0) return error;
  Request* limited = ring.chain_last();
  if (limited == nullptr || limited->opcode() == IORING_OP_LINK_TIMEOUT) return -EINVAL;
  limited->arms_link_timeout = true;
  return 0;
}

Outcome issue_link_timeout(SimRing& ring, Request& request) {
  start_timer(ring, request, on_link_timeout);
  return Outcome::kParked;
}

int prepare_timeout_remove(SimRing& ring, Request& request) {
  const SimWorld& world = ring.world();
  const io_uring_sqe& sqe = request.sqe();
  if (sqe.flags & (IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT)) return -EINVAL;
  if (sqe.buf_index != 0 || sqe.len != 0) return -EINVAL;
  if (world.is_since(5, 15) && sqe.splice_fd_in != 0) return -EINVAL;
  const std::uint32_t flags = sqe.timeout_flags;
  std::uint32_t updates = world.profile().semantics.timeout_update ? IORING_TIMEOUT_UPDATE : 0;
  if (world.profile().semantics.timeout_clocks) updates |= IORING_LINK_TIMEOUT_UPDATE;
  if (!(flags & updates)) return flags == 0 ? 0 : -EINVAL;
  const std::uint32_t immediate = world.is_since(7, 1) ? uapi::kTimeoutImmediateArg : 0;
  if (flags & ~(updates | IORING_TIMEOUT_ABS | immediate)) return -EINVAL;
  request.timeout_flags = flags;
  return read_time(world, sqe.addr2, flags, &request.interval);
}

Outcome issue_timeout_remove(SimRing& ring, Request& request) {
  const std::uint64_t user_data = request.sqe().addr;
  // Where only the link is named it is checked as an update, and then removes.
  if (!(request.sqe().timeout_flags & IORING_TIMEOUT_UPDATE)) {
    request.result = ring.cancel_timeout(user_data);
  } else {
    const bool of_link = (request.sqe().timeout_flags & IORING_LINK_TIMEOUT_UPDATE) != 0;
    Request* timeout = of_link ? ring.find_link_timeout(user_data) : ring.find_timeout(user_data);
    request.result = timeout != nullptr ? 0 : -ENOENT;
    if (timeout != nullptr) {
      ring.disarm_timer(*timeout);
      timeout->interval = request.interval;
      // The clock stays the timeout's own; whether the time is absolute is the update's to say.
      timeout->timeout_flags =
          (timeout->timeout_flags & ~IORING_TIMEOUT_ABS) | (request.sqe().timeout_flags & IORING_TIMEOUT_ABS);
      if (!of_link) {
        ring.timeouts().remove(timeout);
        timeout->timeout_count = 0;
        ring.timeouts().push_back(timeout);
      }
      start_timer(ring, *timeout, of_link ? on_link_timeout : on_timeout);
    }
  }
  if (request.result < 0) ring.fail(request);
  return Outcome::kDone;
}

}  // namespace

/// Ends the timeouts for which enough completions have come (io_flush_timeouts).
void SimRing::flush_counted_timeouts() {
  const std::uint32_t sequence = cq_.tail() - timeouts_fired_;
  while (Request* request = timeouts_.first()) {
    if (is_uncounted(*request)) break;
    const std::uint32_t needed = request->timeout_target - last_timeout_flush_;
    const std::uint32_t got = sequence - last_timeout_flush_;
    if (got < needed) break;
    timeouts_.remove(request);
    disarm_timer(*request);
    ++timeouts_fired_;
    request->result = 0;
    queue_task_work(*request, run_complete);
  }
  last_timeout_flush_ = sequence;
}

extern const Operation kTimeout = {.prepare = prepare_timeout, .issue = issue_timeout};
extern const Operation kTimeoutRemove = {.prepare = prepare_timeout_remove, .issue = issue_timeout_remove};
extern const Operation kLinkTimeout = {.prepare = prepare_link_timeout, .issue = issue_link_timeout};

}  // namespace assay::internal
