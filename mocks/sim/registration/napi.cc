// Busy polling of network devices. Follows io_uring/napi.c.

#include "assay/mocks/sim/registration/napi.h"

#include <cerrno>

#include "assay/mocks/sim/ring.h"
#include "assay/mocks/sim/user_memory.h"

namespace assay::internal {

namespace {

// IO_URING_NAPI_*, what is asked for since 6.13.
constexpr std::uint8_t kSettings = 0;
constexpr std::uint8_t kAddId = 1;
constexpr std::uint8_t kRemoveId = 2;

uapi::Napi told(const NapiSettings& settings, bool has_tracking) {
  uapi::Napi current{};
  current.busy_poll_to = settings.busy_poll_us;
  current.prefer_busy_poll = settings.prefer_busy_poll ? 1 : 0;
  current.op_param = has_tracking ? settings.tracking : 0;
  return current;
}

}  // namespace

int SimRing::register_napi(void* arg) {
  const bool has_tracking = world_.is_since(6, 13);
  uapi::Napi request{};
  if (!copy_from_user(&request, arg, sizeof request)) return -EFAULT;
  if (request.pad[0] != 0 || request.pad[1] != 0 || request.resv != 0) return -EINVAL;
  if (!has_tracking && (request.opcode != 0 || request.op_param != 0)) return -EINVAL;
  const uapi::Napi current = told(napi_, has_tracking);
  if (!copy_to_user(reinterpret_cast<std::uint64_t>(arg), &current, sizeof current)) return -EFAULT;
  switch (request.opcode) {
    case kSettings:
      if (request.op_param != NapiSettings::kDynamic && request.op_param != NapiSettings::kStatic) return -EINVAL;
      napi_ = {request.busy_poll_to, request.prefer_busy_poll != 0, request.op_param};
      return 0;
    case kAddId:
    case kRemoveId:
      return -EINVAL;  // no device has such an id
    default:
      return -EINVAL;
  }
}

int SimRing::unregister_napi(void* arg) {
  const uapi::Napi current = told(napi_, world_.is_since(6, 13));
  if (arg != nullptr && !copy_to_user(reinterpret_cast<std::uint64_t>(arg), &current, sizeof current)) return -EFAULT;
  napi_ = {};
  return 0;
}

}  // namespace assay::internal
