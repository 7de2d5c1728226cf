#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "assay/mocks/sim/descriptor.h"
#include "assay/mocks/sim/registration/tag.h"

namespace assay::internal {

/// What a slot of the file table refers to. A request that uses it shares it, so that it stays until both are over.
struct RegisteredFile {
  Tag tag;
  Descriptor file;
};

/// The file table of one ring: slots, and which of them the kernel may choose (struct io_file_table).
class FileTable {
 public:
  bool exists() const { return !slots_.empty(); }
  std::size_t size() const { return slots_.size(); }
  void create(std::size_t slots);
  void clear() { slots_.clear(); }
  /// The same where the registration failed: no tag is told.
  void discard();

  /// What is in a slot; null where it is empty or there is no such slot.
  std::shared_ptr<RegisteredFile> at(std::size_t slot) const { return slot < slots_.size() ? slots_[slot] : nullptr; }
  int fd(std::size_t slot) const { return slot < slots_.size() && slots_[slot] ? slots_[slot]->file.get() : -1; }
  /// Returns what was there before, or null.
  std::shared_ptr<RegisteredFile> put(std::size_t slot, Descriptor file, Tag tag = {});
  /// Empties a slot. Returns what was in it, or null.
  std::shared_ptr<RegisteredFile> remove(std::size_t slot);

  /// From which slots the kernel chooses: [first, first + count).
  void set_alloc_range(std::size_t first, std::size_t count);
  /// An empty slot of that range, searched for from where the last change was, as the kernel does it; or -ENFILE.
  int choose_slot() const;

 private:
  std::vector<std::shared_ptr<RegisteredFile>> slots_;
  std::size_t alloc_first_ = 0;
  std::size_t alloc_end_ = 0;
  mutable std::size_t alloc_hint_ = 0;
};

}  // namespace assay::internal
