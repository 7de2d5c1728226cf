#if defined(__GNUC__) && !defined(__clang__)
// A backend lies in memory of the global operator new, and its own operator delete gives that back by the global one.
// Where GCC sees both calls at once, it takes them for a mismatch.
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
#endif

#include "assay/backend/backend.h"

#include <unistd.h>
#include <algorithm>
#include <cassert>
#include <cerrno>
#include <utility>

#include "assay/backend/kernel_support.h"
#include "assay/backend/ring_setup.h"
#include "assay/backend/submit_errors.h"
#include "assay/backend/tracepoints.h"

namespace assay {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

// How long to wait when the kernel is short of something: doubled each time, from one to the other.
constexpr nanoseconds kLeastBackOff = 50us;
constexpr nanoseconds kMostBackOff = 10ms;

// How long it takes until a cancelation that came to nothing is repeated.
constexpr nanoseconds kCancelRepetition = 5ms;

// A wait is cut into pieces of this length, since a kernel adds a timeout to its clock without looking for overflow.
constexpr nanoseconds kLongestWait = 24h;

// The time of a wait without a limit.
constexpr nanoseconds kNoLimit{-1};

// How the destructor waits: so long at a time, so many times without progress; and how many answers that took no time
// it takes for that.
constexpr nanoseconds kDrainWait = 50ms;
constexpr unsigned kDrainPatience = 20;
constexpr unsigned kDrainAnswers = 1000;
// How many requests it cancels at once, before these have ended.
constexpr unsigned kDrainPortion = 128;
// How often it takes it that the kernel refuses to be entered.
constexpr unsigned kDrainRefusals = 4;
// How often callbacks may start new operations while the backend is destroyed.
constexpr unsigned kDrainRounds = 64;

// How long a loop sleeps at most that nothing can wake.
constexpr nanoseconds kDeafWait = 10ms;

// How often the user is warned of one thing.
constexpr nanoseconds kWarningInterval = 10s;

timespec to_timespec(nanoseconds duration) { return {.tv_sec = duration / 1s, .tv_nsec = (duration % 1s).count()}; }

}  // namespace

namespace internal {

Attachment::Attachment(Backend& backend) : backend_(&backend), next_(backend.attachments_) {
  if (next_ != nullptr) next_->previous_ = this;
  backend.attachments_ = this;
}

Attachment::~Attachment() {
  if (backend_ == nullptr) return;
  (previous_ != nullptr ? previous_->next_ : backend_->attachments_) = next_;
  if (next_ != nullptr) next_->previous_ = previous_;
}

}  // namespace internal

Result<std::unique_ptr<Backend>> Backend::create(Kernel& kernel, const BackendOptions& options) {
  Result<internal::RingSetup> setup = internal::set_up_ring(kernel, options);
  if (!setup) return setup.error();
  Result<int> event_fd = internal::WakeUp::create_eventfd();
  if (!event_fd) return event_fd.error();
  // The global operator, since the class's own delete is not for a constructor that throws.
  std::unique_ptr<Backend> backend(::new Backend(kernel, options, std::move(setup).value(), *event_fd));
  if (options.initial_provided_buffers.count != 0) {
    Result<BufferPool> pool = BufferPool::create(*backend, options.initial_provided_buffers);
    if (!pool) return pool.error();
    backend->provided_buffers_ = *std::move(pool);
    if (const std::string& reason = backend->provided_buffers_->reason(); !reason.empty())
      backend->unmet_options_.push_back("initial_provided_buffers: " + reason);
  }
  return backend;
}

Backend::Backend(Kernel& kernel, const BackendOptions& options, internal::RingSetup setup, int event_fd)
    : Operations(requests_, timers_),
      kernel_(kernel),
      options_(options),
      unmet_options_(std::move(setup.unmet)),
      requests_(std::move(setup.ring), options.max_submit),
      sq_group_place_(std::move(setup.place)),
      registered_files_(requests_, options.registered_fds),
      wake_up_(requests_, event_fd),
      signals_(wake_up_) {
  if (options.batch_timeout > 0ns) requests_.wait_for_batches(options.batch_size, options.batch_timeout);
  if (options.poll_sq_immediate_io && (ring().setup_flags() & IORING_SETUP_SQPOLL) != 0) requests_.submit_at_once();
  // A ring takes files before it is enabled, and before its thread is known.
  registered_files_.set_up(ring());
  report_unmet("registered_fds", registered_files_.problem());
}

