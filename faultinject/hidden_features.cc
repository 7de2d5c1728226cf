#include "assay/faultinject/hidden_features.h"

#include "assay/backend/uapi_names.h"
#include "assay/faultinject/peek_memory.h"

namespace assay {
namespace {

constexpr std::uint32_t kHideable =
    // Says that one mapping is enough; two always work.
    IORING_FEAT_SINGLE_MMAP |
    // Say that something is as the program would like it, which costs one who does not know nothing.
    IORING_FEAT_SUBMIT_STABLE | IORING_FEAT_FAST_POLL | IORING_FEAT_NATIVE_WORKERS | IORING_FEAT_CUR_PERSONALITY |
    // Announce what can be refused: below.
    IORING_FEAT_EXT_ARG | IORING_FEAT_RSRC_TAGS | IORING_FEAT_CQE_SKIP | uapi::kFeatRegRegRing |
    uapi::kFeatRecvsendBundle | uapi::kFeatMinTimeout | uapi::kFeatNoIowait;

constexpr unsigned kRecvsendBundle = 1u << 4;  // io_uring_sqe::ioprio, Linux 6.10

// After the signal mask's address and its size, in io_uring_getevents_arg.
constexpr std::size_t kMinWaitOffset = offsetof(io_uring_getevents_arg, sigmask_sz) + sizeof(std::uint32_t);

bool hides(std::uint32_t hidden, std::uint32_t feature) { return (hidden & feature) != 0; }

}  // namespace

std::string hideable_features() {
  std::string names;
  for (const NamedValue& feature : uapi_table(UapiClass::kFeature)) {
    if ((feature.value & kHideable) == 0) continue;
    if (!names.empty()) names += ", ";
    names += uapi_name(UapiClass::kFeature, feature.value);
  }
  return names;
}

Result<void> check_hideable(std::uint32_t feature) {
  if (feature != 0 && (feature & ~kHideable) == 0) return {};
  const std::string name = uapi_name(UapiClass::kFeature, feature);
  return Error::invalid(
      "setup/feature-absent:bit=" + name + ": the kernel would go on behaving that way; a simulated " +
      "kernel can lack it (sim:PROFILE-FEAT_" + name + "), and " + hideable_features() + " can be hidden anywhere");
}

bool hidden_refuses_enter(std::uint32_t hidden, unsigned flags, const void* arg, std::size_t arg_bytes) {
  const bool ext_arg = (flags & IORING_ENTER_EXT_ARG) != 0;
  if (hides(hidden, IORING_FEAT_EXT_ARG) && ext_arg) return true;
  if (hides(hidden, uapi::kFeatNoIowait) && (flags & uapi::kEnterNoIowait) != 0) return true;
  if (hides(hidden, uapi::kFeatMinTimeout) && ext_arg && (flags & uapi::kEnterExtArgReg) == 0 && arg != nullptr &&
      arg_bytes == sizeof(io_uring_getevents_arg)) {
    // The minimum wait lives where older kernels (and headers, which call it `pad`) insist on zero.
    std::uint32_t min_wait_usec = 0;
    const void* place = static_cast<const std::byte*>(arg) + kMinWaitOffset;
    return peek_memory(place, &min_wait_usec, sizeof(min_wait_usec)) && min_wait_usec != 0;
  }
  return false;
}

bool hidden_refuses_register(std::uint32_t hidden, unsigned opcode) {
  if (hides(hidden, uapi::kFeatRegRegRing) && (opcode & uapi::kRegisterUseRegisteredRing) != 0) return true;
  if (!hides(hidden, IORING_FEAT_RSRC_TAGS)) return false;
  switch (opcode & ~uapi::kRegisterUseRegisteredRing) {
    case IORING_REGISTER_FILES2:
    case IORING_REGISTER_FILES_UPDATE2:
    case IORING_REGISTER_BUFFERS2:
    case IORING_REGISTER_BUFFERS_UPDATE:
      return true;
    default:
      return false;
  }
}

bool hidden_refuses_sqe(std::uint32_t hidden, const io_uring_sqe& sqe) {
  if (hides(hidden, IORING_FEAT_CQE_SKIP) && (sqe.flags & IOSQE_CQE_SKIP_SUCCESS) != 0) return true;
  const bool transfers = sqe.opcode == IORING_OP_RECV || sqe.opcode == IORING_OP_SEND;
  return hides(hidden, uapi::kFeatRecvsendBundle) && transfers && (sqe.ioprio & kRecvsendBundle) != 0;
}

}  // namespace assay
