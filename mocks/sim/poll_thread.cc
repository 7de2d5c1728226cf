// SQPOLL. Follows io_uring/sqpoll.c.

#include "assay/mocks/sim/poll_thread.h"

#include <algorithm>

#include "assay/mocks/sim/ring.h"

namespace assay::internal {
namespace {

// How often in a row it may be late.
constexpr unsigned kMostLate = 8;

}  // namespace

void PollThread::attach(SimRing& ring, Nanoseconds idle) {
  rings_.push_back({&ring, idle});
  if (!awake_) ring.memory().set_sq_flag(IORING_SQ_NEED_WAKEUP);
  if (rings_.size() == 1) stay_awake();
}

void PollThread::detach(SimRing& ring) {
  std::erase_if(rings_, [&](const Member& member) { return member.ring == &ring; });
}

bool PollThread::has_work() const {
  return std::any_of(rings_.begin(), rings_.end(), [](const Member& member) { return member.ring->has_sqes(); });
}

void PollThread::stay_awake() {
  Nanoseconds idle = 0;
  for (const Member& member : rings_) idle = std::max(idle, member.idle);
  sleeps_at_ = clock_.now() + idle;
}

bool PollThread::run(SimRing& ring) {
  if (!awake_) return false;
  SimWorld& world = ring.world();
  if (ring.has_sqes() && late_ < kMostLate && world.choose(ChoicePoint::kPollThreadLate, 2, nullptr) != 0) {
    ++late_;
    return true;  // it will come, so nobody waits in vain
  }
  late_ = 0;
  // What it cannot submit (-EBUSY while completions overflow) does not keep it busy.
  if (ring.has_sqes() && ring.submit(ring.memory().sq_entries()) > 0) {
    stay_awake();
    return true;
  }
  const bool idle_too_long = clock_.now() >= sleeps_at_;
  if (!idle_too_long && world.choose(ChoicePoint::kPollThreadSleeps, 2, nullptr) == 0) return false;
  // The kernel looks at the SQs once more after it has raised the flags, so that no SQE is left lying.
  for (const Member& member : rings_) member.ring->memory().set_sq_flag(IORING_SQ_NEED_WAKEUP);
  if (!has_work()) {
    awake_ = false;
    return false;
  }
  for (const Member& member : rings_) member.ring->memory().clear_sq_flag(IORING_SQ_NEED_WAKEUP);
  return false;
}

void PollThread::wake() {
  if (awake_) return;
  awake_ = true;
  stay_awake();
  for (const Member& member : rings_) member.ring->memory().clear_sq_flag(IORING_SQ_NEED_WAKEUP);
}

}  // namespace assay::internal
