#include "assay/conformance/specimens/trial.h"

#include <algorithm>

namespace assay::conformance {

std::span<const Trial> trials() {
  static const std::vector<Trial> all = [] {
    std::vector<Trial> trials;
    internal::add_reading_trials(trials);
    internal::add_writing_trials(trials);
    internal::add_waiting_trials(trials);
    internal::add_socket_trials(trials);
    internal::add_cancel_trials(trials);
    return trials;
  }();
  return all;
}

const Trial* find_trial(std::string_view name) {
  const std::span<const Trial> all = trials();
  const auto found = std::find_if(all.begin(), all.end(), [&](const Trial& trial) { return trial.name == name; });
  return found != all.end() ? &*found : nullptr;
}

std::chrono::nanoseconds internal::time_of(Kernel& kernel) {
  timespec time{};
  kernel.now(CLOCK_MONOTONIC, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

}  // namespace assay::conformance
