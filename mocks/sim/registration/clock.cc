// The clock that waits of a ring run on (IORING_REGISTER_CLOCK, 6.12). Follows io_uring/register.c.

#include <algorithm>
#include <cerrno>
#include <iterator>

#include "assay/mocks/sim/ring.h"
#include "assay/mocks/sim/user_memory.h"

namespace assay::internal {

int SimRing::register_clock(const void* arg) {
  uapi::ClockRegister request{};
  if (!copy_from_user(&request, arg, sizeof request)) return -EFAULT;
  if (std::any_of(std::begin(request.resv), std::end(request.resv), [](auto word) { return word != 0; })) {
    return -EINVAL;
  }
  if (request.clockid != CLOCK_MONOTONIC && request.clockid != CLOCK_BOOTTIME) return -EINVAL;
  clock_ = static_cast<clockid_t>(request.clockid);
  return 0;
}

}  // namespace assay::internal
