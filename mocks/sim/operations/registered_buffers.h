#pragma once

namespace assay::internal {

class SimRing;
struct Request;

/// Whether the request's memory must lie in a registered buffer.
bool uses_registered_buffer(const Request& request);
bool is_registered_vector(const Request& request);

/// For `Operation::prepare` of READ_FIXED and WRITE_FIXED.
int prepare_registered_buffer(SimRing& ring, Request& request);

/// When such a request runs: takes hold of its buffer. 0, or -EFAULT where its memory does not lie in one.
int use_registered_buffer(SimRing& ring, Request& request);

}  // namespace assay::internal
