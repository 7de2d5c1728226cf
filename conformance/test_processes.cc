#include "assay/conformance/test_processes.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <map>
#include <memory>
#include <new>
#include <string_view>
#include <utility>

#include "assay/conformance/behaviour.h"

namespace assay::conformance {
namespace {

using Outcome = TestReport::Outcome;
using Clock = std::chrono::steady_clock;

// What a child writes to its pipe when a test begins and when it has ended; behind it stands the message.
struct Frame {
  std::uint32_t test;  // of registered_tests()
  std::uint32_t message_bytes;
  std::int64_t nanoseconds;
  Outcome outcome;
  bool has_ended;
};

TestReport report_of(std::size_t test) {
  const RegisteredTest& registered = registered_tests()[test];
  return {
      .suite = registered.suite, .name = registered.name, .kernel = registered.kernel, .variant = registered.variant};
}

// What GoogleTest tells, with tests by their place in registered_tests().
class Listener : public testing::EmptyTestEventListener {
 public:
  Listener() {
    const std::vector<RegisteredTest>& tests = registered_tests();
    for (std::size_t i = 0; i < tests.size(); ++i) places_[{tests[i].suite, tests[i].name}] = i;
  }

  void OnTestStart(const testing::TestInfo& test) override {
    place_ = places_.at({test.test_suite_name(), test.name()});
    begins(place_);
    started_ = Clock::now();
  }

  void OnTestEnd(const testing::TestInfo& test) override {
    const auto duration = Clock::now() - started_;
    TestReport report = report_of(place_);
    report.duration = duration;
    const testing::TestResult& result = *test.result();
    if (result.Failed()) {
      report.outcome = Outcome::kFailed;
      report.message = failures_of(result);
    } else if (result.Skipped()) {
      report.outcome = Outcome::kSkipped;
      report.message = skip_reason_of(result);
    }
    ended(place_, std::move(report));
  }

 protected:
  virtual void begins(std::size_t test) = 0;
  virtual void ended(std::size_t test, TestReport report) = 0;

 private:
  static std::string failures_of(const testing::TestResult& result) {
    std::string text;
    for (int i = 0; i < result.total_part_count(); ++i) {
      const testing::TestPartResult& part = result.GetTestPartResult(i);
      if (!part.failed()) continue;
      const std::string_view file = part.file_name() == nullptr ? std::string_view() : part.file_name();
      text += std::string(file.substr(file.rfind('/') + 1));
      if (part.line_number() >= 0) text += ":" + std::to_string(part.line_number());
      text += std::string(": ") + part.message() + "\n";
    }
    return text;
  }

  static std::string skip_reason_of(const testing::TestResult& result) {
    for (int i = 0; i < result.total_part_count(); ++i) {
      const testing::TestPartResult& part = result.GetTestPartResult(i);
      if (!part.skipped()) continue;
      const std::string reason = part.message();
      return reason.substr(0, reason.find('\n'));
    }
    return {};
  }

  std::map<std::pair<std::string, std::string>, std::size_t> places_;
  std::size_t place_ = 0;
  Clock::time_point started_;
};

class ListenerHere final : public Listener {
 public:
  ListenerHere(const std::function<void(const std::string&, int)>& count, const std::function<void(TestReport)>& ended)
      : count_(count), ended_(ended) {}

  void OnTestIterationStart(const testing::UnitTest& tests, int /*iteration*/) override {
    for (int i = 0; i < tests.total_test_suite_count(); ++i) {
      const testing::TestSuite& suite = *tests.GetTestSuite(i);
      if (suite.test_to_run_count() != 0) count_(suite.name(), suite.test_to_run_count());
    }
  }

 private:
  void begins(std::size_t /*test*/) override {}
  void ended(std::size_t /*test*/, TestReport report) override { ended_(std::move(report)); }

  const std::function<void(const std::string&, int)>& count_;
  const std::function<void(TestReport)>& ended_;
};

// In a child.
class ListenerThere final : public Listener {
 public:
  explicit ListenerThere(int pipe) : pipe_(pipe) {}

 private:
  void begins(std::size_t test) override { write({.test = static_cast<std::uint32_t>(test)}, {}); }
  void ended(std::size_t test, TestReport report) override {
    write({.test = static_cast<std::uint32_t>(test),
           .message_bytes = static_cast<std::uint32_t>(report.message.size()),
           .nanoseconds = report.duration.count(),
           .outcome = report.outcome,
           .has_ended = true},
          report.message);
  }
  void write(const Frame& frame, const std::string& message) {
    std::string bytes(reinterpret_cast<const char*>(&frame), sizeof frame);
    bytes += message;
    for (std::size_t at = 0; at < bytes.size();) {
      const ssize_t written = ::write(pipe_, bytes.data() + at, bytes.size() - at);
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) ::_exit(EXIT_FAILURE);  // nobody listens any more
      at += static_cast<std::size_t>(written);
    }
  }

