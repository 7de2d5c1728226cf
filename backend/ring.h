#pragma once

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "assay/backend/kernel.h"
#include "assay/backend/result.h"
#include "assay/backend/uapi.h"

namespace assay {

/// How a Ring is set up. Every flag that Linux has may be given; the kernel judges it.
struct RingOptions {
  /// SQ entries; the kernel rounds up to a power of two.
  unsigned sq_entries = 256;
  /// CQ entries; 0 leaves the choice to the kernel (twice the SQ). Anything else sets IORING_SETUP_CQSIZE (5.5).
  unsigned cq_entries = 0;
  /// IORING_SETUP_*. NO_MMAP and REGISTERED_FD_ONLY are honoured: the Ring then owns the memory itself.
  unsigned setup_flags = 0;
  /// CPU of the poll thread, with IORING_SETUP_SQ_AFF.
  unsigned sq_thread_cpu = 0;
  /// How long the poll thread spins before it sleeps, with IORING_SETUP_SQPOLL. 0 is the kernel's default, one second.
  std::chrono::milliseconds sq_thread_idle{0};
  /// The ring whose workers and poll thread are shared, with IORING_SETUP_ATTACH_WQ (5.6).
  int attach_wq_fd = -1;
  /// Register the ring's own fd, which saves a file reference a call (5.18). Where the kernel cannot, the Ring works
  /// all the same and `ring_fd_registered` says so.
  bool register_ring_fd = false;
};

/// The user half of io_uring over any Kernel: indices, barriers, submission, waiting, reaping, registration.
///
/// A Ring fills a real `struct io_uring` (`raw`), so liburing's inline functions that only touch memory work on it:
/// io_uring_prep_*, io_uring_get_sqe, io_uring_for_each_cqe, io_uring_cq_advance, io_uring_buf_ring_add. Its exported
/// functions do not: they would call the running kernel behind the Kernel's back.
///
/// Calls that stand for a system call return what it returns, a value >= 0 or a negative errno, as their man pages say
/// (io_uring_enter(2), io_uring_register(2)). A Ring belongs to one thread at a time. Moving it invalidates `raw`.
class Ring {
 public:
  /// Sets up a ring and maps it. The Kernel must outlive the Ring. Nothing is left behind on failure; the error names
  /// the call: ENOSYS and EPERM mean that io_uring is not available here, ENOMEM and EMFILE that resources ran out,
  /// EINVAL that this kernel lacks a flag or refuses a size. Since Linux 5.1. Source: io_uring_setup(2).
  static Result<Ring> create(Kernel& kernel, const RingOptions& options = {});

  Ring(Ring&& other) noexcept;
  Ring& operator=(Ring&& other) noexcept;
  /// Unmaps and closes. Requests in flight are cancelled by the kernel, in its own time.
  ~Ring();

  Kernel& kernel() const noexcept { return *kernel_; }
  /// The ring as liburing's inline functions want it.
  io_uring* raw() noexcept { return &ring_; }
  int fd() const noexcept { return ring_.ring_fd; }
  /// IORING_FEAT_* of this kernel.
  unsigned features() const noexcept { return ring_.features; }
  /// IORING_SETUP_* of this ring.
  unsigned setup_flags() const noexcept { return ring_.flags; }
  unsigned sq_entries() const noexcept { return ring_.sq.ring_entries; }
  unsigned cq_entries() const noexcept { return ring_.cq.ring_entries; }
  bool ring_fd_registered() const noexcept { return ring_fd_registered_; }

  // Submission.