Backend::~Backend() { end(); }

void Backend::operator delete(Backend* backend, std::destroying_delete_t) {
  if (backend->running_) {
    backend->end();
    return;
  }
  backend->~Backend();
  ::operator delete(static_cast<void*>(backend));
}

// All of the destruction that somebody is told of. What was called on a backend that ended is refused.
void Backend::end() {
  while (internal::Attachment* attachment = attachments_) {
    attachment->backend_gone();
    attachments_ = attachment->next_;
    if (attachments_ != nullptr) attachments_->previous_ = nullptr;
    attachment->backend_ = nullptr;
  }
  if (std::exchange(ended_, true)) return;
  provided_buffers_.reset();
  timers_.clear();
  receive_messages(nullptr);
  requests_.refuse_more();
  requests_.cancel_unsubmitted();
  drain();
  requests_.end_all(-ECANCELED);
  // What a callback of these started, which is told that it was cancelled, and may start something in turn.
  for (unsigned round = 0; requests_.alive() != 0 && round < kDrainRounds; ++round)
    requests_.dispatch(options_.max_get);
}

Result<void> Backend::available(Kernel& kernel) {
  const auto found = ways(kernel);
  return found ? Result<void>() : Result<void>(found.error());
}

Result<std::vector<KernelWay>> Backend::ways(Kernel& kernel) {
  // The ring is needed even where the answers are known: what was possible once may be forbidden since.
  Result<Ring> ring = Ring::create(kernel, {.sq_entries = 1});
  if (!ring) return ring.error();
  return internal::ways_taken(internal::find_kernel_support(*ring));
}

bool Backend::is_unavailable(const Error& error) {
  return error == std::errc::function_not_supported || error == std::errc::operation_not_permitted;
}

// The loop.

Result<LoopStatus> Backend::loop(LoopMode mode) {
  if (running_) return Error::from_errno(EBUSY, "loop: it is running already");
  if (auto started = start(); !started) return started.error();
  running_ = true;
  told_ = 0;
  if (nesting_.in_use()) {
    nesting_.take_back();
    wake_up_.sleep_here();
  }
  std::optional<Error> error;
  for (;;) {
    fd_events_.begin_turn();
    fd_events_.arm();
    if (break_requested_.load(std::memory_order_relaxed)) break;
    // What woke an outer loop may be the loop's own, and has to be used up all the same.
    const bool must_look = mode == LoopMode::kForever || (mode == LoopMode::kNonblock && nesting_.in_use());
    if (!must_look && !is_alive()) break;
    const bool woken = run_turn(mode != LoopMode::kNonblock, error);
    if (ended_) {
      running_ = false;
      delete this;
      return LoopStatus::kNoEvents;
    }
    if (error || mode == LoopMode::kNonblock) break;
    if (mode == LoopMode::kOnce && (told_ != 0 || woken)) break;
  }
  // Returning is what was asked for; the next run is another one.
  if (break_requested_.load(std::memory_order_relaxed)) break_requested_.store(false);
  running_ = false;
  now_is_fresh_ = false;
  if (nesting_.in_use()) hand_over();
  if (error) return *std::move(error);
  if (told_ != 0) return LoopStatus::kHadEvents;
  return is_alive() ? LoopStatus::kNothingToDo : LoopStatus::kNoEvents;
}

// Nobody waits in this loop from here on, so what it would wait for has to reach the descriptor.
void Backend::hand_over() {
  bool look = !fd_events_.look_again();
  fd_events_.arm();
  nesting_.arm_timeout(timers_.empty() ? std::nullopt : std::optional(timers_.earliest()));
  look = requests_.submit() < 0 || look;
  wake_up_.sleep_elsewhere(nesting_.fd());
  look = !nesting_.hand_over() || look;
  look = !wake_up_.fall_asleep() || look;
  // Asked last: what comes later signals the descriptor by itself.
  const bool unsubmitted = (ring().setup_flags() & IORING_SETUP_SQPOLL) == 0 && ring().sq_ready() != 0;
  if (look || unsubmitted || ring().cq_overflow_count() != dropped_ || requests_.has_completed() ||
      requests_.has_next_turn() || ring().cq_needs_enter() || has_posted_.load() || signals_.any()) {
    nesting_.signal();
  }
}

