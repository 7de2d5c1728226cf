#pragma once

#include "assay/mocks/sim/operations/operation.h"
#include "assay/mocks/sim/ring.h"

/// How operations end.
namespace assay::internal {

/// Ends with `result`; an error cuts the request's chain.
inline Outcome finish(SimRing& ring, Request& request, std::int64_t result) {
  request.result = static_cast<std::int32_t>(result);
  if (result < 0) ring.fail(request);
  return Outcome::kDone;
}

/// The same for an operation that a worker always carries out and that has nothing but success to tell: since 6.0 the
/// kernel does not mark such a request as failed, so its chain goes on even after an error.
inline Outcome finish_without_cutting(SimRing& ring, Request& request, std::int64_t result) {
  request.result = static_cast<std::int32_t>(result);
  if (result < 0 && ring.world().semantics().failed_fsync_cuts_chain) ring.fail(request);
  return Outcome::kDone;
}

/// Whether io_uring_sqe::file_index, which stands where SPLICE has its second descriptor, is anything but 0 on a kernel
/// that refuses that where it means nothing.
inline bool has_second_descriptor(SimRing& ring, const io_uring_sqe& sqe) {
  return sqe.splice_fd_in != 0 && ring.world().profile().semantics.second_descriptor_refused;
}

}  // namespace assay::internal
