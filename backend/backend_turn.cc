// A turn of the loop: what it waits for, how long, whom it tells, and what it makes of each answer of the kernel.

#include <algorithm>
#include <cerrno>
#include <utility>

#include "assay/backend/backend.h"
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

// How long a loop sleeps at most that nothing can wake.
constexpr nanoseconds kDeafWait = 10ms;

// How often the user is warned of one thing.
constexpr nanoseconds kWarningInterval = 10s;

timespec to_timespec(nanoseconds duration) { return {.tv_sec = duration / 1s, .tv_nsec = (duration % 1s).count()}; }

}  // namespace

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
    timeout = std::clamp(timers_.next_expire() - now(), 0ns, kLongestWait);
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

}  // namespace assay
