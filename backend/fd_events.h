#pragma once

#include <poll.h>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "assay/backend/requests.h"
#include "assay/backend/unique_function.h"

namespace assay {

class FdEvent;

namespace internal {

/// The descriptors' events of one loop: which polls are still to be armed, and which files may be ready without a
/// completion that says so.
///
/// A multishot poll tells when readiness comes up, once. A level-triggered event on it has to be told as long as
/// readiness lasts, so an event that was told is doubtful until a poll(2), one for all of them, before the next wait
/// finds its file not ready. Completions of a doubtful event say nothing new. One that was posted before the callback
/// drained the file and is reaped after that poll(2) would be a lie: where such a one may be on its way the event stays
/// doubtful for another turn.
class FdEvents {
 public:
  explicit FdEvents(Requests& requests) : requests_(requests) {}
  FdEvents(const FdEvents&) = delete;
  FdEvents& operator=(const FdEvents&) = delete;

  /// Events that are added.
  std::size_t size() const noexcept { return size_; }
  void added() noexcept { ++size_; }
  void removed(FdEvent& event) noexcept;

  /// The event's poll is queued by the next `arm`, right before the submission: an event that is removed before costs
  /// nothing, and a descriptor that is closed and used again until then is not polled by mistake.
  void arm_later(FdEvent& event);
  /// Queues the polls that are due.
  void arm() {
    if (!to_arm_.empty()) arm_all();
  }
  /// A new turn begins, so what was told until now was told in the last one.
  void begin_turn() noexcept {
    told_in_last_turn_ = told_;
    told_ = 0;
  }

  /// The event was told and its poll goes on: whether its file still is ready is asked before the loop waits.
  void doubt(FdEvent& event);
  /// The file is not ready, so the poll will say when it is.
  void trust(FdEvent& event);
  bool is_doubtful(const FdEvent& event) const noexcept;
  /// Asks for all doubtful events. False when the loop must not wait: one is ready, or may have been told too early.
  bool look_again() { return doubtful_.empty() || look_at_doubtful(); }
  /// Tells those that `look_again` found ready.
  void dispatch() {
    if (!doubtful_.empty()) tell_found();
  }
  /// After completions were dispatched, when nothing was left behind.
  void reaped_all();
  /// Whether `reaped_all` is waited for.
  bool any_doubtful() const noexcept { return !doubtful_.empty(); }

  /// Whether more than one event was told in this turn, or in the one before.
  bool are_several_active() const noexcept { return told_ > 1 || told_in_last_turn_ > 1; }
  void was_told() noexcept { ++told_; }
  /// poll(2) calls of `look_again`.
  std::uint64_t looks() const noexcept { return looks_; }

 private:
  void arm_all();
  bool look_at_doubtful();
  void tell_found();
  void forget_doubt(FdEvent& event) noexcept;
  void drop_holes();

  Requests& requests_;
  std::size_t size_ = 0;
  std::vector<FdEvent*> to_arm_;    // null where one left
  std::vector<FdEvent*> doubtful_;  // null where one left
  std::vector<pollfd> polls_;
  unsigned told_ = 0;
  unsigned told_in_last_turn_ = 0;
  std::uint64_t looks_ = 0;
};

}  // namespace internal
}  // namespace assay
