#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace assay::bench {

/// Cycles and instructions of this thread, in user space and in the kernel, by perf events. Source:
/// perf_event_open(2).
class PerfCounters {
 public:
  struct Counts {
    std::uint64_t cycles = 0;
    std::uint64_t instructions = 0;
  };

  PerfCounters();
  PerfCounters(const PerfCounters&) = delete;
  PerfCounters& operator=(const PerfCounters&) = delete;
  ~PerfCounters();

  /// Why there are none here, in a line; empty where there are.
  const std::string& unavailable() const noexcept { return unavailable_; }
  /// "user and kernel", or "user" where the sysctl kernel.perf_event_paranoid allows no more.
  const char* scope() const noexcept { return user_only_ ? "user" : "user and kernel"; }
  /// Counts from now on.
  void start() noexcept;
  /// Stops. What was counted since `start`, scaled up where the processor had to share its counters; nothing where
  /// there are none or they never ran.
  std::optional<Counts> stop() noexcept;

 private:
  int open(std::uint64_t event, int group) noexcept;

  int cycles_ = -1;
  int instructions_ = -1;
  bool user_only_ = false;
  std::string unavailable_;
};

}  // namespace assay::bench
