#include "assay/faultinject/schedule_runner.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <deque>
#include <fstream>
#include <memory>
#include <new>
#include <utility>

#include "assay/mocks/sim/descriptor.h"

namespace assay::internal {
namespace {

using Clock = std::chrono::steady_clock;

// Schedules a child: forking costs as much as one or two of them.
constexpr std::size_t kSchedulesOfAChild = 256;
// Memory that a child may map beyond what it begins with, so that a loop which grows without end does not take the
// machine along.
constexpr rlim_t kMostMemory = rlim_t{1} << 30;
// How much of what a child wrote to standard error is told.
constexpr std::size_t kMostOfStderr = 4096;
// How often the parent looks whether a child still goes on.
constexpr int kLookEveryMs = 50;
// A child that ends like this has told all.
constexpr int kDone = 0;
// One that is stuck has told why, and cannot go on.
constexpr int kStuck = 3;

// Shared by parent and child: how far it is.
struct Progress {
  std::atomic<std::uint64_t> begun;  // of its schedules
  std::atomic<std::uint64_t> done;
  std::atomic<std::uint64_t> fired;
};

// One page that both see.
class SharedProgress {
 public:
  SharedProgress()
      : memory_(::mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) {
    if (memory_ == MAP_FAILED) throw std::bad_alloc();
    progress_ = new (memory_) Progress{};
  }
  SharedProgress(const SharedProgress&) = delete;
  SharedProgress& operator=(const SharedProgress&) = delete;
  ~SharedProgress() { ::munmap(memory_, sizeof(Progress)); }

  Progress* operator->() const { return progress_; }

 private:
  void* memory_;
  Progress* progress_;
};

// What a child writes to its pipe for each schedule that found something: this, then the text.
struct Frame {
  std::uint64_t number;
  std::uint32_t kind;
  std::uint32_t bytes;
};

void write_all(int fd, const void* data, std::size_t bytes) {
  const char* at = static_cast<const char*>(data);
  while (bytes != 0) {
    const ssize_t written = ::write(fd, at, bytes);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) ::_exit(kStuck);
    at += written;
    bytes -= static_cast<std::size_t>(written);
  }
}

void tell(int pipe, std::uint64_t number, SweepFinding::Kind kind, const std::string& what) {
  const Frame frame{number, static_cast<std::uint32_t>(kind), static_cast<std::uint32_t>(what.size())};
  std::string message(reinterpret_cast<const char*>(&frame), sizeof frame);
  message += what;
  write_all(pipe, message.data(), message.size());
}

std::string signal_words(int signal) {
  const char* name = ::sigabbrev_np(signal);
  return name != nullptr ? "SIG" + std::string(name) : "signal " + std::to_string(signal);
}

void limit_memory() {
  unsigned long pages = 0;
  std::ifstream("/proc/self/statm") >> pages;  // mapped by now, which under a sanitizer is a lot
  const rlim_t most = pages * static_cast<unsigned long>(::sysconf(_SC_PAGESIZE)) + kMostMemory;
  const rlimit memory{most, most};
  if (pages != 0) ::setrlimit(RLIMIT_AS, &memory);
}

// One child and what it was given.
class Child {
 public:
  explicit Child(std::vector<std::uint64_t> numbers) : numbers_(std::move(numbers)) {}
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

  void start(const Scenario& scenario, const ScenarioKernel& kernel,
             const std::function<FaultPlan(std::uint64_t)>& plan);

  int pipe() const { return pipe_.get(); }
  const Progress& progress() const { return *progress_.operator->(); }
  std::uint64_t done() const { return progress_->done.load(); }
  std::uint64_t fired() const { return progress_->fired.load(); }

  // Takes what it wrote. False when it has ended.
  bool read(std::vector<ScheduleOutcome>& outcomes);
  // Ends it if it has been at one schedule for too long.
  void look(Clock::time_point now, std::chrono::milliseconds limit);
  // It has ended: what that was, and what of its schedules is left.
  std::vector<std::uint64_t> ended(std::vector<ScheduleOutcome>& outcomes);

