#pragma once

#include <array>
#include <atomic>
#include <csignal>
#include <cstdint>

#include "assay/backend/result.h"

namespace assay::internal {

inline constexpr int kSignals = _NSIG;

/// Where one loop's signals arrive: counts that a handler may raise, and something that wakes the loop.
class SignalInbox {
 public:
  virtual ~SignalInbox() = default;

  /// From the handler, on any thread.
  void deliver(int signal) noexcept {
    counts_[static_cast<std::size_t>(signal)].fetch_add(1);
    any_.store(true);
    wake_loop();
  }
  bool any() const noexcept { return any_.load(std::memory_order_relaxed); }

 protected:
  /// Must be safe in a signal handler.
  virtual void wake_loop() noexcept = 0;

  std::array<std::atomic<std::uint32_t>, kSignals> counts_{};
  std::atomic<bool> any_{false};
  static_assert(std::atomic<std::uint32_t>::is_always_lock_free, "used in signal handlers");
};

/// Installs the process's handler for the signal, unless it is there, and has it deliver to the inbox too. Each inbox
/// at most once a signal. EINVAL when the signal does not exist or cannot be caught.
Result<void> listen_to_signal(int signal, SignalInbox& inbox);

/// Nothing is delivered to the inbox any more once this returns. The last one restores what was there before the first.
void stop_listening_to_signal(int signal, SignalInbox& inbox);

}  // namespace assay::internal
