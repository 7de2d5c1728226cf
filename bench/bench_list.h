#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "assay/backend/result.h"

namespace assay::bench {

/// What some rounds of a path came to.
struct Ran {
  /// What a figure is an amount of: NOPs, reads, messages echoed, timers fired.
  std::uint64_t operations = 0;
  /// Completions that were reaped from a ring; 0 where there is none.
  std::uint64_t cqes = 0;
  /// The time of what is measured, where other work had to be done in between (Bench::times_itself).
  std::chrono::nanoseconds time{0};
};

/// One way to do a piece of work, set up and ready to do it. Belongs to one thread.
class Path {
 public:
  Path() = default;
  Path(const Path&) = delete;
  Path& operator=(const Path&) = delete;
  virtual ~Path() = default;

  /// Does so many rounds, in each of which every one of the Bench's `size` operations (descriptors, connections) has
  /// its turn. Results are checked: what goes wrong ends the program by `give_up`, since a wrong result has no speed.
  virtual Ran run(std::uint64_t rounds) = 0;
};

/// The name of a Bench. Written "chapter/work/setup/path/size_name:size"; no part holds a slash.
struct BenchName {
  /// "paths", "peers" or "harness".
  std::string chapter;
  /// What is done: "nop", "read", "echo".
  std::string work;
  /// How: what all paths of a row share, so that they may be compared: "deferred+ringfd", "tcp".
  std::string setup;
  /// By what: "liburing", "Ring", "Backend", "libevent".
  std::string path;
  /// How many at a time: "batch", "fds", "connections", "armed".
  std::string size_name;
  unsigned size = 1;

  std::string text() const;
  /// All but the path: benches with the same row are measured side by side.
  std::string row() const;
};

/// One path at one size: a figure of the report.
struct Bench {
  BenchName name;
  /// It belongs to the preset `quick`, too.
  bool quick = false;
  /// Its Path measures by itself what counts.
  bool times_itself = false;
  /// What counts happens in another process, whose time this thread's share of the CPU says nothing of.
  bool elsewhere = false;
  /// Rounds that are run at a time; 0 leaves it to the runner, which takes some 256 operations' worth.
  unsigned rounds_at_a_time = 0;
  /// Sets the path up. The error says in a line why this machine cannot: it is told once, and the rest runs.
  std::function<Result<std::unique_ptr<Path>>()> make;
};

/// All that there is to measure.
class BenchList {
 public:
  /// Works are measured in the order in which their first bench was added, their rows by size and then in that order,
  /// and the paths of a row in theirs; the first is what the others' ratios refer to.
  void add(Bench bench) { benches_.push_back(std::move(bench)); }
  /// Says what is not there to be measured and why: a peer that was not built.
  void leave_out(std::string line) { left_out_.push_back(std::move(line)); }

  std::span<const Bench> benches() const noexcept { return benches_; }
  std::span<const std::string> left_out() const noexcept { return left_out_; }

 private:
  std::vector<Bench> benches_;
  std::vector<std::string> left_out_;
};

/// Submission paths of liburing, Ring and Backend (grid.h).
void add_submission_paths(BenchList& list);
/// NOPs while so many other requests are in flight.
void add_among_polls(BenchList& list);
/// Whole pieces of work by the Backend and by other event loops.
void add_peers(BenchList& list);
/// What Assay itself costs.
void add_harness(BenchList& list);

/// A factory of paths that cannot fail but by `give_up`.
template <typename P, typename... Arguments>
std::function<Result<std::unique_ptr<Path>>()> make_path(Arguments... arguments) {
  return [arguments...]() -> Result<std::unique_ptr<Path>> { return std::unique_ptr<Path>(new P(arguments...)); };
}

}  // namespace assay::bench
