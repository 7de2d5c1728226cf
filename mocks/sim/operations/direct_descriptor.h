#pragma once

#include "assay/mocks/sim/ring.h"

/// Direct descriptors: slots of the file table that an operation fills or empties without a number for the process.
namespace assay::internal {

/// io_uring_sqe::file_index means something to operations that open and close (5.15).
inline bool has_direct_descriptors(SimRing& ring) { return ring.world().profile().semantics.direct_descriptors; }

/// Whether the request is about a slot: its number plus one, or IORING_FILE_INDEX_ALLOC for any that is free (5.19).
inline bool is_direct(SimRing& ring, const Request& request) {
  return request.sqe().file_index != 0 && has_direct_descriptors(ring);
}

}  // namespace assay::internal
