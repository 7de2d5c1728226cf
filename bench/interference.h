#pragma once

#include <chrono>
#include <string>

namespace assay::bench {

/// How much of a thread's time others had its CPU: on a machine that does something else beside, the difference between
/// a figure and noise.
///
/// Linux accounts how long a thread was ready to run and was not let (/proc/PID/schedstat, by CONFIG_SCHED_INFO). Where
/// that was because of this process's own doing (a poll thread, workers, a pool of threads: they work for what is
/// measured), nothing is taken off.
class Interference {
 public:
  /// Of the calling thread.
  Interference();
  Interference(const Interference&) = delete;
  Interference& operator=(const Interference&) = delete;
  ~Interference();

  /// Why it cannot be told here, in a line; empty where it can.
  const std::string& unavailable() const noexcept { return unavailable_; }
  void start() noexcept;
  /// The part of the time since `start` that others had: 0 to 1.
  double stop() noexcept;
  /// From `start` to `stop`, others' part included. Only this time may be cut by that part: another clock, started a
  /// moment later, would leave out what was waited in that moment, and be cut by it all the same.
  std::chrono::nanoseconds wall() const noexcept { return wall_; }

 private:
  struct Account {
    std::chrono::nanoseconds process_cpu{0};
    std::chrono::nanoseconds thread_cpu{0};
    std::chrono::nanoseconds waited{0};
  };
  Account account() const noexcept;

  int fd_;
  std::chrono::nanoseconds began_{0};
  std::chrono::nanoseconds wall_{0};
  Account begin_;
  std::string unavailable_;
};

}  // namespace assay::bench
