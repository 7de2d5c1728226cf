#pragma once

namespace assay {

/// Behaviours that changed between kernels without a feature bit of their own. Each has a row in `switch_table`, which
/// names it, says what it means and since when, and how a probe finds it out.
struct Semantics {
  // Setting up, and ring memory.

  /// io_uring_setup answers -EPERM, as where the sysctl kernel.io_uring_disabled (6.6) or a container's filter of
  /// system calls forbids it.
  bool setup_forbidden = false;
  /// Every call answers -ENOSYS, as in a kernel built without io_uring, and under filters that say so.
  bool calls_absent = false;
  /// SQPOLL needs CAP_SYS_ADMIN, else -EPERM (before 5.11).
  bool sqpoll_needs_admin = false;
  /// SQPOLL needs CAP_SYS_NICE or CAP_SYS_ADMIN, else -EPERM (5.11 and 5.12).
  bool sqpoll_needs_nice = false;
  /// SQPOLL works on registered files only (before 5.11).
  bool sqpoll_needs_fixed_files = false;
  /// enter(to_submit = 0) under SQPOLL, as a wake-up is, answers -EOWNERDEAD where 0 is meant (5.12 and 5.13).
  bool sqpoll_eownerdead = false;
  /// Ring memory counts against RLIMIT_MEMLOCK (before 5.12).
  bool ring_memlock = false;
  /// Ring memory and memory regions count against RLIMIT_MEMLOCK once more (6.14 to 7.1).
  bool region_memlock = false;
  /// A CQ size is rounded up before it is compared with that of the SQ (5.10).
  bool cq_rounded_before_comparison = false;
  /// cq.kflags is part of the ring (5.8).
  bool cq_flags_word = false;
  /// IORING_SQ_CQ_OVERFLOW tells of an overflow backlog (5.8).
  bool overflow_flag = false;

  // Submitting, posting, waiting.

  /// A CQE for which the full CQ has no room is lost and counted in cq.koverflow (before 5.5), rather than kept.
  bool overflow_drops = false;
  /// enter(to_submit > 0) answers -EBUSY while the overflow backlog cannot be flushed in full (5.5 to 5.12).
  bool submit_ebusy_on_overflow = false;
  /// After a completion was dropped, the next enter that would wait answers -EBADR, once (5.19).
  bool ebadr_after_drop = false;
  /// While there is an overflow backlog completions queue up behind it, even where the CQ has room (6.0).
  bool backlog_keeps_order = false;
  /// A multishot request ends, without IORING_CQE_F_MORE, rather than post into a full CQ (6.0).
  bool multishot_ends_on_overflow = false;
  /// Multishot accepts and receives go on when the CQ is full, although other multishot requests end (6.2 to 6.5).
  bool io_multishot_overflows = false;
  /// A wait goes on although fewer SQEs were consumed than asked for (before 5.5).
  bool under_submission_waits = false;
  /// A batch stops after an SQE that is refused at submission, unless IORING_SETUP_SUBMIT_ALL is set (5.5).
  bool batch_stops_at_bad_sqe = false;
  /// What an operation's own check refuses counts as refused at submission (5.12), not as an operation that failed.
  bool refusal_by_operation_stops_batch = false;
  /// A chain with a bad SQE is assembled to its end and then fails as a whole (5.16), rather than end there.
  bool bad_sqe_keeps_chain = false;
  /// The next request of a chain runs as soon as the one before it ended (before 5.9), not from task work.
  bool links_run_at_once = false;
  /// The file of a linked SQE is looked up when it runs (5.18) rather than when it is submitted.
  bool linked_file_at_execution = false;
  /// Deferred task work is run in passes, as many as the wait needs, rather than until there is none left (6.8).
  bool deferred_task_work_in_passes = false;
  /// And no more than twenty pieces of it, or as many as are waited for (6.14).
  bool deferred_task_work_limited = false;
  /// A wait with a minimum ends with the minimum although nothing came: a defect of 6.19 and 7.0, which stable releases
  /// of 6.18 had for a while.
  bool min_wait_ends_early = false;
  /// Deferred task work signals a registered eventfd once, and not again until it is registered anew: a defect of
  /// stable releases of 6.12.
  bool deferred_eventfd_once = false;

  // Polls, timeouts, cancelation, NOP.

