#pragma once

#include "assay/backend/kernel.h"

struct io_uring_params;

namespace assay::liburing {

/// The kernel that this process's rings are on; chosen by the environment if nobody did yet. One for all of them, since
/// rings send each other messages, share workers and clone buffers.
Kernel& process_kernel() noexcept;

/// io_uring_setup(2) and close(2) on it. Rings are set up and closed through these alone, so that it is known whether
/// some are open.
int set_up_ring(unsigned entries, io_uring_params* params) noexcept;
int close_ring(int ring_fd) noexcept;
bool is_open_ring(int ring_fd) noexcept;

}  // namespace assay::liburing
