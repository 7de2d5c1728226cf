// Requests that wait for something that has no file to poll: a child, a futex, the other end of a FIFO. They are asked
// again on every step.

#include <algorithm>

#include "assay/mocks/sim/operations/futex.h"
#include "assay/mocks/sim/operations/operation.h"
#include "assay/mocks/sim/ring.h"

namespace assay::internal {

void SimRing::park_for_revisits(Request& request) {
  request.serial = world_.next_serial();
  request.place = Place::kRevisited;
  revisited_.push_back(&request);
}

void SimRing::end_revisits(Request& request, std::int32_t result) {
  revisited_.remove(&request);
  request.place = Place::kSubmission;
  request.result = result;
  if (result < 0) fail(request);
  queue_task_work(request, run_complete);
}

bool SimRing::revisit(bool before_sleep) {
  bool found = false;
  for (Request* request = revisited_.first(); request != nullptr;) {
    Request* const next = revisited_.after(request);
    std::int32_t result = 0;
    if (request->operation->revisit(*this, *request, before_sleep, &result)) {
      end_revisits(*request, result);
      found = true;
    }
    request = next;
  }
  return found;
}

int SimRing::wake_futex(const FutexWake& wake) {
  int woken = 0;
  for (Request* request = revisited_.first(); request != nullptr && woken < wake.count;) {
    Request* const next = revisited_.after(request);
    const int index = find_waiter(*request, wake);
    if (index >= 0) {
      end_revisits(*request, index);
      ++woken;
    }
    request = next;
  }
  return woken;
}

}  // namespace assay::internal
