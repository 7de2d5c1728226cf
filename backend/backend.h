#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "assay/backend/attachment.h"
#include "assay/backend/backend_options.h"
#include "assay/backend/buffer_pool.h"
#include "assay/backend/fd_event.h"
#include "assay/backend/fd_events.h"
#include "assay/backend/kernel.h"
#include "assay/backend/kernel_ways.h"
#include "assay/backend/nesting.h"
#include "assay/backend/operation.h"
#include "assay/backend/operations.h"
#include "assay/backend/registered_file.h"
#include "assay/backend/registered_files.h"
#include "assay/backend/requests.h"
#include "assay/backend/result.h"
#include "assay/backend/ring_setup.h"
#include "assay/backend/signal_event.h"
#include "assay/backend/signal_source.h"
#include "assay/backend/timer.h"
#include "assay/backend/timer_queue.h"
#include "assay/backend/unique_function.h"
#include "assay/backend/wake_up.h"

namespace assay {

/// How long Backend::loop goes on.
enum class LoopMode {
  /// Until nothing is left that could happen.
  kUntilDone,
  /// Until something was told, or `wake`.
  kOnce,
  /// One turn without waiting: what has happened already.
  kNonblock,
  /// Until loop_break, though nothing be there: for a loop that others give work to by `post`.
  kForever,
};

/// What a run of the loop came to.
enum class LoopStatus {
  /// At least one callback ran.
  kHadEvents,
  /// There are events or operations, but none was due.
  kNothingToDo,
  /// There is nothing that could ever happen. What the loop keeps for itself does not count.
  kNoEvents,
};

/// How a chain goes on after a member that failed.
enum class ChainKind {
  /// The rest is cancelled (IOSQE_IO_LINK). A short read or write counts as failed.
  kStopAtFailure,
  /// The rest runs all the same (IOSQE_IO_HARDLINK, 5.5).
  kGoOn,
};

/// What a backend has met so far.
struct BackendCounters {
  internal::RequestCounters requests;
  /// Turns of the loop.
  std::uint64_t turns = 0;
  /// Answers of io_uring_enter that were survived.
  std::uint64_t interruptions = 0;
  std::uint64_t refusals = 0;  // EAGAIN, EBUSY
  /// Turns that found completions in the kernel's overflow backlog.
  std::uint64_t overflows = 0;
  /// How often the kernel dropped completions and the backend went on, how many operations were lost by that, and how
  /// many requests were started again.
  std::uint64_t recoveries = 0;
  std::uint64_t lost = 0;
  std::uint64_t restarted = 0;
  /// poll(2) calls that asked whether persistent events which were told still are ready.
  std::uint64_t readiness_checks = 0;
};

/// An event loop on io_uring: descriptors, timers, signals, files and operations of the user's own, over any Kernel.
///
///     auto backend = Backend::create(LinuxKernel::instance());
///     (*backend)->read(fd, buffer, 0, [](int res) { ... });
///     (*backend)->loop();
///
/// See operations.h for the operations on files and sockets, fd_event.h, timer.h and signal_event.h for events,
/// operation.h for operations of one's own.
///
/// Belongs to the thread that runs the loop; only `wake`, `post` and `loop_break` may be called from others. Callbacks
/// run inside `loop` or the destructor, never inside the call that started something, and must not throw. Nothing that
/// a kernel may answer aborts the process, loses a callback or calls one twice.
class Backend final : public Operations {
 public:
  /// Sets up ring and eventfd. The Kernel must outlive the Backend. Nothing is left behind on failure, and the error
  /// names the call that failed: see `is_unavailable`.
  static Result<std::unique_ptr<Backend>> create(Kernel& kernel, const BackendOptions& options = {});

  /// Ends what is there: operations that the kernel has not seen are told -ECANCELED, those in flight are cancelled and
  /// awaited, each callback runs exactly once. Events and timers are detached and not told; posted functions that did
  /// not run yet are dropped. Bounded: what a kernel cannot cancel (before 5.5) is told -ECANCELED after a second
  /// without progress. Must run on the loop's thread with defer_taskrun or register_ring_fd; on another the ring is
  /// closed without awaiting.
  ///
  /// A callback may destroy the Backend that called it. All this is done by then, except that the memory is given back
  /// when the loop returns, which is next: nobody else is called, and it says kNoEvents.
  ~Backend();
  /// What `delete` does, so that a Backend outlives its running loop.
  static void operator delete(Backend* backend, std::destroying_delete_t);
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;

