#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include "assay/backend/signal_event.h"
#include "assay/backend/signal_registry.h"
#include "assay/backend/wake_up.h"

namespace assay::internal {

/// One loop's signals: what has arrived, and which events are told.
class SignalSource final : public SignalInbox {
 public:
  explicit SignalSource(WakeUp& wake_up) : wake_up_(wake_up) {}
  ~SignalSource() override;

  Result<void> add(SignalEvent& event);
  void remove(SignalEvent& event);
  /// Events that are added.
  std::size_t size() const noexcept { return size_; }

  /// Tells what has arrived. `about_to_call` runs before each callback.
  template <typename AboutToCall>
  void dispatch(AboutToCall&& about_to_call) {
    if (!any() || !any_.exchange(false)) return;
    for (int signal = 1; signal < kSignals; ++signal) {
      const std::uint32_t count = counts_[static_cast<std::size_t>(signal)].exchange(0);
      if (count == 0) continue;
      // A copy, since callbacks add and remove.
      const std::vector<SignalEvent*> events = events_[static_cast<std::size_t>(signal)];
      for (std::uint32_t time = 0; time < count; ++time) {
        for (SignalEvent* event : events) {
          if (!listens(signal, event)) continue;
          about_to_call();
          event->callback_.run(signal);
        }
      }
    }
  }

 private:
  void wake_loop() noexcept override { wake_up_.wake(); }
  bool listens(int signal, const SignalEvent* event) const;

  WakeUp& wake_up_;
  std::array<std::vector<SignalEvent*>, kSignals> events_;
  std::size_t size_ = 0;
};

}  // namespace assay::internal
