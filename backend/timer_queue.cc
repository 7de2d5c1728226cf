#include "assay/backend/timer_queue.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

namespace assay::internal {
namespace {

// What is fetched ahead of a timer that is going to be told: what lies around its node, which is its callback among it.
constexpr int kLineBytes = 64;
constexpr int kFetchedFrom = -32;
constexpr int kFetchedLines = 3;
// How far ahead of where nodes are touched one after the other. They lie anywhere in memory.
constexpr std::uint32_t kFetchDistance = 8;
// How many due timers are gathered before they are told, so that fetching ahead is worth it where slots have few.
constexpr std::uint32_t kGathered = 64;
// Up to how many timers of a wide slot putting them in order is cheaper than dealing them out.
constexpr std::uint32_t kFew = 64;

void fetch(const TimerNode* node) noexcept {
  if (node == nullptr) return;
  const auto* memory = reinterpret_cast<const char*>(node) + kFetchedFrom;
  for (int line = 0; line < kFetchedLines; ++line) __builtin_prefetch(memory + line * kLineBytes, 1);
}

std::uint64_t since_zero(std::chrono::nanoseconds time) noexcept {
  return static_cast<std::uint64_t>(std::max(time, std::chrono::nanoseconds{0}).count());
}

}  // namespace

TimerNode::~TimerNode() {
  if (queue_ != nullptr) queue_->remove(*this);
}

std::chrono::nanoseconds TimerQueue::next_expire() noexcept {
  const auto late = slots_[kLate].armed != 0 ? least_of(kLate).deadline : std::chrono::nanoseconds::max();
  if (slots_[kDue].armed != 0) return std::min(late, first_due().deadline);
  const unsigned first = settled_first_slot();
  if (first == kNone) return late;
  return std::min(late, is_crowded(first) ? std::chrono::nanoseconds(start_of(first)) : least_of(first).deadline);
}

void TimerQueue::add(TimerNode& node, std::chrono::nanoseconds deadline) {
  const bool is_late = expiring_ && deadline <= expiring_until_;
  const unsigned slot = is_late ? kLate : slot_for(deadline);
  // Whether its place comes up early enough to look at it then.
  const auto may_stay = [&] {
    if (node.queue_ != this || is_late || node.slot_ > slot) return false;
    const Slot& present = slots_[slot];
    return node.slot_ < slot || !present.is_heap || present.entries[node.position_].deadline < deadline;
  };
  if (may_stay()) {
    slots_[node.slot_].has_outdated = true;
    node.deadline_ = deadline;
    node.sequence_ = sequence_++;
    return;
  }
  if (node.queue_ == this) {
    take_out(node.slot_, node.position_);
  } else {
    if (node.queue_ != nullptr) node.queue_->remove(node);
    node.queue_ = this;
    ++size_;
    if (node.keeps_alive_) ++alive_;
  }
  node.deadline_ = deadline;
  node.sequence_ = sequence_++;
  put(slot, {deadline, &node});
}

bool TimerQueue::remove(TimerNode& node) noexcept {
  if (node.queue_ == nullptr) return false;
  take_out(node.slot_, node.position_);
  disarm(node);
  return true;
}

void TimerQueue::disarm(TimerNode& node) noexcept {
  node.queue_ = nullptr;
  --size_;
  if (node.keeps_alive_) --alive_;
}

unsigned TimerQueue::expire(std::chrono::nanoseconds now) {
  unsigned told = 0;
  expiring_ = true;
  expiring_until_ = now;
  while (TimerNode* node = take_next(now)) {
    disarm(*node);
    ++told;
    node->expired();
  }
  // Every slot that begins by now is empty, or the one that now is in, so all others stay where they are.
  position_ = std::max(position_, since_zero(now) >> kNarrowest << kNarrowest);
  expiring_ = false;
  if (slots_[kLate].armed != 0) deal_out(kLate);
  return told;
}

// Out of what has come due by now, or null. Looked up anew each time, since whoever is told may add and remove what it
// likes.
TimerNode* TimerQueue::take_next(std::chrono::nanoseconds now) {
  // Often the only one was told just now.
  if (size_ == slots_[kLate].armed) return nullptr;
  if (slots_[kDue].armed == 0) gather_due(since_zero(now));
  const Slot& due = slots_[kDue];
  unsigned from = kDue;
  if (due.armed != 0) {
    first_due();
    if (first_due_ + kFetchDistance < due.size) fetch(due.entries[first_due_ + kFetchDistance].node);
  } else {
    // The slot that now is in is all that may be left.
    from = settled_first_slot();
    if (from == kNone || start_of(from) > since_zero(now) || least_of(from).deadline > now) return nullptr;
  }
  const std::uint32_t position = from == kDue ? first_due_ : 0;
  TimerNode* node = slots_[from].entries[position].node;
  take_out(from, position);
  return node;
}

void TimerQueue::gather_due(std::uint64_t time) {
  first_due_ = 0;
  Slot& due = slots_[kDue];
  for (unsigned first = first_slot(); first != kNone && start_of(first) <= time && due.size < kGathered;
       first = first_slot()) {
    if (is_crowded(first) || (first >= kLevelSlots && end_of(first) > time)) {
      deal_out(first);
    } else if (end_of(first) > time) {
      break;
    } else if (slots_[first].has_outdated) {
      settle(first);
    } else {
      append_to_due(first);
    }
  }
  for (std::uint32_t position = 0; position < due.size; ++position) {
    if (position + kFetchDistance < due.size) fetch(due.entries[position + kFetchDistance].node);
    TimerNode& node = *due.entries[position].node;
    node.slot_ = static_cast<std::uint16_t>(kDue);
    node.position_ = position;
  }
}

// The slots come in the order of time, so that each is sorted by itself. Their nodes are not told yet where they are.
void TimerQueue::append_to_due(unsigned slot_number) {
  Slot slot = std::exchange(slots_[slot_number], Slot{});
  unmark(slot_number);
  Slot& due = slots_[kDue];
  const std::uint32_t begin = due.size;
  for (std::uint32_t position = 0; position < slot.size; ++position) {
    if (slot.entries[position].node == nullptr) continue;
    if (due.entries == nullptr || due.size >> due.order != 0) grow(due);
    due.entries[due.size++] = slot.entries[position];
  }
  due.armed = due.size;
  give_back(slot);
  std::sort(due.entries + begin, due.entries + due.size,
            [](const Entry& one, const Entry& other) { return one.before(other); });
}

const TimerQueue::Entry& TimerQueue::first_due() noexcept {
  while (slots_[kDue].entries[first_due_].node == nullptr) ++first_due_;
  return slots_[kDue].entries[first_due_];
}

void TimerQueue::clear() noexcept {
  for (Slot& slot : slots_) {
    if (slot.armed == 0) continue;
    for (std::uint32_t position = 0; position < slot.size; ++position) {
      if (slot.entries[position].node != nullptr) disarm(*slot.entries[position].node);
    }
    give_back(slot);
  }
  marks_ = {};
  level_marks_ = 0;
}

// Which slot.

unsigned TimerQueue::slot_for(std::chrono::nanoseconds deadline) const noexcept {
  const std::uint64_t time = std::max(since_zero(deadline), position_);
  const std::uint64_t difference = (time ^ position_) >> kNarrowest;
  const unsigned level = difference == 0 ? 0 : (static_cast<unsigned>(std::bit_width(difference)) - 1) / kLevelBits;
  const auto index = static_cast<unsigned>(time >> (kNarrowest + level * kLevelBits)) % kLevelSlots;
  return level * kLevelSlots + index;
}

// The levels come one after the other in time, and so do the slots of a level.
unsigned TimerQueue::first_slot() const noexcept {
  if (level_marks_ == 0) return kNone;
  const auto level = static_cast<unsigned>(std::countr_zero(level_marks_));
  unsigned word = 0;
  while (marks_[level][word] == 0) ++word;
  return level * kLevelSlots + word * kWordBits + static_cast<unsigned>(std::countr_zero(marks_[level][word]));
}

std::uint64_t TimerQueue::start_of(unsigned slot) const noexcept {
  const unsigned level = slot / kLevelSlots;
  const unsigned shift = kNarrowest + level * kLevelBits;
  const std::uint64_t above = level == kLevels - 1 ? 0 : position_ >> (shift + kLevelBits) << (shift + kLevelBits);
  return above | std::uint64_t{slot % kLevelSlots} << shift;
}

std::uint64_t TimerQueue::end_of(unsigned slot) const noexcept {
  const unsigned shift = kNarrowest + slot / kLevelSlots * kLevelBits;
  return start_of(slot) | ((std::uint64_t{1} << shift) - 1);
}

bool TimerQueue::is_crowded(unsigned slot) const noexcept {
  return slot >= kLevelSlots && slot < kLate && slots_[slot].armed > kFew;
}

void TimerQueue::mark(unsigned slot) noexcept {
  if (slot >= kLate) return;
  const unsigned level = slot / kLevelSlots;
  marks_[level][slot % kLevelSlots / kWordBits] |= std::uint64_t{1} << slot % kWordBits;
  level_marks_ |= 1u << level;
}

void TimerQueue::unmark(unsigned slot) noexcept {
  if (slot >= kLate) return;
  const unsigned level = slot / kLevelSlots;
  marks_[level][slot % kLevelSlots / kWordBits] &= ~(std::uint64_t{1} << slot % kWordBits);
  std::uint64_t any = 0;
  for (const std::uint64_t word : marks_[level]) any |= word;
  if (any == 0) level_marks_ &= ~(1u << level);
}

// What is in a slot.

void TimerQueue::put(unsigned slot_number, const Entry& entry) {
  Slot& slot = slots_[slot_number];
  std::uint32_t position = slot.size;
  if (slot.armed != slot.size) {
    position = slot.first_hole;
    slot.first_hole = static_cast<std::uint32_t>(slot.entries[position].deadline.count());
  } else {
    if (slot.entries == nullptr || slot.size >> slot.order != 0) grow(slot);
    ++slot.size;
  }
  if (slot.armed++ == 0) mark(slot_number);
  entry.node->slot_ = static_cast<std::uint16_t>(slot_number);
  place(slot, position, entry);
  if (slot.is_heap) sift_up(slot, position);
}

void TimerQueue::take_out(unsigned slot_number, std::uint32_t position) noexcept {
  Slot& slot = slots_[slot_number];
  if (--slot.armed == 0) {
    unmark(slot_number);
    give_back(slot);
  } else if (!slot.is_heap) {
    // Nothing is read of what may be far from any cache.
    slot.entries[position].deadline = std::chrono::nanoseconds(slot.first_hole);
    slot.entries[position].node = nullptr;
    slot.first_hole = position;
  } else if (const Entry last = slot.entries[--slot.size]; position != slot.size) {
    place(slot, position, last);
    sift_up(slot, position);
    sift_down(slot, last.node->position_);
  }
}

// The time of a wide slot has come, or those that were late wait like all others again.
void TimerQueue::deal_out(unsigned slot_number) {
  Slot slot = slots_[slot_number];
  slots_[slot_number] = Slot{};
  if (slot_number != kLate) {
    position_ = std::max(position_, start_of(slot_number));
    unmark(slot_number);
  }
  for (std::uint32_t position = 0; position < slot.size; ++position) {
    if (position + kFetchDistance < slot.size) __builtin_prefetch(slot.entries[position + kFetchDistance].node, 1);
    const Entry& entry = slot.entries[position];
    if (entry.node == nullptr) continue;
    // Where it was put has come, not what it may have been moved to since.
    put(slot_for(entry.node->deadline_), {entry.node->deadline_, entry.node});
  }
  give_back(slot);
}

// Places anew who was moved to later. The slot may be empty after that.
void TimerQueue::settle(unsigned slot_number) {
  Slot& slot = slots_[slot_number];
  slot.has_outdated = false;
  slot.is_heap = false;
  const std::uint32_t size = slot.size;
  for (std::uint32_t position = 0; position < size; ++position) {
    if (position + kFetchDistance < size) __builtin_prefetch(slot.entries[position + kFetchDistance].node, 1);
    Entry& entry = slot.entries[position];
    TimerNode* node = entry.node;
    if (node == nullptr || !entry.is_outdated()) continue;
    const unsigned right = slot_for(node->deadline_);
    if (right == slot_number) {
      entry = {node->deadline_, node};
    } else {
      const bool is_last = slot.armed == 1;
      take_out(slot_number, position);
      put(right, {node->deadline_, node});
      if (is_last) break;
    }
  }
}

// The first slot, the least of which is where it belongs, unless it is crowded. In a heap no other is looked at.
unsigned TimerQueue::settled_first_slot() {
  for (unsigned first = first_slot(); first != kNone; first = first_slot()) {
    if (is_crowded(first)) return first;
    Slot& slot = slots_[first];
    if (!slot.is_heap && slot.has_outdated) {
      settle(first);
      continue;
    }
    const Entry& least = least_of(first);
    TimerNode* node = least.node;
    if (!least.is_outdated()) return first;
    const unsigned right = slot_for(node->deadline_);
    if (right == first) {
      slot.entries[0] = {node->deadline_, node};
      sift_down(slot, 0);
    } else {
      take_out(first, 0);
      put(right, {node->deadline_, node});
    }
  }
  return kNone;
}

const TimerQueue::Entry& TimerQueue::least_of(unsigned slot_number) noexcept {
  Slot& slot = slots_[slot_number];
  if (!slot.is_heap) {
    close_holes(slot);
    slot.is_heap = true;
    // From the last that has children.
    for (std::uint32_t position = (slot.size + 2) / 4; position-- > 0;) sift_down(slot, position);
  }
  return slot.entries[0];
}

void TimerQueue::grow(Slot& slot) {
  const unsigned order = slot.entries == nullptr ? kLeastOrder : slot.order + 1u;
  Entry* buffer = free_[order];
  if (buffer != nullptr) {
    std::memcpy(static_cast<void*>(&free_[order]), static_cast<const void*>(buffer), sizeof buffer);
  } else {
    buffers_.push_back(std::make_unique<Entry[]>(std::size_t{1} << order));
    buffer = buffers_.back().get();
  }
  std::copy_n(slot.entries, slot.size, buffer);
  Slot grown = slot;
  grown.entries = buffer;
  grown.order = static_cast<std::uint8_t>(order);
  if (slot.entries != nullptr) give_back(slot);
  slot = grown;
}

void TimerQueue::give_back(Slot& slot) noexcept {
  std::memcpy(static_cast<void*>(slot.entries), static_cast<const void*>(&free_[slot.order]), sizeof(Entry*));
  free_[slot.order] = slot.entries;
  slot = Slot{};
}

void TimerQueue::close_holes(Slot& slot) noexcept {
  if (slot.armed == slot.size) return;
  std::uint32_t kept = 0;
  for (std::uint32_t position = 0; position < slot.size; ++position) {
    if (slot.entries[position].node != nullptr) place(slot, kept++, slot.entries[position]);
  }
  slot.size = kept;
}

void TimerQueue::place(Slot& slot, std::uint32_t position, const Entry& entry) noexcept {
  slot.entries[position] = entry;
  entry.node->position_ = position;
}

void TimerQueue::sift_up(Slot& slot, std::uint32_t position) noexcept {
  const Entry entry = slot.entries[position];
  while (position > 0) {
    const std::uint32_t parent = (position - 1) / 4;
    if (!entry.before(slot.entries[parent])) break;
    place(slot, position, slot.entries[parent]);
    position = parent;
  }
  place(slot, position, entry);
}

void TimerQueue::sift_down(Slot& slot, std::uint32_t position) noexcept {
  const Entry entry = slot.entries[position];
  for (;;) {
    const std::uint32_t first = 4 * position + 1;
    if (first >= slot.size) break;
    std::uint32_t least = first;
    for (std::uint32_t child = first + 1; child < std::min(first + 4, slot.size); ++child) {
      if (slot.entries[child].before(slot.entries[least])) least = child;
    }
    if (!slot.entries[least].before(entry)) break;
    place(slot, position, slot.entries[least]);
    position = least;
  }
  place(slot, position, entry);
}

}  // namespace assay::internal
