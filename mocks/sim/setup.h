#pragma once

#include <cstddef>
#include <cstdint>

#include "assay/backend/uapi.h"

namespace assay::internal {

class LockedPages;
class SimWorld;

/// IORING_SETUP_* that are modelled; others are refused as by a kernel that does not know them.
inline constexpr std::uint32_t kModelledSetupFlags =
    IORING_SETUP_SQPOLL | IORING_SETUP_SQ_AFF | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_ATTACH_WQ |
    IORING_SETUP_R_DISABLED | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
    IORING_SETUP_SQE128 | IORING_SETUP_CQE32 | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
    uapi::kSetupNoMmap | uapi::kSetupRegisteredFdOnly | uapi::kSetupNoSqarray | uapi::kSetupCqeMixed |
    uapi::kSetupSqeMixed | uapi::kSetupSqRewind;

/// IORING_ENTER_* that are modelled.
inline constexpr std::uint32_t kModelledEnterFlags =
    IORING_ENTER_GETEVENTS | IORING_ENTER_SQ_WAKEUP | IORING_ENTER_SQ_WAIT | IORING_ENTER_EXT_ARG |
    IORING_ENTER_REGISTERED_RING | uapi::kEnterAbsTimer | uapi::kEnterExtArgReg | uapi::kEnterNoIowait;

/// Checks what io_uring_setup(2) is asked for and fills in the sizes. 0 or a negative errno.
int check_setup(SimWorld& world, unsigned entries, io_uring_params& params);

/// The sizes alone: rounds, clamps and compares them. 0 or a negative errno.
int fill_ring_sizes(const SimWorld& world, unsigned entries, io_uring_params& params);

/// Pages that so many bytes take.
std::size_t pages_of(std::size_t bytes);
/// And back.
std::size_t pages_to_bytes(std::size_t pages);

/// Counts the memory of rings of these sizes against RLIMIT_MEMLOCK where this kernel does. 0 or -ENOMEM.
int count_ring_memory(SimWorld& world, const io_uring_params& params, LockedPages& pages);

}  // namespace assay::internal
