#include "assay/mocks/sim/ring_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "assay/mocks/sim/user_memory.h"

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
    if (!is_user_memory(region.data, region.bytes, Access::kWrite)) return -EFAULT;
    return 0;
  }
  void* memory = ::mmap(nullptr, region.bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return -ENOMEM;
  region.data = static_cast<unsigned char*>(memory);
  region.owned = true;
  return 0;
}

std::size_t RingMemory::rings_bytes_for(const io_uring_params& params) {
  // With 32-byte CQEs the kernel doubles its whole ring structure, header too.
  std::size_t bytes = kCqes + params.cq_entries * sizeof(io_uring_cqe);
  if (params.flags & IORING_SETUP_CQE32) bytes *= 2;
  bytes = (bytes + 63) / 64 * 64;
  if ((params.flags & uapi::kSetupNoSqarray) == 0) bytes += params.sq_entries * sizeof(std::uint32_t);
  return bytes;
}

std::size_t RingMemory::sqes_bytes_for(const io_uring_params& params) {
  return params.sq_entries * sizeof(io_uring_sqe) * ((params.flags & IORING_SETUP_SQE128) != 0 ? 2 : 1);
}

std::size_t RingMemory::bytes_for(const io_uring_params& params) {
  return page_align(rings_bytes_for(params)) + page_align(sqes_bytes_for(params));
}

int RingMemory::allocate_both(const io_uring_params& params, Region& rings, Region& sqes) const {
  const bool from_user = (params.flags & uapi::kSetupNoMmap) != 0;
  int error = allocate(rings, rings_bytes_for(params), from_user, user_address(params.cq_off));
  if (error == 0) error = allocate(sqes, sqes_bytes_for(params), from_user, user_address(params.sq_off));
  if (error == 0) std::memset(rings.data, 0, kCqes);
  return error;
}

/// Writes the header of fresh rings, and where things are in them.
void RingMemory::lay_out(io_uring_params& params) {
  const bool from_user = (params.flags & uapi::kSetupNoMmap) != 0;
  const std::uint64_t user_rings = user_address(params.cq_off);
  const std::uint64_t user_sqes = user_address(params.sq_off);
  sq_entries_ = params.sq_entries;
  cq_entries_ = params.cq_entries;
  *word(kSqMask) = sq_entries_ - 1;
  *word(kCqMask) = cq_entries_ - 1;
  *word(kSqEntries) = sq_entries_;
  *word(kCqEntries) = cq_entries_;
  cqes_ = rings_.data + kCqes;
  const bool has_array = (params.flags & uapi::kSetupNoSqarray) == 0;
  const std::size_t array_offset = rings_bytes_for(params) - sq_entries_ * sizeof(std::uint32_t);
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
}

int RingMemory::create(io_uring_params& params, bool has_cq_flags) {
  if (params.flags & IORING_SETUP_SQE128) sqe_bytes_ *= 2;
  if (params.flags & IORING_SETUP_CQE32) cqe_bytes_ *= 2;
  mixed_cqes_ = (params.flags & uapi::kSetupCqeMixed) != 0;
  cq_flags_offset_ = has_cq_flags ? 280 : 0;
  cq_overflow_offset_ = has_cq_flags ? 284 : 280;
  if (const int error = allocate_both(params, rings_, sqes_); error != 0) return error;
  lay_out(params);
  return 0;
}

int RingMemory::resize(io_uring_params& params) {
  Region rings;
  Region sqes;
  int error = allocate_both(params, rings, sqes);
  const std::uint32_t sq_head = load_sq_head();
  const std::uint32_t sq_tail = load_sq_tail();
  const std::uint32_t cq_head = load_cq_head();
  const std::uint32_t cq_tail = load_cq_tail();
  if (error == 0 && (sq_tail - sq_head > params.sq_entries || cq_tail - cq_head > params.cq_entries)) {
    error = -EOVERFLOW;
  }
  if (error != 0) {
    release(rings);
    release(sqes);
    return error;
  }
  for (std::uint32_t position = sq_head; position != sq_tail; ++position) {
    std::memcpy(sqes.data + (position & (params.sq_entries - 1)) * sqe_bytes_,
                sqes_.data + (position & (sq_entries_ - 1)) * sqe_bytes_, sqe_bytes_);
  }
  for (std::uint32_t position = cq_head; position != cq_tail; ++position) {
    std::memcpy(rings.data + kCqes + (position & (params.cq_entries - 1)) * cqe_bytes_, cqe_at(position), cqe_bytes_);
  }
  const std::size_t words[] = {kSqHead,    kSqTail,  kCqHead,          kCqTail,
                               kSqDropped, kSqFlags, cq_flags_offset_, cq_overflow_offset_};
  for (const std::size_t offset : words) {
    *reinterpret_cast<std::uint32_t*>(rings.data + offset) = __atomic_load_n(word(offset), __ATOMIC_ACQUIRE);
  }
  std::swap(rings_, rings);
  std::swap(sqes_, sqes);
  release(rings);
  release(sqes);
  lay_out(params);
  // Where the new index array lies is not told.
  params.sq_off.array = 0;
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
  if (const int error = map_again(region->data, bytes, address); error != 0) return error;
  auto* const view = static_cast<unsigned char*>(*address);
  if (offset == IORING_OFF_SQ_RING) sq_view_ = view;
  // A program that maps the SQ ring alone finds the CQ there, too.
  if (offset == IORING_OFF_CQ_RING || (offset == IORING_OFF_SQ_RING && cq_view_ == nullptr)) cq_view_ = view;
  return 0;
}

}  // namespace assay::internal
