#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

#include "assay/backend/uapi.h"

namespace assay::internal {

/// The rings' memory, laid out as Linux lays it out (struct io_rings), seen from the kernel's side.
///
/// It is ours, mapped anew for each `map`, so that what a user maps outlives the ring; or, with IORING_SETUP_NO_MMAP,
/// the user's.
class RingMemory {
 public:
  /// What the memory of the rings begins with; the CQEs follow it.
  static constexpr std::size_t kHeaderBytes = 320;

  RingMemory() = default;
  RingMemory(const RingMemory&) = delete;
  RingMemory& operator=(const RingMemory&) = delete;
  ~RingMemory();

  /// Lays out rings of these sizes and fills the offsets of `params`. `has_cq_flags` tells of the layout since 5.8.
  /// Returns 0 or -ENOMEM, -EINVAL or -EFAULT.
  int create(io_uring_params& params, bool has_cq_flags);
  /// mmap of one of IORING_OFF_*.
  int map(std::uint64_t offset, std::size_t bytes, void** address);
  /// Moves everything to rings of the sizes in `params`, whose offsets it fills. 0, or a negative errno and all is as
  /// it was: -EOVERFLOW where the new rings are too small for what waits.
  int resize(io_uring_params& params);

  /// Bytes that rings of these sizes take: the rings with the index array, and the SQEs.
  static std::size_t rings_bytes_for(const io_uring_params& params);
  static std::size_t sqes_bytes_for(const io_uring_params& params);
  static std::size_t bytes_for(const io_uring_params& params);

  unsigned sq_entries() const { return sq_entries_; }
  unsigned cq_entries() const { return cq_entries_; }
  /// Bytes that the kernel allocated for it.
  std::size_t bytes() const { return rings_.bytes + sqes_.bytes; }

  std::uint32_t load_sq_tail() const { return load_acquire(kSqTail, sq_view_); }
  std::uint32_t load_sq_head() const { return __atomic_load_n(word(kSqHead), __ATOMIC_RELAXED); }
  void store_sq_head(std::uint32_t head) { store_release(kSqHead, sq_view_, head); }
  std::uint32_t load_cq_head() const { return load_acquire(kCqHead, cq_view_); }
  std::uint32_t load_cq_tail() const { return __atomic_load_n(word(kCqTail), __ATOMIC_ACQUIRE); }
  void store_cq_tail(std::uint32_t tail) { store_release(kCqTail, cq_view_, tail); }
  void set_sq_flag(std::uint32_t flag) { __atomic_fetch_or(word(kSqFlags), flag, __ATOMIC_SEQ_CST); }
  void clear_sq_flag(std::uint32_t flag) { __atomic_fetch_and(word(kSqFlags), ~flag, __ATOMIC_SEQ_CST); }
  std::uint32_t sq_flags() const { return __atomic_load_n(word(kSqFlags), __ATOMIC_SEQ_CST); }
  std::uint32_t cq_flags() const {
    return cq_flags_offset_ != 0 ? __atomic_load_n(word(cq_flags_offset_), __ATOMIC_RELAXED) : 0;
  }
  void count_dropped_sqe() { __atomic_fetch_add(word(kSqDropped), 1, __ATOMIC_RELAXED); }
  void count_overflow() { __atomic_fetch_add(word(cq_overflow_offset_), 1, __ATOMIC_RELAXED); }

  /// The SQE that stands at position `head` of the SQ; null when the index array there is invalid.
  io_uring_sqe* sqe_at(std::uint32_t head) const {
    std::uint32_t index = head & (sq_entries_ - 1);
    if (sq_array_ != nullptr) {
      index = __atomic_load_n(&sq_array_[index], __ATOMIC_RELAXED);
      if (index >= sq_entries_) return nullptr;
    }
    return reinterpret_cast<io_uring_sqe*>(sqes_.data + index * sqe_bytes_);
  }
  std::size_t sqe_bytes() const { return sqe_bytes_; }
  /// Whether no SQE lies behind this one.
  bool is_last(const io_uring_sqe* sqe) const {
    return reinterpret_cast<const unsigned char*>(sqe) + sqe_bytes_ >= sqes_.data + sq_entries_ * sqe_bytes_;
  }
  /// Whether CQEs of both sizes lie in the CQ.
  bool mixed_cqes() const { return mixed_cqes_; }
  io_uring_cqe* cqe_at(std::uint32_t position) const {
    return reinterpret_cast<io_uring_cqe*>(cqes_ + (position & (cq_entries_ - 1)) * cqe_bytes_);
  }
  std::size_t cqe_bytes() const { return cqe_bytes_; }

 private:
  struct Region {
    unsigned char* data = nullptr;
    std::size_t bytes = 0;
    bool owned = false;
  };

  static constexpr std::size_t kSqHead = 0;
  static constexpr std::size_t kSqTail = 64;
  static constexpr std::size_t kCqHead = 128;
  static constexpr std::size_t kCqTail = 192;
  static constexpr std::size_t kSqMask = 256;
  static constexpr std::size_t kCqMask = 260;
  static constexpr std::size_t kSqEntries = 264;
  static constexpr std::size_t kCqEntries = 268;
  static constexpr std::size_t kSqDropped = 272;
  static constexpr std::size_t kSqFlags = 276;
  static constexpr std::size_t kCqes = kHeaderBytes;

  int allocate_both(const io_uring_params& params, Region& rings, Region& sqes) const;
  void lay_out(io_uring_params& params);
  static int allocate(Region& region, std::size_t bytes, bool from_user, std::uint64_t user_address);
  static void release(Region& region);
  // The program has a view of its own. For ThreadSanitizer two addresses are two words, so it is told that a release by
  // one of them and an acquire by the other belong together.
  std::uint32_t load_acquire(std::size_t offset, [[maybe_unused]] unsigned char* view) const {
    const std::uint32_t value = __atomic_load_n(word(offset), __ATOMIC_ACQUIRE);
#if defined(__SANITIZE_THREAD__)
    if (view != nullptr) __tsan_acquire(view + offset);
#endif
    return value;
  }
  void store_release(std::size_t offset, [[maybe_unused]] unsigned char* view, std::uint32_t value) {
#if defined(__SANITIZE_THREAD__)
    if (view != nullptr) __tsan_release(view + offset);
#endif
    __atomic_store_n(word(offset), value, __ATOMIC_RELEASE);
  }
  std::uint32_t* word(std::size_t offset) const { return reinterpret_cast<std::uint32_t*>(rings_.data + offset); }

  Region rings_;
  Region sqes_;
  // Where the program sees the rings: never read or written by, and maybe unmapped.
  unsigned char* sq_view_ = nullptr;
  unsigned char* cq_view_ = nullptr;
  unsigned char* cqes_ = nullptr;
  std::uint32_t* sq_array_ = nullptr;
  unsigned sq_entries_ = 0;
  unsigned cq_entries_ = 0;
  std::size_t sqe_bytes_ = sizeof(io_uring_sqe);
  std::size_t cqe_bytes_ = sizeof(io_uring_cqe);
  bool mixed_cqes_ = false;
  std::size_t cq_flags_offset_ = 0;
  std::size_t cq_overflow_offset_ = 0;
};

}  // namespace assay::internal
