#pragma once

#include <chrono>

#include "assay/backend/attachment.h"
#include "assay/backend/result.h"
#include "assay/backend/timer_queue.h"
#include "assay/backend/unique_function.h"

namespace assay {

/// Calls back when a time has come, on the loop's thread, once each time it is started. Nanoseconds count, and the
/// clock is the Kernel's CLOCK_MONOTONIC, so simulated time works. Never early. Costs no request and no descriptor.
///
///     Timer timer(backend, [&] { ... });
///     timer.start_after(5ms);
///
/// Belongs to the loop's thread. May be started, stopped and destroyed at any point, by its own callback too. An armed
/// timer keeps the loop alive. Two cache lines, of which the first is all that moving it touches.
class alignas(64) Timer final : private internal::Attachment, private internal::TimerNode {
 public:
  Timer(Backend& backend, UniqueFunction<void()> callback)
      : Attachment(backend), TimerNode(true), callback_(std::move(callback)) {}
  ~Timer() override = default;

  /// Arms it, or moves it if it is armed. `delay` is from now; zero or less fires in the next turn. ECANCELED when the
  /// backend is gone.
  Result<void> start_after(std::chrono::nanoseconds delay);
  /// The same at a time of Backend::now's clock.
  Result<void> start_at(std::chrono::nanoseconds deadline);
  /// Arms it for now + `interval`, and again for each interval after that, counted from the time it was due rather than
  /// told, so that lateness does not add up. Intervals that passed entirely are left out. EINVAL unless positive.
  Result<void> start_every(std::chrono::nanoseconds interval);
  /// ENOENT, and no harm, when it was not armed.
  Result<void> stop();
  bool armed() const noexcept { return TimerNode::armed(); }

 private:
  void expired() override;
  void backend_gone() override {}

  // In what the node has left of the first line.
  bool repeats_ = false;
  std::chrono::nanoseconds interval_{0};
  internal::OwnedCallback<> callback_;
};

}  // namespace assay
