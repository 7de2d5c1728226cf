#pragma once

#include <cstddef>
#include <iterator>
#include <vector>

namespace assay::internal {

/// What waits in line: a queue that keeps its memory, so that in the long run it allocates nothing. Some go before the
/// others.
template <typename T>
class Backlog {
 public:
  using Iterator = typename std::vector<T>::iterator;

  // Whoever takes the last one clears the rest.
  bool empty() const noexcept { return items_.empty(); }
  std::size_t size() const noexcept { return items_.size() - first_; }
  T& front() { return items_[first_]; }
  T& operator[](std::size_t position) { return items_[first_ + position]; }
  Iterator begin() { return items_.begin() + static_cast<std::ptrdiff_t>(first_); }
  Iterator end() { return items_.end(); }

  void push_back(const T& item) {
    // Rather than grow, make use of what was left at the front, once that is half of all.
    if (items_.size() == items_.capacity() && first_ >= items_.size() - first_) drop_left();
    items_.push_back(item);
  }
  void push_front(const T& item) {
    if (first_ == 0) {
      items_.insert(items_.begin(), item);
    } else {
      items_[--first_] = item;
    }
  }
  /// These, in their order, before all others.
  template <typename FromIterator>
  void push_front(FromIterator from, FromIterator to) {
    drop_left();
    items_.insert(items_.begin(), from, to);
  }
  void pop_front() {
    if (++first_ == items_.size()) clear();
  }
  void clear() noexcept {
    items_.clear();
    first_ = 0;
  }

 private:
  void drop_left() {
    items_.erase(items_.begin(), begin());
    first_ = 0;
  }

  std::vector<T> items_;
  std::size_t first_ = 0;  // what is before it has left
};

}  // namespace assay::internal
