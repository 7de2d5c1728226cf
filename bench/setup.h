#pragma once

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

#include <liburing.h>

#include "assay/backend/backend.h"
#include "assay/backend/linux_kernel.h"

namespace assay::bench {

/// Setup flags of the rings that are compared, the same for every path of a row.
enum class TaskWork {
  /// Completions are posted as the kernel pleases.
  kPlain,
  /// IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN, with the ring's fd registered: the fastest set-up that
  /// kernels from 6.1 offer.
  kDeferred,
};

inline unsigned setup_flags_of(TaskWork task_work) {
  return task_work == TaskWork::kDeferred ? IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN : 0;
}

/// A benchmark that measures something else than it says is worse than none: the program ends.
[[noreturn]] inline void give_up(const char* call, int error) {
  std::fprintf(stderr, "%s: %s\n", call, std::strerror(error < 0 ? -error : error));
  std::exit(1);
}

/// A ring of liburing's own.
class LiburingRing {
 public:
  LiburingRing(unsigned sq_entries, unsigned cq_entries, TaskWork task_work) {
    io_uring_params params{};
    params.flags = setup_flags_of(task_work) | IORING_SETUP_CQSIZE;
    params.cq_entries = cq_entries;
    const int result = io_uring_queue_init_params(sq_entries, &ring_, &params);
    if (result < 0) give_up("io_uring_queue_init_params", result);
    if (task_work == TaskWork::kDeferred) io_uring_register_ring_fd(&ring_);
  }
  LiburingRing(const LiburingRing&) = delete;
  LiburingRing& operator=(const LiburingRing&) = delete;
  ~LiburingRing() { io_uring_queue_exit(&ring_); }

  io_uring* raw() noexcept { return &ring_; }
  /// The next SQE; there must be room.
  io_uring_sqe* sqe() {
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
    if (sqe == nullptr) give_up("io_uring_get_sqe", EBUSY);
    return sqe;
  }
  /// Submits, waits for `wait_nr` and calls `visit(const io_uring_cqe&)` for each that is there. Returns how many.
  template <typename Visit>
  unsigned turn(unsigned wait_nr, Visit visit) {
    const int result = io_uring_submit_and_wait(&ring_, wait_nr);
    if (result < 0) give_up("io_uring_submit_and_wait", result);
    unsigned head = 0;
    unsigned seen = 0;
    io_uring_cqe* cqe = nullptr;
    io_uring_for_each_cqe(&ring_, head, cqe) {
      visit(*cqe);
      ++seen;
    }
    io_uring_cq_advance(&ring_, seen);
    return seen;
  }

 private:
  io_uring ring_{};
};

/// A Backend whose ring is set up as the LiburingRing beside it.
inline std::unique_ptr<Backend> create_backend(unsigned sq_entries, unsigned cq_entries, TaskWork task_work,
                                               Kernel& kernel = LinuxKernel::instance()) {
  auto backend = Backend::create(kernel, {.capacity = cq_entries,
                                          .sq_entries = sq_entries,
                                          .max_submit = sq_entries,
                                          .max_get = cq_entries,
                                          .defer_taskrun = task_work == TaskWork::kDeferred,
                                          .coop_taskrun = false,
                                          .register_ring_fd = task_work == TaskWork::kDeferred});
  if (!backend) give_up("Backend::create", backend.error().code.value());
  return std::move(*backend);
}

/// A turn of its loop, which waits until something was told.
inline void turn_of(Backend& backend) {
  if (auto status = backend.loop(LoopMode::kOnce); !status) give_up("Backend::loop", status.error().code.value());
}

}  // namespace assay::bench