 private:
  [[noreturn]] void serve(int pipe, const Scenario& scenario, const ScenarioKernel& kernel,
                          const std::function<FaultPlan(std::uint64_t)>& plan);
  std::string written_to_stderr();

  std::vector<std::uint64_t> numbers_;
  SharedProgress progress_;
  pid_t pid_ = 0;
  Descriptor pipe_;
  Descriptor stderr_;
  std::string unread_;  // the beginning of a frame
  std::uint64_t last_begun_ = 0;
  Clock::time_point last_change_ = Clock::now();
  bool hung_ = false;
};

void Child::start(const Scenario& scenario, const ScenarioKernel& kernel,
                  const std::function<FaultPlan(std::uint64_t)>& plan) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw std::bad_alloc();
  pipe_ = Descriptor::adopt(ends[0]);
  Descriptor write_end = Descriptor::adopt(ends[1]);
  stderr_ = Descriptor::adopt(::memfd_create("stderr", MFD_CLOEXEC));
  pid_ = ::fork();
  if (pid_ < 0) throw std::bad_alloc();
  if (pid_ == 0) serve(write_end.get(), scenario, kernel, plan);
  last_change_ = Clock::now();
}

void Child::serve(int pipe, const Scenario& scenario, const ScenarioKernel& kernel,
                  const std::function<FaultPlan(std::uint64_t)>& plan) {
  const rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  limit_memory();
  ::dup2(stderr_.get(), STDERR_FILENO);
  for (std::size_t i = 0; i < numbers_.size(); ++i) {
    const std::uint64_t number = numbers_[i];
    progress_->begun.store(i + 1);
    ScheduleOptions options;
    options.when_stuck = [&](const std::string& why) {
      tell(pipe, number, SweepFinding::Kind::kStuck, why);
      ::_exit(kStuck);
    };
    const Result<ScheduleResult> result = run_schedule(scenario, kernel, plan(number), options);
    if (!result) {
      tell(pipe, number, SweepFinding::Kind::kViolation, result.error().message());
    } else {
      if (result->faults.every_rule_fired()) progress_->fired.fetch_add(1);
      if (!result->passed()) {
        std::string what = result->violations.front();
        for (std::size_t other = 1; other < result->violations.size(); ++other) {
          what += "\n" + result->violations[other];
        }
        tell(pipe, number, SweepFinding::Kind::kViolation, what);
      }
    }
    progress_->done.store(i + 1);
    // What is left open by this schedule would be charged to the next.
    if (result && !result->passed()) break;
  }
  ::_exit(kDone);
}

bool Child::read(std::vector<ScheduleOutcome>& outcomes) {
  char block[16384];
  const ssize_t bytes = ::read(pipe_.get(), block, sizeof block);
  if (bytes < 0) return errno == EINTR;
  if (bytes == 0) return false;
  unread_.append(block, static_cast<std::size_t>(bytes));
  Frame frame;
  while (unread_.size() >= sizeof frame) {
    std::memcpy(&frame, unread_.data(), sizeof frame);
    if (unread_.size() < sizeof frame + frame.bytes) break;
    outcomes.push_back(
        {frame.number, static_cast<SweepFinding::Kind>(frame.kind), unread_.substr(sizeof frame, frame.bytes)});
    unread_.erase(0, sizeof frame + frame.bytes);
  }
  return true;
}

void Child::look(Clock::time_point now, std::chrono::milliseconds limit) {
  const std::uint64_t begun = progress_->begun.load();
  if (std::exchange(last_begun_, begun) != begun) {
    last_change_ = now;
  } else if (now - last_change_ > limit && !hung_) {
    hung_ = true;
    ::kill(pid_, SIGKILL);
  }
}

std::string Child::written_to_stderr() {
  const off_t end = ::lseek(stderr_.get(), 0, SEEK_END);
  if (end <= 0) return {};
  const auto bytes = std::min(static_cast<std::size_t>(end), kMostOfStderr);
  std::string text(bytes, '\0');
  const ssize_t read = ::pread(stderr_.get(), text.data(), bytes, 0);
  text.resize(read > 0 ? static_cast<std::size_t>(read) : 0);
  return text;
}

