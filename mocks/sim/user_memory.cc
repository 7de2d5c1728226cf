#include "assay/mocks/sim/user_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>

namespace assay::internal {

bool is_user_memory(const void* address, std::size_t bytes) {
  if (bytes == 0) return true;
  static const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto first = reinterpret_cast<std::uintptr_t>(address);
  std::uintptr_t end;
  if (first < page || __builtin_add_overflow(first, bytes, &end)) return false;
  const std::uintptr_t start = first / page * page;
  // mincore(2) is the cheapest call that knows what is mapped: a byte a page, or ENOMEM. Piece by piece, since a length
  // is the caller's word too.
  unsigned char resident[1024];
  for (std::uintptr_t piece = start; piece < end;) {
    const std::size_t left = (end - piece + page - 1) / page;
    const std::size_t length = std::min(left, sizeof resident) * page;
    if (::mincore(reinterpret_cast<void*>(piece), length, resident) != 0) return false;
    piece += length;
  }
  return true;
}

bool copy_from_user(void* to, const void* from, std::size_t bytes) {
  if (!is_user_memory(from, bytes)) return false;
  if (bytes != 0) std::memcpy(to, from, bytes);
  return true;
}

bool copy_to_user(std::uint64_t to, const void* from, std::size_t bytes) {
  auto* address = reinterpret_cast<void*>(to);
  if (!is_user_memory(address, bytes)) return false;
  if (bytes != 0) std::memcpy(address, from, bytes);
  return true;
}

int copy_path_from_user(std::string* to, std::uint64_t from) {
  to->clear();
  const auto* path = reinterpret_cast<const char*>(from);
  // Page by page, since nobody knows where it ends.
  static const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  while (to->size() < PATH_MAX) {
    const std::size_t left = page - reinterpret_cast<std::uintptr_t>(path) % page;
    if (!is_user_memory(path, 1)) return -EFAULT;
    const std::size_t length = ::strnlen(path, left);
    to->append(path, length);
    if (length < left) return to->empty() ? -ENOENT : to->size() < PATH_MAX ? 0 : -ENAMETOOLONG;
    path += left;
  }
  return -ENAMETOOLONG;
}

}  // namespace assay::internal
