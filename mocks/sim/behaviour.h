#pragma once

#include "assay/mocks/profile.h"

namespace assay::internal {

/// How a kernel of this profile behaves where it has no feature bit and no switch of its own: inferred from its
/// version.
///
/// Distributions backport, so the version is not that of `uname -r` but the newest upstream release all of whose
/// opcodes and features, with those of the releases before it, are there.
struct Behaviour {
  explicit Behaviour(const Profile& profile);

  KernelVersion version;

  /// A wait goes on although fewer SQEs were consumed than asked for (before 5.5).
  bool under_submission_waits;
  /// cq.kflags is part of the ring (5.8).
  bool has_cq_flags;
  /// IORING_SQ_CQ_OVERFLOW tells of an overflow backlog (5.8).
  bool has_overflow_flag;
  /// A read or write on an O_NONBLOCK file that can be polled waits all the same, rather than give -EAGAIN (5.13).
  bool nonblocking_files_wait;
  /// What an operation's own check refuses counts as refused at submission (5.12), not as an operation that failed.
  bool refusal_by_operation_stops_batch;
  /// A chain with a bad SQE is assembled to its end and then fails as a whole (5.16), rather than end there.
  bool bad_sqe_keeps_chain;
  /// The next request of a chain runs as soon as the one before it ended (before 5.9), not from task work.
  bool links_run_at_once;
  /// What ASYNC_CANCEL ends is completed from task work, after the cancel request itself: polls since 5.17.
  bool poll_cancelled_from_task_work;
  /// The same for timeouts, since 5.16.
  bool timeout_cancelled_from_task_work;
  /// While there is an overflow backlog completions queue up behind it, even where the CQ has room (6.0).
  bool backlog_keeps_order;
  /// A CQ size is rounded up before it is compared with that of the SQ (5.10).
  bool cq_rounded_before_comparison;
  /// A timeout that counts no completions counts one (before 5.5).
  bool timeouts_count_at_least_one;
  /// Deferred task work is run in passes, as many as the wait needs, rather than until there is none left (6.8).
  bool deferred_task_work_in_passes;
  /// And no more than twenty pieces of it, or as many as are waited for (6.14).
  bool limits_deferred_task_work;
  /// Times that are negative are refused (5.16).
  bool negative_times_refused;
  /// An fsync that fails cuts the chain that it is in (before 6.0).
  bool failed_fsync_cuts_chain;
  /// POLLRDHUP is always watched for (5.8).
  bool polls_watch_hangup;
};

}  // namespace assay::internal
