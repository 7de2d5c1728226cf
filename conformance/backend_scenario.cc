#include "assay/conformance/backend_scenario.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <ctime>
#include <stdexcept>
#include <utility>

namespace assay::conformance {
namespace {

// More turns than any behaviour needs under any plan; beyond, the loop runs without getting anywhere.
constexpr int kManyTurns = 20'000;
// Turns after which nothing that has happened can still be untold, though every second call fails.
constexpr int kSettlingTurns = 12;

}  // namespace

int closed_fd() {
  // New descriptors get the lowest free number, so a high one stays free.
  const int fd = ::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 700);
  if (fd < 0) throw std::runtime_error("the limit on descriptors is too low for this test");
  ::close(fd);
  return fd;
}

OperationCallback Owed::callback(std::function<void(int res)> then) {
  return [this, then = std::move(then)](int result) {
    ++calls;
    res = result;
    EXPECT_EQ(calls, 1u) << what << " was told of more than once, now with " << result;
    if (then) then(result);
  };
}

unsigned Told::all() const {
  unsigned mask = 0;
  for (const unsigned value : bits) mask |= value;
  return mask;
}

EventCallback Told::callback(std::function<void(unsigned bits)> then) {
  return [this, then = std::move(then)](unsigned value) {
    bits.push_back(value);
    if (then) then(value);
  };
}

BackendScenario::~BackendScenario() {
  destroy_backend();
  for (const Owed& owed : owed_) {
    EXPECT_EQ(owed.calls, 1u) << owed.what << " must be told of exactly once, the backend's destruction included";
  }
  for (const std::size_t rule : injected_) {
    const FaultReport report = faults_->report();
    EXPECT_GT(report.rules.at(rule).firings, 0u) << "an injected fault never came to pass: " << report.text();
  }
}

BackendUnderTest& BackendScenario::backend(const BackendSettings& settings) {
  if (!backend_) backend_ = another_backend(settings);
  return *backend_;
}

void BackendScenario::destroy_backend() {
  // Not reset(), which forgets the pointer first: callbacks that run meanwhile still ask for the backend.
  delete backend_.get();
  static_cast<void>(backend_.release());
}

std::unique_ptr<BackendUnderTest> BackendScenario::another_backend(const BackendSettings& settings) {
  auto made = try_backend(settings);
  if (!made) throw std::runtime_error("the backend cannot be created: " + made.error().message());
  return std::move(*made);
}

Result<std::unique_ptr<BackendUnderTest>> BackendScenario::try_backend(const BackendSettings& settings) {
  return subject_->create(*kernel_, settings);
}

Owed& BackendScenario::owe(std::string what) {
  owed_.push_back({.what = std::move(what)});
  return owed_.back();
}

EventId BackendScenario::fd_event(int fd, unsigned bits, EventCallback callback,
                                  std::optional<std::chrono::nanoseconds> timeout) {
  const EventId event = must(backend().make_fd_event(fd, bits, std::move(callback)));
  must(backend().add_event(event, timeout));
  return event;
}

EventId BackendScenario::timer(std::chrono::nanoseconds timeout, EventCallback callback) {
  const EventId event = must(backend().make_timer(std::move(callback)));
  must(backend().add_event(event, timeout));
  return event;
}

EventId BackendScenario::signal(int number, EventCallback callback) {
  const EventId event = must(backend().make_signal(number, std::move(callback)));
  must(backend().add_event(event));
  return event;
}

RunResult BackendScenario::run(RunMode mode) { return must(backend().run(mode)); }

void BackendScenario::run_until(const std::function<bool()>& done) {
  for (int turns = 0; !done(); ++turns) {
    if (turns == kManyTurns) throw std::runtime_error("the loop turns, but what is waited for does not come about");
    if (run(RunMode::kOnce) == RunResult::kNoEvents && !done()) {
      throw std::runtime_error("the loop says that nothing can happen any more, but something must");
    }
  }
}

void BackendScenario::settle() {
  for (int turns = 0; turns < kSettlingTurns; ++turns) run(RunMode::kNonBlock);
}

FaultKernel& BackendScenario::faults() const {
  if (faults_ == nullptr) throw std::logic_error("a behaviour that injects faults must have a plan of its own");
  return *faults_;
}

FaultScope BackendScenario::inject(const std::string& plan) {
  const std::size_t first = faults().report().rules.size();
  FaultScope scope = must(faults().apply(plan));
  injected_.push_back(first);
  return scope;
}

std::chrono::nanoseconds BackendScenario::now() const {
  timespec time{};
  kernel_->now(CLOCK_MONOTONIC, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

std::chrono::nanoseconds BackendScenario::moment() const {
  return virtual_clock_ ? std::chrono::nanoseconds(std::chrono::seconds(1)) : moment_;
}

}  // namespace assay::conformance
