// CQEs come in: io_uring_wait_cqes(3) and its variants, by the way that the kernel has for a limit.

#include <algorithm>
#include <cerrno>
#include <cstdint>

#include "assay/backend/liburing/exported.h"
#include "assay/backend/liburing/process_kernel.h"
#include "assay/backend/liburing/state.h"
#include "assay/backend/liburing/submit.h"

namespace assay::liburing {
namespace {

constexpr std::size_t kKernelSigsetBytes = 8;

// struct io_uring_getevents_arg; the third word was padding until 6.12.
struct WaitArgument {
  std::uint64_t sigmask;
  std::uint32_t sigmask_bytes;
  std::uint32_t min_wait_us;
  std::uint64_t timeout;
};

struct Wait {
  unsigned to_submit = 0;
  unsigned wait_nr = 0;
  unsigned flags = 0;  // of enter, beside GETEVENTS
  const void* arg = nullptr;
  std::size_t arg_bytes = kKernelSigsetBytes;
  bool limited = false;
};

WaitArgument argument_of(const __kernel_timespec* timeout, unsigned min_wait_us, const sigset_t* sigmask) {
  return {.sigmask = reinterpret_cast<std::uint64_t>(sigmask),
          .sigmask_bytes = kKernelSigsetBytes,
          .min_wait_us = min_wait_us,
          .timeout = reinterpret_cast<std::uint64_t>(timeout)};
}

Wait wait_for(unsigned to_submit, unsigned wait_nr, const WaitArgument& argument) {
  return {.to_submit = to_submit,
          .wait_nr = wait_nr,
          .flags = IORING_ENTER_EXT_ARG,
          .arg = &argument,
          .arg_bytes = sizeof argument,
          .limited = argument.timeout != 0};
}

// Takes the first CQE off the front if it is none of the caller's: filler of a mixed CQ, or the timeout that stood for
// a wait's limit. That one's errno, if it ended with any, is the wait's.
bool pass_over(io_uring& ring, const io_uring_cqe& cqe, int* error) {
  if ((cqe.flags & uapi::kCqeFSkip) != 0 && (ring.flags & uapi::kSetupCqeMixed) != 0) {
    io_uring_cq_advance(&ring, 1);
    return true;
  }
  if (cqe.user_data != LIBURING_UDATA_TIMEOUT || (ring.features & IORING_FEAT_EXT_ARG) != 0) return false;
  *error = std::min(cqe.res, 0);
  io_uring_cq_advance(&ring, 1);
  return true;
}

struct Front {
  io_uring_cqe* cqe = nullptr;
  unsigned ready = 0;
  int error = 0;
};

Front look_at_front(io_uring& ring) {
  const io_uring_cq& cq = ring.cq;
  for (;;) {
    Front front;
    const unsigned head = *cq.khead;
    front.ready = io_uring_smp_load_acquire(cq.ktail) - head;
    if (front.ready == 0) return front;
    front.cqe = &cq.cqes[(head & cq.ring_mask) << cqe_shift_of(ring.flags)];
    if (!pass_over(ring, *front.cqe, &front.error)) return front;
    front.cqe = nullptr;
    if (front.error != 0) return front;
  }
}

// Submits, waits, and finds the first CQE. What the first enter returned (SQEs consumed), or the first negative errno.
int wait_for_front(io_uring& ring, io_uring_cqe** found, Wait wait) {
  Kernel& kernel = process_kernel();
  bool entered = false;
  int result = 0;
  *found = nullptr;
  for (;;) {
    Front front = look_at_front(ring);
    const bool only_looks = wait.wait_nr == 0 && wait.to_submit == 0;
    bool needs_enter = false;
    if (front.cqe == nullptr && front.error == 0 && only_looks) {
      needs_enter = !entered && cq_needs_enter(ring);
      if (!needs_enter) {
        // A program that spins here must see a simulated kernel go on.
        kernel.relax(ring.ring_fd);
        front = look_at_front(ring);
        if (front.cqe == nullptr && front.error == 0) return result != 0 ? result : -EAGAIN;
      }
    }
    if (front.error != 0) return result < 0 ? result : front.error;

    unsigned flags = enter_flags_of(ring);
    if (wait.wait_nr > front.ready || needs_enter) {
      flags |= IORING_ENTER_GETEVENTS | wait.flags;
      needs_enter = true;
    }
    if (sq_needs_enter(ring, wait.to_submit, &flags)) needs_enter = true;
    if (!needs_enter || (entered && wait.limited)) {
      // A limited wait is made once: that it ended without a CQE can only mean that the time was over.
      if (needs_enter && front.cqe == nullptr && result == 0) result = -ETIME;
      *found = front.cqe;
      return result;
    }

    const int entry = kernel.enter(ring.enter_ring_fd, wait.to_submit, wait.wait_nr, flags, wait.arg, wait.arg_bytes);
    if (entry < 0) {
      *found = front.cqe;
      return result != 0 ? result : entry;
    }
    wait.to_submit -= static_cast<unsigned>(entry);
    if (front.cqe != nullptr) {
      *found = front.cqe;
      return result;
    }
    if (!entered) {
      entered = true;
      result = entry;
    }
  }
}

// Before 5.11 a wait's limit is a request of its own. What there is to submit with it, or a negative errno.
int queue_limit(io_uring& ring, unsigned wait_nr, __kernel_timespec* timeout) {
  io_uring_sqe* sqe = ::_io_uring_get_sqe(&ring);
  if (sqe == nullptr) {
    if (const int result = submit(&ring); result < 0) return result;
    sqe = ::_io_uring_get_sqe(&ring);
    if (sqe == nullptr) return -EAGAIN;
  }
  io_uring_prep_timeout(sqe, timeout, wait_nr, 0);
  sqe->user_data = LIBURING_UDATA_TIMEOUT;
  return static_cast<int>(flush_sq(ring));
}

// Stores the first CQEs, as many as there are and `count` allows.
unsigned take_batch(io_uring& ring, io_uring_cqe** cqes, unsigned count) {
  const io_uring_cq& cq = ring.cq;
  const bool mixed = (ring.flags & uapi::kSetupCqeMixed) != 0;
  unsigned head = *cq.khead;
  const unsigned tail = io_uring_smp_load_acquire(cq.ktail);
  unsigned taken = 0;
  while (head != tail && taken < count) {
    io_uring_cqe* cqe = &cq.cqes[(head & cq.ring_mask) << cqe_shift_of(ring.flags)];
    if (mixed && (cqe->flags & uapi::kCqeFSkip) != 0) {
      // Filler can be given back at the front alone; elsewhere it ends the batch.
      if (taken != 0) break;
      io_uring_cq_advance(&ring, 1);
      ++head;
      continue;
    }
    cqes[taken++] = cqe;
    head += mixed && (cqe->flags & uapi::kCqeF32) != 0 ? 2 : 1;
  }
  return taken;
}

int submit_and_wait_limited(io_uring& ring, io_uring_cqe** cqe, unsigned wait_nr, __kernel_timespec* timeout,
                            unsigned min_wait_us, sigset_t* sigmask) {
  if (timeout != nullptr && (ring.features & IORING_FEAT_EXT_ARG) != 0) {
    const WaitArgument argument = argument_of(timeout, min_wait_us, sigmask);
    return wait_for_front(ring, cqe, wait_for(flush_sq(ring), wait_nr, argument));
  }
  const int to_submit = timeout != nullptr ? queue_limit(ring, wait_nr, timeout) : static_cast<int>(flush_sq(ring));
  if (to_submit < 0) return to_submit;
  return get_cqe(&ring, cqe, static_cast<unsigned>(to_submit), wait_nr, sigmask);
}

}  // namespace

int get_cqe(io_uring* ring, io_uring_cqe** cqe, unsigned to_submit, unsigned wait_nr, sigset_t* sigmask) noexcept {
  return wait_for_front(*ring, cqe, {.to_submit = to_submit, .wait_nr = wait_nr, .arg = sigmask});
}

int wait_cqes(io_uring* ring, io_uring_cqe** cqe, unsigned wait_nr, __kernel_timespec* timeout,
              sigset_t* sigmask) noexcept {
  if (timeout != nullptr && (ring->features & IORING_FEAT_EXT_ARG) != 0) {
    const WaitArgument argument = argument_of(timeout, 0, sigmask);
    return wait_for_front(*ring, cqe, wait_for(0, wait_nr, argument));
  }
  const int to_submit = timeout != nullptr ? queue_limit(*ring, wait_nr, timeout) : 0;
  if (to_submit < 0) return to_submit;
  return get_cqe(ring, cqe, static_cast<unsigned>(to_submit), wait_nr, sigmask);
}

int wait_cqe_timeout(io_uring* ring, io_uring_cqe** cqe, __kernel_timespec* timeout) noexcept {
  return wait_cqes(ring, cqe, 1, timeout, nullptr);
}

int wait_cqes_min_timeout(io_uring* ring, io_uring_cqe** cqe, unsigned wait_nr, __kernel_timespec* timeout,
                          unsigned min_wait_us, sigset_t* sigmask) noexcept {
  if ((ring->features & uapi::kFeatMinTimeout) == 0) return -EINVAL;
  const WaitArgument argument = argument_of(timeout, min_wait_us, sigmask);
  return wait_for_front(*ring, cqe, wait_for(0, wait_nr, argument));
}

int submit_and_wait_timeout(io_uring* ring, io_uring_cqe** cqe, unsigned wait_nr, __kernel_timespec* timeout,
                            sigset_t* sigmask) noexcept {
  return submit_and_wait_limited(*ring, cqe, wait_nr, timeout, 0, sigmask);
}

int submit_and_wait_min_timeout(io_uring* ring, io_uring_cqe** cqe, unsigned wait_nr, __kernel_timespec* timeout,
                                unsigned min_wait_us, sigset_t* sigmask) noexcept {
  if ((ring->features & uapi::kFeatMinTimeout) == 0) return -EINVAL;
  return submit_and_wait_limited(*ring, cqe, wait_nr, timeout, min_wait_us, sigmask);
}

int submit_and_wait_reg(io_uring* ring, io_uring_cqe** cqe, unsigned wait_nr, int index) noexcept {
  if ((ring->features & IORING_FEAT_EXT_ARG) == 0) return -EINVAL;
  // The argument is an offset into the registered region, in which the waits (struct io_uring_reg_wait) are an array.
  constexpr std::size_t kRegisteredWaitBytes = 64;
  const auto offset = static_cast<std::uintptr_t>(static_cast<std::size_t>(index) * kRegisteredWaitBytes);
  return wait_for_front(*ring, cqe,
                        {.to_submit = flush_sq(*ring),
                         .wait_nr = wait_nr,
                         .flags = IORING_ENTER_EXT_ARG | uapi::kEnterExtArgReg,
                         .arg = reinterpret_cast<const void*>(offset),
                         .arg_bytes = kRegisteredWaitBytes,
                         .limited = true});
}

unsigned peek_batch_cqe(io_uring* ring, io_uring_cqe** cqes, unsigned count) noexcept {
  if (const unsigned taken = take_batch(*ring, cqes, count); taken != 0) return taken;
  if (cq_needs_flush(*ring)) {
    get_events(ring);
  } else {
    process_kernel().relax(ring->ring_fd);
  }
  return take_batch(*ring, cqes, count);
}

}  // namespace assay::liburing
