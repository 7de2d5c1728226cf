#pragma once

#include <chrono>
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
using ClosingWriter =
    std::function<int(Kernel& kernel, int fd, std::span<const std::byte> from, const std::function<void()>& close)>;
/// All is written to that file, and nothing to the one that has its number afterwards.
void writes_to_its_own_file(ScenarioRun& run, const ClosingWriter& write);

/// Gives a file another length: 0.
using FileTruncater = std::function<int(Kernel& kernel, int fd, std::uint64_t bytes)>;
/// The file has that length, on kernels without the request too.
void truncates(ScenarioRun& run, const FileTruncater& truncate);

/// Waits so long, so many times: 0.
using Sleeper = std::function<int(Kernel& kernel, unsigned times, std::chrono::nanoseconds each)>;
/// No wait ends early.
void sleeps(ScenarioRun& run, const Sleeper& sleep);

/// Calls `rung` when the eventfd can be read, which it does itself, again and again until it returns false: 0.
using DoorbellWaiter = std::function<int(Kernel& kernel, int event_fd, const std::function<bool()>& rung)>;
/// Each ring of the bell is heard.
void hears_the_doorbell(ScenarioRun& run, const DoorbellWaiter& wait);

/// Accepts connections and gives each to `accepted`, until that returns false: 0.
using Accepter = std::function<int(Kernel& kernel, int listener, const std::function<bool(int fd)>& accepted)>;
/// Each connection is accepted.
void accepts_each(ScenarioRun& run, const Accepter& accept);

/// Receives until the stream ends, and gives what comes to `got`: 0.
using StreamReceiver =
    std::function<int(Kernel& kernel, int socket, const std::function<void(std::span<const std::byte>)>& got)>;
/// All of the stream comes, in its order.
void receives_the_stream(ScenarioRun& run, const StreamReceiver& receive);

/// Sends all of the buffer, which it does not need when it returns: how many bytes.
using Sender = std::function<int(Kernel& kernel, int socket, std::span<std::byte> from)>;
/// The peer gets all of it, over TCP.
void sends_whole(ScenarioRun& run, const Sender& send);
/// And over a socket of AF_UNIX.
void sends_whole_locally(ScenarioRun& run, const Sender& send);

/// One read of several, each of a pipe of its own.
struct PipeRead {
  int fd = -1;
  std::span<std::byte> into = {};
  /// To be given up.
  bool aborted = false;
  /// To be started when the read before it has ended.
  bool follows = false;
  /// Closes the pipe's other end, for kernels that cannot give up.
  std::function<void()> hang_up = {};
  /// What the doer gives back for it: bytes, or a negative errno; -ECANCELED where it was given up.
  int result = 0;
};
/// Starts reads, then gives up those which are to be, calls `gave_up` when these have ended, and awaits the others.
using AbortingReader =
    std::function<void(Kernel& kernel, std::span<PipeRead> reads, const std::function<void()>& gave_up)>;
/// Reads that are given up end, and the others bring what they were to.
void gives_up_some_reads(ScenarioRun& run, const AbortingReader& read);

/// Reads from a pipe for so long: bytes, or -ETIME when nothing has come. `read` is as above, but alone.
using TimedReader = std::function<int(Kernel& kernel, const PipeRead& read, std::chrono::nanoseconds limit)>;
/// A read of an empty pipe ends with -ETIME, not before its time, and one of a full pipe brings what there is.
void reads_in_time(ScenarioRun& run, const TimedReader& read);

/// Writes parts to a file one after the other, where each must be there before the next is begun: 0.
using OrderedWriter = std::function<int(Kernel& kernel, int fd, std::span<const std::span<const std::byte>> parts)>;
/// No part is there whose predecessor is not.
void writes_in_order(ScenarioRun& run, const OrderedWriter& write);

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
void add_waiting_trials(std::vector<Trial>& trials);
void add_socket_trials(std::vector<Trial>& trials);
void add_cancel_trials(std::vector<Trial>& trials);

/// The Kernel's CLOCK_MONOTONIC.
std::chrono::nanoseconds time_of(Kernel& kernel);

}  // namespace internal
}  // namespace assay::conformance
