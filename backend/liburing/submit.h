#pragma once

#include <liburing.h>

/// The SQ's side of a ring that waits share.
namespace assay::liburing {

/// Makes the SQEs that were taken visible to the kernel. Returns how many wait there.
unsigned flush_sq(io_uring& ring);

/// Whether submitting so many takes a call; adds to the call's flags what wakes a sleeping poll thread.
bool sq_needs_enter(const io_uring& ring, unsigned count, unsigned* flags);

/// True when the kernel holds completions that it posts during enter only: an overflow backlog, or task work.
bool cq_needs_flush(const io_uring& ring);
/// The same, or there are none without entering at all.
bool cq_needs_enter(const io_uring& ring);

}  // namespace assay::liburing
