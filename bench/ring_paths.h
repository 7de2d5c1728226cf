#pragma once

#include <memory>
#include <utility>

#include "assay/bench/bench_list.h"
#include "assay/bench/grid.h"

namespace assay::bench {

/// A cell's work, batch by batch: prepared, submitted and awaited in one call, reaped. `R` is LiburingRing or
/// AssayRing, `W` one of the works of ring_works.h.
template <typename R, typename W>
class RingPath final : public Path {
 public:
  RingPath(std::unique_ptr<R> ring, const GridCell& cell)
      : ring_(std::move(ring)), work_(*ring_, cell), batch_(cell.batch), spins_(cell.mode == Mode::kSqpollSpin) {}

  Ran run(std::uint64_t rounds) override {
    spins_ ? spin(rounds) : wait(rounds);
    return {.operations = rounds * batch_, .cqes = rounds * batch_ * W::kRequests};
  }

 private:
  // Apart, so that the one's instructions, which are counted, are not changed by the other's.
  [[gnu::noinline]] void wait(std::uint64_t rounds) {
    for (; rounds != 0; --rounds) {
      work_.prepare(batch_);
      unsigned left = batch_ * W::kRequests;
      // Once, but where a wait was interrupted.
      do {
        left -= ring_->turn(left, [this](const io_uring_cqe& cqe) { work_.take(cqe); });
      } while (left != 0);
    }
  }
  [[gnu::noinline]] void spin(std::uint64_t rounds) {
    for (; rounds != 0; --rounds) {
      work_.prepare(batch_);
      ring_->submit();
      unsigned left = batch_ * W::kRequests;
      while ((left -= ring_->reap([this](const io_uring_cqe& cqe) { work_.take(cqe); })) != 0) {
        LinuxKernel::instance().relax(-1);
      }
    }
  }

  std::unique_ptr<R> ring_;
  W work_;
  unsigned batch_;
  bool spins_;
};

/// The cell's path through liburing; the error says why there is none here.
Result<std::unique_ptr<Path>> make_liburing_path(const GridCell& cell);
/// Through Ring.
Result<std::unique_ptr<Path>> make_ring_path(const GridCell& cell);
/// Through operations of a Backend (backend_paths.cc).
Result<std::unique_ptr<Path>> make_backend_path(const GridCell& cell);
/// Why nobody can be measured in that mode, whoever submits: a poll thread beside a single CPU.
Result<void> mode_is_possible(const GridCell& cell);

}  // namespace assay::bench
