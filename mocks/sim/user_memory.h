#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace assay::internal {

/// What the kernel is about to do to the caller's memory.
enum class Access { kRead, kWrite };

/// Whether all these bytes are mapped, and with permission. An address is the caller's word for it; where it is wrong a
/// kernel answers -EFAULT, and so must we.
bool is_user_memory(const void* address, std::size_t bytes, Access access = Access::kRead);

/// Copies what the caller points to; false where a kernel would fault. An ordinary read, so that sanitizers see it.
bool copy_from_user(void* to, const void* from, std::size_t bytes);
inline bool copy_from_user(void* to, std::uint64_t from, std::size_t bytes) {
  return copy_from_user(to, reinterpret_cast<const void*>(from), bytes);
}

/// Copies to what the caller points to; false where a kernel would fault.
bool copy_to_user(std::uint64_t to, const void* from, std::size_t bytes);
inline bool copy_to_user(void* to, const void* from, std::size_t bytes) {
  return copy_to_user(reinterpret_cast<std::uint64_t>(to), from, bytes);
}

/// An array that the caller points to, perhaps to nowhere and at no address that its type may have: its elements are
/// copied one by one, as a kernel does it.
template <typename Element>
class UserArray {
 public:
  explicit UserArray(std::uint64_t address) : address_(address) {}
  explicit UserArray(const void* address) : address_(reinterpret_cast<std::uint64_t>(address)) {}

  explicit operator bool() const { return address_ != 0; }
  /// False where a kernel would fault.
  bool read(std::size_t index, Element* to) const { return copy_from_user(to, at(index), sizeof *to); }
  bool write(std::size_t index, const Element& from) const { return copy_to_user(at(index), &from, sizeof from); }

 private:
  std::uint64_t at(std::size_t index) const { return address_ + index * sizeof(Element); }

  std::uint64_t address_;
};

/// Where files or buffers are registered without tags.
inline const UserArray<std::uint64_t> kNoTags{std::uint64_t{0}};

/// Copies a path name as getname() does: 0, or -EFAULT, -ENOENT for an empty one, -ENAMETOOLONG.
int copy_path_from_user(std::string* to, std::uint64_t from);

}  // namespace assay::internal
