#pragma once

#include <sys/uio.h>

#include <fcntl.h>
#include <bitset>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "assay/backend/kernel.h"
#include "assay/backend/result.h"
#include "assay/backend/uapi.h"

namespace assay::conformance {

/// What an event loop on io_uring may promise, beyond running. Each behaviour of the backend suites names those that it
/// needs; a loop that does not claim one of them is not held to the behaviour.
enum class Capability {
  kBreak,               // stops a running loop from a callback, and loses nothing by it
  kFdEvents,            // oneshot readiness events
  kPersistentFdEvents,  // those that stay until they are deleted; level-triggered
  kFdEventTimeouts,     // an fd event with a time limit: whichever comes first
  kTimers,              // timers, on the clock of the kernel under them
  kExactTimers,         // timers with nanosecond resolution: never early, and on a virtual clock never late
  kSignals,             // signal events
  kReadWrite,           // read, write and fsync, with the kernel's result
  kOpenClose,           // openat, close
  kVectored,            // readv, writev
  kUserOperations,      // an operation whose SQE the user fills in
  kInFlightRefusal,     // an operation that is in flight is refused when it is submitted again
  kChains,              // linked chains, kept whole
  kCancel,              // ends an operation by its handle
  kWake,                // ends a wait, from another thread or from a signal handler
  kPost,                // runs a function on the loop, from another thread
  kTurnOrder,           // in one turn: timers, then signals, then completions
  kBacklog,             // takes more operations than the rings have entries
  kDestroyInFlight,     // destruction ends what is in flight: each callback once, with -ECANCELED
  kCreationErrors,      // creation that fails says which call failed, and why, and leaves nothing behind
  kInterruptions,       // survives enter that answers -EINTR, or returns early
  kRefusals,            // survives enter that answers -EAGAIN or -EBUSY
  kPartialSubmissions,  // survives enter that takes fewer SQEs than it was given
  kLostCompletions,     // -EBADR: the loop goes on, or returns it and what was in flight ends with it, once
  kPromptTurns,         // a turn that does not wait tells what is ready by then
  kReference,           // is Assay's own backend, and so has its whole interface (assay_backend_adapter.h)
};

inline constexpr std::size_t kCapabilityCount = static_cast<std::size_t>(Capability::kReference) + 1;

/// The capability's name in reports: "persistent-fd-events".
std::string_view capability_name(Capability capability);

/// A set of capabilities.
class CapabilitySet {
 public:
  CapabilitySet() = default;
  CapabilitySet(std::initializer_list<Capability> capabilities) {
    for (const Capability capability : capabilities) insert(capability);
  }
  static CapabilitySet all() {
    CapabilitySet set;
    set.bits_.set();
    return set;
  }

  void insert(Capability capability) { bits_.set(static_cast<std::size_t>(capability)); }
  void erase(Capability capability) { bits_.reset(static_cast<std::size_t>(capability)); }
  bool contains(Capability capability) const { return bits_.test(static_cast<std::size_t>(capability)); }
  bool empty() const { return bits_.none(); }

  friend CapabilitySet operator|(const CapabilitySet& a, const CapabilitySet& b) {
    return CapabilitySet(a.bits_ | b.bits_);
  }
  /// Those of `a` that are not in `b`.
  friend CapabilitySet operator-(const CapabilitySet& a, const CapabilitySet& b) {
    return CapabilitySet(a.bits_ & ~b.bits_);
  }

  /// "fd-events, timers".
  std::string to_string() const;

 private:
  explicit CapabilitySet(std::bitset<kCapabilityCount> bits) : bits_(bits) {}

  std::bitset<kCapabilityCount> bits_;
};

/// How long `BackendUnderTest::run` goes on.
enum class RunMode {
  kOnce,       // wait until something happened, tell it, return
  kNonBlock,   // tell what has happened already, return
  kUntilIdle,  // go on until nothing is left that could happen, or break_loop
};

/// What a run came to.
enum class RunResult {
  kHadEvents,    // at least one callback ran
  kNothingToDo,  // there are events or operations, but none was due
  kNoEvents,     // there is nothing that could ever happen; what the loop keeps for itself does not count
};

/// What an event's callback is told: a mask.
enum EventBits : unsigned {
  kReadable = 1,   // also on end of file, hang-up and errors
  kWritable = 2,   // also on hang-up and errors
  kPersist = 4,    // asked for only: the event stays after it was told
  kTimedOut = 8,   // told only: the time limit came first, or the timer is due
  kSignalled = 16  // told only
};

/// An event or an operation, as its backend knows it. Never reused within a backend.
enum class EventId : std::uint64_t {};
enum class OperationId : std::uint64_t {};

using EventCallback = std::function<void(unsigned bits)>;
/// The kernel's result: >= 0, or a negative errno.
using OperationCallback = std::function<void(int res)>;
using Prepare = std::function<void(io_uring_sqe& sqe)>;

/// How large a case wants the rings.
struct BackendSettings {
  unsigned sq_entries = 64;
  /// 0 leaves it to the backend.
  unsigned cq_entries = 0;
};

/// An event loop as the suites see it. To hold a loop to the suites, write this small adapter for it.
///
/// Only `run` must be there. Whatever else the loop has is overridden and claimed (BackendSubject::claims); the rest
/// answers ENOTSUP, by name. Everything is called on one thread, except `post` and wakers. Callbacks run inside `run`
/// or the destructor, never inside the call that started the operation.
///
/// Events are made, then added, perhaps often. Event and operation ids stay valid until the backend is destroyed;
/// their memory is the adapter's affair.
class BackendUnderTest {
 public:
  BackendUnderTest() = default;
  BackendUnderTest(const BackendUnderTest&) = delete;
  BackendUnderTest& operator=(const BackendUnderTest&) = delete;
  /// Ends what is in flight: each callback that is still owed runs here, with -ECANCELED. Events are not told.
  virtual ~BackendUnderTest() = default;

