#pragma once

#include <string_view>

namespace assay::internal {

/// What the loop does about a failed io_uring_enter(2).
enum class SubmitAnswer {
  /// Nothing happened; look at signals and timers, then try again.
  kTryAgain,
  /// The time to wait is over.
  kTimedOut,
  /// Completions must be reaped before anything can be submitted.
  kReap,
  /// The kernel is short of something; reap, wait a little, try again.
  kBackOff,
  /// Completions are lost for ever.
  kDropped,
  /// Nothing that the loop could do would help: its caller is told.
  kReport,
};

/// Judges a negative errno from io_uring_enter(2).
SubmitAnswer judge_submit_error(int error);

/// A sentence on what the error means when io_uring_enter(2) gives it.
std::string_view explain_submit_error(int error);

}  // namespace assay::internal
