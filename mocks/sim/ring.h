#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "assay/backend/uapi.h"
#include "assay/mocks/sim/completion_queue.h"
#include "assay/mocks/sim/descriptor.h"
#include "assay/mocks/sim/locked_memory.h"
#include "assay/mocks/sim/poll_thread.h"
#include "assay/mocks/sim/provided_buffers.h"
#include "assay/mocks/sim/registration/buffer_table.h"
#include "assay/mocks/sim/registration/file_table.h"
#include "assay/mocks/sim/registration/memory_region.h"
#include "assay/mocks/sim/registration/napi.h"
#include "assay/mocks/sim/registration/personality.h"
#include "assay/mocks/sim/registration/resource_order.h"
#include "assay/mocks/sim/registration/restrictions.h"
#include "assay/mocks/sim/request.h"
#include "assay/mocks/sim/ring_memory.h"
#include "assay/mocks/sim/user_memory.h"
#include "assay/mocks/sim/world.h"

namespace assay::internal {

struct FutexWake;
enum class Outcome;

/// What a cancellation looks for (struct io_cancel_data).
struct CancelMatch {
  std::uint64_t user_data = 0;
  std::uint32_t flags = 0;  // IORING_ASYNC_CANCEL_*
  int fd = -1;
  std::uint8_t opcode = 0;
  std::uint64_t sequence = 0;
};

/// One simulated ring: its memory, its requests and what they wait for (the kernel's struct io_ring_ctx).
class SimRing {
 public:
  SimRing(SimWorld& world, std::uint32_t setup_flags);
  ~SimRing();

  // Life (ring.cc).

  /// Makes memory and fds; fills what `params` tells the user. 0 or a negative errno.
  int open(io_uring_params& params);
  int fd() const { return ring_fd_.get(); }
  /// The fd goes away; requests and files stay until the last reference is dropped.
  void close_fd() { ring_fd_.reset(); }
  void add_reference() { ++references_; }
  bool drop_reference() { return --references_ == 0; }

  SimWorld& world() { return world_; }
  RingMemory& memory() { return memory_; }
  CompletionQueue& cq() { return cq_; }
  bool has_flag(std::uint32_t setup_flag) const { return (setup_flags_ & setup_flag) != 0; }
  bool disabled() const { return disabled_; }
  /// The thread that owns a SINGLE_ISSUER ring; 0 while there is none.
  pid_t issuer() const { return issuer_; }
  void become_issuer();
  bool issued_by_other() const;

  // Submission (submission.cc).

  /// Consumes up to `count` SQEs. The number consumed, or a negative errno.
  int submit(unsigned count);
  /// Tells the program which SQEs a poll thread has consumed, where that is late.
  void commit_sq_head() {
    if (poll_thread_) memory_.store_sq_head(sq_head_);
  }
  /// Whether a poll thread would find something to submit.
  bool has_sqes() const { return !disabled_ && memory_.load_sq_tail() != sq_head_; }
  /// The last request of the chain that is being assembled, or null. For LINK_TIMEOUT.
  Request* chain_last() const { return chain_last_; }

  // Completion (completion.cc).

  /// Ends a request with `request.result`: its completion, its chain, itself.
  void complete(Request& request);
  void complete(Request& request, std::int32_t result) {
    request.result = result;
    complete(request);
  }
  /// Marks a request as failed, as far as links and IOSQE_CQE_SKIP_SUCCESS are concerned.
  void fail(Request& request);
  void complete_failed(Request& request, std::int32_t error) {
    fail(request);
    complete(request, error);
  }
  /// One completion of a multishot request that may go on. Returns false if the request must end; then its last
  /// completion, without IORING_CQE_F_MORE, is still to be made.
  bool post_multishot(Request& request, std::int32_t result, std::uint32_t flags = 0);
  /// Ends a request from task work, at its next opportunity.
  void complete_from_task_work(Request& request) { queue_task_work(request, run_complete); }
  /// Posts a completion that belongs to no request of this ring, from task work.
  void post_from_task_work(const Completion& completion);
  /// Posts a notification (IORING_CQE_F_NOTIF) for a zero-copy send, after the send's own completion.
  void notify(const Request& about, std::int32_t result);

  // Carrying out (issue.cc).