Result<int> Backend::pollable_fd() {
  if (auto started = start(); !started) return started.error();
  const bool nested_already = nesting_.in_use();
  if (auto begun = nesting_.begin(); !begun) return begun.error();
  if (!running_ && !nested_already) hand_over();
  return nesting_.fd();
}

// What is put off to the first run, since only then the loop's thread is known.
Result<void> Backend::start() {
  const bool bound = options_.register_ring_fd || (ring().setup_flags() & IORING_SETUP_SINGLE_ISSUER) != 0;
  if (started_) {
    if (bound && loop_thread_ != std::this_thread::get_id()) {
      return Error::from_errno(EEXIST, "loop: the ring belongs to the thread of the first run");
    }
    return {};
  }
  if (auto ready = make_ready(ring()); !ready) return ready;
  started_ = true;
  loop_thread_ = std::this_thread::get_id();
  requests_.allow_entering();
  return {};
}

// What a ring needs of the thread that it belongs to.
Result<void> Backend::make_ready(Ring& ring) {
  if ((ring.setup_flags() & IORING_SETUP_R_DISABLED) != 0) {
    if (const int enabled = ring.enable(); enabled < 0)
      return Error::from_errno(enabled, "IORING_REGISTER_ENABLE_RINGS");
  }
  if (options_.register_ring_fd && !ring.ring_fd_registered()) {
    if (const int registered = ring.register_ring_fd(); registered < 0) {
      unmet_options_.push_back("register_ring_fd: IORING_REGISTER_RING_FDS (since 5.18): " +
                               Error::from_errno(registered).message());
    }
  }
  return {};
}

// What is said of an option: this line, or nothing any more when it is empty.
void Backend::report_unmet(std::string_view option, const std::string& line) {
  const auto is_of_option = [&](const std::string& said) {
    return said.size() > option.size() && said.compare(0, option.size(), option) == 0 && said[option.size()] == ':';
  };
  const auto said = std::find_if(unmet_options_.begin(), unmet_options_.end(), is_of_option);
  if (said != unmet_options_.end() && *said == line) return;
  if (said != unmet_options_.end()) unmet_options_.erase(said);
  if (!line.empty()) unmet_options_.push_back(line);
}

bool Backend::is_alive() {
  return requests_.alive() != 0 || fd_events_.size() != 0 || timers_.alive() != 0 || signals_.size() != 0 ||
         requests_.receives_messages() || has_posted_.load(std::memory_order_relaxed);
}