  /// Whether a Backend can be made on this Kernel at all: the error says why not, as that of `create` does.
  static Result<void> available(Kernel& kernel);
  /// Which way a Backend takes on this Kernel for each thing that kernels have several ways for, and why. The kernel is
  /// asked once. The error is that of `available`. What was asked for and could not be had is in `unmet_options`.
  static Result<std::vector<KernelWay>> ways(Kernel& kernel);

  /// True for errors of `create` that mean that this process has no io_uring (ENOSYS, EPERM), rather than that
  /// resources ran out (ENOMEM, EMFILE, ENFILE) or that the options are refused (EINVAL).
  static bool is_unavailable(const Error& error);

  /// One line for each option that was asked for and could not be had.
  std::span<const std::string> unmet_options() const noexcept { return unmet_options_; }

  // The loop. One turn: arm events, break?, submit and wait, timers, signals, posted functions, completions.

  /// Runs. The error is what the loop could not handle: an answer of io_uring_enter that it does not survive (EEXIST
  /// for a wrong thread; EBADR with WhenDropped::kEndAll, after everything in flight was told that; EDEADLK from a
  /// simulated kernel whose clock has nothing to wait for), or a failure of what is put off to the first run. The loop
  /// may be run again, and the backend be destroyed. EBUSY when the loop runs already.
  Result<LoopStatus> loop(LoopMode mode = LoopMode::kUntilDone);
  /// Makes the running loop, or the next one, return at its next turn. What was completed by then and not told is told
  /// by the next run. From any thread and from signal handlers.
  void loop_break() noexcept;
  /// Gives the kernel what is queued, without waiting for the next turn. Before the loop's first run it does nothing.
  /// While the loop does not run and was nested (`pollable_fd`), it brings all to the kernel that was started since:
  /// timers too.
  Result<void> submit_outstanding();
  /// A descriptor that is readable when a turn of the loop would have something to do, so that another loop (a Backend,
  /// epoll, poll) can wait for this one: whenever it is readable, call `loop(LoopMode::kNonblock)`. The same each time,
  /// the Backend's own, to be neither read nor closed. What was started outside of this loop's callbacks is waited for
  /// once `submit_outstanding` was called; `wake` and `post` need nothing. The first call binds the loop to this thread
  /// as its first run does. ENOTSUP before Linux 5.4.
  Result<int> pollable_fd();
  /// Ends the wait of the running loop, or of the next one that would wait. From any thread and from signal handlers.
  void wake() noexcept { wake_up_.wake(); }
  /// Runs the function on the loop's thread, in its next turn. From any thread.
  void post(UniqueFunction<void()> function);
  /// The Kernel's CLOCK_MONOTONIC. Within one callback it is read once.
  std::chrono::nanoseconds now() noexcept { return now_is_fresh_ && running_ ? now_ : read_clock(); }

  // Operations of one's own. Queued ones are submitted in batches: when max_submit are queued, or by the next turn.

  /// Queues the operation. EINPROGRESS, without any effect, when it is in flight; ECANCELED while the backend is
  /// destroyed. A full SQ or CQ is no error: the operation waits for its turn.
  Result<OperationHandle> submit(Operation& operation) { return requests_.queue(operation); }
  /// The same, and gives the kernel everything that is queued at once.
  Result<OperationHandle> submit_now(Operation& operation);
  /// Queues it for the next turn: no batch that fills up before takes it along, and no submit_outstanding. From a
  /// callback, `before_wait` included, that is the turn after this one.
  Result<OperationHandle> submit_next_turn(Operation& operation) { return requests_.queue_next_turn(operation); }
  /// Queues operations as a chain: each starts when the one before it has ended, in one submission. E2BIG when the SQ
  /// could never hold it; EINPROGRESS when one is in flight. Nothing is queued then. Since Linux 5.3.
  Result<void> submit_chain(std::span<Operation* const> operations, ChainKind kind = ChainKind::kStopAtFailure) {
    return requests_.queue_chain(operations, kind == ChainKind::kGoOn);
  }
  /// Asks for the operation's end. It is told -ECANCELED by the loop, or its result if that came first. Members of a
  /// chain behind it end too. ENOENT when it is not in flight; ENOTSUP where the kernel cannot (before 5.5, all but
  /// polls).
  Result<void> cancel(OperationHandle handle) { return requests_.cancel(handle); }
  Result<void> cancel(const Operation& operation) { return requests_.cancel(operation); }

  // Files.

