// What polls, timeouts and cancelations do: no feature bit tells.

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "assay/backend/uapi.h"
#include "assay/mocks/probe_trial.h"

namespace assay::internal {
namespace {

constexpr __kernel_timespec kNanosecond = {0, 1};
constexpr __kernel_timespec kHour = {3600, 0};
constexpr std::uint64_t kSubject = 1;
constexpr std::uint64_t kOther = 2;

/// An eventfd that is closed in the end.
class TrialEventfd {
 public:
  TrialEventfd() : fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
  TrialEventfd(const TrialEventfd&) = delete;
  TrialEventfd& operator=(const TrialEventfd&) = delete;
  ~TrialEventfd() {
    if (fd_ >= 0) ::close(fd_);
  }
  int fd() const { return fd_; }

 private:
  int fd_;
};

void prepare_timeout(Ring& ring, const __kernel_timespec& time, std::uint64_t count) {
  io_uring_sqe& sqe = next_sqe(ring, IORING_OP_TIMEOUT, kSubject);
  sqe.addr = reinterpret_cast<std::uintptr_t>(&time);
  sqe.len = 1;
  sqe.off = count;
}

void prepare_poll(Ring& ring, int fd, std::uint32_t events) {
  io_uring_sqe& sqe = next_sqe(ring, IORING_OP_POLL_ADD, kSubject);
  sqe.fd = fd;
  sqe.poll32_events = events;
}

Verdict try_timeout_flags(Kernel& kernel, std::uint32_t flags) {
  return known_unless_einval(try_sqe(kernel, [flags](io_uring_sqe& sqe) {
    sqe.opcode = IORING_OP_TIMEOUT;
    sqe.fd = -1;
    sqe.addr = reinterpret_cast<std::uintptr_t>(&kNanosecond);
    sqe.len = 1;
    sqe.timeout_flags = flags;
    // Multishot: once. Else a count of completions, which no NOP is there to reach.
    sqe.off = 1;
  }));
}

/// What becomes of a timeout of this time, or nothing in a kernel without timeouts.
std::optional<int> try_timeout(Kernel& kernel, const __kernel_timespec& time) {
  return try_sqe(kernel, [&time](io_uring_sqe& sqe) {
    sqe.opcode = IORING_OP_TIMEOUT;
    sqe.fd = -1;
    sqe.addr = reinterpret_cast<std::uintptr_t>(&time);
    sqe.len = 1;
    sqe.off = 1;
  });
}

Verdict try_negative_time(Kernel& kernel) {
  static constexpr __kernel_timespec kNegative = {0, -1};
  if (try_timeout(kernel, kNanosecond) != -ETIME) return std::nullopt;
  // Where it is not refused it never ends, and nothing is there after a second.
  return try_timeout(kernel, kNegative) == -EINVAL;
}

/// A timeout that counts nothing, and a NOP: does it end the timeout?
Verdict try_uncounted_timeout(Kernel& kernel) {
  Result<Ring> ring = Ring::create(kernel, {.sq_entries = 4});
  if (!ring) return std::nullopt;
  prepare_timeout(*ring, kHour, 0);
  next_sqe(*ring, IORING_OP_NOP, kOther);
  if (ring->submit() != 2) return std::nullopt;
  const auto timeout = find_completion(take_ready(*ring), kSubject);
  if (!timeout) return false;
  return timeout->res == 0 ? Verdict(true) : std::nullopt;
}

/// Nobody has this user_data: -ENOENT where the flags are known.
Verdict try_for_nobody(Kernel& kernel, std::uint8_t opcode, std::uint32_t flags) {
  return known_unless_einval(try_sqe(kernel, [opcode, flags](io_uring_sqe& sqe) {
    sqe.opcode = opcode;
    sqe.fd = -1;
    sqe.addr = 77;
    sqe.addr2 = opcode == IORING_OP_TIMEOUT_REMOVE ? reinterpret_cast<std::uintptr_t>(&kNanosecond) : 0;
    // timeout_flags, cancel_flags: one union.
    sqe.timeout_flags = flags;
  }));
}

Verdict try_poll_multishot(Kernel& kernel) {
  return known_unless_einval(try_sqe(kernel, [](io_uring_sqe& sqe) {
    sqe.opcode = IORING_OP_POLL_REMOVE;
    sqe.fd = -1;
    sqe.addr = 77;
    sqe.len = IORING_POLL_UPDATE_EVENTS;
    sqe.poll32_events = POLLIN;
  }));
}

/// A socket whose peer sends no more, polled for what never comes to it.
Verdict try_hangup(Kernel& kernel) {
  const TrialFds pair = TrialFds::sockets();
  Result<Ring> ring = Ring::create(kernel, {.sq_entries = 4});
  if (!pair || !ring || ::shutdown(pair[1], SHUT_WR) != 0) return std::nullopt;
  prepare_poll(*ring, pair[0], POLLPRI);
  if (ring->submit() != 1) return std::nullopt;
  const auto poll = find_completion(take_ready(*ring), kSubject);
  if (!poll) return false;
  return poll->res > 0 ? Verdict(true) : std::nullopt;
}

/// An eventfd is polled until it can be read, then until it can be written, which it can.
Verdict try_update_to_ready(Kernel& kernel) {
  const TrialEventfd file;
  Result<Ring> ring = Ring::create(kernel, {.sq_entries = 4});
  if (!ring) return std::nullopt;
  prepare_poll(*ring, file.fd(), POLLIN);
  if (ring->submit() != 1) return std::nullopt;
  io_uring_sqe& update = next_sqe(*ring, IORING_OP_POLL_REMOVE, kOther);
  update.addr = kSubject;
  update.len = IORING_POLL_UPDATE_EVENTS;
  update.poll32_events = POLLOUT;
  if (ring->submit() != 1) return std::nullopt;
  ring->get_events();
  const std::vector<TrialCompletion> completions = take_ready(*ring);
  const auto updated = find_completion(completions, kOther);
  if (!updated || updated->res != 0) return std::nullopt;
  return !find_completion(completions, kSubject).has_value();
}

/// What was just prepared is cancelled: is it told of before the cancelation?
Verdict try_order_of_cancelation(Ring& ring) {
  if (ring.submit() != 1) return std::nullopt;
  next_sqe(ring, IORING_OP_ASYNC_CANCEL, kOther).addr = kSubject;
  const std::vector<TrialCompletion> completions = run_trial(ring, 2);
  if (completions.size() != 2) return std::nullopt;
  const auto cancelled = find_completion(completions, kSubject);
  if (!cancelled || cancelled->res != -ECANCELED) return std::nullopt;
  return completions[0].user_data == kOther;
}

Verdict try_cancelled_poll(Kernel& kernel) {
  const TrialEventfd file;
  Result<Ring> ring = Ring::create(kernel, {.sq_entries = 4});
  if (!ring) return std::nullopt;
  prepare_poll(*ring, file.fd(), POLLIN);
  return try_order_of_cancelation(*ring);
}

Verdict try_cancelled_timeout(Kernel& kernel) {
  Result<Ring> ring = Ring::create(kernel, {.sq_entries = 4});
  if (!ring) return std::nullopt;
  prepare_timeout(*ring, kHour, 1);
  return try_order_of_cancelation(*ring);
}

/// What was just prepared is cancelled by its opcode alone: the cancelation's result.
std::optional<int> cancel_by_opcode(Ring& ring, std::uint8_t opcode) {
  io_uring_sqe& cancel = next_sqe(ring, IORING_OP_ASYNC_CANCEL, kOther);
  cancel.len = opcode;
  cancel.cancel_flags = uapi::kAsyncCancelOp;
  if (ring.submit() != 2) return std::nullopt;
  const auto cancelation = find_completion(run_trial(ring, 1), kOther);
  if (!cancelation) return std::nullopt;
  return cancelation->res;
}

/// A timeout of an hour, and a cancelation that knows nothing of it but its opcode. That the flag is taken is not
/// enough: a 6.1 of many stable releases takes it and finds nothing.
Verdict try_cancel_by_op(Kernel& kernel) {
  Result<Ring> ring = Ring::create(kernel, {.sq_entries = 4});
  if (!ring) return std::nullopt;
  prepare_timeout(*ring, kHour, 0);
  const std::optional<int> result = cancel_by_opcode(*ring, IORING_OP_TIMEOUT);
  return result ? Verdict(*result == 0) : std::nullopt;
}

/// The same of a wait for a futex that nobody wakes.
Verdict try_cancelled_wait(Kernel& kernel) {
  static constexpr std::uint32_t kWord = 0;
  Result<Ring> ring = Ring::create(kernel, {.sq_entries = 4});
  if (!ring) return std::nullopt;
  io_uring_sqe& wait = next_sqe(*ring, uapi::kOpFutexWait, kSubject);
  wait.fd = 2 | 128;  // 32 bits, private
  wait.addr = reinterpret_cast<std::uintptr_t>(&kWord);
  wait.addr3 = ~std::uint32_t{0};
  const std::optional<int> result = cancel_by_opcode(*ring, uapi::kOpFutexWait);
  if (result != -ENOENT && result.value_or(-1) < 0) return std::nullopt;
  return *result == -ENOENT;
}

/// A NOP that is to find a file where there is none.
Verdict try_nop_without_file(Kernel& kernel) {
  const std::optional<int> answer = try_sqe(kernel, [](io_uring_sqe& sqe) {
    sqe.opcode = IORING_OP_NOP;
    sqe.fd = -1;
    sqe.rw_flags = static_cast<int>(uapi::kNopFile);
  });
  if (!answer) return std::nullopt;
  return *answer == -EBADF;
}

Verdict try_unknown_nop_flag(Kernel& kernel) {
  const std::optional<int> answer = try_sqe(kernel, [](io_uring_sqe& sqe) {
    sqe.opcode = IORING_OP_NOP;
    sqe.rw_flags = static_cast<int>(0x8000'0000u);
  });
  if (!answer) return std::nullopt;
  return *answer == -EINVAL;
}

}  // namespace

std::vector<SwitchTrial> try_request_switches(Kernel& kernel) {
  const Verdict poll_multishot = try_poll_multishot(kernel);
  const Verdict by_op = try_cancel_by_op(kernel);
  return {
      {&Semantics::poll_multishot, poll_multishot},
      {&Semantics::polls_watch_hangup, try_hangup(kernel)},
      {&Semantics::poll_update_loses_ready,
       poll_multishot.value_or(false) ? try_update_to_ready(kernel) : Verdict(false)},
      {&Semantics::poll_cancelled_from_task_work, try_cancelled_poll(kernel)},
      {&Semantics::timeout_cancelled_from_task_work, try_cancelled_timeout(kernel)},
      {&Semantics::timeouts_count_at_least_one, try_uncounted_timeout(kernel)},
      {&Semantics::negative_times_refused, try_negative_time(kernel)},
      {&Semantics::timeout_update, try_for_nobody(kernel, IORING_OP_TIMEOUT_REMOVE, IORING_TIMEOUT_UPDATE)},
      {&Semantics::timeout_clocks, try_timeout_flags(kernel, IORING_TIMEOUT_BOOTTIME)},
      {&Semantics::timeout_etime_success, try_timeout_flags(kernel, IORING_TIMEOUT_ETIME_SUCCESS)},
      {&Semantics::timeout_multishot, try_timeout_flags(kernel, uapi::kTimeoutMultishot)},
      {&Semantics::cancel_matching, try_for_nobody(kernel, IORING_OP_ASYNC_CANCEL, IORING_ASYNC_CANCEL_ALL)},
      {&Semantics::cancel_by_op, by_op},
      {&Semantics::waits_cancelled_by_user_data, by_op.value_or(false) ? try_cancelled_wait(kernel) : std::nullopt},
      {&Semantics::nop_tells_failure, try_nop_without_file(kernel)},
      {&Semantics::nop_checks_flags, try_unknown_nop_flag(kernel)},
  };
}

}  // namespace assay::internal