bool Backend::run_turn(bool may_wait, std::optional<Error>& error) {
  ++turns_;
  wake_up_.arm();
  requests_.take_next_turn();
  if (options_.before_wait) {
    now_is_fresh_ = false;
    options_.before_wait();
    if (ended_) return false;
    if (requests_.has_next_turn()) may_wait = false;
  }
  nanoseconds timeout = kNoLimit;
  if (!timers_.empty()) {
    now_is_fresh_ = false;
    timeout = std::clamp(timers_.earliest() - now(), 0ns, kLongestWait);
  }
  if (!wake_up_.listens() && (timeout == kNoLimit || timeout > kDeafWait)) [[unlikely]]
    timeout = kDeafWait;
  if (!fd_events_.look_again()) may_wait = false;
  fd_events_.arm();
  may_wait = may_wait && !requests_.has_completed() && timeout != 0ns;
  if (may_wait) may_wait = wake_up_.fall_asleep();
  // Asked only now: what was posted or raised before we said that we sleep has not woken us.
  if (may_wait && (has_posted_.load() || signals_.any() || break_requested_.load())) may_wait = false;
  int answer = 0;
  if (ring().cq_has_overflow() && ring().cq_ready() == 0) [[unlikely]] {
    // What a submission posts takes the room in the CQ before what waits in the kernel's backlog, which would starve.
    answer = ring().get_events();
    may_wait = may_wait && !requests_.has_completed();
  }
  ASSAY_TRACEPOINT3(wait_begin, this, may_wait, timeout.count());
  if (answer >= 0) answer = enter_kernel(may_wait, timeout);
  ASSAY_TRACEPOINT3(wait_end, this, answer, ring().cq_ready());
  const bool woken = wake_up_.awake();
  now_is_fresh_ = false;
  if (options_.after_wait) {
    options_.after_wait();
    if (ended_) return false;
  }

  bool short_of_something = false;
  if (answer < 0 || ring().cq_has_overflow()) [[unlikely]] {
    error = handle_unusual_answer(answer, &short_of_something);
  } else {
    back_off_ = 0ns;
  }
  const std::uint64_t told_before = told_;
  expire_timers();
  signals_.dispatch([this] { about_to_call(); });
  if (has_posted_.load() && !ended_) run_posted();
  const std::uint64_t completions_before = requests_.counters().completions;
  fd_events_.dispatch();
  ASSAY_TRACEPOINT2(batch_begin, this, ring().cq_ready());
  const unsigned told = requests_.dispatch(options_.max_get);
  ASSAY_TRACEPOINT2(batch_end, this, told);
  told_ += told;
  // Nothing is left then that any of these could have told.
  if (ended_) return false;
  if (fd_events_.any_doubtful() && !requests_.has_completed() && !ring().cq_needs_enter()) fd_events_.reaped_all();
  if (requests_.has_unheard_cancels()) cancel_repetition_.arm();
  const bool reaped = requests_.counters().completions != completions_before;
  const bool dropped = has_dropped();
  if (answer == -EBADR || dropped) {
    if (options_.when_dropped == WhenDropped::kRecover) {
      error.reset();
      recover();
    } else {
      error = Error::from_errno(EBADR, std::string(internal::explain_submit_error(-EBADR)));
      end_what_is_lost();
    }
  }
  if (ended_) return false;
  if (short_of_something && !reaped && told_ == told_before && may_wait) back_off(timeout);
  return woken;
}

void Backend::CancelRepetition::arm() {
  if (!armed()) backend_.timers_.add(*this, internal::deadline_after(backend_.now(), kCancelRepetition));
}

void Backend::CancelRepetition::expired() { backend_.requests_.repeat_unheard_cancels(); }

// Whether completions were lost of which enter has said nothing. Before 5.19 it never does, and later only to those who
// wait, which a nested loop does not.
bool Backend::has_dropped() {
  const unsigned dropped = ring().cq_overflow_count();
  return std::exchange(dropped_, dropped) != dropped;
}

// The ring's state is what nobody knows any more, so another takes its place. Where none can be had the old one goes
// on, whose requests are known again by then.
void Backend::recover() {
  ++recoveries_;
  const internal::RecoveryCounts counts = requests_.salvage();
  if (ended_) return;
  lost_ += counts.lost;
  restarted_ += counts.restarted;
  told_ += counts.told;
  std::optional<Ring> next;
  if (Result<internal::RingSetup> setup = internal::set_up_ring(kernel_, options_)) {
    if (make_ready(setup->ring)) {
      // The old ring leaves its group before it is closed.
      sq_group_place_ = std::move(setup->place);
      next = std::move(setup->ring);
      registered_files_.set_up(*next);
      report_unmet("registered_fds", registered_files_.problem());
    }
  }
  for (internal::PooledBuffers* group : buffer_groups_) group->register_with(next ? *next : ring());
  dropped_ = next ? 0 : ring().cq_overflow_count();
  if (next) nesting_.ring_replaced();
  requests_.resume(std::move(next));
}

// Nobody can know whose completions are gone, so after those that the kernel still has everything in flight ends.
void Backend::end_what_is_lost() {
  while (ring().cq_has_overflow() && ring().get_events() >= 0 && ring().cq_ready() != 0) {
    told_ += requests_.dispatch(ring().cq_entries());
  }
  told_ += requests_.dispatch(ring().cq_entries());
  told_ += requests_.end_in_flight(-EBADR);
  // Enter may still have to say so, and the next run is to hear nothing of it.
  if (!ended_ && requests_.support().says_that_it_dropped && !requests_.has_completed())
    (void)requests_.submit_and_wait(0ns);
}

