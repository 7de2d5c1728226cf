#pragma once

#include <vector>

#include "assay/mocks/sim/clock.h"
#include "assay/mocks/sim/registration/workers.h"

namespace assay::internal {

class SimRing;

/// The kernel thread that submits for rings with IORING_SETUP_SQPOLL (struct io_sq_data). Rings that are attached to
/// one another by IORING_SETUP_ATTACH_WQ share one: it goes to sleep when it found nothing in any of them for as long
/// as the most patient of them asked for, and whoever wakes it for one ring wakes it for all.
class PollThread {
 public:
  explicit PollThread(const SimClock& clock) : clock_(clock) {}
  PollThread(const PollThread&) = delete;
  PollThread& operator=(const PollThread&) = delete;

  void attach(SimRing& ring, Nanoseconds idle);
  void detach(SimRing& ring);
  /// One turn for one of its rings. Returns whether it submitted anything.
  bool run(SimRing& ring);
  void wake();
  /// Whether it looks for SQEs by itself, until it has found none for long enough.
  bool awake() const { return awake_; }

  /// The limits of its own workers.
  WorkerLimits workers;

 private:
  struct Member {
    SimRing* ring;
    Nanoseconds idle;
  };

  bool has_work() const;
  void stay_awake();

  const SimClock& clock_;
  std::vector<Member> rings_;
  Nanoseconds sleeps_at_ = 0;
  bool awake_ = true;
  unsigned late_ = 0;  // how often in a row
};

}  // namespace assay::internal
