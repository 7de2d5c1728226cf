#pragma once

#include <cerrno>
#include <memory>
#include <span>
#include <utility>

#include "assay/backend/ring.h"
#include "assay/bench/setup.h"

namespace assay::bench {

/// Ring, spelled as LiburingRing is, so that one source submits through either.
class AssayRing {
 public:
  static Result<std::unique_ptr<AssayRing>> create(unsigned sq_entries, unsigned cq_entries, const RingChoice& choice,
                                                   Kernel& kernel = LinuxKernel::instance()) {
    auto ring = Ring::create(kernel, {.sq_entries = sq_entries,
                                      .cq_entries = cq_entries,
                                      .setup_flags = choice.flags,
                                      .sq_thread_idle = std::chrono::milliseconds(kSqThreadIdleMs),
                                      .register_ring_fd = choice.register_ring_fd});
    if (!ring) return ring.error();
    if (choice.register_ring_fd && !ring->ring_fd_registered()) {
      return Error::from_errno(ENOTSUP, "IORING_REGISTER_RING_FDS");
    }
    return std::unique_ptr<AssayRing>(new AssayRing(std::move(*ring)));
  }

  io_uring* raw() noexcept { return ring_.raw(); }
  int register_files(std::span<const int> fds) { return ring_.register_files(fds); }
  int register_buffers(std::span<const iovec> buffers) { return ring_.register_buffers(buffers); }
  int register_buffer_ring(io_uring_buf_reg& request) {
    return ring_.register_op(IORING_REGISTER_PBUF_RING, &request, 1);
  }
  io_uring_sqe* sqe() {
    io_uring_sqe* sqe = ring_.get_sqe();
    while (sqe == nullptr) {
      if ((ring_.setup_flags() & IORING_SETUP_SQPOLL) == 0) give_up("Ring::get_sqe", EBUSY);
      if (const int result = ring_.wait_for_sq_space(); result < 0) give_up("Ring::wait_for_sq_space", result);
      sqe = ring_.get_sqe();
    }
    return sqe;
  }
  /// Submits, waits for `wait_nr` and calls `visit(const io_uring_cqe&)` for each that is there. Returns how many.
  template <typename Visit>
  unsigned turn(unsigned wait_nr, Visit visit) {
    const int result = ring_.submit_and_wait(wait_nr);
    if (result < 0) give_up("Ring::submit_and_wait", result);
    return ring_.for_each_cqe(visit);
  }
  void submit() {
    if (const int result = ring_.submit(); result < 0) give_up("Ring::submit", result);
  }
  /// Calls `visit` for each completion that is there, without a call. Returns how many.
  template <typename Visit>
  unsigned reap(Visit visit) {
    return ring_.for_each_cqe(visit);
  }

 private:
  explicit AssayRing(Ring ring) : ring_(std::move(ring)) {}

  Ring ring_;
};

}  // namespace assay::bench
