#include "assay/backend/timer_queue.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace assay::internal {
namespace {

// What is fetched ahead of timers that are going to be told, of how many: what lies around their nodes, which is their
// callback among it.
constexpr unsigned kLineBytes = 64;
constexpr unsigned kFetchedLines = 3;
constexpr std::uint32_t kMostFetched = 64;
// How far ahead of where a wide slot is dealt out.
constexpr std::uint32_t kFetchDistance = 8;

}  // namespace

TimerNode::~TimerNode() {
  if (queue_ != nullptr) queue_->remove(*this);
}

std::chrono::nanoseconds TimerQueue::earliest() noexcept {
  const unsigned first = first_slot();
  if (slots_[kLate].size == 0) return least_of(first).deadline;
  const auto late = least_of(kLate).deadline;
  return first == kNone ? late : std::min(late, least_of(first).deadline);
}

void TimerQueue::add(TimerNode& node, std::chrono::nanoseconds deadline) {
  if (node.queue_ != nullptr) node.queue_->remove(node);
  put(expiring_ && deadline <= expiring_until_ ? kLate : slot_for(deadline), {deadline, sequence_++, &node});
  node.queue_ = this;
  node.deadline_ = deadline;
  ++size_;
  if (node.keeps_alive_) ++alive_;
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
  const auto time = static_cast<std::uint64_t>(std::max(now, std::chrono::nanoseconds{0}).count());
  unsigned told = 0;
  expiring_ = true;
  expiring_until_ = now;
  // Looked up anew each time, since whoever is told may add and remove what it likes.
  for (unsigned first = first_slot(); first != kNone && start_of(first) <= time; first = first_slot()) {
    if (first >= kLevelSlots) {
      deal_out(first);
      continue;
    }
    if (!slots_[first].is_heap) fetch(slots_[first]);
    const Entry due = least_of(first);
    if (due.deadline > now) break;
    take_out(first, 0);
    disarm(*due.node);
    ++told;
    due.node->expired();
  }
  // Every slot that begins by now is empty, or the one that now is in, so all others stay where they are.
  position_ = std::max(position_, time >> kNarrowest << kNarrowest);
  expiring_ = false;
  if (slots_[kLate].size != 0) deal_out(kLate);
  return told;
}

// They lie anywhere in memory, and are wanted one right after the other.
void TimerQueue::fetch(const Slot& slot) noexcept {
  for (std::uint32_t position = 0; position < std::min(slot.size, kMostFetched); ++position) {
    const auto* node = reinterpret_cast<const char*>(slot.entries[position].node);
    for (unsigned line = 0; line < kFetchedLines; ++line) __builtin_prefetch(node + line * kLineBytes);
  }
}

void TimerQueue::clear() noexcept {
  for (Slot& slot : slots_) {
    if (slot.size == 0) continue;
    for (std::uint32_t position = 0; position < slot.size; ++position) disarm(*slot.entries[position].node);
    give_back(slot);
  }
  marks_ = {};
  level_marks_ = 0;
}

// Which slot.

unsigned TimerQueue::slot_for(std::chrono::nanoseconds deadline) const noexcept {
  const auto time =
      std::max(static_cast<std::uint64_t>(std::max(deadline, std::chrono::nanoseconds{0}).count()), position_);
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

void TimerQueue::mark(unsigned slot) noexcept {
  if (slot == kLate) return;
  const unsigned level = slot / kLevelSlots;
  marks_[level][slot % kLevelSlots / kWordBits] |= std::uint64_t{1} << slot % kWordBits;
  level_marks_ |= 1u << level;
}

void TimerQueue::unmark(unsigned slot) noexcept {
  if (slot == kLate) return;
  const unsigned level = slot / kLevelSlots;
  marks_[level][slot % kLevelSlots / kWordBits] &= ~(std::uint64_t{1} << slot % kWordBits);
  std::uint64_t any = 0;
  for (const std::uint64_t word : marks_[level]) any |= word;
  if (any == 0) level_marks_ &= ~(1u << level);
}

// What is in a slot.

void TimerQueue::put(unsigned slot_number, const Entry& entry) {
  Slot& slot = slots_[slot_number];
  if (slot.entries == nullptr || slot.size >> slot.order != 0) grow(slot);
  if (slot.size == 0) mark(slot_number);
  entry.node->slot_ = static_cast<std::uint16_t>(slot_number);
  place(slot, slot.size++, entry);
  if (slot.is_heap) sift_up(slot, slot.size - 1);
}

void TimerQueue::take_out(unsigned slot_number, std::uint32_t position) noexcept {
  Slot& slot = slots_[slot_number];
  const Entry last = slot.entries[--slot.size];
  if (slot.size == 0) {
    unmark(slot_number);
    give_back(slot);
  } else if (position != slot.size) {
    place(slot, position, last);
    if (!slot.is_heap) return;
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
    put(slot_for(entry.deadline), entry);
  }
  give_back(slot);
}

const TimerQueue::Entry& TimerQueue::least_of(unsigned slot_number) noexcept {
  Slot& slot = slots_[slot_number];
  if (!slot.is_heap) {
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
