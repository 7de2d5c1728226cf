#pragma once

#include <cstdint>

#include "assay/backend/uapi.h"

namespace assay {

/// Where a kernel is free to do one thing or another, and a simulated one must ask.
enum class ChoicePoint {
  /// Which of `limit` requests that can complete now does so next. 0 is the oldest.
  kCompletionOrder,
  /// Whether a request that could complete during submission does so (0) or later, from task work (1).
  kCompletionLater,
  /// How many of `limit` bytes a read or write transfers. `limit` is all of them; less, but at least 1, is short.
  kTransferLength,
  /// The errno, positive, that a request ends with instead of being carried out; 0 carries it out.
  kResultError,
  /// Whether a multishot request goes on (0) or ends with this completion, without IORING_CQE_F_MORE (1).
  kMultishotEnd,
  /// Whether the allocation of an overflow entry succeeds (0) or fails (1), so that the completion is dropped.
  kOverflowAllocation,
  /// Whether the completion is posted to the CQ (0), or goes to the overflow backlog as if the CQ were full (1).
  kCqFull,
  /// Whether the notification of a zero-copy send comes right after its completion (0), or with a later call (1).
  kNotificationLater,
};

/// One question to a Chooser. The pointers are valid during the call only.
struct Choice {
  ChoicePoint point;
  /// The answers are 0 … limit - 1; for kTransferLength they are 1 … limit; for kResultError any errno, or 0.
  std::uint64_t limit;
  /// The request that it is about, or null. A copy: the caller's slot may have been reused.
  const io_uring_sqe* sqe;
};

/// Decides whatever a kernel may decide freely. Called by SimKernel under its lock; must not call back into it.
class Chooser {
 public:
  Chooser() = default;
  Chooser(const Chooser&) = delete;
  Chooser& operator=(const Chooser&) = delete;
  virtual ~Chooser() = default;

  /// The answer; what "nothing unusual" is stands with each ChoicePoint. Same questions in the same order must get the
  /// same answers, or runs cannot be repeated.
  virtual std::uint64_t choose(const Choice& choice) = 0;
};

/// What a kernel does nearly always: in order, inline, whole, without errors.
class PlainChooser : public Chooser {
 public:
  std::uint64_t choose(const Choice& choice) override {
    return choice.point == ChoicePoint::kTransferLength ? choice.limit : 0;
  }
};

/// Uses the freedoms that every kernel uses on any day (the order of independent completions, inline or later) as a
/// seed decides. The rest, which is rare and hurts, is left to fault plans. Seed 0 is PlainChooser.
class SeededChooser final : public PlainChooser {
 public:
  explicit SeededChooser(std::uint64_t seed) : state_(seed), seeded_(seed != 0) {}
  std::uint64_t choose(const Choice& choice) override;

 private:
  std::uint64_t next();

  std::uint64_t state_;
  bool seeded_;
};

}  // namespace assay
