#pragma once

#include <chrono>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "assay/backend/backend.h"
#include "assay/faultinject/scenario.h"

namespace assay::conformance {

/// The bytes of a text, to be written.
inline std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }
/// A text's memory, to be read into.
inline std::span<std::byte> room_in(std::string& text) { return std::as_writable_bytes(std::span(text)); }
inline std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Text in which a piece that is lost, doubled or in the wrong place shows.
std::string numbered_text(std::size_t bytes);

/// What an operation was promised to tell, and what it told.
struct Answer {
  std::string what;
  unsigned calls = 0;
  int res = 0;

  bool done() const noexcept { return calls != 0; }
};

/// The reference backend in a scenario: created as the options say, run until something has come about, and destroyed
/// at the end, when every answer that was owed must have come, once.
class ScenarioLoop {
 public:
  explicit ScenarioLoop(ScenarioRun& run, const BackendOptions& options = {});
  ScenarioLoop(const ScenarioLoop&) = delete;
  ScenarioLoop& operator=(const ScenarioLoop&) = delete;
  ~ScenarioLoop();

  /// False where the backend could not be created, which a fault must have allowed.
  explicit operator bool() const noexcept { return backend_ != nullptr; }
  Backend& backend() noexcept { return *backend_; }
  Backend* operator->() noexcept { return backend_.get(); }

  /// Something that the backend owes an answer to; the callback is for one call only. `then` runs after it was counted.
  Answer& owe(std::string what);
  ResultCallback answer(Answer& answer, std::function<void(int res)> then = {});
  ResultCallback answer(std::string what, std::function<void(int res)> then = {}) {
    return answer(owe(std::move(what)), std::move(then));
  }

  /// Runs until `done`. False, and a violation unless a fault allows it, where that does not come about: the loop says
  /// that there is nothing more to do, or turns absurdly often.
  bool until(std::string_view what, const std::function<bool()>& done);
  bool until(const Answer& answer) {
    return until(answer.what, [&answer] { return answer.done(); });
  }
  /// Runs until everything that is owed has been answered.
  bool until_answered();
  /// Starts an operation by `start`, which is given its callback, and runs until it is over. Its result.
  int result_of(std::string what, const std::function<void(ResultCallback done)>& start);
  /// The same for a transfer of the whole. What was transferred until its end, if it had one.
  TransferResult transfer(std::string what, const std::function<void(TransferCallback done)>& start);
  /// Cancels an operation that is not over, and runs until it is. False, and the backend is destroyed, where this
  /// kernel cannot cancel: only that ends it.
  bool stop(OperationHandle handle, const Answer& answer);
  /// Turns that do not wait, so many.
  void turns(unsigned count);
  /// Destroys the backend, early, and sees that everything that was owed was answered.
  void destroy();
  /// Only destroys it, as from inside a callback, whose own answer is still to be counted.
  void destroy_now() { backend_.reset(); }

 private:
  // A run of the loop. False when it has nothing to do any more.
  bool turn(LoopMode mode);

  ScenarioRun& run_;
  std::deque<Answer> answers_;  // outlive the backend, whose end still answers
  std::unique_ptr<Backend> backend_;
  bool judged_ = false;
};

/// Two ends of a pipe or of a pair of stream sockets, closed with it.
class Ends {
 public:
  static Ends pipe();
  static Ends sockets(int type);
  Ends(Ends&& other) noexcept : near_(std::exchange(other.near_, -1)), far_(std::exchange(other.far_, -1)) {}
  Ends& operator=(Ends&&) = delete;
  ~Ends();

  /// A pipe's end to read from; the backend's socket.
  int near() const noexcept { return near_; }
  /// A pipe's end to write to; the peer's socket.
  int far() const noexcept { return far_; }
  void close_near();
  void close_far();

 private:
  Ends(int near, int far) : near_(near), far_(far) {}

  int near_;
  int far_;
};

/// Up to so many bytes that a pipe or socket has at this moment, by an ordinary read.
std::string left_in(int fd, std::size_t bytes);

/// A descriptor, closed with it.
class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Fd();

  int get() const noexcept { return fd_; }

 private:
  int fd_;
};

/// A file in memory that holds this text.
Fd file_with(std::string_view text);
/// All that it holds.
std::string text_in(const Fd& file);

}  // namespace assay::conformance
