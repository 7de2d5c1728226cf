// Rings of other sizes, with all that they hold (IORING_REGISTER_RESIZE_RINGS, 6.13). Follows io_uring/register.c.

#include <cerrno>

#include "assay/mocks/sim/ring.h"
#include "assay/mocks/sim/setup.h"
#include "assay/mocks/sim/user_memory.h"

namespace assay::internal {

int SimRing::resize(void* arg) {
  constexpr std::uint32_t kChosen = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
  constexpr std::uint32_t kInherited = uapi::kSetupNoSqarray | IORING_SETUP_SQE128 | IORING_SETUP_CQE32 |
                                       uapi::kSetupNoMmap | uapi::kSetupCqeMixed | uapi::kSetupSqeMixed;
  // Nobody else may look at the rings meanwhile.
  if (!has_flag(IORING_SETUP_DEFER_TASKRUN)) return -EINVAL;
  io_uring_params params{};
  if (!copy_from_user(&params, arg, sizeof params)) return -EFAULT;
  if ((params.flags & ~kChosen) != 0) return -EINVAL;
  params.flags |= setup_flags_ & kInherited;
  if (const int error = fill_ring_sizes(world_, params.sq_entries, params); error != 0) return error;
  const std::size_t before = memory_.bytes();
  const std::size_t after = RingMemory::bytes_for(params);
  const bool counted = world_.profile().semantics.region_memlock;
  if (counted) {
    if (const int error = locked_pages_.add(world_.locked_memory(), pages_of(after)); error != 0) return error;
  }
  int error = memory_.resize(params);
  if (error == 0 && !copy_to_user(reinterpret_cast<std::uint64_t>(arg), &params, sizeof params)) error = -EFAULT;
  if (counted) locked_pages_.remove(pages_of(error == 0 ? before : after));
  return error;
}

}  // namespace assay::internal
