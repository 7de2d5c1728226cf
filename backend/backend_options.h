#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "assay/backend/buffer_pool.h"

namespace assay {

/// What a Backend does when the kernel has dropped completions: the CQ was full, and there was no memory to keep more.
enum class WhenDropped {
  /// Finds out what the kernel still has, sets up another ring and goes on there. Only operations whose completions are
  /// gone end with -EBADR; the loop does not stop. A descriptor that a lost OPENAT or ACCEPT made stays open, unknown.
  kRecover,
  /// The loop returns EBADR, and everything that was in flight ends with -EBADR.
  kEndAll,
};

/// How a Backend is set up. What the kernel does not have is left out and named by Backend::unmet_options; nothing of
/// it makes creation fail.
struct BackendOptions {
  /// CQ entries, rounded up to a power of two. Twice the SQ, as the kernel itself would choose. Where the kernel drops
  /// completions that do not fit (before 5.5), three quarters of it also bound what can be in flight; the rest waits.
  unsigned capacity = 512;
  /// When the kernel refuses the size or has no memory for it, it is halved and tried again down to this. 0 never tries
  /// again. The SQ shrinks along.
  unsigned min_capacity = 0;
  /// SQ entries; 0 is twice max_submit. Never more than `capacity`.
  unsigned sq_entries = 0;
  /// A batch is submitted when so many requests are queued, without waiting for the next turn of the loop.
  unsigned max_submit = 128;
  /// Completions handed over in one turn; more wait for the next, so that timers and signals get their turn.
  unsigned max_get = 256;
  /// IORING_SETUP_DEFER_TASKRUN (6.1), with SINGLE_ISSUER, SUBMIT_ALL and R_DISABLED: completions are processed only
  /// when the loop asks, which saves interruptions. The ring is enabled by the first run of the loop, and belongs to
  /// that thread from then on. Off because it binds the loop to one thread.
  bool defer_taskrun = false;
  /// IORING_SETUP_COOP_TASKRUN (5.19): no interrupts between processors for completions. Harmless, since the loop
  /// enters the kernel whenever it has nothing to do.
  bool coop_taskrun = true;
  /// Register the ring's own descriptor with the thread that runs the loop (5.18), which saves a reference a call. The
  /// loop is bound to the thread of its first run.
  bool register_ring_fd = false;
  /// IORING_SETUP_SQPOLL: a kernel thread submits. It costs a processor while it spins.
  bool poll_sq = false;
  /// How long that thread spins before it sleeps; 0 is the kernel's choice, one second.
  std::chrono::milliseconds sq_idle{0};
  /// With poll_sq: backends on one Kernel that name the same group share its poll threads, at most sq_group_threads of
  /// them; a new one joins that with the fewest. A thread takes the longest sq_idle of those that it serves. Empty is a
  /// thread for each backend.
  std::string sq_group_name;
  unsigned sq_group_threads = 1;
  /// With poll_sq: the CPUs that poll threads are bound to. The nth thread of a group takes the nth, and then round
  /// again; a backend without a group the first. Empty leaves it to the scheduler.
  std::vector<unsigned> sq_cpus;
  /// With poll_sq: every request is handed to the poll thread as it is queued, rather than by the turn or by
  /// max_submit, so that it begins while callbacks still run. From the first run of the loop on.
  bool poll_sq_immediate_io = false;
  /// Rather than sleep, spin on the CQ until something comes: the least latency, for a whole processor. With
  /// defer_taskrun, or where the kernel says that it has work to do, each turn of the spin enters the kernel.
  bool poll_cq = false;
  /// Called on each turn of that spin, on the loop's thread; must not call the backend.
  std::function<void()> on_spin;
  /// Wait for so many completions rather than one, for at most batch_timeout once there is one: fewer turns, later
  /// callbacks. Sends in flight are added, so that their completions do not end the wait. Since 6.12
  /// the kernel does that in one wait (IORING_FEAT_MIN_TIMEOUT), which works with defer_taskrun only; otherwise the
  /// loop waits for the batch first and for one completion then.
  unsigned batch_size = 1;
  std::chrono::nanoseconds batch_timeout{0};
  /// How many files Backend::register_file can register, in a table that is set up with the ring (5.5); 0 is no table.
  /// RLIMIT_NOFILE bounds it. Files for which there is no room, or no table, are used by their descriptors.
  unsigned registered_fds = 0;
  /// A BufferPool made with the backend, which Backend::provided_buffers is; none with a count of 0.
  BufferPoolSize initial_provided_buffers;
  /// Called in each turn, on the loop's thread: before the loop submits and waits, when it is not known yet how long,
  /// and right after, before anybody else is called. What the first one starts goes along with the submission. They may
  /// do what callbacks may, and, as these, not run the loop.
  std::function<void()> before_wait;
  std::function<void()> after_wait;
  /// Told, in a sentence, what goes on but should not: the CQ overflows, so that `capacity` is too small for what is in
  /// flight. On the loop's thread, and at most once in ten seconds of the Kernel's clock; the counters miss nothing.
  std::function<void(std::string_view)> on_warning;
  WhenDropped when_dropped = WhenDropped::kRecover;
};

}  // namespace assay
