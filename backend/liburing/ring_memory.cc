#include "assay/backend/liburing/ring_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <limits>

#include "assay/backend/liburing/process_kernel.h"
#include "assay/backend/liburing/state.h"

namespace assay::liburing {
namespace {

constexpr unsigned kMaxSqEntries = 32768;
constexpr unsigned kMaxCqEntries = 2 * kMaxSqEntries;
constexpr std::size_t kHugePage = std::size_t{2} << 20;
// What liburing counts for the words before the CQEs. They take more, but what is asked for is what a program budgets.
constexpr std::size_t kRingHeader = 64;

struct Entries {
  unsigned sq;
  unsigned cq;
};

std::size_t page_bytes() { return static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)); }
std::size_t page_align(std::size_t bytes) { return (bytes + page_bytes() - 1) / page_bytes() * page_bytes(); }

std::size_t bytes_of_sqes(const io_uring_params& params, unsigned entries) {
  return (std::size_t{entries} << sqe_shift_of(params.flags)) * sizeof(io_uring_sqe);
}
std::size_t bytes_of_cqes(const io_uring_params& params, unsigned entries) {
  return (std::size_t{entries} << cqe_shift_of(params.flags)) * sizeof(io_uring_cqe);
}
std::size_t bytes_of_rings(const io_uring_params& params, const Entries& entries) {
  const bool has_array = (params.flags & uapi::kSetupNoSqarray) == 0;
  return kRingHeader + bytes_of_cqes(params, entries.cq) + (has_array ? entries.sq * sizeof(unsigned) : 0);
}

// The sizes that io_uring_setup will choose; memory must be there before it is asked.
int find_entries(unsigned entries, const io_uring_params& params, Entries* found) {
  const bool clamps = (params.flags & IORING_SETUP_CLAMP) != 0;
  if (entries == 0 || (entries > kMaxSqEntries && !clamps)) return -EINVAL;
  found->sq = std::bit_ceil(std::min(entries, kMaxSqEntries));
  found->cq = 2 * found->sq;
  if ((params.flags & IORING_SETUP_CQSIZE) == 0) return 0;
  if (params.cq_entries == 0 || (params.cq_entries > kMaxCqEntries && !clamps)) return -EINVAL;
  found->cq = std::bit_ceil(std::min(params.cq_entries, kMaxCqEntries));
  return found->cq < found->sq ? -EINVAL : 0;
}

// A page, or a huge page: before 6.10 the memory had to be contiguous.
void* allocate(std::size_t wanted, std::size_t* bytes) {
  *bytes = wanted <= page_bytes() ? page_bytes() : kHugePage;
  const int huge = wanted <= page_bytes() ? 0 : MAP_HUGETLB | (21 << MAP_HUGE_SHIFT);
  void* memory = ::mmap(nullptr, *bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | huge, -1, 0);
  return memory == MAP_FAILED ? nullptr : memory;
}

// The last eight bytes of both offset structures, reserved before 6.5.
template <typename Offsets>
void set_user_address(Offsets& offsets, const void* address) {
  const auto value = reinterpret_cast<std::uint64_t>(address);
  std::memcpy(reinterpret_cast<char*>(&offsets) + sizeof(offsets) - sizeof(value), &value, sizeof(value));
}

unsigned* word_at(void* base, unsigned offset) {
  return reinterpret_cast<unsigned*>(static_cast<char*>(base) + offset);
}

void release(void* address, std::size_t bytes, bool mapped) {
  if (address == nullptr || bytes == 0) return;
  if (mapped) {
    process_kernel().unmap(address, bytes);
  } else {
    ::munmap(address, bytes);
  }
}

}  // namespace

int map_rings(int fd, const io_uring_params& params, io_uring_sq& sq, io_uring_cq& cq) {
  const auto map = [fd](std::uint64_t offset, std::size_t bytes, void** address) {
    return process_kernel().map(fd, offset, bytes, address);
  };
  const std::size_t sqes_bytes = bytes_of_sqes(params, params.sq_entries);
  if (sqes_bytes > std::numeric_limits<std::uint32_t>::max()) return -EINVAL;
  std::size_t sq_bytes = params.sq_off.array + params.sq_entries * sizeof(unsigned);
  std::size_t cq_bytes = params.cq_off.cqes + bytes_of_cqes(params, params.cq_entries);
  const bool single_mmap = (params.features & IORING_FEAT_SINGLE_MMAP) != 0;
  if (single_mmap) sq_bytes = cq_bytes = std::max(sq_bytes, cq_bytes);

  void* sqes = nullptr;
  int error = map(IORING_OFF_SQ_RING, sq_bytes, &sq.ring_ptr);
  if (error == 0) sq.ring_sz = sq_bytes;
  if (error == 0 && single_mmap) {
    cq.ring_ptr = sq.ring_ptr;
    cq.ring_sz = cq_bytes;
  } else if (error == 0) {
    error = map(IORING_OFF_CQ_RING, cq_bytes, &cq.ring_ptr);
    if (error == 0) cq.ring_sz = cq_bytes;
  }
  if (error == 0) error = map(IORING_OFF_SQES, sqes_bytes, &sqes);
  if (error != 0) {
    release_rings(sq, cq, true);
    return error;
  }
  sq.sqes = static_cast<io_uring_sqe*>(sqes);
  set_sqes_bytes(sq, static_cast<std::uint32_t>(sqes_bytes));
  fill_ring_pointers(params, sq, cq);
  return 0;
}

