#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>

#include <sys/uio.h>

#include "assay/backend/ring.h"

namespace assay::examples {

/// A deliberately plain event loop on a Ring: one SQE a request, a table of requests, nothing clever.
///
/// It is here to be read, and to show how a loop of one's own is held to the conformance suites
/// (plain_loop_adapter.cc). It waits for files, keeps timers, reads and writes, and survives interruptions. What it
/// does not have, and a loop for production needs: signals, wake-ups from other threads, cancelation of operations,
/// linked chains, a backlog for a full SQ, an orderly end for what is in flight, and an answer to lost completions.
///
/// One thread. Callbacks run inside `turn`, with the kernel's result, and may call anything but `turn`.
class PlainLoop {
 public:
  using Token = std::uint64_t;
  using Callback = std::function<void(int res)>;

  /// Sets up a ring with `entries` SQEs on `kernel`, which must outlive the loop.
  static Result<PlainLoop> create(Kernel& kernel, unsigned entries);

  /// Calls back once when `fd` is ready for `poll_events` (POLLIN, POLLOUT), with the events that are there.
  Result<Token> watch(int fd, unsigned poll_events, Callback callback);
  /// Calls back once after `delay`, with -ETIME.
  Token after(std::chrono::nanoseconds delay, Callback callback);
  /// Forgets a watch or a timer: its callback does not run any more. False if it already ran or was forgotten.
  bool forget(Token token);

  /// The file operations of the same names. Buffers must stay until the callback ran.
  Result<Token> read(int fd, std::span<std::byte> buffer, std::uint64_t offset, Callback callback);
  Result<Token> write(int fd, std::span<const std::byte> buffer, std::uint64_t offset, Callback callback);
  Result<Token> fsync(int fd, Callback callback);

  /// One turn: submits what was asked for, waits for a completion or a timer if `wait`, and calls back for all that is
  /// there. Returns how many callbacks ran. The error is what enter answered, other than an interruption.
  Result<unsigned> turn(bool wait);

  /// True when no callback is left that could run.
  bool idle() const { return in_flight_ == 0 && timers_.empty(); }

 private:
  struct Request {
    Callback callback;  // empty once it was forgotten
    iovec buffer{};     // the SQE points to it, and the kernel may read it as late as it likes
  };

  struct Timer {
    Token token;
    Callback callback;
  };

  explicit PlainLoop(Ring ring) : ring_(std::move(ring)) {}
  using Prepare = std::function<void(io_uring_sqe* sqe, Request& request)>;
  Result<Token> start(Request request, const Prepare& prepare);
  int submit_and_wait(bool wait);
  std::chrono::nanoseconds now() const;

  Ring ring_;
  // A map's nodes stay where they are, so that SQEs may point into them.
  std::map<Token, Request> requests_;
  std::size_t in_flight_ = 0;  // of those, the ones that were not forgotten
  std::multimap<std::chrono::nanoseconds, Timer> timers_;
  Token last_token_ = 0;
};

}  // namespace assay::examples
