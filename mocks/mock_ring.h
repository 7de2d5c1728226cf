#pragma once

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "assay/backend/uapi.h"

namespace assay {

/// What a MockRing's kernel announces.
struct MockRingOptions {
  /// Powers of two; setup answers with these, whatever was asked for.
  unsigned sq_entries = 8;
  unsigned cq_entries = 16;
  /// IORING_FEAT_*. Without SINGLE_MMAP the CQ has memory of its own.
  unsigned features = IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG;
  /// Where the ring's counters stand at first, zero on Linux: near 2^32 they wrap soon.
  std::uint32_t first_sq_position = 0;
  std::uint32_t first_cq_position = 0;
  /// What setup returns. It is no real descriptor.
  int fd = 1000;
};

/// Ring memory laid out as Linux lays it out, with a test at the kernel's end: it consumes SQEs and posts CQEs by hand.
class MockRing {
 public:
  explicit MockRing(const MockRingOptions& options = {})
      : options_(options),
        words_((kCqes + options.cq_entries * kLargestCqe) / sizeof(std::uint64_t) + options.sq_entries),
        cq_words_(single_mmap() ? 0 : words_.size()),
        sqes_(options.sq_entries * kLargestSqe / sizeof(std::uint64_t)) {
    word(kSqMask) = options.sq_entries - 1;
    word(kSqEntries) = options.sq_entries;
    cq_word(kCqMask) = options.cq_entries - 1;
    cq_word(kCqEntries) = options.cq_entries;
    word(kSqHead) = word(kSqTail) = options.first_sq_position;
    cq_word(kCqHead) = cq_word(kCqTail) = options.first_cq_position;
    // A program that forgot the index array would submit nothing.
    for (unsigned i = 0; i < options.sq_entries; ++i) index(i) = ~0u;
  }
  MockRing(const MockRing&) = delete;
  MockRing& operator=(const MockRing&) = delete;

  int fd() const { return options_.fd; }

  // What a Kernel's calls answer.

  int setup(unsigned /*entries*/, io_uring_params* params) {
    params->sq_entries = options_.sq_entries;
    params->cq_entries = options_.cq_entries;
    params->features = options_.features;
    params->sq_off = {};
    params->sq_off.head = kSqHead;
    params->sq_off.tail = kSqTail;
    params->sq_off.ring_mask = kSqMask;
    params->sq_off.ring_entries = kSqEntries;
    params->sq_off.flags = kSqFlags;
    params->sq_off.dropped = kSqDropped;
    params->sq_off.array = index_offset();
    params->cq_off = {};
    params->cq_off.head = kCqHead;
    params->cq_off.tail = kCqTail;
    params->cq_off.ring_mask = kCqMask;
    params->cq_off.ring_entries = kCqEntries;
    params->cq_off.overflow = kCqOverflow;
    params->cq_off.cqes = kCqes;
    params->cq_off.flags = kCqFlags;
    setup_flags_ = params->flags;
    return options_.fd;
  }

  int map(std::uint64_t offset, std::size_t bytes, void** address) {
    std::vector<std::uint64_t>* memory = nullptr;
    if (offset == IORING_OFF_SQES) memory = &sqes_;
    if (offset == IORING_OFF_SQ_RING) memory = &words_;
    if (offset == IORING_OFF_CQ_RING) memory = single_mmap() ? &words_ : &cq_words_;
    if (memory == nullptr || bytes == 0 || bytes > memory->size() * sizeof(std::uint64_t)) return -EINVAL;
    *address = memory->data();
    return 0;
  }

  /// Takes up to `count` SQEs off the SQ as the kernel does, through the index array. Returns how many; `consumed`
  /// keeps them.
  unsigned consume(unsigned count) {
    std::uint32_t head = word(kSqHead);
    const std::uint32_t tail = load(word(kSqTail));
    unsigned taken = 0;
    while (taken < count && head != tail) {
      std::uint32_t slot = head & (options_.sq_entries - 1);
      if ((setup_flags_ & uapi::kSetupNoSqarray) == 0) slot = index(slot);
      ++head;
      if (slot >= options_.sq_entries) {
        // As Linux does: an index that points nowhere is passed over, and ends the batch.
        ++word(kSqDropped);
        break;
      }
      consumed_.push_back(sqe_in_slot(slot));
      ++taken;
    }
    store(word(kSqHead), head);
    return taken;
  }

  // What a test does at the kernel's end.

