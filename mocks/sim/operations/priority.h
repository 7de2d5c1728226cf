#pragma once

#include <cstdint>

namespace assay::internal {

class SimWorld;

/// Whether the calling thread may do its reads and writes with this io_uring_sqe::ioprio: 0, -EINVAL for what is no
/// priority, -EPERM for one that asks for a privilege.
int check_priority(const SimWorld& world, std::uint16_t priority);

}  // namespace assay::internal
