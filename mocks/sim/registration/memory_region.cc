// Follows io_uring/memmap.c and io_uring/register.c.

#include "assay/mocks/sim/registration/memory_region.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <iterator>

#include "assay/mocks/sim/ring.h"
#include "assay/mocks/sim/user_memory.h"

namespace assay::internal {

namespace {

std::size_t page_bytes() {
  static const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return page;
}

template <typename Words>
bool all_zero(const Words& words) {
  return std::all_of(std::begin(words), std::end(words), [](auto word) { return word == 0; });
}

}  // namespace

MemoryRegion::~MemoryRegion() { release(); }

void MemoryRegion::release() {
  if (owned_) ::munmap(data_, bytes_);
  data_ = nullptr;
  bytes_ = 0;
  owned_ = serves_waits_ = false;
}

std::size_t MemoryRegion::pages() const { return bytes_ / page_bytes(); }

int MemoryRegion::create(uapi::RegionDescription& description, std::uint64_t mmap_offset) {
  if (!all_zero(description.resv) || (description.flags & ~uapi::kRegionOfUser) != 0) return -EINVAL;
  const bool from_user = (description.flags & uapi::kRegionOfUser) != 0;
  if (from_user != (description.user_addr != 0)) return -EFAULT;
  if (description.size == 0 || description.mmap_offset != 0 || description.id != 0) return -EINVAL;
  if (description.size / page_bytes() > INT_MAX) return -E2BIG;
  if ((description.user_addr | description.size) % page_bytes() != 0) return -EINVAL;
  std::uint64_t end;
  if (__builtin_add_overflow(description.user_addr, description.size, &end)) return -EOVERFLOW;
  if (from_user) {
    data_ = reinterpret_cast<unsigned char*>(description.user_addr);
    if (!is_user_memory(data_, description.size, Access::kWrite)) return -EFAULT;
  } else {
    void* memory = ::mmap(nullptr, description.size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return -ENOMEM;
    data_ = static_cast<unsigned char*>(memory);
    owned_ = true;
    description.mmap_offset = mmap_offset;
  }
  bytes_ = description.size;
  return 0;
}

int MemoryRegion::map(std::size_t bytes, void** address) const {
  if (!owned_ || bytes == 0) return -EINVAL;
  // mremap with an old size of zero makes a second view of shared memory.
  void* view = ::mremap(data_, 0, std::min(bytes, bytes_), MREMAP_MAYMOVE);
  if (view == MAP_FAILED) return -errno;
  *address = view;
  return 0;
}

const uapi::RegisteredWait* MemoryRegion::wait_at(std::uint64_t offset) const {
  std::uint64_t end;
  if (!serves_waits_ || offset % sizeof(long) != 0) return nullptr;
  if (__builtin_add_overflow(offset, sizeof(uapi::RegisteredWait), &end) || end > bytes_) return nullptr;
  // A kernel keeps the user's pages even where he has unmapped them.
  if (!owned_ && !is_user_memory(data_ + offset, sizeof(uapi::RegisteredWait))) return nullptr;
  return reinterpret_cast<const uapi::RegisteredWait*>(data_ + offset);
}

int SimRing::register_memory_region(void* arg) {
  if (region_.exists()) return -EBUSY;
  uapi::MemRegion request{};
  uapi::RegionDescription description{};
  if (!copy_from_user(&request, arg, sizeof request)) return -EFAULT;
  if (!copy_from_user(&description, request.region, sizeof description)) return -EFAULT;
  if (!all_zero(request.resv) || (request.flags & ~uapi::kMemRegionWaitArg) != 0) return -EINVAL;
  const bool for_waits = (request.flags & uapi::kMemRegionWaitArg) != 0;
  // Once the ring is enabled there may be somebody who waits.
  if (for_waits && !disabled_) return -EINVAL;
  if (const int error = region_.create(description, uapi::kOffParamRegion); error != 0) return error;
  int error = 0;
  if (world_.profile().semantics.region_memlock) error = locked_pages_.add(world_.locked_memory(), region_.pages());
  if (error == 0 && !copy_to_user(request.region, &description, sizeof description)) error = -EFAULT;
  if (error != 0) {
    region_.release();
    return error;
  }
  if (for_waits) region_.serve_waits();
  return 0;
}

}  // namespace assay::internal
