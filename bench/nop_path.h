#pragma once

#include <cerrno>
#include <deque>

#include "assay/backend/ring.h"
#include "assay/bench/setup.h"

namespace assay::bench {

inline constexpr unsigned kMaxBatch = 128;

/// NOPs through liburing itself: the peer that every ratio refers to.
class LiburingNops {
 public:
  explicit LiburingNops(TaskWork task_work) : ring_(kMaxBatch, 2 * kMaxBatch, task_work) {}

  /// Submits `batch` NOPs in one call, waits for them and reaps them.
  void round(unsigned batch) {
    for (unsigned i = 0; i < batch; ++i) io_uring_prep_nop(ring_.sqe());
    unsigned succeeded = 0;
    ring_.turn(batch, [&succeeded](const io_uring_cqe& cqe) { succeeded += cqe.res == 0 ? 1 : 0; });
    if (succeeded != batch) give_up("a NOP", EIO);
  }

 protected:
  LiburingRing ring_;
};

/// The same NOPs, the same work step by step, through Ring over LinuxKernel.
class RingNops {
 public:
  explicit RingNops(TaskWork task_work, Kernel& kernel = LinuxKernel::instance()) : ring_(open(kernel, task_work)) {}

  void round(unsigned batch) {
    for (unsigned i = 0; i < batch; ++i) io_uring_prep_nop(ring_.get_sqe());
    const int result = ring_.submit_and_wait(batch);
    if (result < 0) give_up("Ring::submit_and_wait", result);
    unsigned succeeded = 0;
    ring_.for_each_cqe([&succeeded](const io_uring_cqe& cqe) { succeeded += cqe.res == 0 ? 1 : 0; });
    if (succeeded != batch) give_up("a NOP", EIO);
  }

 private:
  static Ring open(Kernel& kernel, TaskWork task_work) {
    auto ring = Ring::create(kernel, {.sq_entries = kMaxBatch,
                                      .cq_entries = 2 * kMaxBatch,
                                      .setup_flags = setup_flags_of(task_work),
                                      .register_ring_fd = task_work == TaskWork::kDeferred});
    if (!ring) give_up("Ring::create", ring.error().code.value());
    return std::move(*ring);
  }

  Ring ring_;
};

/// The same NOPs as operations of a user of the Backend.
class BackendNops {
 public:
  explicit BackendNops(TaskWork task_work) : backend_(create_backend(kMaxBatch, 2 * kMaxBatch, task_work)) {
    for (unsigned i = 0; i < kMaxBatch; ++i) nops_.emplace_back(succeeded_);
    // What the loop keeps for itself, its wake-up among it, is set up by its first run.
    round(1);
  }

  void round(unsigned batch) {
    succeeded_ = 0;
    for (unsigned i = 0; i < batch; ++i) {
      if (!backend_->submit(nops_[i])) give_up("Backend::submit", EBUSY);
    }
    turn_of(*backend_);
    if (succeeded_ != batch) give_up("a NOP", EIO);
  }

 protected:
  class Nop final : public Operation {
   public:
    explicit Nop(unsigned& succeeded) : succeeded_(succeeded) {}

   private:
    void prepare(io_uring_sqe& sqe) override { io_uring_prep_nop(&sqe); }
    void complete(const Completion& completion) override { succeeded_ += completion.res == 0 ? 1 : 0; }

    unsigned& succeeded_;
  };

  std::unique_ptr<Backend> backend_;
  unsigned succeeded_ = 0;
  std::deque<Nop> nops_;
};

}  // namespace assay::bench
