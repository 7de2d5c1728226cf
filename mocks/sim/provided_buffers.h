#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <vector>

#include <sys/uio.h>

#include "assay/backend/uapi.h"

namespace assay::internal {

/// What a request holds of a group of provided buffers, from its selection until it is used up or given back.
struct SelectedBuffer {
  enum class Kind : std::uint8_t {
    kNone,
    kLegacy,  ///< Taken off the list that PROVIDE_BUFFERS fills.
    kRing,    ///< The first of a buffer ring, whose head moves when it is used.
  };

  Kind kind = Kind::kNone;
  /// The ring's head has moved past it, so it can no longer be given back.
  bool committed = false;
  /// The head has moved, and something is left of it.
  bool leaves_rest = false;
  /// Part of it holds data already: it stays with its request.
  bool kept = false;
  /// It was the last of its group.
  bool last = false;
  std::uint16_t group = 0;
  std::uint16_t id = 0;
  std::uint64_t address = 0;
  /// What of it is to be filled, and all that it has.
  std::uint32_t bytes = 0;
  std::uint32_t whole = 0;
};

/// One group of provided buffers: a list, or a ring in memory shared with the user (struct io_buffer_list).
class BufferGroup {
 public:
  struct Buffer {
    std::uint64_t address;
    std::uint32_t bytes;
    std::uint16_t id;
  };

  BufferGroup() = default;
  BufferGroup(const BufferGroup&) = delete;
  BufferGroup& operator=(const BufferGroup&) = delete;
  ~BufferGroup();

  /// Makes it a ring of `entries` in the caller's memory, or in fresh memory if `ring` is null. 0 or -ENOMEM. A buffer
  /// of an incremental ring with less than `min_left` bytes left is used up.
  int make_ring(io_uring_buf_ring* ring, unsigned entries, bool incremental, std::uint32_t min_left);
  /// mmap of a ring that was made in fresh memory. -ENOMEM for any other.
  int map(std::size_t bytes, void** address) const;

  bool is_ring() const { return ring_ != nullptr; }
  bool incremental() const { return incremental_; }
  std::uint16_t head() const { return head_; }
  /// Whether what it is made of is still there: the user may have unmapped a ring of his own. (A kernel would keep its
  /// pages.)
  bool is_there() const;
  /// Buffers that can be selected now.
  std::size_t available() const;

  // The list.
  std::deque<Buffer>& list() { return list_; }

  // The ring.
  io_uring_buf& ring_entry(std::uint16_t position) const;
  /// Moves the head past `count` buffers of which `bytes` bytes were filled; of an incremental ring no further than the
  /// bytes go. Returns whether the last buffer that was touched is used up.
  bool commit(std::size_t bytes, unsigned count);

 private:
  std::deque<Buffer> list_;
  io_uring_buf_ring* ring_ = nullptr;
  unsigned mask_ = 0;
  std::uint16_t head_ = 0;
  bool incremental_ = false;
  std::uint32_t min_left_ = 0;
  std::size_t owned_bytes_ = 0;
};

/// All groups of a ring. Which buffer is next, and who gets it back, changed from release to release.
class ProvidedBuffers {
 public:
  /// How this kernel does it.
  struct Rules {
    /// The buffer that was provided first is taken first (5.18), rather than the last one.
    bool oldest_first = true;
    /// A length of 0 means all of the buffer (6.0).
    bool zero_is_all = true;
    /// What is left of an incremental buffer is always told of, see Semantics::incremental_rest_told.
    bool rest_told = true;
  };

  void set_rules(const Rules& rules) { rules_ = rules; }

  /// The group of that number, or null.
  BufferGroup* find(std::uint16_t group);
  /// The same, made if there is none.
  BufferGroup& get(std::uint16_t group) { return groups_[group]; }
  void erase(std::uint16_t group) { groups_.erase(group); }

  /// Selects the next buffer of the group: 0, or -ENOBUFS if there is none. `bytes` is how much is wanted; less is
  /// selected if the buffer is smaller. With `at_once` the head of a ring moves now: in a worker, and for a file that
  /// cannot be polled.
  int select(SelectedBuffer& selected, std::uint16_t group, std::size_t bytes, bool at_once);
  /// Several buffers of a ring, for a bundle: as many as `bytes` bytes take, or one if `bytes` is 0. 0, -ENOBUFS, or
  /// -ENOENT where there is no such group.
  int select_many(SelectedBuffer& selected, std::uint16_t group, std::size_t bytes, std::vector<iovec>* buffers);
  /// The buffer was used: what the CQE's flags say of it. `bytes` of it were filled; `count` is that of a bundle.
  std::uint32_t use(SelectedBuffer& selected, std::int32_t bytes, unsigned count = 1);
  /// It was not used: the next request may have it. One that is kept or committed stays where it is.
  void give_back(SelectedBuffer& selected);

 private:
  Rules rules_;
  std::map<std::uint16_t, BufferGroup> groups_;
};

}  // namespace assay::internal
