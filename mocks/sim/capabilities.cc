#include "assay/mocks/sim/capabilities.h"

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace assay::internal {

namespace {

constexpr unsigned kWordBits = 32;
static_assert(_LINUX_CAPABILITY_U32S_3 == 2);

struct CapabilitySets {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct words[_LINUX_CAPABILITY_U32S_3]{};
};

bool read_sets(CapabilitySets& sets) { return ::syscall(SYS_capget, &sets.header, sets.words) == 0; }

}  // namespace

std::uint64_t effective_capabilities() {
  CapabilitySets sets;
  if (!read_sets(sets)) return 0;
  return sets.words[0].effective | (std::uint64_t{sets.words[1].effective} << kWordBits);
}

std::uint64_t permitted_capabilities() {
  CapabilitySets sets;
  if (!read_sets(sets)) return 0;
  return sets.words[0].permitted | (std::uint64_t{sets.words[1].permitted} << kWordBits);
}

void set_effective_capabilities(std::uint64_t capabilities) {
  CapabilitySets sets;
  if (!read_sets(sets)) return;
  sets.words[0].effective = static_cast<std::uint32_t>(capabilities);
  sets.words[1].effective = static_cast<std::uint32_t>(capabilities >> kWordBits);
  ::syscall(SYS_capset, &sets.header, sets.words);
}

bool has_capability(int capability) { return ((effective_capabilities() >> capability) & 1) != 0; }

void drop_capability(int capability) {
  set_effective_capabilities(effective_capabilities() & ~(std::uint64_t{1} << capability));
}

}  // namespace assay::internal
