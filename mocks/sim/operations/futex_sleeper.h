#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

namespace assay::internal {

class SimWorld;

/// One word of a FUTEX_WAIT or FUTEX_WAITV.
struct FutexWord {
  std::uint64_t address;
  std::uint32_t value;
  bool is_private;
};

/// A thread that waits for futexes in the kernel's queues on behalf of a request of a live simulated ring, so that
/// anybody's futex(2) wakes it. Since Linux 5.16, which brought futex_waitv(2).
class FutexSleeper {
 public:
  /// Starts to wait; when this returns, the thread is in the queues (or its wait is over). Null where the running
  /// kernel cannot wait for so many, or without it at all: then others' wake-ups are not seen.
  static std::unique_ptr<FutexSleeper> start(SimWorld& world, const std::vector<FutexWord>& words);
  /// Stops waiting.
  ~FutexSleeper();
  FutexSleeper(const FutexSleeper&) = delete;
  FutexSleeper& operator=(const FutexSleeper&) = delete;

  /// Whether the wait is over: what the request then results in, the index of the word or a negative errno.
  bool woken(std::int32_t* result) const;

 private:
  FutexSleeper(SimWorld& world, const std::vector<FutexWord>& words);
  void sleep();
  void wait_until_queued() const;

  static constexpr std::int32_t kAsleep = 1 << 30;

  SimWorld& world_;
  const std::vector<FutexWord> words_;
  std::atomic<std::uint32_t> stop_{0};
  std::atomic<std::int32_t> result_{kAsleep};
  std::atomic<int> thread_id_{0};
  std::thread thread_;
};

}  // namespace assay::internal
