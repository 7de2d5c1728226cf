#pragma once

#include <cstddef>
#include <cstdint>

#include "assay/backend/uapi.h"

namespace assay::internal {

/// Memory that user and kernel share for arguments (IORING_REGISTER_MEM_REGION, 6.13): the user's own, or the kernel's
/// for the user to map.
class MemoryRegion {
 public:
  MemoryRegion() = default;
  MemoryRegion(const MemoryRegion&) = delete;
  MemoryRegion& operator=(const MemoryRegion&) = delete;
  ~MemoryRegion();

  bool exists() const { return bytes_ != 0; }
  std::size_t pages() const;
  /// Takes or makes the memory that is described, and tells where it is mapped. 0 or a negative errno.
  int create(uapi::RegionDescription& description, std::uint64_t mmap_offset);
  void release();
  /// mmap of it: 0 or a negative errno.
  int map(std::size_t bytes, void** address) const;

  /// Waits may take their arguments from here.
  void serve_waits() { serves_waits_ = true; }
  /// The argument at `offset`, or null where none can be.
  const uapi::RegisteredWait* wait_at(std::uint64_t offset) const;

 private:
  unsigned char* data_ = nullptr;
  std::size_t bytes_ = 0;
  bool owned_ = false;
  bool serves_waits_ = false;
};

}  // namespace assay::internal