  /// Gives a request to a worker.
  void queue_worker(Request& request);
  bool run_workers();
  bool let_go_held();
  bool has_workers() const { return !workers_.empty(); }
  /// Tries a request again once its file, or another descriptor that is its own, has one of these events. 0 or a
  /// negative errno.
  int retry_when_ready(Request& request, std::uint32_t events, int fd = -1);

  // Progress (progress.cc).

  /// Finds files that became ready and times that passed, and queues their task work. Returns whether there were any.
  bool collect();
  /// Runs what task work there is. The caller has seen to it that the kernel would.
  bool run_task_work();
  /// The same for deferred task work, of which no more is run at once than a wait for `min_events` needs.
  bool run_deferred_task_work(unsigned min_events);
  /// Posts what waits in the overflow backlog, as far as there is room. Returns whether that was all.
  bool flush_backlog();
  bool has_task_work() const { return !task_work_.empty(); }
  void queue_task_work(Request& request, Step step);
  /// Waits for the file of `request` to have one of these events (EPOLL*); then runs `step`. 0 or a negative errno.
  int arm_file(Request& request, std::uint32_t events, Step step);
  /// The same once more for a request that was armed edge-triggered: only what happens from now on counts.
  void stay_armed(Request& request, Step step);
  void disarm_file(Request& request);
  /// Runs `expired` (in the middle of `collect`) once the clock shows `request.deadline`.
  void arm_timer(Request& request, Step expired);
  void disarm_timer(Request& request);
  Nanoseconds next_deadline() const;
  int armed_files_fd() const { return armed_count_ > 0 ? armed_files_.get() : -1; }
  /// Makes the ring fd readable, or not, as the CQ is at the moment. Returns whether it became readable.
  bool update_doorbell();
  /// Whether poll(2) on the ring's fd shows POLLIN.
  bool readable() const;
  /// Waiting for what has no file to poll (revisits.cc).
  void park_for_revisits(Request& request);
  /// Asks those that wait so. Returns whether the wait of any of them is over.
  bool revisit(bool before_sleep);
  bool has_revisited() const { return !revisited_.empty(); }
  /// Wakes waiters of a futex, the longest waiting first. Returns how many.
  int wake_futex(const FutexWake& wake);
  /// The thread that submits for this ring, or null.
  PollThread* poll_thread() const { return poll_thread_.get(); }
  /// One turn of it. Returns whether it did something.
  bool run_poll_thread() { return poll_thread_ && !disabled_ && poll_thread_->run(*this); }
  /// The Chooser's way of telling a request that the buffers that were provided are gone.
  bool finds_buffers_gone(const Request& request) {
    return world_.choose(ChoicePoint::kBuffersGone, 2, &request.sqe()) != 0;
  }

  // Cancellation (cancellation.cc).

  /// Cancels the first match, or all of them with IORING_ASYNC_CANCEL_ALL or _ANY. As the result of ASYNC_CANCEL.
  int cancel(CancelMatch match, const Request* canceller);
  int cancel_timeout(std::uint64_t user_data);
  /// The POLL_ADD that POLL_REMOVE means, taken out of what is armed: 0, -ENOENT, or -EALREADY if it has fired.
  int take_poll(std::uint64_t user_data, Request** poll);
  /// Ends a poll that POLL_REMOVE has disarmed.
  void finish_removed_poll(Request& poll);
  Request* find_timeout(std::uint64_t user_data) const;
  Request* find_link_timeout(std::uint64_t user_data) const;
  void cancel_everything();

  // Timeouts (operations/timeout.cc).

  /// Timeouts in the order in which the kernel keeps them: by the completions that they wait for.
  RequestList& timeouts() { return timeouts_; }
  std::uint32_t timeouts_fired() const { return timeouts_fired_; }
  void count_fired_timeout() { ++timeouts_fired_; }
  void set_last_timeout_flush(std::uint32_t sequence) { last_timeout_flush_ = sequence; }
  void note_counted_timeout() { has_counted_timeouts_ = true; }

  // Registration (registration.cc).

