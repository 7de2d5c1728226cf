#pragma once

#include <cstdint>
#include <deque>

#include "assay/backend/uapi.h"

namespace assay::internal {

class RingMemory;
class SimWorld;

/// What a CQE says. The extra words are those of a 32-byte CQE.
struct Completion {
  std::uint64_t user_data = 0;
  std::int32_t result = 0;
  std::uint32_t flags = 0;
  std::uint64_t extra[2] = {0, 0};
};

/// The kernel's side of a CQ: posting, and what happens when it is full.
class CompletionQueue {
 public:
  CompletionQueue(SimWorld& world, RingMemory& memory) : world_(world), memory_(memory) {}

  /// Posts to the CQ if it has room (and nothing waits before it); otherwise does nothing and returns false. `sqe` is
  /// the request that it is about, or null.
  bool try_post(const Completion& completion, const io_uring_sqe* sqe);
  /// Posts to the CQ, or keeps it in the overflow backlog, or drops it, as this kernel does. Returns false if it was
  /// dropped.
  bool post(const Completion& completion, const io_uring_sqe* sqe) {
    return try_post(completion, sqe) || overflow(completion, sqe);
  }
  /// Moves the backlog to the CQ as far as there is room. Returns whether it is empty.
  bool flush();

  unsigned waiting() const;
  bool has_backlog() const { return !backlog_.empty(); }
  /// A completion was dropped and nobody was told (IO_CHECK_CQ_DROPPED_BIT).
  bool dropped() const { return dropped_; }
  void forget_dropped() { dropped_ = false; }
  std::uint32_t tail() const { return tail_; }
  /// Strict mode: scribbles over the CQEs that the user gave back since the last call.
  void scribble_passed();

 private:
  bool overflow(const Completion& completion, const io_uring_sqe* sqe);
  /// Whether there is room for it; a large one of a mixed CQ takes two entries side by side.
  bool has_room(const Completion& completion);
  void write(const Completion& completion);
  bool is_large(const Completion& completion) const;

  SimWorld& world_;
  RingMemory& memory_;
  std::deque<Completion> backlog_;
  std::uint32_t tail_ = 0;
  std::uint32_t scribbled_ = 0;
  bool dropped_ = false;
};

}  // namespace assay::internal
