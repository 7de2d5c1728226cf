#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
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

  TimerQueue* queue_ = nullptr;
  std::chrono::nanoseconds deadline_{0};
  std::uint64_t sequence_ = 0;  // those of the same instant are told in its order
  std::uint32_t position_ = 0;  // in its slot
  std::uint16_t slot_ = 0;
  bool keeps_alive_;
};

/// Timers, earliest first; those of the same instant in the order in which they were added. In user space: the kernel's
/// own list of timeouts is searched linearly. Knows no clock beyond what `expire` was told.
///
/// A wheel of slots, narrow ones for what is near and ever wider ones for what is far, so that a timer is added and
/// removed within one slot, however many others there are. A slot is made a heap once its earliest timer is asked for,
/// which is when no other slot comes before it; until then, who leaves a slot leaves a hole, which the next one to come
/// fills, so that no other timer's memory is touched, and who is moved to later stays where it is, and is moved when
/// its slot is asked for. When its time has come, a wide slot is dealt out to narrower ones; of one with many timers
/// nobody asks more than when that is. What is due entirely, as narrow slots are and wide ones with few timers, is
/// sorted once instead, and told from there. So few timers are ever put in order with each other, and deadlines are
/// exact all the same.
class TimerQueue {
 public:
  TimerQueue() = default;
  TimerQueue(const TimerQueue&) = delete;
  TimerQueue& operator=(const TimerQueue&) = delete;
  ~TimerQueue() { clear(); }

  bool empty() const noexcept { return size_ == 0; }
  /// Armed nodes that keep a loop alive.
  std::size_t alive() const noexcept { return alive_; }
  /// When `expire` is to be called next: at the earliest deadline, or, where many are far away, at the start of the
  /// slot that they are in. The queue must not be empty.
  std::chrono::nanoseconds next_expire() noexcept;

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
    /// What it was when the node was put here. In a hole, which has no node, the position of the next one.
    std::chrono::nanoseconds deadline;
    TimerNode* node;

    /// Its node was moved to later.
    bool is_outdated() const noexcept { return node->deadline_ != deadline; }
    bool before(const Entry& other) const noexcept {
      return deadline != other.deadline ? deadline < other.deadline : is_before_equal(other);
    }
    // Who is outdated was there before, and is moved when it comes up, so it goes first.
    [[gnu::noinline]] bool is_before_equal(const Entry& other) const noexcept {
      if (is_outdated() || other.is_outdated()) return !other.is_outdated();
      return node->sequence_ < other.node->sequence_;
    }
  };
  /// Timers in no order, with holes between them, or in that of a heap of four children a node, which has none.
  struct Slot {
    Entry* entries = nullptr;
    std::uint32_t size = 0;  // with the holes
    std::uint32_t armed = 0;
    // The hole that was left last, if there are any.
    std::uint32_t first_hole = 0;
    std::uint8_t order = 0;  // the buffer has room for 1 << order
    bool is_heap = false;
    bool has_outdated = false;  // timers that were moved to later, which is known to their nodes alone
  };

  // The slots of level 0 are 65 microseconds wide, those of each further level as wide as all of the one before.
  static constexpr unsigned kNarrowest = 16;
  static constexpr unsigned kLevelBits = 8;
  static constexpr unsigned kLevelSlots = 1u << kLevelBits;
  static constexpr unsigned kLevels = (64 - kNarrowest) / kLevelBits;
  /// What was added while `expire` runs and is due, so that this run does not find it.
  static constexpr unsigned kLate = kLevels * kLevelSlots;
  /// What `expire` is about to tell, in its order; holes are what was told or removed.
  static constexpr unsigned kDue = kLate + 1;
  static constexpr unsigned kNone = kDue + 1;
  static constexpr unsigned kWordBits = 64;
  static constexpr unsigned kWords = kLevelSlots / kWordBits;
  static constexpr unsigned kLeastOrder = 2;
  static constexpr unsigned kMostOrder = 32;

  unsigned slot_for(std::chrono::nanoseconds deadline) const noexcept;
  unsigned first_slot() const noexcept;
  std::uint64_t start_of(unsigned slot) const noexcept;
  std::uint64_t end_of(unsigned slot) const noexcept;
  /// A wide slot with more timers than are put in order there.
  bool is_crowded(unsigned slot) const noexcept;
  void put(unsigned slot, const Entry& entry);
  void deal_out(unsigned slot);
  TimerNode* take_next(std::chrono::nanoseconds now);
  void gather_due(std::uint64_t time);
  void append_to_due(unsigned slot);
  const Entry& first_due() noexcept;
  void take_out(unsigned slot, std::uint32_t position) noexcept;
  void disarm(TimerNode& node) noexcept;
  unsigned settled_first_slot();
  const Entry& least_of(unsigned slot) noexcept;

  void mark(unsigned slot) noexcept;
  void unmark(unsigned slot) noexcept;
  void grow(Slot& slot);
  void give_back(Slot& slot) noexcept;
  void settle(unsigned slot);
  static void close_holes(Slot& slot) noexcept;

  static void place(Slot& slot, std::uint32_t position, const Entry& entry) noexcept;
  static void sift_up(Slot& slot, std::uint32_t position) noexcept;
  static void sift_down(Slot& slot, std::uint32_t position) noexcept;

  std::array<Slot, kNone> slots_;
  // Which slots have something, by level, and which levels.
  std::array<std::array<std::uint64_t, kWords>, kLevels> marks_{};
  std::uint32_t level_marks_ = 0;
  // Up to where time was told, a multiple of the narrowest slot. A timer's level is that of the highest bits in which
  // its deadline differs from this.
  std::uint64_t position_ = 0;
  bool expiring_ = false;
  std::chrono::nanoseconds expiring_until_{0};
  std::uint32_t first_due_ = 0;  // what comes before it in kDue is a hole

  // Buffers of slots, which are kept and used again: the first of those that are free, by order, linked through their
  // first entry; and all of them.
  std::array<Entry*, kMostOrder> free_{};
  std::vector<std::unique_ptr<Entry[]>> buffers_;

  std::uint64_t sequence_ = 0;
  std::size_t size_ = 0;
  std::size_t alive_ = 0;
};

}  // namespace assay::internal
