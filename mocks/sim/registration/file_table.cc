#include "assay/mocks/sim/registration/file_table.h"

#include <algorithm>
#include <cerrno>
#include <utility>

namespace assay::internal {

void FileTable::create(std::size_t slots) {
  slots_.clear();
  slots_.resize(slots);
  set_alloc_range(0, slots);
}

void FileTable::discard() {
  for (const auto& slot : slots_) {
    if (slot) slot->tag.forget();
  }
  slots_.clear();
}

std::shared_ptr<RegisteredFile> FileTable::put(std::size_t slot, Descriptor file, Tag tag) {
  std::shared_ptr<RegisteredFile> before = remove(slot);
  slots_[slot] = std::shared_ptr<RegisteredFile>(new RegisteredFile{std::move(tag), std::move(file)});
  alloc_hint_ = slot + 1;
  return before;
}

std::shared_ptr<RegisteredFile> FileTable::remove(std::size_t slot) {
  if (slots_[slot]) alloc_hint_ = slot;
  return std::exchange(slots_[slot], nullptr);
}

void FileTable::set_alloc_range(std::size_t first, std::size_t count) {
  alloc_first_ = first;
  alloc_end_ = first + count;
  alloc_hint_ = first;
}

int FileTable::choose_slot() const {
  if (!exists()) return -ENFILE;
  // A change outside of the range is no hint.
  if (alloc_hint_ < alloc_first_ || alloc_hint_ >= alloc_end_) alloc_hint_ = alloc_first_;
  const auto is_empty = [](const auto& slot) { return slot == nullptr; };
  const auto first = slots_.begin() + static_cast<std::ptrdiff_t>(alloc_first_);
  const auto end = slots_.begin() + static_cast<std::ptrdiff_t>(alloc_end_);
  const auto hint = slots_.begin() + static_cast<std::ptrdiff_t>(alloc_hint_);
  auto found = std::find_if(hint, end, is_empty);
  if (found == end) {
    found = std::find_if(first, hint, is_empty);
    if (found == hint) return -ENFILE;
  }
  return static_cast<int>(found - slots_.begin());
}

}  // namespace assay::internal
