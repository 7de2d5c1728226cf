#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace assay::internal {

/// Whether all these bytes are mapped. An address is the caller's word for it; where it is wrong a kernel answers
/// -EFAULT, and so must we. (Memory that is mapped without permission is not told apart.)
bool is_user_memory(const void* address, std::size_t bytes);

/// Copies what the caller points to; false where a kernel would fault. An ordinary read, so that sanitizers see it.
bool copy_from_user(void* to, const void* from, std::size_t bytes);
inline bool copy_from_user(void* to, std::uint64_t from, std::size_t bytes) {
  return copy_from_user(to, reinterpret_cast<const void*>(from), bytes);
}

/// Copies to what the caller points to; false where a kernel would fault.
bool copy_to_user(std::uint64_t to, const void* from, std::size_t bytes);

/// Copies a path name as getname() does: 0, or -EFAULT, -ENOENT for an empty one, -ENAMETOOLONG.
int copy_path_from_user(std::string* to, std::uint64_t from);

}  // namespace assay::internal
