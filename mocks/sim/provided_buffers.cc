// Provided buffers, as lists and as rings. Follows io_uring/kbuf.c.

#include "assay/mocks/sim/provided_buffers.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>

#include "assay/mocks/sim/user_memory.h"

namespace assay::internal {

namespace {

std::size_t page_align(std::size_t bytes) {
  static const std::size_t page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return (bytes + page - 1) / page * page;
}

/// What a bundle takes at most (PEEK_MAX_IMPORT).
constexpr std::size_t kMostOfABundle = 256;

}  // namespace

BufferGroup::~BufferGroup() {
  if (owned_bytes_ != 0) ::munmap(ring_, owned_bytes_);
}

int BufferGroup::make_ring(io_uring_buf_ring* ring, unsigned entries, bool incremental, std::uint32_t min_left) {
  if (ring == nullptr) {
    owned_bytes_ = page_align(entries * sizeof(io_uring_buf));
    void* memory = ::mmap(nullptr, owned_bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
      owned_bytes_ = 0;
      return -ENOMEM;
    }
    ring = static_cast<io_uring_buf_ring*>(memory);
  }
  ring_ = ring;
  mask_ = entries - 1;
  incremental_ = incremental;
  min_left_ = min_left;
  return 0;
}

int BufferGroup::map(std::size_t bytes, void** address) const {
  if (owned_bytes_ == 0) return -ENOMEM;
  if (bytes == 0 || page_align(bytes) > owned_bytes_) return -EINVAL;
  // A second view, so that what the user maps outlives the registration.
  void* view = ::mremap(ring_, 0, bytes, MREMAP_MAYMOVE);
  if (view == MAP_FAILED) return -errno;
  *address = view;
  return 0;
}

bool BufferGroup::is_there() const {
  return ring_ == nullptr || owned_bytes_ != 0 || is_user_memory(ring_, (mask_ + 1) * sizeof(io_uring_buf));
}

std::size_t BufferGroup::available() const {
  if (ring_ == nullptr) return list_.size();
  if (!is_there()) return 0;
  return static_cast<std::uint16_t>(__atomic_load_n(&ring_->tail, __ATOMIC_ACQUIRE) - head_);
}

io_uring_buf& BufferGroup::ring_entry(std::uint16_t position) const {
  // Not by the member `bufs`, which some headers lack in C++ and others declare one entry too far.
  return reinterpret_cast<io_uring_buf*>(ring_)[position & mask_];
}

bool BufferGroup::commit(std::size_t bytes, unsigned count) {
  if (!incremental_) {
    head_ = static_cast<std::uint16_t>(head_ + count);
    return true;
  }
  while (bytes > 0 && is_there()) {
    io_uring_buf& buffer = ring_entry(head_);
    const auto part = static_cast<std::uint32_t>(std::min<std::size_t>(bytes, buffer.len));
    const std::uint32_t left = buffer.len - part;
    if (part == 0 || (left != 0 && left >= min_left_)) {
      buffer.len = left;
      buffer.addr += part;
      return false;
    }
    buffer.len = 0;
    ++head_;
    bytes -= part;
  }
  return true;
}

BufferGroup* ProvidedBuffers::find(std::uint16_t group) {
  const auto found = groups_.find(group);
  return found == groups_.end() ? nullptr : &found->second;
}

int ProvidedBuffers::select(SelectedBuffer& selected, std::uint16_t group, std::size_t bytes, bool at_once) {
  BufferGroup* from = find(group);
  if (from == nullptr || from->available() == 0) return -ENOBUFS;
  BufferGroup::Buffer buffer;
  if (from->is_ring()) {
    const io_uring_buf& entry = from->ring_entry(from->head());
    buffer = {entry.addr, entry.len, entry.bid};
  } else if (rules_.oldest_first) {
    buffer = from->list().front();
    from->list().pop_front();
  } else {
    // The first one that was provided was the list's head, and the last to be taken.
    buffer = from->list().back();
    from->list().pop_back();
  }
  selected = {};
  selected.kind = from->is_ring() ? SelectedBuffer::Kind::kRing : SelectedBuffer::Kind::kLegacy;
  selected.group = group;
  selected.id = buffer.id;
  selected.address = buffer.address;
  const bool all = bytes > buffer.bytes || (bytes == 0 && rules_.zero_is_all);
  selected.bytes = all ? buffer.bytes : static_cast<std::uint32_t>(bytes);
  selected.whole = buffer.bytes;
  selected.last = from->available() == (from->is_ring() ? 1u : 0u);
  if (from->is_ring() && at_once) {
    selected.leaves_rest = !from->commit(selected.bytes, 1) && rules_.rest_told;
    selected.committed = true;
  }
  return 0;
}

int ProvidedBuffers::select_many(SelectedBuffer& selected, std::uint16_t group, std::size_t bytes,
                                 std::vector<iovec>* buffers) {
  BufferGroup* from = find(group);
  if (from == nullptr) return -ENOENT;
  buffers->clear();
  if (!from->is_ring()) {
    if (const int error = select(selected, group, bytes, false); error != 0) return error;
    buffers->push_back({reinterpret_cast<void*>(selected.address), selected.bytes});
    return 0;
  }
  const std::size_t available = std::min<std::size_t>(from->available(), IOV_MAX);
  if (available == 0) return -ENOBUFS;
  const io_uring_buf& first = from->ring_entry(from->head());
  std::size_t count = 1;
  if (bytes != 0) {
    if (first.len == 0) return -ENOBUFS;
    count = std::min({available, (bytes + first.len - 1) / first.len, kMostOfABundle});
  }
  selected = {};
  selected.kind = SelectedBuffer::Kind::kRing;
  selected.group = group;
  selected.id = first.bid;
  std::size_t left = bytes != 0 ? bytes : INT_MAX;
  std::uint16_t position = from->head();
  for (; buffers->size() < count && left > 0; ++position) {
    io_uring_buf& entry = from->ring_entry(position);
    std::uint32_t length = entry.len;
    if (length > left) {
      length = static_cast<std::uint32_t>(left);
      // Of a buffer that is not incremental the rest is lost: only the first may be cut, and says so in the ring.
      if (!from->incremental()) {
        if (!buffers->empty()) break;
        entry.len = length;
      }
    }
    buffers->push_back({reinterpret_cast<void*>(entry.addr), length});
    left -= length;
    selected.bytes += length;
  }
  selected.last = buffers->size() == available;
  return 0;
}

std::uint32_t ProvidedBuffers::use(SelectedBuffer& selected, std::int32_t bytes, unsigned count) {
  if (selected.kind == SelectedBuffer::Kind::kNone) return 0;
  std::uint32_t flags = IORING_CQE_F_BUFFER | (std::uint32_t{selected.id} << IORING_CQE_BUFFER_SHIFT);
  BufferGroup* group = find(selected.group);
  if (selected.kind == SelectedBuffer::Kind::kRing && !selected.committed && group != nullptr && group->is_ring() &&
      bytes >= 0) {
    selected.leaves_rest = !group->commit(static_cast<std::size_t>(bytes), count);
    // Where nothing was filled, nothing was used up either, but some kernels forgot to say so.
    if (group->incremental() && bytes == 0) selected.leaves_rest = rules_.rest_told;
  }
  if (selected.leaves_rest) flags |= uapi::kCqeFBufMore;
  selected = {};
  return flags;
}

void ProvidedBuffers::give_back(SelectedBuffer& selected) {
  if (selected.kind == SelectedBuffer::Kind::kNone || selected.kept || selected.committed) return;
  if (selected.kind == SelectedBuffer::Kind::kLegacy) {
    BufferGroup& group = get(selected.group);
    const BufferGroup::Buffer buffer{selected.address, selected.whole, selected.id};
    if (!group.is_ring()) group.list().push_front(buffer);
  }
  selected = {};
}

}  // namespace assay::internal
