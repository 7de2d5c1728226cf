// Files are written: whole, and where it was asked for.

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "assay/conformance/scenarios/scenario_loop.h"
#include "assay/conformance/specimens/trial.h"

namespace assay::conformance {
namespace {

constexpr std::size_t kBytes = 3000;
constexpr std::uint64_t kOffset = 321;

int write_by_reference(Kernel& kernel, int fd, std::uint64_t offset, std::span<const std::byte> from) {
  TransferResult result{.error = -ECANCELED};  // told by the backend's end, too
  const Result<std::unique_ptr<Backend>> backend = Backend::create(kernel);
  if (!backend) return -backend.error().code.value();
  (*backend)->write_all(fd, from, offset, [&](TransferResult told) { result = told; });
  const Result<LoopStatus> status = (*backend)->loop();
  if (!status) return -status.error().code.value();
  return result.error != 0 ? result.error : static_cast<int>(result.bytes);
}

int write_and_close_by_reference(Kernel& kernel, int fd, std::span<const std::byte> from,
                                 const std::function<void()>& close) {
  const int result = write_by_reference(kernel, fd, 0, from);
  close();
  return result;
}

int write_in_order_by_reference(Kernel& kernel, int fd, std::span<const std::span<const std::byte>> parts) {
  std::uint64_t offset = 0;
  for (const std::span<const std::byte> part : parts) {
    if (const int result = write_by_reference(kernel, fd, offset, part); result < 0) return result;
    offset += part.size();
  }
  return 0;
}

int truncate_by_reference(Kernel& kernel, int fd, std::uint64_t bytes) {
  int result = -ECANCELED;  // told by the backend's end, too
  const Result<std::unique_ptr<Backend>> backend = Backend::create(kernel);
  if (!backend) return -backend.error().code.value();
  (*backend)->ftruncate(fd, bytes, [&](int res) { result = res; });
  const Result<LoopStatus> status = (*backend)->loop();
  return status ? result : -status.error().code.value();
}

}  // namespace

void writes_whole(ScenarioRun& run, const FileWriter& write) {
  const std::string before(kOffset + kBytes + 100, '.');
  const std::string text = numbered_text(kBytes);
  const Fd file = file_with(before);
  const int result = write(run.kernel(), file.get(), kOffset, bytes_of(text));
  run.expect(result != -EINTR && result != -EAGAIN, "the write gives up for what it had to try again");
  if (result < 0) {
    run.ended("the write", result);
    return;
  }
  run.expect(static_cast<std::size_t>(result) == text.size(), "the write tells of another number of bytes than asked");
  std::string expected = before;
  expected.replace(kOffset, text.size(), text);
  run.expect(text_in(file) == expected, "the file does not have what was written to it");
}

void writes_to_its_own_file(ScenarioRun& run, const ClosingWriter& write) {
  const std::string text = numbered_text(kBytes);
  Fd file = file_with("");
  const Fd same_file(::fcntl(file.get(), F_DUPFD_CLOEXEC, 0));
  const Fd other = file_with("");
  const int result =
      write(run.kernel(), file.get(), bytes_of(text), [&] { ::dup3(other.get(), file.get(), O_CLOEXEC); });
  run.expect(text_in(other).empty(), "another file was written to, which has the descriptor's number by now");
  if (!run.ended("the write", result < 0 ? result : 0)) return;
  run.expect(text_in(same_file) == text, "the file does not have what was written to it");
}

void writes_in_order(ScenarioRun& run, const OrderedWriter& write) {
  constexpr std::size_t kParts = 3;
  constexpr std::size_t kPartBytes = 200;
  const std::string text = numbered_text(kParts * kPartBytes);
  const Fd file = file_with("");
  std::vector<std::span<const std::byte>> parts;
  for (std::size_t i = 0; i < kParts; ++i) parts.push_back(bytes_of(text).subspan(i * kPartBytes, kPartBytes));
  const int result = write(run.kernel(), file.get(), parts);
  const std::string there = text_in(file);
  const auto written = static_cast<std::size_t>(
      std::mismatch(there.begin(), there.end(), text.begin(), text.end()).first - there.begin());
  const std::size_t next_part = (written / kPartBytes + 1) * kPartBytes;
  // A chain that the kernel takes in two parts is two chains (io_submit_state_end), which no program can help.
  if (!run.fired(FaultPointId::kEnterTake)) {
    run.expect(there.size() <= next_part, "a part was written whose predecessor was not");
  }
  if (!run.ended("the write", result)) return;
  run.expect(there == text, "the file does not have what was written to it");
}

void truncates(ScenarioRun& run, const FileTruncater& truncate) {
  constexpr std::uint64_t kShorter = 77;
  const std::string text = numbered_text(kBytes);
  const Fd file = file_with(text);
  const int result = truncate(run.kernel(), file.get(), kShorter);
  // What the probe does not list is known in time; what is refused all the same need not be tried otherwise.
  if (run.fired(FaultPointId::kRegisterOpcodeAbsent)) {
    const bool has_other_reason = run.fired_any_of(
        {FaultPointId::kCqeRefused, FaultPointId::kSetupErrno, FaultPointId::kRegisterErrno, FaultPointId::kCqeErrno});
    run.expect(result != -EINVAL || has_other_reason, "the kernel has no such request, but the call");
  }
  if (!run.ended("the truncation", result)) return;
  run.expect(text_in(file) == text.substr(0, kShorter), "the file has another length");
}

void internal::add_writing_trials(std::vector<Trial>& trials) {
  trials.push_back({"writes-whole", "A range of a file is written whole, and nothing else of it.",
                    [](ScenarioRun& run) { writes_whole(run, write_by_reference); }});
  trials.push_back({"writes-to-its-own-file", "A file is written and closed, and the one with its number after it not.",
                    [](ScenarioRun& run) { writes_to_its_own_file(run, write_and_close_by_reference); }});
  trials.push_back({"writes-in-order", "Parts of a file are written one after the other.",
                    [](ScenarioRun& run) { writes_in_order(run, write_in_order_by_reference); }});
  trials.push_back({"truncates", "A file is truncated, by whatever the kernel has for it.",
                    [](ScenarioRun& run) { truncates(run, truncate_by_reference); }});
}

}  // namespace assay::conformance
