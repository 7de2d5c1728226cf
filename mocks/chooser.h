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
  /// Whether a request is taken (0) or refused with -EINVAL (1), as by a kernel without its opcode, whatever the probe
  /// says.
  kOpcodeRefused,
  /// Whether a read or receive asks its file (0) or finds its end (1): the result is 0, and nothing is taken from it.
  kEndOfFile,
  /// Whether a completion becomes visible now (0), or stays in the kernel until the next enter or until a wait would
  /// sleep (1).
  kCompletionHeld,
  /// Whether a completion is posted alone (0), or after one that nobody in this program asked for (1).
  kForeignCompletion,
  /// Whether a request finds the provided buffers that are there (0), or none (1).
  kBuffersGone,
  /// What a cancelation of one request does: finds it (0), overlooks it and says -ENOENT (1), or says -EALREADY and
  /// interrupts it a little later (2).
  kCancelResult,
  /// Whether a cancelation's reply and its target's completion come in the usual order (0) or in the other (1).
  kCancelOrder,
  /// Whether a poll thread that is awake looks at the SQ now (0) or at a later call (1).
  kPollThreadLate,
  /// Whether the SQ's head moves when a poll thread has posted what completed inline (0) or is still behind then, until
  /// the next call (1).
  kSqHeadLate,
  /// Whether a poll thread without work stays awake for its idle time (0) or falls asleep at once (1).
  kPollThreadSleeps,
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
