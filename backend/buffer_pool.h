#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "assay/backend/attachment.h"
#include "assay/backend/buffer_memory.h"
#include "assay/backend/provided_buffer.h"
#include "assay/backend/result.h"
#include "assay/backend/ring.h"

namespace assay {

/// How many buffers, of how many bytes each.
struct BufferPoolSize {
  /// Rounded up to a power of two; 2 to 32768.
  unsigned count = 0;
  /// Rounded up to a power of two, 32 at least.
  std::size_t bytes = 4096;
};

namespace internal {

class Requests;
class RepeatedReceive;

/// A group of buffers of one ring: what the operations that receive into them share.
class PooledBuffers final : private Attachment {
 public:
  static Result<std::shared_ptr<PooledBuffers>> create(Backend& backend, const BufferPoolSize& size);
  ~PooledBuffers() override;

  unsigned count() const noexcept { return memory_->count(); }
  std::size_t buffer_bytes() const noexcept { return memory_->buffer_bytes(); }
  unsigned free() const noexcept { return memory_->free(); }
  std::uint16_t id() const noexcept { return id_; }
  /// The kernel picks buffers by itself.
  bool in_ring() const noexcept { return memory_->in_ring(); }
  /// Why it does not.
  const std::string& reason() const noexcept { return reason_; }
  /// Registers with this ring, for the first time or once more. Nothing may be in flight that uses the group.
  void register_with(Ring& ring);

  /// The buffers of a completion: those that the kernel filled from `first` on with `bytes` in all, one by one.
  template <typename Visit>
  void take_filled(std::uint16_t first, std::size_t bytes, Visit visit) {
    for (std::uint16_t id = first;;) {
      // Asked before it is told: who is told may give it back.
      const std::uint16_t next = bytes > buffer_bytes() ? memory_->next(id) : id;
      const std::size_t part = bytes < buffer_bytes() ? bytes : buffer_bytes();
      bytes -= part;
      memory_->taken(id);
      visit(ProvidedBuffer(*memory_, id, part));
      if (bytes == 0) return;
      id = next;
    }
  }
  /// One to receive into, where the kernel does not pick them.
  std::optional<std::uint16_t> take() { return memory_->take(); }
  std::byte* buffer(std::uint16_t id) const noexcept { return memory_->buffer(id); }
  /// One that was taken and received into.
  ProvidedBuffer filled(std::uint16_t id, std::size_t bytes) { return {*memory_, id, bytes}; }
  void give_back(std::uint16_t id) noexcept { memory_->give_back(id); }

  /// Has the operation, which is parked, go on when a buffer is free.
  void wait_for_buffer(RepeatedReceive& operation);
  /// It ended otherwise.
  void stop_waiting(const RepeatedReceive& operation);
  void resume_waiting();

 private:
  PooledBuffers(Backend& backend, BufferMemory& memory);
  void backend_gone() override;

  BufferMemory* memory_;
  std::uint16_t id_ = 0;
  std::string reason_;
  std::vector<RepeatedReceive*> waiting_;
};

}  // namespace internal

/// Buffers that receives take one by one when data has come, so that a connection which is silent has none. A handle:
/// copies are the same pool, which lasts as long as a handle, or an operation or buffer that uses it.
///
/// Where the kernel has provided buffer rings and multishot receives (6.0) it picks the buffers itself, out of memory
/// that it shares with the loop. Before, or where it refuses the ring, the loop polls, and picks one when there is
/// something to receive.
///
/// Belongs to the loop's thread; only its buffers do not. Sources: io_uring_register(2), IORING_REGISTER_PBUF_RING.
class BufferPool {
 public:
  /// EINVAL for a size that no pool can have, ENOMEM. May be made before the loop's first run.
  static Result<BufferPool> create(Backend& backend, const BufferPoolSize& size);

  unsigned count() const noexcept { return group_->count(); }
  std::size_t buffer_bytes() const noexcept { return group_->buffer_bytes(); }
  /// Buffers that nobody has.
  unsigned free() const noexcept { return group_->free(); }
  /// True where the kernel picks them.
  bool in_kernel() const noexcept { return group_->in_ring(); }
  /// Why it does not; empty where it does.
  const std::string& reason() const noexcept { return group_->reason(); }

 private:
  friend class Operations;
  explicit BufferPool(std::shared_ptr<internal::PooledBuffers> group) : group_(std::move(group)) {}

  std::shared_ptr<internal::PooledBuffers> group_;
};

}  // namespace assay