  /// Registers the file of a descriptor (BackendOptions::registered_fds), so that operations on it spare the kernel a
  /// reference. A descriptor that is registered already is shared. The handle is good, and just the descriptor, where
  /// there is no table, it is full, or the ring was made anew and refused this file; a table that could not be had for
  /// want of memory or descriptors is asked for again by each call, and gets all files that are held. EBADF when `fd`
  /// is not open; otherwise what the kernel said to this file (IORING_REGISTER_FILES_UPDATE: EBADF for an io_uring's
  /// own, ENOMEM, EEXIST on a wrong thread): then nothing is registered, and other files are not affected. See
  /// RegisteredFile. Since Linux 5.5. Source: io_uring_register(2).
  Result<RegisteredFile> register_file(int fd);

  /// The counts so far.
  BackendCounters counters() const noexcept;
  Kernel& kernel() const noexcept { return kernel_; }
  /// The pool of BackendOptions::initial_provided_buffers; null when none was asked for.
  const BufferPool* provided_buffers() const noexcept { return provided_buffers_ ? &*provided_buffers_ : nullptr; }
  /// The ring underneath, for registration and for those who know what they do: a request that is submitted to it
  /// directly has no business here.
  Ring& ring() noexcept { return requests_.ring(); }

 private:
  friend class internal::Attachment;
  friend class internal::PooledBuffers;
  friend class FdEvent;
  friend class SignalEvent;
  friend class Timer;

  /// Asks again for the end of what was not heard to be cancelled.
  class CancelRepetition final : public internal::TimerNode {
   public:
    explicit CancelRepetition(Backend& backend) : TimerNode(false), backend_(backend) {}
    void arm();
    void expired() override;

   private:
    Backend& backend_;
  };

  // The time of a wait without a limit.
  static constexpr std::chrono::nanoseconds kNoLimit{-1};

  Backend(Kernel& kernel, const BackendOptions& options, internal::RingSetup setup, int event_fd);

  std::chrono::nanoseconds read_clock() noexcept;
  void end();
  Result<void> start();
  void hand_over();
  bool is_alive();
  /// Whether the loop was woken; and what it cannot handle.
  bool run_turn(bool may_wait, std::optional<Error>& error);
  bool has_dropped();
  void recover();
  void end_what_is_lost();
  Result<void> make_ready(Ring& ring);
  void report_unmet(std::string_view option, const std::string& line);
  int spin(std::chrono::nanoseconds timeout);
  int enter_kernel(bool may_wait, std::chrono::nanoseconds timeout);
  std::optional<Error> handle_unusual_answer(int answer, bool* back_off);
  void warn_of_overflow();
  void expire_timers();
  void run_posted();
  void back_off(std::chrono::nanoseconds timeout);
  void about_to_call() noexcept {
    now_is_fresh_ = false;
    ++told_;
  }
  void drain();

  Kernel& kernel_;
  BackendOptions options_;
  std::vector<std::string> unmet_options_;
  internal::Requests requests_;
  internal::SqGroupPlace sq_group_place_;  // given up before the ring is
  internal::RegisteredFiles registered_files_;
  internal::WakeUp wake_up_;
  internal::SignalSource signals_;
  internal::TimerQueue timers_;
  CancelRepetition cancel_repetition_{*this};
  internal::Nesting nesting_{requests_};

  std::vector<internal::Attachment*> attachments_;  // each knows its place
  internal::FdEvents fd_events_{requests_};
  std::vector<internal::PooledBuffers*> buffer_groups_;
  std::optional<BufferPool> provided_buffers_;

  std::mutex posted_mutex_;
  std::vector<UniqueFunction<void()>> posted_;
  std::vector<UniqueFunction<void()>> running_posted_;  // those that the loop took, whose memory is used again
  std::atomic<bool> has_posted_{false};
  std::atomic<bool> break_requested_{false};

  bool started_ = false;
  bool running_ = false;
  bool ended_ = false;           // destroyed, but for the memory
  std::thread::id loop_thread_;  // only where the ring is bound to its thread
  std::chrono::nanoseconds now_{0};
  bool now_is_fresh_ = false;
  std::chrono::nanoseconds back_off_{0};
  std::optional<std::chrono::nanoseconds> warned_at_;
  unsigned dropped_ = 0;  // completions, by the ring's counter, that were dealt with
  std::uint64_t told_ = 0;
  std::uint64_t turns_ = 0;
  std::uint64_t interruptions_ = 0;
  std::uint64_t refusals_ = 0;
  std::uint64_t overflows_ = 0;
  std::uint64_t recoveries_ = 0;
  std::uint64_t lost_ = 0;
  std::uint64_t restarted_ = 0;
};

}  // namespace assay
