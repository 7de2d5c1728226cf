// Ring's waits: with a limit, by whichever way the kernel has, and for the next CQE.

#include "assay/backend/ring.h"

#include <algorithm>
#include <cerrno>

namespace assay {
namespace {

__kernel_timespec to_kernel_timespec(std::chrono::nanoseconds duration) {
  const auto nanoseconds = std::max(duration, std::chrono::nanoseconds{0}).count();
  return {.tv_sec = nanoseconds / 1'000'000'000, .tv_nsec = nanoseconds % 1'000'000'000};
}

}  // namespace

int Ring::submit_and_wait(unsigned wait_nr, std::chrono::nanoseconds timeout, const sigset_t* sigmask) noexcept {
  if ((ring_.features & IORING_FEAT_EXT_ARG) == 0) {
    // TIMEOUT requests came with 5.4, as did this feature; nothing else tells, for the probe is younger.
    if ((ring_.features & IORING_FEAT_SINGLE_MMAP) != 0) return submit_and_wait_by_request(wait_nr, timeout, sigmask);
    return sigmask == nullptr ? submit_and_wait_by_poll(wait_nr, timeout) : -EINVAL;
  }
  const unsigned to_submit = flush_sq();
  unsigned flags = 0;
  sq_needs_enter(to_submit, &flags);
  return enter_for(to_submit, wait_nr, flags, timeout, sigmask);
}

int Ring::enter_for(unsigned to_submit, unsigned min_complete, unsigned flags, std::chrono::nanoseconds timeout,
                    const sigset_t* sigmask) noexcept {
  const __kernel_timespec time = to_kernel_timespec(timeout);
  io_uring_getevents_arg arg{};
  arg.sigmask = reinterpret_cast<std::uint64_t>(sigmask);
  arg.sigmask_sz = kKernelSigsetBytes;
  arg.ts = reinterpret_cast<std::uint64_t>(&time);
  flags |= IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG;
  return enter(to_submit, min_complete, flags, &arg, sizeof(arg));
}

std::chrono::nanoseconds Ring::monotonic_now() noexcept {
  timespec time{};
  kernel_->now(CLOCK_MONOTONIC, &time);
  return std::chrono::seconds{time.tv_sec} + std::chrono::nanoseconds{time.tv_nsec};
}

// The kernel is asked for a timeout request that completes together with the wait: when the time is over, or when
// `wait_nr` others have completed. It wakes the waiter in either case.
int Ring::submit_and_wait_by_request(unsigned wait_nr, std::chrono::nanoseconds timeout,
                                     const sigset_t* sigmask) noexcept {
  if (wait_nr == 0) return submit_and_wait(0);
  const auto deadline = monotonic_now() + timeout;
  unsigned submitted = 0;
  io_uring_sqe* sqe = get_sqe();
  if (sqe == nullptr) {
    const int result = submit_and_wait(0);
    if (result < 0) return result;
    submitted = static_cast<unsigned>(result);
    sqe = get_sqe();
    if (sqe == nullptr) return submitted != 0 ? result : -EAGAIN;
  }
  *wait_timeout_ = to_kernel_timespec(timeout);
  io_uring_prep_timeout(sqe, wait_timeout_.get(), wait_nr, 0);
  sqe->user_data = uapi::kUserDataTimeout;

  unsigned to_submit = flush_sq();
  for (;;) {
    unsigned flags = IORING_ENTER_GETEVENTS;
    sq_needs_enter(to_submit, &flags);
    const int result = enter(to_submit, wait_nr, flags, sigmask, kKernelSigsetBytes);
    if (result < 0) return submitted != 0 ? static_cast<int>(submitted) : result;
    // The last SQE is ours and is not the caller's to count.
    if (to_submit != 0) {
      const bool whole = static_cast<unsigned>(result) == to_submit;
      submitted += static_cast<unsigned>(result) - (whole ? 1 : 0);
      if (!whole) return static_cast<int>(submitted);
      to_submit = 0;
    }
    peek_cqe();  // takes our own completions off the front
    if (submitted != 0) return static_cast<int>(submitted);
    unsigned ready = 0;
    unsigned head = 0;
    io_uring_cqe* cqe = nullptr;
    io_uring_for_each_cqe(&ring_, head, cqe) ready += cqe->user_data != uapi::kUserDataTimeout ? 1 : 0;
    if (ready >= wait_nr) return 0;
    // A timeout that an earlier, interrupted wait left behind wakes us too; only the clock tells it from ours.
    if (monotonic_now() >= deadline) return ready != 0 ? 0 : -ETIME;
  }
}

int Ring::submit_and_wait_by_poll(unsigned wait_nr, std::chrono::nanoseconds timeout) noexcept {
  const int submitted = submit_and_wait(0);
  if (submitted < 0 || wait_nr == 0 || cq_ready() >= wait_nr) return submitted;
  const __kernel_timespec left = to_kernel_timespec(timeout);
  const timespec time{.tv_sec = left.tv_sec, .tv_nsec = left.tv_nsec};
  const int readable = kernel_->wait_readable(ring_.ring_fd, &time);
  if (submitted != 0 || readable > 0) return submitted;
  return readable < 0 ? readable : -ETIME;
}

io_uring_cqe* Ring::peek_cqe() noexcept {
  io_uring_cqe* cqe = nullptr;
  return peek_cqes({&cqe, 1}) != 0 ? cqe : nullptr;
}

unsigned Ring::peek_cqes(std::span<io_uring_cqe*> cqes) noexcept {
  io_uring_cq& cq = ring_.cq;
  unsigned head = *cq.khead;
  const unsigned tail = io_uring_smp_load_acquire(cq.ktail);
  unsigned count = 0;
  for (; head != tail && count < cqes.size(); ++head) {
    io_uring_cqe* cqe = &cq.cqes[(head & cq.ring_mask) << cqe_shift_];
    if (is_own(*cqe)) {
      if (count != 0) break;
      cq_advance(1);
      continue;
    }
    cqes[count++] = cqe;
    // Entries of two sizes cannot be given back by a count of CQEs, so they are handed out singly.
    if (mixed_) break;
  }
  return count;
}

int Ring::wait_cqe(io_uring_cqe** cqe) noexcept { return wait_until_ready(cqe, nullptr, nullptr); }

int Ring::wait_cqe(io_uring_cqe** cqe, std::chrono::nanoseconds timeout, const sigset_t* sigmask) noexcept {
  return wait_until_ready(cqe, &timeout, sigmask);
}

int Ring::wait_until_ready(io_uring_cqe** cqe, const std::chrono::nanoseconds* timeout,
                           const sigset_t* sigmask) noexcept {
  *cqe = peek_cqe();
  if (*cqe != nullptr && !cq_needs_enter()) return 0;
  std::chrono::nanoseconds deadline{};
  if (timeout != nullptr) deadline = monotonic_now() + *timeout;
  std::chrono::nanoseconds left = timeout != nullptr ? *timeout : std::chrono::nanoseconds{0};
  for (;;) {
    int result = 0;
    if (*cqe != nullptr) {
      result = get_events();
    } else if (timeout == nullptr) {
      result = enter(0, 1, IORING_ENTER_GETEVENTS, sigmask, kKernelSigsetBytes);
    } else if ((ring_.features & IORING_FEAT_EXT_ARG) != 0) {
      result = enter_for(0, 1, 0, left, sigmask);
    } else {
      result = submit_and_wait(1, left, sigmask);
    }
    *cqe = peek_cqe();
    if (*cqe != nullptr) return 0;
    if (result < 0) return result;
    if (timeout == nullptr) continue;
    left = deadline - monotonic_now();
    if (left <= std::chrono::nanoseconds{0}) return -ETIME;
  }
}

}  // namespace assay
