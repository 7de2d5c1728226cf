#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "assay/mocks/sim/locked_memory.h"
#include "assay/mocks/sim/registration/tag.h"

namespace assay::internal {

/// A registered buffer. A request that uses it shares it, so that its tag is told when both are over.
struct RegisteredBuffer {
  Tag tag;
  iovec range;
  /// Null for a copy of another ring's, whose pages are counted there.
  std::unique_ptr<LockedPages> locked = nullptr;

  /// Whether all of [address, address + bytes) lies in it.
  bool contains(std::uint64_t address, std::uint64_t bytes) const {
    const auto start = reinterpret_cast<std::uint64_t>(range.iov_base);
    std::uint64_t end;
    return !__builtin_add_overflow(address, bytes, &end) && address >= start && end <= start + range.iov_len;
  }
};

/// The registered buffers of one ring, by index; empty slots are null.
using BufferTable = std::vector<std::shared_ptr<RegisteredBuffer>>;

}  // namespace assay::internal
