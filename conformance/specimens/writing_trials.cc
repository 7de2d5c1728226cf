// Files are written: whole, and where it was asked for.

#include <cerrno>

#include "assay/conformance/scenarios/scenario_loop.h"
#include "assay/conformance/specimens/trial.h"

namespace assay::conformance {
namespace {

constexpr std::size_t kBytes = 3000;
constexpr std::uint64_t kOffset = 321;

int write_by_reference(Kernel& kernel, int fd, std::uint64_t offset, std::span<const std::byte> from) {
  const Result<std::unique_ptr<Backend>> backend = Backend::create(kernel);
  if (!backend) return -backend.error().code.value();
  TransferResult result{.error = -ECANCELED};
  (*backend)->write_all(fd, from, offset, [&](TransferResult told) { result = told; });
  const Result<LoopStatus> status = (*backend)->loop();
  if (!status) return -status.error().code.value();
  return result.error != 0 ? result.error : static_cast<int>(result.bytes);
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

void internal::add_writing_trials(std::vector<Trial>& trials) {
  trials.push_back({"writes-whole", "A range of a file is written whole, and nothing else of it.",
                    [](ScenarioRun& run) { writes_whole(run, write_by_reference); }});
}

}  // namespace assay::conformance
