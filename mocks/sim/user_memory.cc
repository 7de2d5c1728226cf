#include "assay/mocks/sim/user_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>

namespace assay::internal {

namespace {

// Constants of Linux 5.14 that the C library's header may lack.
constexpr int kPopulateRead = 22;   // MADV_POPULATE_READ
constexpr int kPopulateWrite = 23;  // MADV_POPULATE_WRITE

// Permission is asked by faulting pages in, as the access itself would. A range that is longer than this is asked at
// its ends alone, for who says that it is memory may be wrong, and it should not all be allocated for that.
constexpr std::size_t kMostPopulated = 256;

std::uintptr_t page_bytes() {
  static const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  return page;
}

// mincore(2) is the cheapest call that knows what is mapped: a byte a page, or ENOMEM. Piece by piece, since a length
// is the caller's word too.
bool is_mapped(std::uintptr_t start, std::uintptr_t end) {
  unsigned char resident[1024];
  for (std::uintptr_t piece = start; piece < end;) {
    const std::size_t left = (end - piece + page_bytes() - 1) / page_bytes();
    const std::size_t length = std::min(left, sizeof resident) * page_bytes();
    if (::mincore(reinterpret_cast<void*>(piece), length, resident) != 0) return false;
    piece += length;
  }
  return true;
}

/// Before 5.14 only what is mapped can be asked, not how.
bool can_ask_for_permission() {
  static const bool can = [] {
    void* const one = ::mmap(nullptr, page_bytes(), PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (one == MAP_FAILED) return false;
    const bool known = ::madvise(one, page_bytes(), kPopulateRead) == 0;
    ::munmap(one, page_bytes());
    return known;
  }();
  return can;
}

bool is_permitted(std::uintptr_t start, std::size_t pages, Access access) {
  const int advice = access == Access::kWrite ? kPopulateWrite : kPopulateRead;
  return ::madvise(reinterpret_cast<void*>(start), pages * page_bytes(), advice) == 0;
}

}  // namespace

bool is_user_memory(const void* address, std::size_t bytes, Access access) {
  if (bytes == 0) return true;
  const auto first = reinterpret_cast<std::uintptr_t>(address);
  std::uintptr_t end;
  if (first < page_bytes() || __builtin_add_overflow(first, bytes, &end)) return false;
  const std::uintptr_t start = first / page_bytes() * page_bytes();
  if (!can_ask_for_permission()) return is_mapped(start, end);
  const std::size_t pages = (end - start + page_bytes() - 1) / page_bytes();
  if (pages <= kMostPopulated) return is_permitted(start, pages, access);
  return is_mapped(start, end) && is_permitted(start, 1, access) &&
         is_permitted(start + (pages - 1) * page_bytes(), 1, access);
}

bool copy_from_user(void* to, const void* from, std::size_t bytes) {
  if (!is_user_memory(from, bytes)) return false;
  if (bytes != 0) std::memcpy(to, from, bytes);
  return true;
}

bool copy_to_user(std::uint64_t to, const void* from, std::size_t bytes) {
  auto* address = reinterpret_cast<void*>(to);
  if (!is_user_memory(address, bytes, Access::kWrite)) return false;
  if (bytes != 0) std::memcpy(address, from, bytes);
  return true;
}

int copy_path_from_user(std::string* to, std::uint64_t from) {
  to->clear();
  const auto* path = reinterpret_cast<const char*>(from);
  // Page by page, since nobody knows where it ends.
  while (to->size() < PATH_MAX) {
    const std::size_t left = page_bytes() - reinterpret_cast<std::uintptr_t>(path) % page_bytes();
    if (!is_user_memory(path, 1)) return -EFAULT;
    const std::size_t length = ::strnlen(path, left);
    to->append(path, length);
    if (length < left) return to->empty() ? -ENOENT : to->size() < PATH_MAX ? 0 : -ENAMETOOLONG;
    path += left;
  }
  return -ENAMETOOLONG;
}

}  // namespace assay::internal