  /// Every SQE that was consumed so far, in order.
  const std::vector<io_uring_sqe>& consumed() const { return consumed_; }
  /// The SQEs that are offered and not yet consumed.
  std::vector<io_uring_sqe> offered() {
    std::vector<io_uring_sqe> sqes;
    for (std::uint32_t position = word(kSqHead); position != load(word(kSqTail)); ++position) {
      sqes.push_back(sqe_in_slot(position & (options_.sq_entries - 1)));
    }
    return sqes;
  }

  /// Posts a CQE. False, and cq.koverflow counted, when the CQ is full.
  bool post(std::uint64_t user_data, std::int32_t res, std::uint32_t flags = 0) {
    const std::uint32_t tail = cq_word(kCqTail);
    if (tail - cq_head() >= options_.cq_entries) {
      ++cq_word(kCqOverflow);
      return false;
    }
    auto* slot = cq_bytes() + kCqes + (tail & (options_.cq_entries - 1)) * cqe_size();
    std::memcpy(slot, &user_data, sizeof(user_data));
    std::memcpy(slot + sizeof(user_data), &res, sizeof(res));
    std::memcpy(slot + sizeof(user_data) + sizeof(res), &flags, sizeof(flags));
    store(cq_word(kCqTail), tail + 1);
    return true;
  }

  /// IORING_SQ_NEED_WAKEUP, _CQ_OVERFLOW, _TASKRUN.
  void set_sq_flags(std::uint32_t flags) { store(word(kSqFlags), flags); }
  std::uint32_t cq_head() { return load(cq_word(kCqHead)); }
  std::uint32_t sq_tail() { return load(word(kSqTail)); }
  std::uint32_t sq_head() { return load(word(kSqHead)); }
  void set_cq_overflow(std::uint32_t count) { store(cq_word(kCqOverflow), count); }
  /// The SQ's index array.
  std::uint32_t& index(std::uint32_t i) { return word(index_offset() + i * sizeof(std::uint32_t)); }

 private:
  // Byte offsets in the rings' memory. Counters of either side stand on cache lines of their own, as Linux has them.
  static constexpr std::uint32_t kSqHead = 0;
  static constexpr std::uint32_t kSqTail = 64;
  static constexpr std::uint32_t kCqHead = 128;
  static constexpr std::uint32_t kCqTail = 192;
  static constexpr std::uint32_t kSqMask = 256;
  static constexpr std::uint32_t kCqMask = 260;
  static constexpr std::uint32_t kSqEntries = 264;
  static constexpr std::uint32_t kCqEntries = 268;
  static constexpr std::uint32_t kSqDropped = 272;
  static constexpr std::uint32_t kSqFlags = 276;
  static constexpr std::uint32_t kCqFlags = 280;
  static constexpr std::uint32_t kCqOverflow = 284;
  static constexpr std::uint32_t kCqes = 320;
  static constexpr std::size_t kLargestCqe = 32;
  static constexpr std::size_t kLargestSqe = 128;

  bool single_mmap() const { return (options_.features & IORING_FEAT_SINGLE_MMAP) != 0; }
  std::byte* cq_bytes() { return reinterpret_cast<std::byte*>((single_mmap() ? words_ : cq_words_).data()); }
  std::uint32_t& word(std::uint32_t offset) {
    return *reinterpret_cast<std::uint32_t*>(reinterpret_cast<std::byte*>(words_.data()) + offset);
  }
  std::uint32_t& cq_word(std::uint32_t offset) { return *reinterpret_cast<std::uint32_t*>(cq_bytes() + offset); }
  static std::uint32_t load(std::uint32_t& word) { return std::atomic_ref(word).load(std::memory_order_acquire); }
  static void store(std::uint32_t& word, std::uint32_t value) {
    std::atomic_ref(word).store(value, std::memory_order_release);
  }
  std::uint32_t index_offset() const { return kCqes + static_cast<std::uint32_t>(options_.cq_entries * kLargestCqe); }
  std::size_t cqe_size() const { return (setup_flags_ & IORING_SETUP_CQE32) != 0 ? 32 : 16; }
  io_uring_sqe sqe_in_slot(std::uint32_t slot) const {
    const std::size_t size = (setup_flags_ & IORING_SETUP_SQE128) != 0 ? 128 : 64;
    io_uring_sqe sqe{};
    std::memcpy(&sqe, reinterpret_cast<const std::byte*>(sqes_.data()) + slot * size, sizeof(sqe));
    return sqe;
  }

  MockRingOptions options_;
  unsigned setup_flags_ = 0;
  // Of 64-bit words for their alignment.
  std::vector<std::uint64_t> words_;
  std::vector<std::uint64_t> cq_words_;
  std::vector<std::uint64_t> sqes_;
  std::vector<io_uring_sqe> consumed_;
};

}  // namespace assay