  int register_op(unsigned opcode, void* arg, unsigned nr_args);
  /// Whether that registration has to wait until no request uses any registered file or buffer.
  bool must_wait_to_register(unsigned opcode) const;
  /// Whether the calling thread may register this here: 0, -EEXIST or -EACCES.
  int may_register(unsigned opcode) const;
  /// For a request that uses it: what is in a slot, or null.
  std::shared_ptr<RegisteredFile> registered_file(unsigned slot) { return resources_.use(files_.at(slot)); }
  /// The fd in a slot of the file table, or -1.
  int fixed_file(unsigned slot) const { return files_.fd(slot); }
  /// Puts a new reference to `fd` where io_uring_sqe::file_index says: a slot plus one, or any free one (5.19). What
  /// the request then results in: 0, the slot that was chosen, or -ENFILE, -ENXIO, -EINVAL.
  int install_direct_file(std::uint32_t file_index, int fd);
  int close_fixed_file(unsigned slot);
  /// The registered buffer of that index, or null.
  std::shared_ptr<RegisteredBuffer> registered_buffer(unsigned index);
  std::size_t registered_buffers() const { return buffers_.size(); }
  /// The groups of PROVIDE_BUFFERS and IORING_REGISTER_PBUF_RING.
  ProvidedBuffers& provided_buffers() { return provided_buffers_; }
  /// mmap of the rings, or of a provided-buffer ring that the kernel allocated.
  int map(std::uint64_t offset, std::size_t bytes, void** address);
  int update_files(std::uint32_t offset, UserArray<std::int32_t> fds, unsigned count, UserArray<std::uint64_t> tags);
  /// The same into whichever slots are empty; their numbers take the place of the fds.
  int update_files_where_free(UserArray<std::int32_t> fds, unsigned count);
  /// Tells that what was registered with this tag is no longer used.
  void tell_tag(std::uint64_t tag);

  /// The clock that waits of this ring run on.
  clockid_t clock() const { return clock_; }
  const MemoryRegion& region() const { return region_; }

  void describe_waiting(std::string& text) const;
  /// Post from outside: MSG_RING. Returns false if the completion was dropped.
  bool post_message(const Completion& completion);

 private:
  // submission.cc
  Request& begin_request(const io_uring_sqe& sqe);
  int initialise(Request& request, const io_uring_sqe& sqe);
  bool submit_one(Request& request, const io_uring_sqe& sqe);

  // refusal.cc
  bool refuse(Request& request, int error, bool by_operation);
  bool refuse_as_before_516(Request& request, int error, bool by_operation);

  // links.cc
  void queue_chain_slowly(Request& head);
  void run_next_link(Request& request);
  void arm_link_timeout(Request& request, Request* limit);
  void disarm_link_timeout(Request& request);
  void fail_links(Request& request);
  static void run_submit(SimRing& ring, Request& request);
  static void run_fail_chain(SimRing& ring, Request& request);

  // drain.cc
  void drain(Request& request);
  void queue_drained();

  // issue.cc
  void issue(Request& request);
  Outcome carry_out(Request& request);
  void conclude(Request& request);
  void conclude_failed(Request& request, std::int32_t error);
  bool assign_file(Request& request);
  void notice_wake_ups(const Request& request);
  void wait_for_file(Request& request);
  void run_in_worker(Request& request);
  static void run_retry(SimRing& ring, Request& request);
  /// Strict mode: the request waits, so its memory is the kernel's.
  void hold_memory(const Request& request) {
    if (BuffersInFlight* const buffers = world_.buffers_in_flight()) buffers->hold(request);
  }

  // completion.cc
  bool holds(Request& request);
  void flush_completed();
  void finish(Request& request);
  void release(Request& request);
  void post(Request& request, std::uint32_t flags);
  static void run_complete(SimRing& ring, Request& request);

  // progress.cc
  bool run_passes(std::size_t wanted, std::size_t limit);
  int arm_descriptor(Request& request, int fd, std::uint32_t events, Step step);
  void commit();
  void signal_eventfd();

  // revisits.cc
  void end_revisits(Request& request, std::int32_t result);

  // cancellation.cc
  bool completes_later(const Request& request, bool usual);
  void post_cancelled(Request& request, bool from_task_work);
  bool matches(Request& request, const CancelMatch& match, const Request* canceller) const;
  int cancel_one(const CancelMatch& match, const Request* canceller);
  int cancel_waits(const CancelMatch& match);
  void cancel_armed(Request& request);

  // operations/timeout.cc
  void flush_counted_timeouts();

  // registration/
  int register_max_workers(void* arg);
  int register_worker_affinity(const void* mask, unsigned bytes);
  int register_clock(const void* arg);
  int register_napi(void* arg);
  int unregister_napi(void* arg);
  int register_memory_region(void* arg);
  int resize(void* arg);

