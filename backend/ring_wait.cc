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

int Ring::submit_and_wait_batch(unsigned wait_nr, std::chrono::nanoseconds batch_time,
                                std::chrono::nanoseconds timeout) noexcept {
  const unsigned to_submit = flush_sq();
  unsigned flags = 0;
  sq_needs_enter(to_submit, &flags);
  return enter_for(to_submit, wait_nr, flags, timeout, nullptr, batch_time);
}

int Ring::enter_for(unsigned to_submit, unsigned min_complete, unsigned flags, std::chrono::nanoseconds timeout,
                    const sigset_t* sigmask, std::chrono::nanoseconds batch_time) noexcept {
  const __kernel_timespec time = to_kernel_timespec(timeout);
  io_uring_getevents_arg arg{};
  arg.sigmask = reinterpret_cast<std::uint64_t>(sigmask);
  arg.sigmask_sz = kKernelSigsetBytes;
  // min_wait_usec, as newer headers call it; the kernel looks at it from 6.12 on.
  arg.pad = static_cast<std::uint32_t>(std::clamp<std::chrono::nanoseconds::rep>(batch_time.count() / 1000, 0, ~0u));
  arg.ts = reinterpret_cast<std::uint64_t>(&time);
  flags |= IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG;
  return enter(to_submit, min_complete, flags, &arg, sizeof(arg));
}

std::chrono::nanoseconds Ring::monotonic_now() noexcept {
  timespec time{};
  kernel_->now(CLOCK_MONOTONIC, &time);
  return std::chrono::seconds{time.tv_sec} + std::chrono::nanoseconds{time.tv_nsec};
}

// Queues the timeout request of a wait. One that an earlier wait queued and the kernel did not take yet is used again:
// if every interrupted wait added another, a kernel that takes one SQE at a time would never get to the end of them.
bool Ring::queue_wait_timeout(unsigned wait_nr, std::chrono::nanoseconds timeout) noexcept {
  *wait_timeout_ = to_kernel_timespec(timeout);
  const unsigned head = io_uring_smp_load_acquire(ring_.sq.khead);
  if (wait_timeout_queued_ && static_cast<int>(wait_timeout_end_ - head) > 0) {
    auto* queued =
        reinterpret_cast<io_uring_sqe*>(reinterpret_cast<char*>(ring_.sq.sqes) +
                                        (std::size_t{(wait_timeout_end_ - 1) & ring_.sq.ring_mask} << sqe_shift_));
    queued->off = wait_nr;
    return true;
  }
  io_uring_sqe* sqe = get_sqe();
  if (sqe == nullptr) return false;
  io_uring_prep_timeout(sqe, wait_timeout_.get(), wait_nr, 0);
  sqe->user_data = uapi::kUserDataTimeout;
  wait_timeout_end_ = ring_.sq.sqe_tail;
  wait_timeout_queued_ = true;
  return true;
}

// The kernel is asked for a timeout request that completes together with the wait: when the time is over, or when
// `wait_nr` others have completed. It wakes the waiter in either case.
int Ring::submit_and_wait_by_request(unsigned wait_nr, std::chrono::nanoseconds timeout,
                                     const sigset_t* sigmask) noexcept {
  if (wait_nr == 0) return submit_and_wait(0);
  const auto deadline = monotonic_now() + timeout;
  unsigned submitted = 0;
  if (!queue_wait_timeout(wait_nr, timeout)) {
    const int result = submit_and_wait(0);
    if (result < 0) return result;
    submitted = static_cast<unsigned>(result);
    if (!queue_wait_timeout(wait_nr, timeout)) return submitted != 0 ? result : -EAGAIN;
  }

  unsigned to_submit = flush_sq();
  for (;;) {
    unsigned flags = IORING_ENTER_GETEVENTS;
    sq_needs_enter(to_submit, &flags);
    const int result = enter(to_submit, wait_nr, flags, sigmask, kKernelSigsetBytes);
    if (result < 0) return submitted != 0 ? static_cast<int>(submitted) : result;
    if (to_submit != 0) {
      const auto taken = static_cast<unsigned>(result);
      const unsigned place = wait_timeout_end_ - (ring_.sq.sqe_tail - to_submit);
      // Ours is not the caller's to count.
      const bool took_ours = place >= 1 && place <= taken;
      submitted += taken - (took_ours ? 1 : 0);
      if (taken < to_submit) return static_cast<int>(submitted);
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
