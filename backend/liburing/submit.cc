// SQEs go out: io_uring_submit(3) and its variants.

#include "assay/backend/liburing/submit.h"

#include "assay/backend/liburing/exported.h"
#include "assay/backend/liburing/process_kernel.h"
#include "assay/backend/liburing/state.h"

namespace assay::liburing {
namespace {

// The kernel's size of a signal set, which is not the C library's.
constexpr std::size_t kKernelSigsetBytes = 8;

int enter_ring(const io_uring& ring, unsigned to_submit, unsigned wait_nr, unsigned flags) {
  return process_kernel().enter(ring.enter_ring_fd, to_submit, wait_nr, flags, nullptr, kKernelSigsetBytes);
}

int submit_flushed(io_uring& ring, unsigned count, unsigned wait_nr, bool gets_events) {
  unsigned flags = enter_flags_of(ring);
  gets_events = gets_events || wait_nr != 0 || cq_needs_enter(ring);
  if (gets_events) flags |= IORING_ENTER_GETEVENTS;
  if (sq_needs_enter(ring, count, &flags) || gets_events) return enter_ring(ring, count, wait_nr, flags);
  // The poll thread will find them; a simulated one takes its turn here.
  if (count != 0) process_kernel().relax(ring.ring_fd);
  return static_cast<int>(count);
}

}  // namespace

unsigned flush_sq(io_uring& ring) {
  io_uring_sq& sq = ring.sq;
  const unsigned tail = sq.sqe_tail;
  if ((ring.flags & uapi::kSetupSqRewind) != 0) {
    // The kernel reads such a ring from index 0 at every call, and moves no head.
    sq.sqe_tail = 0;
    return tail;
  }
  if (sq.sqe_head != tail) {
    sq.sqe_head = tail;
    // A poll thread may read the tail at any time, and must then see the SQEs too.
    io_uring_smp_store_release(sq.ktail, tail);
  }
  return tail - IO_URING_READ_ONCE(*sq.khead);
}

bool sq_needs_enter(const io_uring& ring, unsigned count, unsigned* flags) {
  if (count == 0) return false;
  if ((ring.flags & IORING_SETUP_SQPOLL) == 0) return true;
  // The poll thread says that it sleeps, then looks at the tail once more; we have stored the tail and look whether it
  // sleeps. Without a full barrier in between, both can miss each other.
  io_uring_smp_mb();
  if ((IO_URING_READ_ONCE(*ring.sq.kflags) & IORING_SQ_NEED_WAKEUP) == 0) return false;
  *flags |= IORING_ENTER_SQ_WAKEUP;
  return true;
}

bool cq_needs_flush(const io_uring& ring) {
  return (IO_URING_READ_ONCE(*ring.sq.kflags) & (IORING_SQ_CQ_OVERFLOW | IORING_SQ_TASKRUN)) != 0;
}

bool cq_needs_enter(const io_uring& ring) { return (ring.int_flags & kPollsByEntering) != 0 || cq_needs_flush(ring); }

int submit(io_uring* ring) noexcept { return submit_flushed(*ring, flush_sq(*ring), 0, false); }

int submit_and_wait(io_uring* ring, unsigned wait_nr) noexcept {
  return submit_flushed(*ring, flush_sq(*ring), wait_nr, false);
}

int submit_and_get_events(io_uring* ring) noexcept { return submit_flushed(*ring, flush_sq(*ring), 0, true); }

int get_events(io_uring* ring) noexcept {
  return enter_ring(*ring, 0, 0, IORING_ENTER_GETEVENTS | enter_flags_of(*ring));
}

int sqring_wait(io_uring* ring) noexcept {
  return enter_ring(*ring, 0, 0, IORING_ENTER_SQ_WAIT | enter_flags_of(*ring));
}

// Programs that were compiled against old headers call it; later ones have it inline.
io_uring_sqe* get_sqe(io_uring* ring) noexcept { return ::_io_uring_get_sqe(ring); }

}  // namespace assay::liburing
