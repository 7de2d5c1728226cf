#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace assay::internal {

class TimerQueue;

/// now + delay, or the last time there is where that would overflow.
constexpr std::chrono::nanoseconds deadline_after(std::chrono::nanoseconds now, std::chrono::nanoseconds delay) {
  return delay > std::chrono::nanoseconds::max() - now ? std::chrono::nanoseconds::max() : now + delay;
}

/// Something that wants to be told when a time has come. Leaves its queue when it is destroyed.
class TimerNode {
 public:
  TimerNode(const TimerNode&) = delete;
  TimerNode& operator=(const TimerNode&) = delete;

  bool armed() const noexcept { return queue_ != nullptr; }
  std::chrono::nanoseconds deadline() const noexcept { return deadline_; }

 protected:
  /// `keeps_alive`: whether a loop has a reason to go on while this is armed.
  explicit TimerNode(bool keeps_alive) : keeps_alive_(keeps_alive) {}
  virtual ~TimerNode();

  /// The time has come. The node is not armed any more; it may be armed again, or destroyed, from here.
  virtual void expired() = 0;

 private:
  friend class TimerQueue;
  static constexpr std::uint32_t kDue = ~std::uint32_t{0};

  TimerQueue* queue_ = nullptr;
  std::chrono::nanoseconds deadline_{0};
  std::uint32_t position_ = 0;  // in the heap, or kDue
  bool keeps_alive_;
  TimerNode* previous_due_ = nullptr;
  TimerNode* next_due_ = nullptr;
};

/// Timers, earliest first; those of the same instant in the order in which they were added. A heap of four children a
/// node, in user space: the kernel's own list of timeouts is searched linearly. Knows no clock.
class TimerQueue {
 public:
  TimerQueue() = default;
  TimerQueue(const TimerQueue&) = delete;
  TimerQueue& operator=(const TimerQueue&) = delete;
  ~TimerQueue() { clear(); }

  bool empty() const noexcept { return heap_.empty() && first_due_ == nullptr; }
  /// Armed nodes that keep a loop alive.
  std::size_t alive() const noexcept { return alive_; }
  /// The earliest deadline. The queue must not be empty.
  std::chrono::nanoseconds earliest() const noexcept;

  /// Arms the node, or moves it if it is armed.
  void add(TimerNode& node, std::chrono::nanoseconds deadline);
  /// False when it was not armed.
  bool remove(TimerNode& node) noexcept;
  /// Tells the nodes whose deadline is not after `now`, and returns how many. What is added meanwhile waits for the
  /// next call, even if it is due at once.
  unsigned expire(std::chrono::nanoseconds now);
  /// Disarms all; nobody is told.
  void clear() noexcept;

 private:
  struct Entry {
    std::chrono::nanoseconds deadline;
    std::uint64_t sequence;
    TimerNode* node;
    bool before(const Entry& other) const noexcept {
      return deadline != other.deadline ? deadline < other.deadline : sequence < other.sequence;
    }
  };

  void place(std::uint32_t position, const Entry& entry) noexcept;
  void sift_up(std::uint32_t position) noexcept;
  void sift_down(std::uint32_t position) noexcept;
  void remove_at(std::uint32_t position) noexcept;
  void unlink_due(TimerNode& node) noexcept;

  std::vector<Entry> heap_;
  // Those that are due and wait to be told, while expire runs.
  TimerNode* first_due_ = nullptr;
  TimerNode* last_due_ = nullptr;
  std::uint64_t sequence_ = 0;
  std::size_t alive_ = 0;
};

}  // namespace assay::internal
