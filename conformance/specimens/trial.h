#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "assay/backend/kernel.h"
#include "assay/faultinject/scenario.h"

namespace assay::conformance {

// A trial is a job that a loop is asked to do, and the check of what must hold, whoever does it. The doer is a function
// of the type beside it; it sets up what it needs on the Kernel, does the job, and leaves nothing behind. A doer gives
// back a number >= 0, or the negative errno that ended it.

/// Reads a range of a file: how many bytes there were.
using FileReader = std::function<int(Kernel& kernel, int fd, std::uint64_t offset, std::span<std::byte> into)>;
/// All of the range is there, and is read.
void reads_whole(ScenarioRun& run, const FileReader& read);
/// The file ends inside of the range.
void reads_to_the_end(ScenarioRun& run, const FileReader& read);
/// The range is read though this process may have no io_uring, or no memory for it.
void reads_anyway(ScenarioRun& run, const FileReader& read);
/// The range is read though there is not enough memory for the ring that was asked for.
void reads_with_less_memory(ScenarioRun& run, const FileReader& read);
/// One of several ranges that are read on one ring, one after the other.
struct FileRange {
  int fd = -1;
  std::uint64_t offset = 0;
  std::span<std::byte> into = {};
  /// What the doer gives back for it.
  int result = 0;
};
using RangesReader = std::function<void(Kernel& kernel, std::span<FileRange> ranges)>;
/// An error of one range is none of the next.
void reads_one_after_the_other(ScenarioRun& run, const RangesReader& read);

/// Writes to a range of a file: how many bytes.
using FileWriter = std::function<int(Kernel& kernel, int fd, std::uint64_t offset, std::span<const std::byte> from)>;
/// All of it is written, where it belongs and nowhere else.
void writes_whole(ScenarioRun& run, const FileWriter& write);

/// Writes to the beginning of a file, and has it closed, by `close`, when it needs the descriptor no more.
using ClosingWriter = std::function<int(Kernel& kernel, int fd, std::span<const std::byte> from,
                                        const std::function<void()>& close)>;
/// All is written to that file, and nothing to the one that has its number afterwards.
void writes_to_its_own_file(ScenarioRun& run, const ClosingWriter& write);

/// Gives a file another length: 0.
using FileTruncater = std::function<int(Kernel& kernel, int fd, std::uint64_t bytes)>;
/// The file has that length, on kernels without the request too.
void truncates(ScenarioRun& run, const FileTruncater& truncate);

/// A trial, and the reference backend as its doer.
struct Trial {
  std::string name;
  /// What must hold, in a sentence.
  std::string tells;
  std::function<void(ScenarioRun& run)> on_reference_backend;
  /// The kernel that it is run on.
  std::string kernel = "sim:linux-6.18,strict";
};

std::span<const Trial> trials();
/// The one of that name, or null.
const Trial* find_trial(std::string_view name);

namespace internal {

void add_reading_trials(std::vector<Trial>& trials);
void add_writing_trials(std::vector<Trial>& trials);

}  // namespace internal
}  // namespace assay::conformance
