// IOSQE_IO_DRAIN: requests that wait until all before them are over. Follows io_drain_req in io_uring/io_uring.c.

#include <cstddef>

#include "assay/mocks/sim/ring.h"

namespace assay::internal {

namespace {

std::size_t chain_length(const Request& head) {
  std::size_t length = 0;
  for (const Request* request = &head; request != nullptr; request = request->link) ++length;
  return length;
}

}  // namespace

void SimRing::drain(Request& request) {
  const bool drains = (request.sqe().flags & IOSQE_IO_DRAIN) != 0;
  request.place = Place::kDrain;
  hold_memory(request);
  drained_requests_ += chain_length(request);
  drained_.push_back(&request);
  queue_drained();
  if (!drains && drained_.empty()) drain_active_ = false;
}

/// Lets go what no longer has to wait: all requests that are not in the queue themselves must be over.
void SimRing::queue_drained() {
  bool drain_seen = false;
  bool first = true;
  while (!drained_.empty()) {
    Request* request = drained_.first();
    drain_seen = drain_seen || (request->sqe().flags & IOSQE_IO_DRAIN) != 0;
    if ((drain_seen || first) && pool_.live() != drained_requests_) return;
    drained_.remove(request);
    drained_requests_ -= chain_length(*request);
    queue_task_work(*request, run_submit);
    first = false;
  }
}

}  // namespace assay::internal
