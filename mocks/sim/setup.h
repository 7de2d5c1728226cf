#pragma once

#include <cstdint>

#include "assay/backend/uapi.h"

namespace assay::internal {

class SimWorld;

/// IORING_SETUP_* that are modelled; others are refused as by a kernel that does not know them.
inline constexpr std::uint32_t kModelledSetupFlags =
    IORING_SETUP_SQPOLL | IORING_SETUP_SQ_AFF | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_ATTACH_WQ |
    IORING_SETUP_R_DISABLED | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
    IORING_SETUP_SQE128 | IORING_SETUP_CQE32 | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
    uapi::kSetupNoMmap | uapi::kSetupNoSqarray;

/// IORING_ENTER_* that are modelled.
inline constexpr std::uint32_t kModelledEnterFlags =
    IORING_ENTER_GETEVENTS | IORING_ENTER_SQ_WAKEUP | IORING_ENTER_SQ_WAIT | IORING_ENTER_EXT_ARG |
    IORING_ENTER_REGISTERED_RING | uapi::kEnterAbsTimer | uapi::kEnterNoIowait;

/// Checks what io_uring_setup(2) is asked for and fills in the sizes. 0 or a negative errno.
int check_setup(SimWorld& world, unsigned entries, io_uring_params& params);

}  // namespace assay::internal
