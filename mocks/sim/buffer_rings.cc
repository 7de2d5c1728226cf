// Registering rings of provided buffers. Follows io_uring/kbuf.c.

#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstring>

#include "assay/mocks/sim/ring.h"
#include "assay/mocks/sim/user_memory.h"

namespace assay::internal {

namespace {

/// With as many the head could not be told from the tail.
constexpr unsigned kTooManyEntries = 65536;

bool reserved_is_clear(io_uring_buf_reg request, bool has_min_left) {
  if (has_min_left) uapi::set_pbuf_min_left(request, 0);
  return request.resv[0] == 0 && request.resv[1] == 0 && request.resv[2] == 0;
}

bool is_page_aligned(std::uint64_t address) {
  static const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  return address % page == 0;
}

/// What is wrong with where the ring is to be: 0 or an errno.
int check_address(const io_uring_buf_reg& request, bool mapped, bool ignores_address) {
  if (mapped) return request.ring_addr != 0 && !ignores_address ? -EINVAL : 0;
  if (request.ring_addr == 0) return -EFAULT;
  return is_page_aligned(request.ring_addr) ? 0 : -EINVAL;
}

}  // namespace

int SimRing::register_buffer_ring(void* arg, unsigned count) {
  io_uring_buf_reg request{};
  if (arg == nullptr || count != 1) return -EINVAL;
  if (!copy_from_user(&request, arg, sizeof request)) return -EFAULT;
  const Semantics& semantics = world_.profile().semantics;
  if (!reserved_is_clear(request, semantics.buffer_ring_min_left)) return -EINVAL;

  std::uint16_t known = 0;
  if (semantics.buffer_ring_mmap) known |= uapi::kPbufRingMmap;
  if (semantics.buffer_ring_incremental) known |= uapi::kPbufRingInc;
  const std::uint16_t flags = uapi::pbuf_flags(request);
  if ((flags & ~known) != 0) return -EINVAL;
  const bool incremental = (flags & uapi::kPbufRingInc) != 0;
  const std::uint32_t min_left = semantics.buffer_ring_min_left ? uapi::pbuf_min_left(request) : 0;
  if (min_left != 0 && !incremental) return -EINVAL;
  const bool mapped = (flags & uapi::kPbufRingMmap) != 0;
  // The address is looked at first, or last since 6.14, where a ring became a region of memory.
  const bool is_region = world_.is_since(6, 14);
  if (!is_region) {
    if (const int error = check_address(request, mapped, false); error != 0) return error;
  }
  if (!std::has_single_bit(request.ring_entries) || request.ring_entries >= kTooManyEntries) return -EINVAL;
  if (BufferGroup* group = provided_buffers_.find(request.bgid); group != nullptr) {
    if (group->is_ring() || group->available() != 0) return -EEXIST;
    provided_buffers_.erase(request.bgid);
  }
  if (is_region) {
    if (const int error = check_address(request, mapped, true); error != 0) return error;
  }
  const std::size_t bytes = request.ring_entries * sizeof(io_uring_buf);
  auto* ring = mapped ? nullptr : reinterpret_cast<io_uring_buf_ring*>(request.ring_addr);
  if (ring != nullptr && !is_user_memory(ring, bytes, Access::kWrite)) return -EFAULT;
  BufferGroup& group = provided_buffers_.get(request.bgid);
  const int error = group.make_ring(ring, request.ring_entries, incremental, min_left);
  if (error != 0) provided_buffers_.erase(request.bgid);
  return error;
}

int SimRing::unregister_buffer_ring(void* arg, unsigned count) {
  io_uring_buf_reg request{};
  if (arg == nullptr || count != 1) return -EINVAL;
  if (!copy_from_user(&request, arg, sizeof request)) return -EFAULT;
  if (!reserved_is_clear(request, world_.profile().semantics.buffer_ring_min_left) || uapi::pbuf_flags(request) != 0)
    return -EINVAL;
  const BufferGroup* group = provided_buffers_.find(request.bgid);
  if (group == nullptr) return -ENOENT;
  if (!group->is_ring()) return -EINVAL;
  provided_buffers_.erase(request.bgid);
  return 0;
}

int SimRing::buffer_ring_status(void* arg, unsigned count) {
  uapi::BufferStatus status{};
  if (arg == nullptr || count != 1) return -EINVAL;
  if (!copy_from_user(&status, arg, sizeof status)) return -EFAULT;
  for (const std::uint32_t word : status.resv) {
    if (word != 0) return -EINVAL;
  }
  // Group numbers have 16 bits; what does not fit is nobody's.
  const bool fits = status.buf_group <= 0xffff;
  const BufferGroup* group = fits ? provided_buffers_.find(static_cast<std::uint16_t>(status.buf_group)) : nullptr;
  if (group == nullptr) return -ENOENT;
  if (!group->is_ring()) return -EINVAL;
  status.head = group->head();
  return copy_to_user(arg, &status, sizeof status) ? 0 : -EFAULT;
}

int SimRing::map(std::uint64_t offset, std::size_t bytes, void** address) {
  // The rings themselves have offsets with none of the upper bits of this one.
  constexpr std::uint64_t kWhich = 0xf8000000;
  if ((offset & kWhich) == uapi::kOffParamRegion) return region_.map(bytes, address);
  if ((offset & kWhich) != uapi::kOffPbufRing) return memory_.map(offset, bytes, address);
  const std::uint64_t number = (offset & ~kWhich) >> uapi::kOffPbufShift;
  const BufferGroup* group = provided_buffers_.find(static_cast<std::uint16_t>(number));
  const int error = group != nullptr ? group->map(bytes, address) : -ENOMEM;
  // Where there is nothing to map, the kernel found no place for it up to 7.1, and says why since.
  return error == -ENOMEM && world_.is_since(7, 2) ? -EINVAL : error;
}

}  // namespace assay::internal
