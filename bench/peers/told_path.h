#pragma once

#include <cerrno>
#include <cstdint>

#include "assay/bench/bench_list.h"
#include "assay/bench/setup.h"

namespace assay::bench {

/// A path whose loop is entered once for many rounds, and left when its callbacks were called often enough. What is
/// ready by then waits for the next run.
class ToldPath : public Path {
 public:
  Ran run(std::uint64_t rounds) final {
    const std::uint64_t told_before = told_;
    const std::uint64_t cqes_before = cqes_;
    goal_ = told_ + rounds * size_;
    run_loop();
    if (!is_enough()) give_up("a loop that ended early", EIO);
    check(told_);
    return {.operations = told_ - told_before, .cqes = cqes_ - cqes_before};
  }

 protected:
  explicit ToldPath(unsigned size) : size_(size) {}

  /// Runs the loop until `count` has said that it is enough, or some turns longer.
  virtual void run_loop() = 0;
  /// Ends the program if somebody was left out.
  virtual void check(std::uint64_t told) { static_cast<void>(told); }

  /// A callback was called. True when the loop may end.
  bool count() noexcept { return ++told_ >= goal_; }
  bool is_enough() const noexcept { return told_ >= goal_; }
  void count_cqes(std::uint64_t cqes) noexcept { cqes_ += cqes; }

 private:
  const unsigned size_;
  std::uint64_t told_ = 0;
  std::uint64_t goal_ = 0;
  std::uint64_t cqes_ = 0;
};

}  // namespace assay::bench
