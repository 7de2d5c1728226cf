#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "assay/backend/result.h"
#include "assay/backend/uapi.h"

namespace assay {

class Backend;

namespace internal {

class PooledBuffers;

/// The memory of a group of buffers, and who has which: the kernel (they lie in the ring that it takes them from), the
/// loop (free, where this kernel has no such ring), or whoever received something into one.
///
/// Buffers may be given back from any thread, later than the group or the backend has gone, too: what is given back
/// last then frees the memory. Everything else is the loop's.
class BufferMemory {
 public:
  /// `count` is a power of two up to 32768. ENOMEM.
  static Result<BufferMemory*> create(unsigned count, std::size_t bytes);
  BufferMemory(const BufferMemory&) = delete;
  BufferMemory& operator=(const BufferMemory&) = delete;

  unsigned count() const noexcept { return count_; }
  std::size_t buffer_bytes() const noexcept { return bytes_; }
  std::byte* buffer(unsigned id) const noexcept { return memory_ + std::size_t{id} * bytes_; }
  /// How many nobody has received something into, as far as the loop knows.
  unsigned free() const noexcept { return free_.load(std::memory_order_relaxed); }

  /// What IORING_REGISTER_PBUF_RING is given.
  io_uring_buf* ring() const noexcept { return ring_; }
  /// From now on the free ones are the kernel's or the loop's, all of them.
  void serve_from_ring(bool from_ring);
  bool in_ring() const noexcept { return in_ring_; }
  /// A free one, where the loop has them.
  std::optional<std::uint16_t> take();
  /// The kernel has taken this one out of the ring.
  void taken(std::uint16_t id) noexcept {
    held_[id] = true;
    free_.fetch_sub(1, std::memory_order_relaxed);
  }
  /// The one that lies behind it in the ring.
  std::uint16_t next(std::uint16_t id);
  /// Free again. From any thread.
  void give_back(std::uint16_t id) noexcept;

  /// Posts to the backend as soon as a buffer is given back, for the sake of those who wait; at once if one is free.
  void tell_when_free();
  /// Whom to tell. Null once the backend has gone.
  void set_owner(Backend* backend, std::weak_ptr<PooledBuffers> group);
  /// The group has gone: frees the memory when all buffers are back.
  void close() noexcept;

 private:
  BufferMemory(unsigned count, std::size_t bytes) : count_(count), bytes_(bytes), held_(count), next_(count) {}
  ~BufferMemory();
  void add_to_ring(std::uint16_t id) noexcept;
  void post_locked();

  const unsigned count_;
  const std::size_t bytes_;
  std::byte* memory_ = nullptr;
  std::size_t mapped_bytes_ = 0;
  io_uring_buf* ring_ = nullptr;
  std::atomic<unsigned> free_{0};

  std::mutex mutex_;
  bool in_ring_ = false;
  bool closed_ = false;
  bool awaited_ = false;
  std::uint16_t tail_ = 0;
  std::uint16_t last_ = 0;            // added to the ring last
  std::vector<std::uint8_t> held_;    // by whoever received into it
  std::vector<std::uint16_t> next_;   // what was added to the ring behind each
  std::vector<std::uint16_t> stack_;  // free, where the loop has them
  Backend* backend_ = nullptr;
  std::weak_ptr<PooledBuffers> group_;
};

}  // namespace internal
}  // namespace assay
