#include "assay/mocks/sim/poison.h"

#include <cstddef>
#include <cstdint>

#if defined(__SANITIZE_ADDRESS__)
#define ASSAY_HAS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ASSAY_HAS_ASAN 1
#endif
#endif

#ifdef ASSAY_HAS_ASAN
#include <sanitizer/asan_interface.h>
#endif

namespace assay::internal {

#ifdef ASSAY_HAS_ASAN

namespace {

constexpr std::uint8_t kPoisonedByUser = 0xf7;
constexpr std::uint8_t kFreed = 0xfd;
constexpr std::uint8_t kOutOfScope = 0xf8;
constexpr std::uint8_t kAfterReturn = 0xf5;

struct Shadow {
  Shadow() { __asan_get_shadow_mapping(&scale, &offset); }
  std::size_t scale = 0;
  std::size_t offset = 0;
};

const Shadow& shadow() {
  static const Shadow mapping;
  return mapping;
}

/// The shadow of those groups of bytes that lie in the memory as a whole.
struct ShadowRange {
  explicit ShadowRange(const iovec& memory) {
    const std::size_t group = std::size_t{1} << shadow().scale;
    const auto start = reinterpret_cast<std::uintptr_t>(memory.iov_base);
    const std::uintptr_t from = (start + group - 1) / group * group;
    const std::uintptr_t to = (start + memory.iov_len) / group * group;
    if (from >= to) return;
    first = reinterpret_cast<std::uint8_t*>((from >> shadow().scale) + shadow().offset);
    last = reinterpret_cast<std::uint8_t*>((to >> shadow().scale) + shadow().offset);
  }
  std::uint8_t* begin() const { return first; }
  std::uint8_t* end() const { return last; }

  std::uint8_t* first = nullptr;
  std::uint8_t* last = nullptr;
};

/// The shadow itself, and what lies between its parts, are mapped but nobody's memory.
bool is_application_memory(const iovec& memory) {
  const auto start = reinterpret_cast<std::uintptr_t>(memory.iov_base);
  constexpr std::uintptr_t kEndOfAddresses = (std::uintptr_t{1} << 47) - 1;
  const std::uintptr_t end_of_shadow = (kEndOfAddresses >> shadow().scale) + shadow().offset;
  return start > end_of_shadow || start + memory.iov_len <= shadow().offset;
}

}  // namespace

// The shadow is no memory of the program's, so nobody must instrument its accesses.
#define ASSAY_UNCHECKED __attribute__((no_sanitize_address))

ASSAY_UNCHECKED void poison(const iovec& memory) {
  if (!is_application_memory(memory)) return;
  for (std::uint8_t& byte : ShadowRange(memory)) {
    if (byte == 0) byte = kPoisonedByUser;
  }
}

ASSAY_UNCHECKED void unpoison(const iovec& memory) {
  if (!is_application_memory(memory)) return;
  for (std::uint8_t& byte : ShadowRange(memory)) {
    if (byte == kPoisonedByUser) byte = 0;
  }
}

// What is accessible again may be a frame of the stack that somebody unwound, which AddressSanitizer clears whole; so
// only what says why it is not is a violation.
ASSAY_UNCHECKED bool is_still_poisoned(const iovec& memory) {
  if (!is_application_memory(memory)) return true;
  for (const std::uint8_t byte : ShadowRange(memory)) {
    if (byte == kFreed || byte == kOutOfScope || byte == kAfterReturn) return false;
  }
  return true;
}

void touch(const iovec& memory) {
  for (std::size_t offset = 0; offset < memory.iov_len; ++offset) {
    static_cast<void>(static_cast<volatile char*>(memory.iov_base)[offset]);
  }
}

#else

void poison(const iovec&) {}
void unpoison(const iovec&) {}
bool is_still_poisoned(const iovec&) { return true; }
void touch(const iovec&) {}

#endif

}  // namespace assay::internal