  /// The next free SQE, not cleared, or null when the SQ is full. It is submitted by the next call that submits.
  io_uring_sqe* get_sqe() noexcept {
    const unsigned tail = ring_.sq.sqe_tail;
    // The head that was seen last sets a limit that can only be too low, so it is read again only when that is reached.
    if (static_cast<int>(sq_limit_ - tail) <= 0 && !sq_has_room()) return nullptr;
    ring_.sq.sqe_tail = tail + 1;
    return reinterpret_cast<io_uring_sqe*>(reinterpret_cast<char*>(ring_.sq.sqes) +
                                           (std::size_t{tail & ring_.sq.ring_mask} << sqe_shift_));
  }
  /// SQEs that were taken by get_sqe and not yet consumed by the kernel.
  unsigned sq_ready() const noexcept {
    const unsigned head = (ring_.flags & IORING_SETUP_SQPOLL) != 0 ? io_uring_smp_load_acquire(ring_.sq.khead)
                                                                   : IO_URING_READ_ONCE(*ring_.sq.khead);
    return ring_.sq.sqe_tail - head;
  }
  unsigned sq_space_left() const noexcept { return ring_.sq.ring_entries - sq_ready(); }
  /// Makes taken SQEs visible to the kernel without a call. Returns how many wait there.
  unsigned flush_sq() noexcept;

  /// Submits. Returns how many SQEs the kernel consumed, which can be fewer than were ready: the rest goes with the
  /// next call, in order. Under SQPOLL no call is made unless the poll thread must be woken, and the number returned is
  /// what was handed over.
  int submit() noexcept { return submit_and_wait(0); }
  /// Submits and waits for `wait_nr` completions, in one call. An interruption after something was submitted is not
  /// reported: the count is returned early, and fewer completions than asked for may be there.
  int submit_and_wait(unsigned wait_nr) noexcept {
    if (!plain_) return submit_and_wait_unusual(wait_nr);
    ring_.sq.sqe_head = ring_.sq.sqe_tail;
    io_uring_smp_store_release(ring_.sq.ktail, ring_.sq.sqe_tail);
    const unsigned to_submit = ring_.sq.sqe_tail - IO_URING_READ_ONCE(*ring_.sq.khead);
    unsigned flags = enter_flags_;
    if (wait_nr != 0 || cq_needs_enter()) {
      flags |= IORING_ENTER_GETEVENTS;
    } else if (to_submit == 0) {
      return 0;
    }
    return kernel_->enter(ring_.enter_ring_fd, to_submit, wait_nr, flags, nullptr, kKernelSigsetBytes);
  }
  /// The same for at most `timeout` from now; `sigmask`, if any, is in force meanwhile. -ETIME when the time ran out
  /// and nothing was submitted. Where the kernel lacks IORING_FEAT_EXT_ARG (before 5.11) this costs one SQE. Before 5.4
  /// it costs a ppoll, ends at the first completion whatever `wait_nr` is, and a `sigmask` is refused with -EINVAL.
  int submit_and_wait(unsigned wait_nr, std::chrono::nanoseconds timeout, const sigset_t* sigmask = nullptr) noexcept;
  /// Submits and waits for `wait_nr` completions for at most `batch_time`, and then for one, for at most `timeout` in
  /// all. -ETIME when nothing came. Needs IORING_FEAT_MIN_TIMEOUT (6.12).
  int submit_and_wait_batch(unsigned wait_nr, std::chrono::nanoseconds batch_time,
                            std::chrono::nanoseconds timeout) noexcept;
  /// Runs deferred task work and flushes the overflow backlog, without waiting: enter(GETEVENTS).
  int get_events() noexcept;
  /// Under SQPOLL, waits until the SQ has room (IORING_ENTER_SQ_WAIT, 5.10). Otherwise returns 0 at once.
  int wait_for_sq_space() noexcept;

  // Completion.