// Waits without sleeping. What a sleeping loop would be woken for has to be looked for here.
int Backend::spin(nanoseconds timeout) {
  constexpr unsigned kSpinsBetweenClockReadings = 16;
  const nanoseconds deadline = timeout == kNoLimit ? nanoseconds::max() : internal::deadline_after(now(), timeout);
  const int submitted = requests_.submit();
  if (submitted < 0) return submitted;
  // What the poll thread has not taken yet it will take by itself; anything else needs another submission.
  const bool polled = (ring().setup_flags() & IORING_SETUP_SQPOLL) != 0;
  const bool more_to_submit = requests_.has_backlog() || (!polled && ring().sq_ready() != 0);
  for (unsigned spins = 1;; ++spins) {
    if (requests_.has_completed() || wake_up_.requested() || signals_.any() || has_posted_.load() ||
        break_requested_.load(std::memory_order_relaxed)) {
      return submitted;
    }
    if (ring().cq_needs_enter()) {
      if (const int flushed = ring().get_events(); flushed < 0) return flushed;
      continue;
    }
    if (options_.on_spin) options_.on_spin();
    kernel_.relax(ring().fd());
    if (more_to_submit) return submitted;
    if (spins % kSpinsBetweenClockReadings != 0) continue;
    if (!requests_.support().says_that_it_overflows) {
      if (const int flushed = ring().get_events(); flushed < 0) return flushed;
    }
    now_is_fresh_ = false;
    if (now() >= deadline) return -ETIME;
  }
}

inline int Backend::enter_kernel(bool may_wait, nanoseconds timeout) {
  if (may_wait && options_.poll_cq) return spin(timeout);
  if (may_wait) return timeout == kNoLimit ? requests_.submit_and_wait() : requests_.submit_and_wait(timeout);
  const int submitted = requests_.submit();
  // With nothing to read the kernel is given a chance to bring something: deferred task work, an overflow backlog.
  if (submitted < 0 || requests_.has_completed()) return submitted;
  const int flushed = ring().get_events();
  return flushed < 0 ? flushed : submitted;
}

// Each answer is dealt with here, on purpose. The error is what the loop's caller is told.
std::optional<Error> Backend::handle_unusual_answer(int answer, bool* short_of_something) {
  if (ring().cq_has_overflow()) {
    ++overflows_;
    warn_of_overflow();
  }
  if (answer >= 0) {
    back_off_ = 0ns;
    return std::nullopt;
  }
  switch (internal::judge_submit_error(answer)) {
    case internal::SubmitAnswer::kTryAgain:
      ++interruptions_;
      return std::nullopt;
    case internal::SubmitAnswer::kTimedOut:
      back_off_ = 0ns;
      return std::nullopt;
    case internal::SubmitAnswer::kReap:
    case internal::SubmitAnswer::kBackOff:
      ++refusals_;
      *short_of_something = true;
      return std::nullopt;
    case internal::SubmitAnswer::kDropped:
    case internal::SubmitAnswer::kReport:
      break;
  }
  return Error::from_errno(answer, std::string(internal::explain_submit_error(answer)));
}

void Backend::warn_of_overflow() {
  if (!options_.on_warning) return;
  const nanoseconds time = now();
  if (warned_at_ && time - *warned_at_ < kWarningInterval) return;
  warned_at_ = time;
  options_.on_warning("the CQ overflows: the kernel keeps what has no room, which costs time and memory; `capacity` " +
                      std::to_string(ring().cq_entries()) + " is too small for what is in flight");
}

void Backend::expire_timers() {
  if (!timers_.empty()) timers_.expire(now());
}

void Backend::run_posted() {
  {
    const std::lock_guard lock(posted_mutex_);
    running_posted_.swap(posted_);
    has_posted_.store(false);
  }
  for (UniqueFunction<void()>& function : running_posted_) {
    about_to_call();
    function();
    if (ended_) return;
  }
  running_posted_.clear();
}

// Nothing could be submitted and nothing was there to reap. Waiting on the ring's descriptor needs no submission, ends
// when a completion comes, and takes its time even when nothing is in flight.
void Backend::back_off(nanoseconds timeout) {
  back_off_ = std::clamp(2 * back_off_, kLeastBackOff, kMostBackOff);
  const timespec time = to_timespec(timeout == kNoLimit ? back_off_ : std::min(timeout, back_off_));
  kernel_.wait_readable(ring().fd(), &time);
}

