// SQPOLL: the kernel's thread takes SQEs by itself, sleeps and is woken, and serves a group of rings.

#include <chrono>
#include <memory>
#include <string>

#include "assay/conformance/scenarios/scenario_loop.h"
#include "assay/conformance/scenarios/scenarios.h"

namespace assay::conformance {
namespace {

using namespace std::chrono_literals;

// A file written and read back, whole.
void write_and_read(ScenarioRun& run, ScenarioLoop& loop, const std::string& text) {
  const Fd file = file_with("");
  TransferResult transfer = loop.transfer(
      "write_all", [&](TransferCallback done) { loop->write_all(file.get(), bytes_of(text), 0, std::move(done)); });
  if (!run.ended("write_all", transfer.error)) return;
  std::string read(text.size(), '\0');
  transfer = loop.transfer(
      "read_all", [&](TransferCallback done) { loop->read_all(file.get(), room_in(read), 0, std::move(done)); });
  if (!run.ended("read_all", transfer.error) || run.fired(FaultPointId::kCqeEof)) return;
  run.expect(read == text, "what was read is not what was written");
}

void polled_sq(ScenarioRun& run) {
  ScenarioLoop loop(run, {.poll_sq = true, .sq_idle = 100ms});
  if (!loop) return;
  write_and_read(run, loop, numbered_text(700));
  loop.destroy();
}

// The poll thread falls asleep between two writes.
void asleep(ScenarioRun& run) {
  ScenarioLoop loop(run, {.poll_sq = true, .sq_idle = 1ms});
  for (int round = 0; loop && round < 3; ++round) {
    write_and_read(run, loop, numbered_text(100));
    bool later = false;
    Timer timer(loop.backend(), [&] { later = true; });
    if (!run.ended("start_after", timer.start_after(20ms))) break;
    if (!loop.until("a while", [&] { return later; })) break;
  }
  loop.destroy();
}

void small_and_polled(ScenarioRun& run) {
  ScenarioLoop loop(run, {.capacity = 8, .sq_entries = 2, .max_submit = 1, .poll_sq = true, .sq_idle = 50ms});
  if (!loop) return;
  const Fd file = file_with("");
  std::string text = numbered_text(10);
  for (std::size_t i = 0; i < text.size(); ++i) {
    loop->write(file.get(), bytes_of(text).subspan(i, 1), i, loop.answer("the write of a byte", [&run](int res) {
      if (res < 0) run.ended("write", res);
    }));
  }
  loop.until_answered();
  loop.destroy();
}

void group(ScenarioRun& run) {
  const BackendOptions options{.poll_sq = true, .sq_idle = 20ms, .sq_group_name = "scenario"};
  ScenarioLoop first(run, options);
  if (!first) return;
  ScenarioLoop second(run, options);
  if (!second) return;
  write_and_read(run, first, numbered_text(50));
  write_and_read(run, second, numbered_text(60));
  first.destroy();
  write_and_read(run, second, numbered_text(70));
  second.destroy();
}

void polled_sq_and_cq(ScenarioRun& run) {
  ScenarioLoop loop(run, {.poll_sq = true, .sq_idle = 50ms, .poll_cq = true});
  if (!loop) return;
  write_and_read(run, loop, numbered_text(90));
  loop.destroy();
}

}  // namespace

void internal::add_poller_scenarios(std::vector<Scenario>& scenarios) {
  scenarios.push_back({"polled-sq", "A file is written and read through a poll thread.", polled_sq});
  scenarios.push_back({"poller-asleep", "The poll thread falls asleep in between, and is woken.", asleep});
  scenarios.push_back({"polled-tiny-sq", "Ten writes through a poll thread and an SQ of two.", small_and_polled});
  scenarios.push_back({"poller-group", "Two rings share a poll thread, and one of them goes.", group});
  scenarios.push_back({"polled-sq-and-cq", "A poll thread submits, and the loop spins on the CQ.", polled_sq_and_cq});
}

}  // namespace assay::conformance