std::vector<std::uint64_t> Child::ended(std::vector<ScheduleOutcome>& outcomes) {
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = 0;
  const std::uint64_t begun = progress_->begun.load();
  if (WIFEXITED(status) && WEXITSTATUS(status) == kDone) {
    return {numbers_.begin() + static_cast<std::ptrdiff_t>(begun), numbers_.end()};
  }
  const bool told = WIFEXITED(status) && WEXITSTATUS(status) == kStuck;
  if (!told && begun != 0) {
    const std::uint64_t number = numbers_[begun - 1];
    if (hung_) {
      outcomes.push_back(
          {number, SweepFinding::Kind::kHang, "it does not end: the time that a schedule may take is over"});
    } else {
      const std::string how =
          WIFSIGNALED(status) ? signal_words(WTERMSIG(status)) : "exit status " + std::to_string(WEXITSTATUS(status));
      const std::string said = written_to_stderr();
      outcomes.push_back({number, SweepFinding::Kind::kCrash, how + (said.empty() ? "" : "\n" + said)});
    }
  }
  return {numbers_.begin() + static_cast<std::ptrdiff_t>(begun), numbers_.end()};
}

}  // namespace

std::vector<ScheduleOutcome> ScheduleRunner::run(const std::vector<std::uint64_t>& numbers,
                                                 const std::function<FaultPlan(std::uint64_t)>& plan,
                                                 std::uint64_t* fired, const Tell& tell) {
  std::vector<ScheduleOutcome> outcomes;
  std::deque<std::vector<std::uint64_t>> waiting;
  for (std::size_t begin = 0; begin < numbers.size(); begin += kSchedulesOfAChild) {
    const std::size_t end = std::min(begin + kSchedulesOfAChild, numbers.size());
    waiting.emplace_back(numbers.begin() + static_cast<std::ptrdiff_t>(begin),
                         numbers.begin() + static_cast<std::ptrdiff_t>(end));
  }
  std::uint64_t done = 0;
  *fired = 0;
  std::vector<std::unique_ptr<Child>> children;
  while (!waiting.empty() || !children.empty()) {
    while (!waiting.empty() && children.size() < options_.jobs) {
      children.push_back(std::make_unique<Child>(std::move(waiting.front())));
      waiting.pop_front();
      children.back()->start(scenario_, kernel_, plan);
    }
    std::vector<pollfd> pipes;
    for (const auto& child : children) pipes.push_back({child->pipe(), POLLIN, 0});
    ::poll(pipes.data(), pipes.size(), kLookEveryMs);
    const Clock::time_point now = Clock::now();
    std::uint64_t running = 0;
    for (std::size_t i = pipes.size(); i-- > 0;) {
      Child& child = *children[i];
      child.look(now, options_.limit);
      if (pipes[i].revents == 0 || child.read(outcomes)) {
        running += child.done();
        continue;
      }
      std::vector<std::uint64_t> left = child.ended(outcomes);
      const std::uint64_t begun = child.progress().begun.load();
      done += begun;
      *fired += child.fired();
      if (!left.empty()) waiting.push_front(std::move(left));
      children.erase(children.begin() + static_cast<std::ptrdiff_t>(i));
    }
    if (tell) tell(done + running);
  }
  std::sort(outcomes.begin(), outcomes.end(),
            [](const ScheduleOutcome& a, const ScheduleOutcome& b) { return a.number < b.number; });
  return outcomes;
}

ScheduleOutcome ScheduleRunner::run_one(const FaultPlan& plan) {
  std::uint64_t fired = 0;
  std::vector<ScheduleOutcome> outcomes = run(
      {0}, [&](std::uint64_t) { return plan; }, &fired);
  return outcomes.empty() ? ScheduleOutcome{} : std::move(outcomes.front());
}

}  // namespace assay::internal
