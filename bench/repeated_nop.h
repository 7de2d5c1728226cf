#pragma once

#include <cerrno>
#include <cstdint>

#include "assay/backend/backend.h"
#include "assay/bench/setup.h"

namespace assay::bench {

/// A NOP of the Backend's user, submitted again by its own completion: with so little in it that what the benchmark
/// does besides would be seen in the figures.
class RepeatedNop final : public Operation {
 public:
  /// `running` counts those that are not over; the last one ends the loop, which may have other requests to wait for.
  RepeatedNop(Backend& backend, unsigned& running) : backend_(backend), running_(running) {}

  void start(std::uint64_t times) {
    left_ = times;
    submit();
  }

 private:
  void submit() {
    if (!backend_.submit(*this)) give_up("Backend::submit", EBUSY);
  }
  void prepare(io_uring_sqe& sqe) override { io_uring_prep_nop(&sqe); }
  void complete(const Completion& completion) override {
    if (completion.res != 0) give_up("a NOP", completion.res);
    if (--left_ != 0) {
      submit();
    } else if (--running_ == 0) {
      backend_.loop_break();
    }
  }

  Backend& backend_;
  unsigned& running_;
  std::uint64_t left_ = 0;
};

}  // namespace assay::bench