  // registration/resources.cc
  bool tells_tags_of_gone_tables();
  int read_resources(const void* arg, unsigned bytes, io_uring_rsrc_register* request);
  int read_resource_update(const void* arg, unsigned bytes, io_uring_rsrc_update2* update);

  // registration/files.cc
  int refer_to_file(int fd, Descriptor* file);
  int register_files(UserArray<std::int32_t> fds, unsigned count, UserArray<std::uint64_t> tags);
  int register_files2(void* arg, unsigned bytes);
  int unregister_files();
  int files_update(void* arg, unsigned count);
  int files_update2(void* arg, unsigned bytes);
  int set_file_alloc_range(void* arg, unsigned count);

  // registration/buffers.cc
  int make_buffer(UserArray<iovec> vectors, UserArray<std::uint64_t> tags, unsigned index,
                  std::shared_ptr<RegisteredBuffer>* buffer);
  int register_buffers(UserArray<iovec> vectors, unsigned count, UserArray<std::uint64_t> tags);
  int register_buffers2(void* arg, unsigned bytes);
  int unregister_buffers();
  int update_buffers(void* arg, unsigned bytes);
  int clone_buffers(void* arg, unsigned count);

  // registration.cc
  int register_eventfd(void* arg, unsigned count, bool only_async);
  int probe(void* arg, unsigned count);
  int enable();
  int sync_cancel(void* arg);
  int register_restrictions(const void* arg, unsigned count);

  // buffer_rings.cc
  int register_buffer_ring(void* arg, unsigned count);
  int unregister_buffer_ring(void* arg, unsigned count);
  int buffer_ring_status(void* arg, unsigned count);

  SimWorld& world_;
  std::uint32_t setup_flags_;
  bool disabled_;
  /// Going away: nobody is told anything any more.
  bool closing_ = false;
  pid_t issuer_ = 0;
  unsigned references_ = 1;
  RingMemory memory_;
  CompletionQueue cq_{world_, memory_};
  std::uint32_t sq_head_ = 0;

  // The ring's fd is an epoll over these two.
  Descriptor ring_fd_;
  Descriptor doorbell_;
  Descriptor armed_files_;
  bool doorbell_rung_ = false;
  bool cq_changed_ = false;
  bool in_worker_ = false;
  unsigned armed_count_ = 0;

  RequestPool pool_;
  /// In the middle of a batch of SQEs or of task work.
  bool batching_ = false;
  RequestList completed_;
  RequestList held_;
  RequestList task_work_;
  RequestList workers_;
  RequestList armed_;
  RequestList revisited_;
  RequestList timeouts_;
  std::map<std::pair<Nanoseconds, std::uint64_t>, Request*> timers_;
  std::uint32_t timeouts_fired_ = 0;
  std::uint32_t last_timeout_flush_ = 0;
  bool has_counted_timeouts_ = false;

  // The chain being assembled during submission.
  Request* chain_head_ = nullptr;
  Request* chain_last_ = nullptr;
  /// Requests of chains whose turn it is, where that is at once.
  RequestList next_links_;
  bool runs_links_ = false;
  /// The SQE that is being submitted has 128 bytes.
  bool has_large_entry_ = false;

  // IOSQE_IO_DRAIN.
  RequestList drained_;
  std::size_t drained_requests_ = 0;
  bool drain_active_ = false;
  bool drain_next_ = false;
  bool drain_disabled_ = false;

  std::shared_ptr<PollThread> poll_thread_;

  std::uint64_t cancel_sequence_ = 0;

  // Registrations.
  ResourceOrder resources_{world_.semantics().tags_wait_for_others, !world_.semantics().tags_of_gone_tables};
  FileTable files_;
  BufferTable buffers_;
  ProvidedBuffers provided_buffers_;
  Descriptor eventfd_;
  bool eventfd_only_async_ = false;
  bool eventfd_put_off_ = false;
  bool eventfd_told_deferred_ = false;  // since it was registered
  Personalities personalities_;
  Restrictions restrictions_;
  clockid_t clock_ = CLOCK_MONOTONIC;
  NapiSettings napi_;
  MemoryRegion region_;
  LockedPages locked_pages_;
};

}  // namespace assay::internal
