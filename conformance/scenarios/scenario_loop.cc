#include "assay/conformance/scenarios/scenario_loop.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

namespace assay::conformance {
namespace {

// A scenario takes some dozens.
constexpr unsigned kAbsurdlyManyTurns = 20'000;

}  // namespace

std::string numbered_text(std::size_t bytes) {
  std::string text;
  for (unsigned i = 0; text.size() < bytes; ++i) text += std::to_string(i) + ' ';
  text.resize(bytes);
  return text;
}

ScenarioLoop::ScenarioLoop(ScenarioRun& run, const BackendOptions& options) : run_(run) {
  Result<std::unique_ptr<Backend>> backend = Backend::create(run.kernel(), options);
  if (run.ended("Backend::create", backend)) backend_ = *std::move(backend);
}

ScenarioLoop::~ScenarioLoop() { destroy(); }

void ScenarioLoop::destroy() {
  backend_.reset();
  if (std::exchange(judged_, true)) return;
  for (const Answer& answer : answers_) {
    if (answer.calls != 1)
      run_.violated(answer.what + " was answered " + std::to_string(answer.calls) + " times, not once");
  }
}

Answer& ScenarioLoop::owe(std::string what) {
  answers_.push_back({.what = std::move(what)});
  return answers_.back();
}

ResultCallback ScenarioLoop::answer(Answer& answer, std::function<void(int res)> then) {
  return [&answer, then = std::move(then)](int res) {
    ++answer.calls;
    answer.res = res;
    if (then) then(res);
  };
}

bool ScenarioLoop::turn(LoopMode mode) {
  // Where a callback destroys it, nothing of the loop is there any more.
  const Result<LoopStatus> status = backend_->loop(mode);
  if (!run_.ended("loop", status)) return true;
  return *status != LoopStatus::kNoEvents;
}

bool ScenarioLoop::until(std::string_view what, const std::function<bool()>& done) {
  for (unsigned turns = 0; !done(); ++turns) {
    if (backend_ == nullptr) return false;
    if (turns > kAbsurdlyManyTurns) {
      run_.violated("absurdly many turns, and still not: " + std::string(what));
      return false;
    }
    if (!turn(LoopMode::kOnce) && !done()) {
      run_.violated("the loop has nothing more to do, and still not: " + std::string(what));
      return false;
    }
  }
  return true;
}

bool ScenarioLoop::until_answered() {
  // What is waited for may bring more to be answered.
  for (std::size_t i = 0; i < answers_.size(); ++i) {
    if (!until(answers_[i])) return false;
  }
  return true;
}

int ScenarioLoop::result_of(std::string what, const std::function<void(ResultCallback done)>& start) {
  if (backend_ == nullptr) return -ECANCELED;
  Answer& told = owe(std::move(what));
  start(answer(told));
  return until(told) ? told.res : -ECANCELED;
}

TransferResult ScenarioLoop::transfer(std::string what, const std::function<void(TransferCallback done)>& start) {
  TransferResult result;
  const int error = result_of(std::move(what), [&](ResultCallback done) {
    start([&result, done = std::move(done)](TransferResult told) mutable {
      result = told;
      done(told.error);
    });
  });
  if (error != 0) result.error = error;
  return result;
}

bool ScenarioLoop::stop(OperationHandle handle, const Answer& answer) {
  if (backend_ == nullptr || answer.done()) return true;
  const Result<void> cancelled = backend_->cancel(handle);
  run_.ended("cancel", cancelled);
  // Where the probe fails as well, the backend learns only from the kernel's answer that it cannot.
  if (run_.hides(IORING_OP_ASYNC_CANCEL)) {
    destroy();
    return false;
  }
  return until(answer);
}

void ScenarioLoop::turns(unsigned count) {
  for (; backend_ != nullptr && count != 0; --count) turn(LoopMode::kNonblock);
}

std::string left_in(int fd, std::size_t bytes) {
  std::string text(bytes, '\0');
  pollfd readable{fd, POLLIN, 0};
  const ssize_t read = ::poll(&readable, 1, 0) > 0 ? ::read(fd, text.data(), bytes) : 0;
  text.resize(static_cast<std::size_t>(std::max<ssize_t>(read, 0)));
  return text;
}

Ends Ends::pipe() {
  int ends[2] = {-1, -1};
  if (::pipe2(ends, O_CLOEXEC) != 0) return {-1, -1};
  return {ends[0], ends[1]};
}

Ends Ends::sockets(int type) {
  int ends[2] = {-1, -1};
  if (::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends) != 0) return {-1, -1};
  return {ends[0], ends[1]};
}

Ends::~Ends() {
  close_near();
  close_far();
}

void Ends::close_near() {
  if (near_ >= 0) ::close(std::exchange(near_, -1));
}

void Ends::close_far() {
  if (far_ >= 0) ::close(std::exchange(far_, -1));
}

Fd::~Fd() {
  if (fd_ >= 0) ::close(fd_);
}

Fd file_with(std::string_view text) {
  Fd file(::memfd_create("scenario", MFD_CLOEXEC));
  (void)!::pwrite(file.get(), text.data(), text.size(), 0);
  return file;
}

std::string text_in(const Fd& file) {
  const off_t bytes = ::lseek(file.get(), 0, SEEK_END);
  std::string text(bytes > 0 ? static_cast<std::size_t>(bytes) : 0, '\0');
  (void)!::pread(file.get(), text.data(), text.size(), 0);
  return text;
}

}  // namespace assay::conformance
