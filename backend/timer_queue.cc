#include "assay/backend/timer_queue.h"

#include <algorithm>

namespace assay::internal {

TimerNode::~TimerNode() {
  if (queue_ != nullptr) queue_->remove(*this);
}

std::chrono::nanoseconds TimerQueue::earliest() const noexcept {
  if (first_due_ != nullptr) return first_due_->deadline_;
  return heap_.front().deadline;
}

void TimerQueue::add(TimerNode& node, std::chrono::nanoseconds deadline) {
  if (node.queue_ != nullptr) node.queue_->remove(node);
  heap_.push_back({deadline, sequence_++, &node});
  node.queue_ = this;
  node.deadline_ = deadline;
  if (node.keeps_alive_) ++alive_;
  sift_up(static_cast<std::uint32_t>(heap_.size() - 1));
}

bool TimerQueue::remove(TimerNode& node) noexcept {
  if (node.queue_ == nullptr) return false;
  if (node.position_ == TimerNode::kDue) {
    unlink_due(node);
  } else {
    remove_at(node.position_);
  }
  node.queue_ = nullptr;
  if (node.keeps_alive_) --alive_;
  return true;
}

unsigned TimerQueue::expire(std::chrono::nanoseconds now) {
  // All that are due leave the heap first, so that what a callback adds is not mistaken for one of them.
  while (!heap_.empty() && heap_.front().deadline <= now) {
    TimerNode& node = *heap_.front().node;
    remove_at(0);
    node.position_ = TimerNode::kDue;
    node.previous_due_ = last_due_;
    node.next_due_ = nullptr;
    (last_due_ != nullptr ? last_due_->next_due_ : first_due_) = &node;
    last_due_ = &node;
  }
  unsigned told = 0;
  while (first_due_ != nullptr) {
    TimerNode& node = *first_due_;
    remove(node);
    ++told;
    node.expired();
  }
  return told;
}

void TimerQueue::clear() noexcept {
  while (first_due_ != nullptr) remove(*first_due_);
  while (!heap_.empty()) remove(*heap_.back().node);
}

void TimerQueue::place(std::uint32_t position, const Entry& entry) noexcept {
  heap_[position] = entry;
  entry.node->position_ = position;
}

void TimerQueue::sift_up(std::uint32_t position) noexcept {
  const Entry entry = heap_[position];
  while (position > 0) {
    const std::uint32_t parent = (position - 1) / 4;
    if (!entry.before(heap_[parent])) break;
    place(position, heap_[parent]);
    position = parent;
  }
  place(position, entry);
}

void TimerQueue::sift_down(std::uint32_t position) noexcept {
  const Entry entry = heap_[position];
  const auto size = static_cast<std::uint32_t>(heap_.size());
  for (;;) {
    const std::uint32_t first = 4 * position + 1;
    if (first >= size) break;
    std::uint32_t least = first;
    for (std::uint32_t child = first + 1; child < std::min(first + 4, size); ++child) {
      if (heap_[child].before(heap_[least])) least = child;
    }
    if (!heap_[least].before(entry)) break;
    place(position, heap_[least]);
    position = least;
  }
  place(position, entry);
}

void TimerQueue::remove_at(std::uint32_t position) noexcept {
  const Entry last = heap_.back();
  heap_.pop_back();
  if (position == heap_.size()) return;
  place(position, last);
  sift_up(position);
  sift_down(last.node->position_);
}

void TimerQueue::unlink_due(TimerNode& node) noexcept {
  (node.previous_due_ != nullptr ? node.previous_due_->next_due_ : first_due_) = node.next_due_;
  (node.next_due_ != nullptr ? node.next_due_->previous_due_ : last_due_) = node.previous_due_;
}

}  // namespace assay::internal
