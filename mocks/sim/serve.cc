// Live mode: what the service thread does. Linux has interrupts, workers and poll threads for that, and the threads
// that it interrupts to run task work.

#include <sched.h>
#include <unistd.h>

#include <algorithm>

#include "assay/mocks/sim/ring.h"
#include "assay/mocks/sim/world.h"

namespace assay::internal {

namespace {

// A poll thread of Linux spins. Ours yields for this long after it last found something, and then looks this often.
constexpr Nanoseconds kSpinFor = 200'000;
constexpr Nanoseconds kLookEvery = 50'000;

}  // namespace

bool SimWorld::has_spinning_poll_thread() const {
  return std::any_of(rings_.begin(), rings_.end(), [](const std::unique_ptr<SimRing>& ring) {
    return ring->poll_thread() != nullptr && ring->poll_thread()->awake() && !ring->disabled();
  });
}

void SimWorld::serve() {
  std::unique_lock lock(mutex_.get());
  Nanoseconds spins_until = 0;
  while (!stops_serving_) {
    commit_sq_heads();
    const bool moved = step(false) || revisit_all();
    for (const auto& ring : rings_) ring->update_doorbell();
    if (moved) wake_sleepers();
    const bool spinning = has_spinning_poll_thread();
    if (moved && spinning) spins_until = clock_.now() + kSpinFor;
    if (moved || (spinning && clock_.now() < spins_until)) {
      lock.unlock();
      ::sched_yield();
      lock.lock();
      continue;
    }
    Wait wait;
    if (spinning) wait.deadline = clock_.now() + kLookEvery;
    sleep_real(lock, wait, poke_.get());
    std::uint64_t count;
    static_cast<void>(!::read(poke_.get(), &count, sizeof count));
  }
}

void SimWorld::stop_serving() {
  {
    const std::lock_guard lock(mutex_.get());
    stops_serving_ = true;
  }
  poke();
}

void SimWorld::poke() {
  const std::uint64_t one = 1;
  static_cast<void>(!::write(poke_.get(), &one, sizeof one));
}

}  // namespace assay::internal
