#pragma once

#include "assay/backend/uapi.h"

namespace assay::internal {

class SimRing;
class SimWorld;

/// Whether the fields of a message are such as this kernel knows: 0 or -EINVAL.
int check_message(const SimWorld& world, const io_uring_sqe& sqe);

/// Posts the completion that `sqe` describes on `target`: 0 or a negative errno.
int send_data(SimRing& target, const io_uring_sqe& sqe);

}  // namespace assay::internal
