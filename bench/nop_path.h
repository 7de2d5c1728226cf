#pragma once

#include <cerrno>
#include <deque>

#include "assay/backend/ring.h"
#include "assay/bench/setup.h"

namespace assay::bench {

inline constexpr unsigned kMaxBatch = 128;
/// Rounds that a benchmark runs at a time, since a program enters its loop once and not for each of them.
inline constexpr unsigned kRounds = 64;

/// NOPs through liburing itself: the peer that every ratio refers to.
class LiburingNops {
 public:
  explicit LiburingNops(TaskWork task_work) : ring_(kMaxBatch, 2 * kMaxBatch, task_work) {}

  /// So many times: submits `batch` NOPs in one call, waits for them and reaps them.
  void rounds(unsigned batch, unsigned count) {
    for (; count != 0; --count) round(batch);
  }

 private:
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

  void rounds(unsigned batch, unsigned count) {
    for (; count != 0; --count) round(batch);
  }

 private:
  void round(unsigned batch) {
    for (unsigned i = 0; i < batch; ++i) io_uring_prep_nop(ring_.get_sqe());
    const int result = ring_.submit_and_wait(batch);
    if (result < 0) give_up("Ring::submit_and_wait", result);
    unsigned succeeded = 0;
    ring_.for_each_cqe([&succeeded](const io_uring_cqe& cqe) { succeeded += cqe.res == 0 ? 1 : 0; });
    if (succeeded != batch) give_up("a NOP", EIO);
  }

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

/// The same NOPs as operations of a user of the Backend, each of which is submitted again by its completion.
class BackendNops {
 public:
  explicit BackendNops(TaskWork task_work) : backend_(create_backend(kMaxBatch, 2 * kMaxBatch, task_work)) {
    for (unsigned i = 0; i < kMaxBatch; ++i) nops_.emplace_back(*this);
  }

  void rounds(unsigned batch, unsigned count) {
    left_ = batch;
    for (unsigned i = 0; i < batch; ++i) nops_[i].start(count);
    if (!backend_->loop() || left_ != 0) give_up("Backend::loop", EIO);
  }

 protected:
  class Nop final : public Operation {
   public:
    explicit Nop(BackendNops& all) : all_(all) {}
    void start(unsigned count) {
      left_ = count;
      submit();
    }

   private:
    void submit() {
      if (!all_.backend_->submit(*this)) give_up("Backend::submit", EBUSY);
    }
    void prepare(io_uring_sqe& sqe) override { io_uring_prep_nop(&sqe); }
    void complete(const Completion& completion) override {
      if (completion.res != 0) give_up("a NOP", completion.res);
      if (--left_ != 0) {
        submit();
      } else if (--all_.left_ == 0) {
        // There may be others in flight, for which the loop would wait.
        all_.backend_->loop_break();
      }
    }

    BackendNops& all_;
    unsigned left_ = 0;
  };

  std::unique_ptr<Backend> backend_;
  unsigned left_ = 0;
  std::deque<Nop> nops_;
};

}  // namespace assay::bench