void release_rings(io_uring_sq& sq, io_uring_cq& cq, bool mapped) {
  release(sq.sqes, sqes_bytes_of(sq), mapped);
  if (cq.ring_ptr != sq.ring_ptr) release(cq.ring_ptr, cq.ring_sz, mapped);
  release(sq.ring_ptr, sq.ring_sz, mapped);
}

int allocate_rings(unsigned entries, io_uring_params& params, io_uring_sq& sq, io_uring_cq& cq, void* memory,
                   std::size_t bytes) {
  Entries sizes{};
  if (const int error = find_entries(entries, params, &sizes); error != 0) return error;
  const std::size_t sqes_bytes = page_align(bytes_of_sqes(params, sizes.sq));
  const std::size_t rings_bytes = bytes_of_rings(params, sizes);
  const std::size_t used = page_align(sqes_bytes + rings_bytes);

  std::size_t allocated = 0;
  if (memory != nullptr) {
    if (used > bytes) return -ENOMEM;
  } else {
    if (sqes_bytes > kHugePage || rings_bytes > kHugePage) return -ENOMEM;
    memory = allocate(sqes_bytes, &allocated);
    if (memory == nullptr) return -ENOMEM;
    bytes = allocated;
  }
  sq.sqes = static_cast<io_uring_sqe*>(memory);
  set_sqes_bytes(sq, static_cast<std::uint32_t>(allocated));
  // The sizes stay zero where the rings share the memory of the SQEs, so that it is given back once.
  if (used <= bytes) {
    sq.ring_ptr = static_cast<char*>(memory) + sqes_bytes;
  } else {
    sq.ring_ptr = allocate(rings_bytes, &sq.ring_sz);
    if (sq.ring_ptr == nullptr) {
      release(memory, allocated, false);
      return -ENOMEM;
    }
  }
  cq.ring_ptr = sq.ring_ptr;
  set_user_address(params.sq_off, sq.sqes);
  set_user_address(params.cq_off, sq.ring_ptr);
  return static_cast<int>(used);
}

void fill_ring_pointers(const io_uring_params& params, io_uring_sq& sq, io_uring_cq& cq) {
  sq.khead = word_at(sq.ring_ptr, params.sq_off.head);
  sq.ktail = word_at(sq.ring_ptr, params.sq_off.tail);
  sq.kring_mask = word_at(sq.ring_ptr, params.sq_off.ring_mask);
  sq.kring_entries = word_at(sq.ring_ptr, params.sq_off.ring_entries);
  sq.kflags = word_at(sq.ring_ptr, params.sq_off.flags);
  sq.kdropped = word_at(sq.ring_ptr, params.sq_off.dropped);
  if ((params.flags & uapi::kSetupNoSqarray) == 0) sq.array = word_at(sq.ring_ptr, params.sq_off.array);
  sq.ring_mask = *sq.kring_mask;
  sq.ring_entries = *sq.kring_entries;

  cq.khead = word_at(cq.ring_ptr, params.cq_off.head);
  cq.ktail = word_at(cq.ring_ptr, params.cq_off.tail);
  cq.kring_mask = word_at(cq.ring_ptr, params.cq_off.ring_mask);
  cq.kring_entries = word_at(cq.ring_ptr, params.cq_off.ring_entries);
  cq.koverflow = word_at(cq.ring_ptr, params.cq_off.overflow);
  cq.cqes = reinterpret_cast<io_uring_cqe*>(static_cast<char*>(cq.ring_ptr) + params.cq_off.cqes);
  // Before 5.8 there is no flags word, and its offset is zero.
  if (params.cq_off.flags != 0) cq.kflags = word_at(cq.ring_ptr, params.cq_off.flags);
  cq.ring_mask = *cq.kring_mask;
  cq.ring_entries = *cq.kring_entries;
}

void fill_sq_array(const io_uring_params& params, io_uring_sq& sq) {
  if ((params.flags & uapi::kSetupNoSqarray) != 0) return;
  for (unsigned index = 0; index < sq.ring_entries; ++index) sq.array[index] = index;
}

ssize_t ring_bytes(unsigned entries, const io_uring_params& params) {
  Entries sizes{};
  if (const int error = find_entries(entries, params, &sizes); error != 0) return error;
  return static_cast<ssize_t>(page_align(bytes_of_rings(params, sizes)) + page_align(bytes_of_sqes(params, sizes.sq)));
}

}  // namespace assay::liburing