  /// CQEs that can be read without a call. The CQEs of the Ring's own timeouts are counted too.
  unsigned cq_ready() const noexcept { return io_uring_smp_load_acquire(ring_.cq.ktail) - *ring_.cq.khead; }
  /// The first CQE, or null. Passes over the Ring's own timeouts. Makes no call.
  io_uring_cqe* peek_cqe() noexcept;
  /// Stores the first CQEs, at most `cqes.size()`, and returns how many. Pass that number to cq_advance. The Ring's own
  /// timeouts are passed over at the front and end the batch elsewhere.
  unsigned peek_cqes(std::span<io_uring_cqe*> cqes) noexcept;
  /// Calls `visit(const io_uring_cqe&)` for each CQE that is there, then gives them all back. `visit` may take SQEs and
  /// submit; completions that this posts are left for the next time. Returns how many were visited; the Ring's own
  /// timeouts are passed over.
  template <typename Visit>
  unsigned for_each_cqe(Visit&& visit) {
    io_uring_cq& cq = ring_.cq;
    const unsigned first = *cq.khead;
    const unsigned tail = io_uring_smp_load_acquire(cq.ktail);
    unsigned passed_over = 0;
    if (!filters_) {
      for (unsigned head = first; head != tail; ++head)
        visit(std::as_const(cq.cqes[(head & cq.ring_mask) << cqe_shift_]));
    } else {
      for (unsigned head = first; head != tail; ++head) {
        const io_uring_cqe& cqe = cq.cqes[(head & cq.ring_mask) << cqe_shift_];
        if (is_own(cqe)) {
          ++passed_over;
          continue;
        }
        visit(cqe);
        // A large entry of a mixed CQ is two.
        if (mixed_ && (cqe.flags & uapi::kCqeF32) != 0) ++head, ++passed_over;
      }
    }
    io_uring_smp_store_release(cq.khead, tail);
    return tail - first - passed_over;
  }
  /// Gives CQEs back to the kernel; they must not be read any more.
  void cq_advance(unsigned count) noexcept { io_uring_cq_advance(&ring_, count); }
  /// Gives one CQE back, which takes two entries if it is one of the large ones of IORING_SETUP_CQE_MIXED (6.18).
  void cqe_seen(const io_uring_cqe* cqe) noexcept { cq_advance((cqe->flags & uapi::kCqeF32) != 0 ? 2 : 1); }
  /// Waits, submitting nothing, until a CQE is there, and stores it. 0, or a negative errno and null.
  int wait_cqe(io_uring_cqe** cqe) noexcept;
  /// The same with a limit: -ETIME when `timeout` ran out first. Before 5.11 SQEs that are ready go along, since the
  /// limit is itself a request.
  int wait_cqe(io_uring_cqe** cqe, std::chrono::nanoseconds timeout, const sigset_t* sigmask = nullptr) noexcept;
  /// True when the kernel holds completions that it can only post during enter: an overflow backlog, or task work.
  bool cq_needs_enter() const noexcept {
    return (IO_URING_READ_ONCE(*ring_.sq.kflags) & (IORING_SQ_CQ_OVERFLOW | IORING_SQ_TASKRUN)) != 0 || iopoll_;
  }
  /// True while completions wait in the kernel's overflow backlog.
  bool cq_has_overflow() const noexcept { return (IO_URING_READ_ONCE(*ring_.sq.kflags) & IORING_SQ_CQ_OVERFLOW) != 0; }
  /// Completions that were dropped for lack of room (`cq.koverflow`; on kernels without IORING_FEAT_NODROP).
  unsigned cq_overflow_count() const noexcept { return *ring_.cq.koverflow; }
  /// SQEs that the kernel dropped because the index array was invalid.
  unsigned sq_dropped_count() const noexcept { return *ring_.sq.kdropped; }

  // Registration. All forward to io_uring_register(2).

  int register_op(unsigned opcode, void* arg, unsigned nr_args) noexcept;
  int register_files(std::span<const int> fds) noexcept;
  /// A table of `count` empty slots. Since 5.19; before that a table of -1 is registered (5.5).
  int register_files_sparse(unsigned count) noexcept;
  int update_files(unsigned offset, std::span<const int> fds) noexcept;
  int unregister_files() noexcept;
  int register_buffers(std::span<const iovec> buffers) noexcept;
  int unregister_buffers() noexcept;
  int register_eventfd(int event_fd) noexcept;
  int unregister_eventfd() noexcept;
  /// Fills `probe`, which has room for `ops` entries. Since 5.6.
  int register_probe(io_uring_probe* probe, unsigned ops) noexcept;
  /// Enables a ring that was set up with IORING_SETUP_R_DISABLED (5.10).
  int enable() noexcept;
  int register_ring_fd() noexcept;
  int unregister_ring_fd() noexcept;

