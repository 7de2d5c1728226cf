#include "assay/mocks/sim/ring_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace assay::internal {

namespace {

std::size_t page_align(std::size_t bytes) {
  static const std::size_t page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return (bytes + page - 1) / page * page;
}

// The last member of both offset structures, called resv2 before Linux 6.5 and user_addr since.
constexpr std::size_t kUserAddress = 32;

template <typename Offsets>
std::uint64_t user_address(const Offsets& offsets) {
  std::uint64_t address;
  std::memcpy(&address, reinterpret_cast<const char*>(&offsets) + kUserAddress, sizeof address);
  return address;
}

template <typename Offsets>
void set_user_address(Offsets& offsets, std::uint64_t address) {
  std::memcpy(reinterpret_cast<char*>(&offsets) + kUserAddress, &address, sizeof address);
}

// A second view of shared memory: mremap with an old size of zero leaves the first in place, and needs no fd.
int map_again(unsigned char* memory, std::size_t bytes, void** address) {
  void* view = ::mremap(memory, 0, bytes, MREMAP_MAYMOVE);
  if (view == MAP_FAILED) return -errno;
  *address = view;
  return 0;
}

}  // namespace

RingMemory::~RingMemory() {
  release(rings_);
  release(sqes_);
}

void RingMemory::release(Region& region) {
  if (region.owned) ::munmap(region.data, region.bytes);
  region = {};
}

int RingMemory::allocate(Region& region, std::size_t bytes, bool from_user, std::uint64_t user_address) {
  region.bytes = page_align(bytes);
  if (from_user) {
    if (user_address == 0) return -EFAULT;
    if (user_address % page_align(1) != 0) return -EINVAL;
    region.data = reinterpret_cast<unsigned char*>(user_address);
    return 0;
  }
  void* memory = ::mmap(nullptr, region.bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return -ENOMEM;
  region.data = static_cast<unsigned char*>(memory);
  region.owned = true;
  return 0;
}

int RingMemory::create(io_uring_params& params, bool has_cq_flags) {
  sq_entries_ = params.sq_entries;
  cq_entries_ = params.cq_entries;
  if (params.flags & IORING_SETUP_SQE128) sqe_bytes_ *= 2;
  if (params.flags & IORING_SETUP_CQE32) cqe_bytes_ *= 2;
  cq_flags_offset_ = has_cq_flags ? 280 : 0;
  cq_overflow_offset_ = has_cq_flags ? 284 : 280;

  // With 32-byte CQEs the kernel doubles its whole ring structure, header too.
  std::size_t rings_bytes = kCqes + cq_entries_ * sizeof(io_uring_cqe);
  if (params.flags & IORING_SETUP_CQE32) rings_bytes *= 2;
  rings_bytes = (rings_bytes + 63) / 64 * 64;
  const bool has_array = (params.flags & uapi::kSetupNoSqarray) == 0;
  const std::size_t array_offset = rings_bytes;
  if (has_array) rings_bytes += sq_entries_ * sizeof(std::uint32_t);

  const bool from_user = (params.flags & uapi::kSetupNoMmap) != 0;
  const std::uint64_t user_rings = user_address(params.cq_off);
  const std::uint64_t user_sqes = user_address(params.sq_off);
  if (const int error = allocate(rings_, rings_bytes, from_user, user_rings); error != 0) return error;
  if (const int error = allocate(sqes_, sq_entries_ * sqe_bytes_, from_user, user_sqes); error != 0) return error;

  std::memset(rings_.data, 0, kCqes);
  *word(kSqMask) = sq_entries_ - 1;
  *word(kCqMask) = cq_entries_ - 1;
  *word(kSqEntries) = sq_entries_;
  *word(kCqEntries) = cq_entries_;
  cqes_ = rings_.data + kCqes;
  sq_array_ = has_array ? word(array_offset) : nullptr;

  params.sq_off = {};
  params.sq_off.head = kSqHead;
  params.sq_off.tail = kSqTail;
  params.sq_off.ring_mask = kSqMask;
  params.sq_off.ring_entries = kSqEntries;
  params.sq_off.flags = kSqFlags;
  params.sq_off.dropped = kSqDropped;
  if (has_array) params.sq_off.array = static_cast<std::uint32_t>(array_offset);
  params.cq_off = {};
  params.cq_off.head = kCqHead;
  params.cq_off.tail = kCqTail;
  params.cq_off.ring_mask = kCqMask;
  params.cq_off.ring_entries = kCqEntries;
  params.cq_off.overflow = static_cast<std::uint32_t>(cq_overflow_offset_);
  params.cq_off.cqes = kCqes;
  params.cq_off.flags = static_cast<std::uint32_t>(cq_flags_offset_);
  if (from_user) {
    set_user_address(params.cq_off, user_rings);
    set_user_address(params.sq_off, user_sqes);
  }
  return 0;
}

int RingMemory::map(std::uint64_t offset, std::size_t bytes, void** address) {
  const Region* region = nullptr;
  switch (offset) {
    case IORING_OFF_SQ_RING:
      region = &rings_;
      break;
    case IORING_OFF_CQ_RING:
      region = &rings_;
      break;  // one allocation serves both
    case IORING_OFF_SQES:
      region = &sqes_;
      break;
    default:
      return -EINVAL;
  }
  if (!region->owned || bytes == 0 || page_align(bytes) > region->bytes) return -EINVAL;
  return map_again(region->data, bytes, address);
}

}  // namespace assay::internal