  /// Runs the loop. The error is what the loop could not handle itself.
  virtual Result<RunResult> run(RunMode mode) = 0;
  /// Makes `run` return at its next turn. What was completed and not yet told is told by the next run.
  virtual Result<void> break_loop() { return lacks("break_loop"); }

  /// An event on an fd, not yet added. `bits` are those of kReadable, kWritable and kPersist.
  virtual Result<EventId> make_fd_event(int /*fd*/, unsigned /*bits*/, EventCallback /*callback*/) {
    return lacks("make_fd_event");
  }
  /// A timer, not yet added. Each `add_event` makes it fire once; the callback gets kTimedOut.
  virtual Result<EventId> make_timer(EventCallback /*callback*/) { return lacks("make_timer"); }
  /// A signal event, not yet added; it stays until it is deleted. The callback gets kSignalled.
  virtual Result<EventId> make_signal(int /*signal*/, EventCallback /*callback*/) { return lacks("make_signal"); }
  /// Adds an event; adding one that is added is harmless, and gives it the new timeout. A timer needs the timeout, a
  /// signal event must have none.
  virtual Result<void> add_event(EventId /*event*/,
                                 std::optional<std::chrono::nanoseconds> /*timeout*/ = std::nullopt) {
    return lacks("add_event");
  }
  /// Deletes an event: it is not told any more. An error, and harmless, when it is not added.
  virtual Result<void> delete_event(EventId /*event*/) { return lacks("delete_event"); }

  /// Operations. They are started at once or with the next turn; the completion is called exactly once. Memory that the
  /// kernel reads or writes is the caller's, until then; an iovec array and a path are copied.
  virtual Result<OperationId> read(int /*fd*/, std::span<std::byte> /*buffer*/, std::uint64_t /*offset*/,
                                   OperationCallback /*done*/) {
    return lacks("read");
  }
  virtual Result<OperationId> write(int /*fd*/, std::span<const std::byte> /*buffer*/, std::uint64_t /*offset*/,
                                    OperationCallback /*done*/) {
    return lacks("write");
  }
  virtual Result<OperationId> readv(int /*fd*/, std::span<const iovec> /*buffers*/, std::uint64_t /*offset*/,
                                    OperationCallback /*done*/) {
    return lacks("readv");
  }
  virtual Result<OperationId> writev(int /*fd*/, std::span<const iovec> /*buffers*/, std::uint64_t /*offset*/,
                                     OperationCallback /*done*/) {
    return lacks("writev");
  }
  virtual Result<OperationId> fsync(int /*fd*/, OperationCallback /*done*/) { return lacks("fsync"); }
  virtual Result<OperationId> openat(int /*directory_fd*/, const std::string& /*path*/, int /*flags*/, mode_t /*mode*/,
                                     OperationCallback /*done*/) {
    return lacks("openat");
  }
  virtual Result<OperationId> close(int /*fd*/, OperationCallback /*done*/) { return lacks("close"); }

  /// An operation of the user's own, not yet submitted. `prepare` fills everything of the SQE but its user_data and may
  /// be called at any time from `submit` to the end of the next turn.
  virtual Result<OperationId> make_operation(Prepare /*prepare*/, OperationCallback /*done*/) {
    return lacks("make_operation");
  }
  /// Submits it; once it is over it may be submitted again. An error without any effect while it is in flight.
  virtual Result<void> submit(OperationId /*operation*/) { return lacks("submit"); }
  /// Submits operations as one chain (IOSQE_IO_LINK, which `prepare` need not set), in one batch.
  virtual Result<void> submit_chain(std::span<const OperationId> /*operations*/) { return lacks("submit_chain"); }

  /// Asks for an operation's end; it is told -ECANCELED, or its result if that came first. An error (ENOENT) when the
  /// operation is not in flight.
  virtual Result<void> cancel(OperationId /*operation*/) { return lacks("cancel"); }

  /// What ends the wait of the running loop, or of the next one that waits. May be called while the backend lives, from
  /// any thread and from signal handlers.
  virtual Result<std::function<void()>> make_waker() { return lacks("make_waker"); }
  /// Runs a function on the loop's thread, soon. From any thread.
  virtual Result<void> post(std::function<void()> /*function*/) { return lacks("post"); }

 private:
  static Error lacks(const char* call) {
    return Error::from_errno(ENOTSUP, std::string("this adapter has no ") + call);
  }
};

/// A backend to be held to the suites.
struct BackendSubject {
  /// One word, for test names: "assay", "plain_loop".
  std::string name;
  /// What it promises. A behaviour that needs more is skipped as "not claimed: X".
  CapabilitySet claims;
  /// Makes one on a kernel, which outlives it. An error tells which call failed and why.
  std::function<Result<std::unique_ptr<BackendUnderTest>>(Kernel& kernel, const BackendSettings& settings)> create;
};

}  // namespace assay::conformance