 private:
  // The kernel's size of a signal set, which is not the C library's.
  static constexpr std::size_t kKernelSigsetBytes = 8;
  // Said in io_uring::int_flags, as liburing says it, that enter_ring_fd is an index.
  static constexpr std::uint8_t kIntFlagRegisteredRing = 1;

  Ring() = default;
  void release() noexcept;
  Result<void> map_rings(const io_uring_params& params);
  Result<void> allocate_rings(unsigned sq_entries, io_uring_params& params);
  void fill(const io_uring_params& params);
  bool sq_has_room() noexcept;
  // A completion that is not the caller's: of a wait's own timeout, or the filler of a mixed CQ.
  bool is_own(const io_uring_cqe& cqe) const noexcept {
    return (wait_timeout_ != nullptr && cqe.user_data == uapi::kUserDataTimeout) ||
           (mixed_ && (cqe.flags & uapi::kCqeFSkip) != 0);
  }
  int submit_and_wait_unusual(unsigned wait_nr) noexcept;
  int hand_over_and_wait(unsigned wait_nr) noexcept;
  int enter(unsigned to_submit, unsigned min_complete, unsigned flags, const void* arg, std::size_t arg_bytes) noexcept;
  int enter_for(unsigned to_submit, unsigned min_complete, unsigned flags, std::chrono::nanoseconds timeout,
                const sigset_t* sigmask, std::chrono::nanoseconds batch_time = {}) noexcept;
  bool sq_needs_enter(unsigned submitted, unsigned* flags) noexcept;
  bool queue_wait_timeout(unsigned wait_nr, std::chrono::nanoseconds timeout) noexcept;
  int submit_and_wait_by_request(unsigned wait_nr, std::chrono::nanoseconds timeout, const sigset_t* sigmask) noexcept;
  int submit_and_wait_by_poll(unsigned wait_nr, std::chrono::nanoseconds timeout) noexcept;
  int wait_until_ready(io_uring_cqe** cqe, const std::chrono::nanoseconds* timeout, const sigset_t* sigmask) noexcept;
  std::chrono::nanoseconds monotonic_now() noexcept;

  Kernel* kernel_ = nullptr;
  io_uring ring_{};
  // What the paths that every request takes would otherwise derive from the setup flags each time.
  unsigned sq_limit_ = 0;     // the SQ tail up to which there is room for certain
  unsigned enter_flags_ = 0;  // IORING_ENTER_REGISTERED_RING, or nothing
  std::uint8_t sqe_shift_ = 0;
  std::uint8_t cqe_shift_ = 0;
  bool plain_ = false;  // neither SQPOLL nor IOPOLL nor SQ_REWIND: submission is one store and one call
  bool iopoll_ = false;
  bool mixed_ = false;    // CQE_MIXED
  bool filters_ = false;  // some completions may not be the caller's
  bool ring_fd_registered_ = false;
  bool owns_memory_ = false;  // NO_MMAP: the rings were allocated, not mapped
  std::size_t sqes_bytes_ = 0;
  // What a wait with a limit needs where the kernel has no IORING_FEAT_EXT_ARG. It is read when the request is
  // submitted, which after a partial submission can be long after the wait that wrote it has returned; hence not on the
  // stack.
  std::unique_ptr<__kernel_timespec> wait_timeout_;
  // The SQ's tail when its request was queued: until the head is there, the next wait uses that one again.
  unsigned wait_timeout_end_ = 0;
  bool wait_timeout_queued_ = false;  // once there was one
};

}  // namespace assay
