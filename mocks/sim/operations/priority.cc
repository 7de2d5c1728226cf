// Priorities of reads and writes. Follows ioprio_check_cap in block/ioprio.c.

#include "assay/mocks/sim/operations/priority.h"

#include <linux/capability.h>

#include <cerrno>

#include "assay/mocks/sim/capabilities.h"
#include "assay/mocks/sim/world.h"

namespace assay::internal {

namespace {

// The class stands above the data; see linux/ioprio.h, which not all headers have.
constexpr unsigned kClassShift = 13;
constexpr unsigned kDataMask = (1u << kClassShift) - 1;
constexpr unsigned kLevelMask = 7;
enum PriorityClass : unsigned { kNone, kRealTime, kBestEffort, kIdle };

bool may_be_real_time() { return has_capability(CAP_SYS_NICE) || has_capability(CAP_SYS_ADMIN); }

}  // namespace

int check_priority(const SimWorld& world, std::uint16_t priority) {
  if (priority == 0) return 0;
  const unsigned data = priority & kDataMask;
  // All of the data was the level, until 6.5 left the lower bits to it and the upper ones to hints for the device.
  const bool has_hints = world.is_since(6, 5);
  const unsigned level = has_hints ? data & kLevelMask : data;
  switch (priority >> kClassShift) {
    case kNone:
      return level != 0 ? -EINVAL : 0;
    case kRealTime:
      if (!may_be_real_time()) return -EPERM;
      return level > kLevelMask ? -EINVAL : 0;
    case kBestEffort:
      return level > kLevelMask ? -EINVAL : 0;
    case kIdle:
      return 0;
    default:
      return -EINVAL;
  }
}

}  // namespace assay::internal
