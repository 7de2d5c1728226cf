#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "assay/backend/buffer_memory.h"

namespace assay {

/// A buffer of a BufferPool with what was received into it. Goes back to the pool when it is destroyed; that, and
/// everything else, may be done on any thread, by one at a time, also after the pool and the backend have gone.
class ProvidedBuffer {
 public:
  ProvidedBuffer() = default;
  ProvidedBuffer(ProvidedBuffer&& other) noexcept
      : memory_(std::exchange(other.memory_, nullptr)), id_(other.id_), bytes_(std::exchange(other.bytes_, 0)) {}
  ProvidedBuffer& operator=(ProvidedBuffer&& other) noexcept {
    if (this == &other) return *this;
    give_back();
    memory_ = std::exchange(other.memory_, nullptr);
    id_ = other.id_;
    bytes_ = std::exchange(other.bytes_, 0);
    return *this;
  }
  ~ProvidedBuffer() { give_back(); }

  /// What was received; empty for a buffer that is none.
  std::span<std::byte> data() const noexcept {
    if (memory_ == nullptr) return {};
    return {memory_->buffer(id_), bytes_};
  }
  std::size_t size() const noexcept { return bytes_; }
  explicit operator bool() const noexcept { return memory_ != nullptr; }
  /// Gives it back now.
  void give_back() noexcept {
    if (memory_ != nullptr) std::exchange(memory_, nullptr)->give_back(id_);
    bytes_ = 0;
  }

 private:
  friend class internal::PooledBuffers;
  ProvidedBuffer(internal::BufferMemory& memory, std::uint16_t id, std::size_t bytes)
      : memory_(&memory), id_(id), bytes_(bytes) {}

  internal::BufferMemory* memory_ = nullptr;
  std::uint16_t id_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace assay
