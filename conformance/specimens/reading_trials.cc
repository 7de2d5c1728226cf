// Files are read: whole, to their end, without io_uring, and one after the other.

#include <unistd.h>

#include <array>
#include <cerrno>

#include "assay/conformance/scenarios/scenario_loop.h"
#include "assay/conformance/specimens/trial.h"

namespace assay::conformance {
namespace {

constexpr std::size_t kBytes = 3000;
// Neither a multiple of anything nor the beginning.
constexpr std::uint64_t kOffset = 1234;

// What a read of [kOffset, kOffset + into.size()) came to; `there` is how many bytes of that the file has.
void check_read(ScenarioRun& run, int result, const std::string& text, const std::string& into, std::size_t there) {
  run.expect(result != -EINTR && result != -EAGAIN, "the read gives up for what it had to try again");
  if (result < 0) {
    run.ended("the read", result);
    return;
  }
  const auto bytes = static_cast<std::size_t>(result);
  if (run.fired(FaultPointId::kCqeEof) && bytes < there) return;
  if (!run.expect(bytes == there, "the read tells of another number of bytes than there are")) return;
  run.expect(into.compare(0, bytes, text, kOffset, bytes) == 0, "what was read is not what the file has");
}

void read_text(ScenarioRun& run, const FileReader& read, std::size_t there) {
  const std::string text = numbered_text(kOffset + there);
  const Fd file = file_with(text);
  std::string into(kBytes, '\0');
  check_read(run, read(run.kernel(), file.get(), kOffset, room_in(into)), text, into, there);
}

// The backend's end tells `result`, too.
int read_by_backend(Backend& backend, int fd, std::uint64_t offset, std::span<std::byte> into, TransferResult& result) {
  result = {.error = -ECANCELED};
  backend.read_all(fd, into, offset, [&](TransferResult told) { result = told; });
  const Result<LoopStatus> status = backend.loop();
  if (!status) return -status.error().code.value();
  return result.error != 0 ? result.error : static_cast<int>(result.bytes);
}

int read_by_reference(Kernel& kernel, int fd, std::uint64_t offset, std::span<std::byte> into) {
  TransferResult result;
  const Result<std::unique_ptr<Backend>> backend = Backend::create(kernel);
  if (!backend) return -backend.error().code.value();
  return read_by_backend(**backend, fd, offset, into, result);
}

int read_anyway_by_reference(Kernel& kernel, int fd, std::uint64_t offset, std::span<std::byte> into) {
  TransferResult result;
  const Result<std::unique_ptr<Backend>> backend = Backend::create(kernel, {.min_capacity = 64});
  if (backend) return read_by_backend(**backend, fd, offset, into, result);
  const ssize_t bytes = ::pread(fd, into.data(), into.size(), static_cast<off_t>(offset));
  return bytes < 0 ? -errno : static_cast<int>(bytes);
}

int read_with_less_by_reference(Kernel& kernel, int fd, std::uint64_t offset, std::span<std::byte> into) {
  TransferResult result;
  const Result<std::unique_ptr<Backend>> backend = Backend::create(kernel, {.min_capacity = 32});
  if (!backend) return -backend.error().code.value();
  return read_by_backend(**backend, fd, offset, into, result);
}

void read_ranges_by_reference(Kernel& kernel, std::span<FileRange> ranges) {
  std::vector<TransferResult> results(ranges.size());
  const Result<std::unique_ptr<Backend>> backend = Backend::create(kernel);
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    FileRange& range = ranges[i];
    range.result = backend ? read_by_backend(**backend, range.fd, range.offset, range.into, results[i])
                           : -backend.error().code.value();
  }
}

}  // namespace

void reads_whole(ScenarioRun& run, const FileReader& read) { read_text(run, read, kBytes); }

void reads_to_the_end(ScenarioRun& run, const FileReader& read) { read_text(run, read, kBytes - 777); }

void reads_anyway(ScenarioRun& run, const FileReader& read) {
  const std::string text = numbered_text(kOffset + kBytes);
  const Fd file = file_with(text);
  std::string into(kBytes, '\0');
  const int result = read(run.kernel(), file.get(), kOffset, room_in(into));
  const bool has_other_reason =
      run.fired_any_of({FaultPointId::kEnterErrno, FaultPointId::kEnterEbadr, FaultPointId::kCqeErrno,
                        FaultPointId::kCqeRefused, FaultPointId::kCqeDrop, FaultPointId::kRegisterOpcodeAbsent});
  run.expect(result >= 0 || has_other_reason, "the read fails because there is no ring, which it could do without");
  check_read(run, result, text, into, kBytes);
}

void reads_with_less_memory(ScenarioRun& run, const FileReader& read) {
  const std::string text = numbered_text(kOffset + kBytes);
  const Fd file = file_with(text);
  std::string into(kBytes, '\0');
  const int result = read(run.kernel(), file.get(), kOffset, room_in(into));
  run.expect(result != -ENOMEM, "the read fails for want of memory, which there was for a smaller ring");
  check_read(run, result, text, into, kBytes);
}

void reads_one_after_the_other(ScenarioRun& run, const RangesReader& read) {
  const std::string text = numbered_text(kOffset + kBytes);
  const Fd file = file_with(text);
  std::array<std::string, 3> into;
  std::array<FileRange, 3> ranges;
  for (std::size_t i = 0; i < into.size(); ++i) {
    into[i].resize(kBytes);
    ranges[i] = {.fd = file.get(), .offset = kOffset, .into = room_in(into[i])};
  }
  read(run.kernel(), ranges);
  for (std::size_t i = 0; i < into.size(); ++i) check_read(run, ranges[i].result, text, into[i], kBytes);
}

void internal::add_reading_trials(std::vector<Trial>& trials) {
  trials.push_back({"reads-whole", "A range of a file is read whole, or an error of a fault is told.",
                    [](ScenarioRun& run) { reads_whole(run, read_by_reference); }});
  trials.push_back({"reads-to-the-end", "A range that the file ends in is read up to there.",
                    [](ScenarioRun& run) { reads_to_the_end(run, read_by_reference); }});
  trials.push_back({"reads-anyway", "A range of a file is read, with a ring or without one.",
                    [](ScenarioRun& run) { reads_anyway(run, read_anyway_by_reference); }});
  trials.push_back({"reads-with-less-memory", "A range of a file is read with a ring that is smaller than wanted.",
                    [](ScenarioRun& run) { reads_with_less_memory(run, read_with_less_by_reference); }});
  trials.push_back({"reads-one-after-the-other", "An error of one read is none of the next.",
                    [](ScenarioRun& run) { reads_one_after_the_other(run, read_ranges_by_reference); }});
}

}  // namespace assay::conformance
