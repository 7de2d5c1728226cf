// Files: written and read, copied, appended to with linked operations.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "assay/conformance/scenarios/scenario_loop.h"
#include "assay/conformance/scenarios/scenarios.h"

namespace assay::conformance {
namespace {

constexpr std::size_t kBlock = 512;

// One of a user's own: what liburing's io_uring_prep_*() fills in.
class Prepared final : public Operation {
 public:
  Prepared(std::function<void(io_uring_sqe&)> prepare, ResultCallback done)
      : prepare_(std::move(prepare)), done_(std::move(done)) {}

 private:
  void prepare(io_uring_sqe& sqe) override { prepare_(sqe); }
  void complete(const Completion& completion) override { done_(completion.res); }

  std::function<void(io_uring_sqe&)> prepare_;
  ResultCallback done_;
};

void nops(ScenarioRun& run) {
  ScenarioLoop loop(run);
  if (!loop) return;
  std::deque<Prepared> operations;
  for (int i = 0; i < 8; ++i) {
    operations.emplace_back([](io_uring_sqe& sqe) { io_uring_prep_nop(&sqe); },
                            loop.answer("a NOP", [&](int res) { run.ended("a NOP", res); }));
    run.ended("submit", loop->submit(operations.back()));
  }
  loop.until_answered();
}

void write_and_read(ScenarioRun& run) {
  const Fd file = file_with("");
  const std::string text = numbered_text(3 * kBlock);
  ScenarioLoop loop(run);
  TransferResult transfer = loop.transfer(
      "write_all", [&](TransferCallback done) { loop->write_all(file.get(), bytes_of(text), 0, std::move(done)); });
  if (!loop || !run.ended("write_all", transfer.error)) return;
  std::string read(text.size(), '\0');
  transfer = loop.transfer(
      "read_all", [&](TransferCallback done) { loop->read_all(file.get(), room_in(read), 0, std::move(done)); });
  if (!run.ended("read_all", transfer.error)) return;
  if (transfer.bytes != text.size() && run.fired(FaultPointId::kCqeEof)) return;
  run.expect(transfer.bytes == text.size(), "read_all ends early, and no fault made the file end");
  run.expect(read == text, "what was read is not what was written");
}

}  // namespace

void internal::add_file_scenarios(std::vector<Scenario>& scenarios) {
  scenarios.push_back({"nops", "Eight NOPs in one batch, all answered.", nops});
  scenarios.push_back({"write-and-read", "A file is written whole and read back whole.", write_and_read});
}

}  // namespace assay::conformance