  int pipe_;
};

// A child and its share of the tests.
class Child {
 public:
  Child(unsigned index, unsigned jobs) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw std::bad_alloc();
    pid_ = ::fork();
    if (pid_ < 0) throw std::bad_alloc();
    if (pid_ == 0) serve(ends[1], index, jobs);
    ::close(ends[1]);
    pipe_ = ends[0];
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() { ::close(pipe_); }

  int pipe() const { return pipe_; }

  /// Takes what it has written. False when there will be nothing more.
  bool read(const std::function<void(TestReport)>& ended);
  /// Once there is nothing more: what is wrong with how it ended, or nothing.
  std::string end(const std::function<void(TestReport)>& ended);

 private:
  [[noreturn]] static void serve(int pipe, unsigned index, unsigned jobs);

  pid_t pid_ = 0;
  int pipe_ = -1;
  std::string unread_;
  std::size_t running_ = 0;
  bool in_test_ = false;
  bool any_failed_ = false;
};

void Child::serve(int pipe, unsigned index, unsigned jobs) {
  ::setenv("GTEST_TOTAL_SHARDS", std::to_string(jobs).c_str(), 1);
  ::setenv("GTEST_SHARD_INDEX", std::to_string(index).c_str(), 1);
  testing::UnitTest::GetInstance()->listeners().Append(new ListenerThere(pipe));
  // By exit, so that sanitizers and coverage have their say.
  std::exit(RUN_ALL_TESTS());
}

bool Child::read(const std::function<void(TestReport)>& ended) {
  char block[65536];
  const ssize_t bytes = ::read(pipe_, block, sizeof block);
  if (bytes < 0) return errno == EINTR;
  if (bytes == 0) return false;
  unread_.append(block, static_cast<std::size_t>(bytes));
  std::size_t at = 0;
  Frame frame;
  while (unread_.size() - at >= sizeof frame) {
    std::memcpy(&frame, unread_.data() + at, sizeof frame);
    if (unread_.size() - at < sizeof frame + frame.message_bytes) break;
    running_ = frame.test;
    in_test_ = !frame.has_ended;
    if (frame.has_ended) {
      TestReport report = report_of(frame.test);
      report.outcome = frame.outcome;
      report.duration = std::chrono::nanoseconds(frame.nanoseconds);
      report.message = unread_.substr(at + sizeof frame, frame.message_bytes);
      any_failed_ |= report.outcome == Outcome::kFailed;
      ended(std::move(report));
    }
    at += sizeof frame + frame.message_bytes;
  }
  unread_.erase(0, at);
  return true;
}

std::string Child::end(const std::function<void(TestReport)>& ended) {
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  const bool came_to_its_end = WIFEXITED(status) && WEXITSTATUS(status) == (any_failed_ ? 1 : 0);
  if (came_to_its_end && !in_test_) return {};
  std::string how = "exit status " + std::to_string(WEXITSTATUS(status));
  if (WIFSIGNALED(status)) {
    const char* const name = ::sigabbrev_np(WTERMSIG(status));
    how = name != nullptr ? "SIG" + std::string(name) : "signal " + std::to_string(WTERMSIG(status));
  }
  if (!in_test_) return "a process of tests ended outside of every test, with " + how;
  TestReport report = report_of(running_);
  report.outcome = Outcome::kFailed;
  report.message = "it took its process down: " + how + "\n";
  ended(report);
  return "a process of tests ended with " + report.suite + "." + report.name +
         ": those of its share behind that did not run";
}

}  // namespace

int run_tests_here(const std::function<void(const std::string& suite, int tests)>& count,
                   const std::function<void(TestReport test)>& ended) {
  testing::TestEventListeners& listeners = testing::UnitTest::GetInstance()->listeners();
  auto* const listener = new ListenerHere(count, ended);
  listeners.Append(listener);
  const int status = RUN_ALL_TESTS();
  delete listeners.Release(listener);
  return status;
}

std::vector<std::string> run_tests_in_processes(unsigned jobs, const std::function<void(TestReport test)>& ended) {
  std::cout << std::flush;
  std::cerr << std::flush;
  std::vector<std::unique_ptr<Child>> children;
  for (unsigned index = 0; index < jobs; ++index) children.push_back(std::make_unique<Child>(index, jobs));
  std::vector<std::string> problems;
  while (!children.empty()) {
    std::vector<pollfd> pipes;
    for (const auto& child : children) pipes.push_back({child->pipe(), POLLIN, 0});
    ::poll(pipes.data(), pipes.size(), -1);
    for (std::size_t i = pipes.size(); i-- > 0;) {
      if (pipes[i].revents == 0 || children[i]->read(ended)) continue;
      if (std::string problem = children[i]->end(ended); !problem.empty()) problems.push_back(std::move(problem));
      children.erase(children.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }
  return problems;
}

}  // namespace assay::conformance