void Backend::loop_break() noexcept {
  break_requested_.store(true);
  wake_up_.wake();
}

Result<void> Backend::submit_outstanding() {
  if (!started_) return {};
  if (nesting_.in_use() && !running_) {
    hand_over();
    return {};
  }
  fd_events_.arm();
  const int answer = requests_.submit();
  if (answer >= 0) return {};
  switch (internal::judge_submit_error(answer)) {
    case internal::SubmitAnswer::kTryAgain:
    case internal::SubmitAnswer::kTimedOut:
    case internal::SubmitAnswer::kReap:
    case internal::SubmitAnswer::kBackOff:
      // All stays queued, and the next turn goes on with it.
      return {};
    case internal::SubmitAnswer::kDropped:
    case internal::SubmitAnswer::kReport:
      break;
  }
  return Error::from_errno(answer, std::string(internal::explain_submit_error(answer)));
}

void Backend::post(UniqueFunction<void()> function) {
  {
    const std::lock_guard lock(posted_mutex_);
    posted_.push_back(std::move(function));
    has_posted_.store(true);
  }
  wake_up_.wake();
}

nanoseconds Backend::now() noexcept {
  if (now_is_fresh_ && running_) return now_;
  timespec time{};
  if (kernel_.now(CLOCK_MONOTONIC, &time) >= 0) {
    now_ = std::chrono::seconds{time.tv_sec} + nanoseconds{time.tv_nsec};
    now_is_fresh_ = true;
  }
  return now_;
}

Result<OperationHandle> Backend::submit_now(Operation& operation) {
  Result<OperationHandle> handle = requests_.queue(operation);
  if (!handle) return handle;
  if (auto submitted = submit_outstanding(); !submitted) return submitted.error();
  return handle;
}

// Waits for what is in flight to end, after it was cancelled. Bounded: see the destructor's declaration.
void Backend::drain() {
  if (!started_) return;
  const bool bound = ring().ring_fd_registered() || (ring().setup_flags() & IORING_SETUP_SINGLE_ISSUER) != 0;
  if (bound && loop_thread_ != std::this_thread::get_id()) return;
  requests_.cancel_all();
  std::uint64_t portion_ends = 0;  // with so many completions
  unsigned waits = 0;
  unsigned answers = 0;
  unsigned refusals = 0;
  while (requests_.completions_due() != 0 || requests_.has_backlog() || requests_.has_completed()) {
    const internal::RequestCounters before = requests_.counters();
    if (before.completions >= portion_ends) {
      portion_ends = before.completions + requests_.cancel_next(kDrainPortion);
    }
    const int answer = requests_.has_completed() ? requests_.submit() : requests_.submit_and_wait(kDrainWait);
    requests_.dispatch(options_.max_get);
    const internal::RequestCounters after = requests_.counters();
    if (after.completions != before.completions) {
      waits = answers = 0;
      continue;
    }
    if (answer > 0 || after.cancel_replies != before.cancel_replies) continue;
    if (++answers > kDrainAnswers) return;
    if (answer == 0) continue;
    switch (internal::judge_submit_error(answer)) {
      case internal::SubmitAnswer::kTryAgain:
        break;
      case internal::SubmitAnswer::kTimedOut:
        if (++waits > kDrainPatience) return;
        // A cancelation can miss a request that is between two states; one that is asked again will not.
        requests_.cancel_all();
        requests_.cancel_next(~0u);
        break;
      case internal::SubmitAnswer::kReap:
      case internal::SubmitAnswer::kBackOff:
        back_off(kNoLimit);
        break;
      case internal::SubmitAnswer::kDropped:
        break;
      case internal::SubmitAnswer::kReport:
        // There is nobody to report to, and giving up leaves memory to the kernel that is not ours any more.
        if (++refusals > kDrainRefusals) return;
        back_off(kNoLimit);
        break;
    }
  }
}

BackendCounters Backend::counters() const noexcept {
  return {.requests = requests_.counters(),
          .turns = turns_,
          .interruptions = interruptions_,
          .refusals = refusals_,
          .overflows = overflows_,
          .recoveries = recoveries_,
          .lost = lost_,
          .restarted = restarted_,
          .readiness_checks = fd_events_.looks()};
}

}  // namespace assay
