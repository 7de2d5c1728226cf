#pragma once

#include <cstdint>
#include <utility>

namespace assay::internal {

class SimRing;

/// The tag of a registered file or buffer: once nobody uses that any more, a completion with the tag as its user_data
/// says so. 0 is no tag (since Linux 5.13; io_uring_register(2), "tags").
class Tag {
 public:
  Tag() = default;
  Tag(SimRing& ring, std::uint64_t value) : ring_(&ring), value_(value) {}
  Tag(Tag&& other) noexcept : ring_(other.ring_), value_(std::exchange(other.value_, 0)) {}
  Tag& operator=(Tag&&) = delete;
  /// Tells it.
  ~Tag();

  /// Makes it go away without being told, as where the registration itself fails.
  void forget() { value_ = 0; }

 private:
  SimRing* ring_ = nullptr;
  std::uint64_t value_ = 0;
};

}  // namespace assay::internal
