#pragma once

#include <chrono>
#include <cstddef>
#include <optional>

#include "assay/backend/attachment.h"
#include "assay/backend/operation.h"
#include "assay/backend/result.h"
#include "assay/backend/timer_queue.h"
#include "assay/backend/unique_function.h"

namespace assay {

namespace internal {
class FdEvents;
}

/// What an FdEvent asks for.
struct FdInterest {
  /// Data, end of file, or a connection can be read.
  bool read = false;
  /// Something can be written.
  bool write = false;
  /// Stays after it was told; otherwise it is told once.
  bool persistent = false;
  /// Told when readiness comes up rather than while it lasts (multishot poll, 5.13), for those who drain. May be told
  /// once more for the same readiness, as when the kernel ends the poll; where the kernel has no multishot poll it is
  /// told while readiness lasts. Implies persistent.
  bool edge_triggered = false;
};

/// What an FdEvent is told.
struct Readiness {
  /// Each only if it was asked for. An error or a hang-up of the file sets both: the call that follows will show it.
  bool read = false;
  bool write = false;
  /// The timeout came first.
  bool timed_out = false;
  /// The other side is gone (POLLHUP).
  bool hang_up = false;
  /// The file has an error to show (POLLERR).
  bool file_error = false;
  /// A negative errno when the kernel could not poll the descriptor, as -EBADF; the event is over then.
  int error = 0;
};

/// Calls back when a descriptor is ready, level-triggered as libevent's: a persistent event that was told and not
/// drained is told again in the next turn. Since Linux 5.1.
///
/// A persistent event keeps one multishot poll in the ring (5.13), and the loop asks by one poll(2) for all that were
/// told, before it waits, whether they still are ready; see `drained`. While a single descriptor is active a oneshot
/// poll that goes along with the wait is cheaper and taken instead, as it is where the kernel has no other.
///
///     FdEvent event(backend, fd, {.read = true, .persistent = true}, [&](Readiness ready) { ... });
///     event.add();
///
/// Belongs to the loop's thread. May be added, removed and destroyed at any point, by its own callback too. An added
/// event keeps the loop alive. The kernel keeps the file open until the turn after its event was removed
/// (Backend::submit_outstanding is sooner); several events may watch one descriptor.
class FdEvent final : private internal::Attachment, private Operation {
 public:
  FdEvent(Backend& backend, int fd, FdInterest interest, UniqueFunction<void(Readiness)> callback);
  ~FdEvent() override;

  /// Adds the event. With `timeout` it is told that, if nothing else comes first; a persistent event's timeout starts
  /// again each time it is told. Adding one that is added is harmless, and moves its timeout if one is given. EINVAL
  /// when neither direction was asked for, EBADF for a negative descriptor, ECANCELED when the backend is gone.
  Result<void> add(std::optional<std::chrono::nanoseconds> timeout = std::nullopt);
  /// It is not told any more. ENOENT, and no harm, when it was not added.
  Result<void> remove();
  bool added() const noexcept { return added_; }
  /// From the callback: everything was read, or written, until the file said EAGAIN. Spares the loop to ask whether it
  /// still is ready. Said wrongly, the event is not told again before something new happens to the file.
  void drained();
  int fd() const noexcept { return fd_; }

 private:
  friend class internal::FdEvents;

  class Timeout final : public internal::TimerNode {
   public:
    explicit Timeout(FdEvent& event) : TimerNode(false), event_(event) {}
    void expired() override { event_.timed_out(); }

   private:
    FdEvent& event_;
  };

  void prepare(io_uring_sqe& sqe) override;
  void complete(const Completion& completion) override;
  void backend_gone() override;
  void timed_out();
  /// Its file was found ready by poll(2).
  void found_ready(unsigned mask) { tell_mask(mask); }
  bool tell_mask(unsigned mask);
  void tell(const Readiness& ready, bool stays);
  void queue_to_arm();
  void leave();
  bool wants_multishot();
  short poll_events() const noexcept;
  bool stays() const noexcept { return interest_.persistent || interest_.edge_triggered; }

  static constexpr std::size_t kNowhere = ~std::size_t{0};

  const int fd_;
  const FdInterest interest_;
  bool added_ = false;
  bool multishot_ = false;          // the poll that is in the ring, or goes there next
  bool multishot_refused_ = false;  // by this kernel
  bool drains_ = false;             // its callback says so
  std::chrono::nanoseconds timeout_{-1};
  Timeout timer_{*this};
  internal::OwnedCallback<Readiness> callback_;

  // FdEvents' own.
  std::size_t arm_position_ = kNowhere;
  std::size_t doubt_position_ = kNowhere;
  short found_ = 0;           // what poll(2) said, until it is told
  bool awaits_reap_ = false;  // trusted once the completions that may be on their way are in
};

}  // namespace assay
