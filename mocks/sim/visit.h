#pragma once

#include <mutex>

#include "assay/mocks/sim/ring.h"
#include "assay/mocks/sim/world.h"

namespace assay::internal {

/// One call of one thread, from its beginning to its end: holds the lock, except while it waits.
class SimWorld::Visit {
 public:
  /// Keeps a ring alive although its fd may be closed meanwhile.
  class Use {
   public:
    Use(Visit& visit, SimRing& ring) : visit_(visit), ring_(ring) { ring_.add_reference(); }
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;
    ~Use() { visit_.world_.release(&ring_); }

   private:
    Visit& visit_;
    SimRing& ring_;
  };

  /// `in_call` is whether the thread makes a system call, as opposed to spinning.
  explicit Visit(SimWorld& world, bool in_call = true) : world_(world), in_call_(in_call) {
    world_.inside_.fetch_add(1, std::memory_order_relaxed);
    lock_ = std::unique_lock(world_.mutex_.get());
    if (world_.fork_generation_ != fork_generation()) world_.forget_inherited();
  }
  Visit(const Visit&) = delete;
  Visit& operator=(const Visit&) = delete;
  ~Visit() {
    world_.tell_watchers(in_call_);
    world_.inside_.fetch_sub(1, std::memory_order_relaxed);
    // Whatever this call did may be what others wait for.
    world_.wake_sleepers();
  }

  std::unique_lock<std::mutex>& lock() { return lock_; }

 private:
  SimWorld& world_;
  const bool in_call_;
  std::unique_lock<std::mutex> lock_;
};

}  // namespace assay::internal
