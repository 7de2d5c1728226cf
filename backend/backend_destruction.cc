// The end of a backend: everybody is told, and the kernel lets go of all memory before that is given back.

#include <cerrno>
#include <utility>

#include "assay/backend/backend.h"
#include "assay/backend/submit_errors.h"

namespace assay {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

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

}  // namespace

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
  while (!attachments_.empty()) {
    internal::Attachment& attachment = *attachments_.back();
    attachment.backend_gone();
    attachment.detach();
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

}  // namespace assay
