#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace assay::bench {

/// How many rounds the next repetition takes, after one of `rounds` took so long: more where it turned out much shorter
/// than `min_time`, by 64 times at most. A poll thread and who waits for it may have shared a CPU while it was found
/// out how long a round takes, and a repetition of two rounds is over before a scheduler parts them.
inline std::int64_t fitted_rounds(std::int64_t rounds, std::chrono::duration<double> took,
                                  std::chrono::duration<double> min_time) {
  constexpr double kMost = 64;
  if (4 * took >= min_time) return rounds;
  return rounds * static_cast<std::int64_t>(min_time / std::max(took, min_time / kMost));
}

}  // namespace assay::bench
