#pragma once

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <liburing.h>

#include "assay/backend/linux_kernel.h"
#include "assay/backend/ring.h"

namespace assay::bench {

/// Setup flags of the rings that the NOP benchmarks compare.
enum class TaskWork {
  /// Completions are posted as the kernel pleases.
  kPlain,
  /// IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN, with the ring's fd registered: the fastest set-up that
  /// kernels from 6.1 offer.
  kDeferred,
};

inline constexpr unsigned kMaxBatch = 128;

inline unsigned setup_flags_of(TaskWork task_work) {
  return task_work == TaskWork::kDeferred ? IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN : 0;
}

[[noreturn]] inline void give_up(const char* call, int error) {
  std::fprintf(stderr, "%s: %s\n", call, std::strerror(-error));
  std::exit(1);
}

/// NOPs through liburing itself: the peer that every ratio refers to.
class LiburingNops {
 public:
  explicit LiburingNops(TaskWork task_work) {
    const int result = io_uring_queue_init(kMaxBatch, &ring_, setup_flags_of(task_work));
    if (result < 0) give_up("io_uring_queue_init", result);
    if (task_work == TaskWork::kDeferred) io_uring_register_ring_fd(&ring_);
  }
  LiburingNops(const LiburingNops&) = delete;
  LiburingNops& operator=(const LiburingNops&) = delete;
  ~LiburingNops() { io_uring_queue_exit(&ring_); }

  /// Submits `batch` NOPs in one call, waits for them and reaps them.
  void round(unsigned batch) {
    for (unsigned i = 0; i < batch; ++i) io_uring_prep_nop(io_uring_get_sqe(&ring_));
    const int result = io_uring_submit_and_wait(&ring_, batch);
    if (result < 0) give_up("io_uring_submit_and_wait", result);
    unsigned head = 0;
    unsigned seen = 0;
    io_uring_cqe* cqe = nullptr;
    io_uring_for_each_cqe(&ring_, head, cqe) seen += cqe->res == 0 ? 1 : 0;
    io_uring_cq_advance(&ring_, seen);
    if (seen != batch) give_up("a NOP", -EIO);
  }

 private:
  io_uring ring_{};
};

/// The same NOPs, the same work step by step, through Ring over LinuxKernel.
class RingNops {
 public:
  explicit RingNops(TaskWork task_work, Kernel& kernel = LinuxKernel::instance()) : ring_(open(kernel, task_work)) {}

  void round(unsigned batch) {
    for (unsigned i = 0; i < batch; ++i) io_uring_prep_nop(ring_.get_sqe());
    const int result = ring_.submit_and_wait(batch);
    if (result < 0) give_up("Ring::submit_and_wait", result);
    unsigned seen = 0;
    ring_.for_each_cqe([&seen](const io_uring_cqe& cqe) { seen += cqe.res == 0 ? 1 : 0; });
    if (seen != batch) give_up("a NOP", -EIO);
  }

 private:
  static Ring open(Kernel& kernel, TaskWork task_work) {
    auto ring = Ring::create(kernel, {.sq_entries = kMaxBatch,
                                      .setup_flags = setup_flags_of(task_work),
                                      .register_ring_fd = task_work == TaskWork::kDeferred});
    if (!ring) give_up("Ring::create", -ring.error().code.value());
    return std::move(*ring);
  }

  Ring ring_;
};

}  // namespace assay::bench