  /// POLL_ADD takes IORING_POLL_ADD_MULTI, and POLL_REMOVE takes IORING_POLL_UPDATE_EVENTS and _USER_DATA (5.13).
  bool poll_multishot = false;
  /// POLL_ADD always watches for POLLRDHUP too (5.8).
  bool polls_watch_hangup = false;
  /// POLL_REMOVE that updates a poll to wait for what is ready already loses its completion: a defect of 6.16 and 6.17.
  bool poll_update_loses_ready = false;
  /// What ASYNC_CANCEL ends of polls is completed from task work, after the cancel request itself (5.17).
  bool poll_cancelled_from_task_work = false;
  /// The same for timeouts (5.16).
  bool timeout_cancelled_from_task_work = false;
  /// A timeout that counts no completions counts one (before 5.5).
  bool timeouts_count_at_least_one = false;
  /// Times that are negative are refused (5.16).
  bool negative_times_refused = false;
  /// TIMEOUT_REMOVE takes IORING_TIMEOUT_UPDATE (5.11).
  bool timeout_update = false;
  /// TIMEOUT takes IORING_TIMEOUT_BOOTTIME and _REALTIME (5.15).
  bool timeout_clocks = false;
  /// TIMEOUT takes IORING_TIMEOUT_ETIME_SUCCESS (5.16).
  bool timeout_etime_success = false;
  /// TIMEOUT takes IORING_TIMEOUT_MULTISHOT (6.4).
  bool timeout_multishot = false;
  /// A LINK_TIMEOUT that ended a wait for a futex or a child tells -ETIME (7.3), rather than how many it has ended.
  bool link_timeout_tells_etime = false;
  /// ASYNC_CANCEL takes IORING_ASYNC_CANCEL_ALL, _FD and _ANY (5.19).
  bool cancel_matching = false;
  /// ASYNC_CANCEL takes IORING_ASYNC_CANCEL_OP and _USERDATA (6.6).
  bool cancel_by_op = false;
  /// Waits for futexes and children are cancelled by user_data alone, whatever the flags say (6.7 to 6.14).
  bool waits_cancelled_by_user_data = false;
  /// A NOP that does not find its file or buffer says so in its CQE (7.1), rather than only cut its chain.
  bool nop_tells_failure = false;
  /// NOP refuses flags that it does not know (6.10).
  bool nop_checks_flags = false;

  // Files.

  /// A read or write on an O_NONBLOCK file that can be polled waits all the same, rather than give -EAGAIN (5.13).
  bool nonblocking_files_wait = false;
  /// An fsync that fails cuts the chain that it is in (before 6.0).
  bool failed_fsync_cuts_chain = false;
  /// OPENAT of what the kernel's caches know is done during submission (5.12), rather than by a worker.
  bool open_at_once = false;
  /// Operations that open and close take a slot of the file table: io_uring_sqe::file_index (5.15).
  bool direct_descriptors = false;
  /// The kernel chooses the slot for IORING_FILE_INDEX_ALLOC (5.19).
  bool direct_allocation = false;
  /// PIPE into given slots writes their numbers where it is to tell of its ends (7.0), rather than 0 twice.
  bool pipe_tells_slots = false;
  /// FSYNC, STATX and other operations that have been there for long refuse a file_index, which means nothing to them
  /// (5.15).
  bool second_descriptor_refused = false;
  /// A tag is told only when requests are over that began before its file or buffer was replaced, whatever they use
  /// (5.13 to 6.12), rather than those which use it.
  bool tags_wait_for_others = false;
  /// Unregistering a table tells the tags of what was in it (6.13), and waits for nobody who uses it.
  bool tags_of_gone_tables = false;

  // Sockets and provided buffers.

  /// ACCEPT takes IORING_ACCEPT_MULTISHOT (5.19).
  bool accept_multishot = false;
  /// ACCEPT takes IORING_ACCEPT_DONTWAIT and _POLL_FIRST (6.10).
  bool accept_dontwait = false;
  /// ACCEPT on an O_NONBLOCK socket waits all the same (6.2), rather than give -EAGAIN.
  bool nonblocking_accept_waits = false;
  /// SEND, RECV, SENDMSG and RECVMSG take IORING_RECVSEND_POLL_FIRST; completions of RECV may tell of
  /// IORING_CQE_F_SOCK_NONEMPTY (5.19).
  bool poll_first = false;
  /// RECV and RECVMSG take IORING_RECV_MULTISHOT (6.0).
  bool recv_multishot = false;
  /// With MSG_WAITALL a send or receive goes on until all of it is done (5.18), rather than once.
  bool waitall_retries = false;
  /// A transfer that was done in part before it failed or was cancelled tells of the part (6.0), rather than the error.
  bool partial_transfer_told = false;
  /// The addresses and headers of socket operations are read when the SQE is submitted (6.10), and refused then.
  bool addresses_read_at_submission = false;
  /// SEND_ZC takes IORING_SEND_ZC_REPORT_USAGE (6.2).
  bool send_zc_report = false;
  /// URING_CMD has socket commands: SOCKET_URING_OP_SIOCINQ and the like (6.7).
  bool socket_commands = false;
  /// IORING_REGISTER_PBUF_RING takes IOU_PBUF_RING_MMAP (6.4).
  bool buffer_ring_mmap = false;
  /// The same takes IOU_PBUF_RING_INC (6.12).
  bool buffer_ring_incremental = false;
  /// The same takes io_uring_buf_reg::min_left for incremental rings (7.1).
  bool buffer_ring_min_left = false;
  /// Of a group of provided buffers the one provided first is taken first (5.18), rather than the last one.
  bool oldest_buffer_first = false;
  /// A receive or read that waits keeps the provided buffer that it selected (before 5.18).
  bool waiting_keeps_buffer = false;
  /// A receive that ends in an error or with the stream uses its provided buffer up (before 5.19).
  bool end_uses_buffer = false;
  /// A length of 0 means all of the provided buffer (6.0).
  bool zero_length_is_all = false;

  /// Whoever leaves room in a buffer of an incremental ring says so by IORING_CQE_F_BUF_MORE, at the end of a stream
  /// and when it read a regular file, too (7.0).
  bool incremental_rest_told = false;
  /// A multishot RECV lets others have their turn after some receives (6.8), rather than go on until nothing is left.
  bool multishot_takes_turns = false;

  friend bool operator==(const Semantics&, const Semantics&) = default;
};

}  // namespace assay
