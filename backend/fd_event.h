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

/// What an FdEvent asks for.
struct FdInterest {
  /// Data, end of file, or a connection can be read.
  bool read = false;
  /// Something can be written.
  bool write = false;
  /// Stays after it was told; otherwise it is told once.
  bool persistent = false;
  /// Told when readiness comes up rather than while it lasts, so that whoever drains spares the kernel a request a turn
  /// (multishot poll, 5.13). Where the kernel has none it is told while readiness lasts. Implies persistent.
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
  int fd() const noexcept { return fd_; }

 private:
  friend class Backend;

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
  void tell(const Readiness& ready, bool stays);
  void queue_to_arm();
  void leave();

  const int fd_;
  const FdInterest interest_;
  bool added_ = false;
  bool multishot_ = false;
  std::size_t arm_position_ = kNotQueued;
  std::chrono::nanoseconds timeout_{-1};
  Timeout timer_{*this};
  internal::OwnedCallback<Readiness> callback_;

  static constexpr std::size_t kNotQueued = ~std::size_t{0};
};

}  // namespace assay
