#pragma once

#include <cstdint>

namespace assay::internal {

/// How many workers carry out what may block: one limit for work on files that ends by itself, one for all other
/// (struct io_wq). Each thread has its own; so has each poll thread.
///
/// Simulated workers never block, so the limits are remembered and nothing else.
struct WorkerLimits {
  std::uint32_t bounded = 0;
  std::uint32_t unbounded = 0;

  /// As the first ring of a thread makes them.
  static WorkerLimits initial(unsigned sq_entries);
  /// Takes those of `wanted` that are not zero, and leaves the previous ones there (IORING_REGISTER_IOWQ_MAX_WORKERS).
  void exchange(std::uint32_t (&wanted)[2]);
};

}  // namespace assay::internal
