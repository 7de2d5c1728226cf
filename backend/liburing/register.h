#pragma once

#include <liburing.h>

namespace assay::liburing {

/// io_uring_register(2) on a ring, by whichever number names it.
int register_on(const io_uring& ring, unsigned opcode, const void* arg, unsigned nr_args);

}  // namespace assay::liburing
