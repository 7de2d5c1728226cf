#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "assay/bench/setup.h"

namespace assay::bench {

/// What is submitted.
enum class Work {
  kNop,
  /// 4 KiB that the page cache has.
  kRead,
  /// 4 KiB past the page cache: what a device takes.
  kReadDirect,
  /// 4 KiB into the page cache.
  kWrite,
  /// A message sent and received: two requests.
  kSocketpair,
  kTcp,
  /// A oneshot poll of a file that is ready.
  kPoll,
  /// A timeout that is over at once.
  kTimeout,
  /// A poll and the request that cancels it.
  kCancel,
};

/// How the ring is set up.
enum class Mode {
  kPlain,
  kCoop,      // COOP_TASKRUN
  kDeferred,  // SINGLE_ISSUER | DEFER_TASKRUN
  kSqpoll,
  /// The same, and whoever submits spins on the CQ rather than sleep in the kernel: no system call at all.
  kSqpollSpin,
  kIopoll,
};

/// What may be registered beforehand, or left to the kernel, to save work for each request.
struct Conveniences {
  bool ring_fd = false;
  bool file = false;
  /// Registered buffers.
  bool buffer = false;
  /// Buffers of a provided ring, of which the kernel picks one when there is something to receive.
  bool provided = false;

  int count() const noexcept { return int{ring_fd} + int{file} + int{buffer} + int{provided}; }
  friend bool operator==(const Conveniences&, const Conveniences&) = default;
};

/// One submission path's place in the grid, whoever submits.
struct GridCell {
  Work work = Work::kNop;
  Mode mode = Mode::kPlain;
  Conveniences with = {};
  /// Requests (or pairs of them) that are submitted in one call, waited for and reaped.
  unsigned batch = 1;

  std::string_view work_name() const;
  /// "deferred+ringfd+file".
  std::string setup_name() const;
  RingChoice ring() const;
  bool has_poll_thread() const noexcept { return mode == Mode::kSqpoll || mode == Mode::kSqpollSpin; }
  /// It belongs to the preset `quick`.
  bool quick() const;
};

inline constexpr unsigned kBatches[] = {1, 2, 8, 32, 128};
inline constexpr unsigned kMostRequests = 2 * 128;

/// Why some cells are not measured: they are invalid, or another cell tells as much.
struct Pruning {
  std::string_view reason;
  bool (*applies)(const GridCell& cell);
};
/// In the order in which they are held to a cell; the first that applies is its reason.
const std::vector<Pruning>& prunings();

/// The whole grid, what is pruned included.
std::vector<GridCell> whole_grid();
/// What is left to be measured.
std::vector<GridCell> grid();

}  // namespace assay::bench
