// Chains of linked requests: whose turn it is, who goes down with whom, and the LINK_TIMEOUTs that limit them. Follows
// io_queue_next and io_uring/timeout.c.

#include <utility>

#include "assay/mocks/sim/operations/operation.h"
#include "assay/mocks/sim/ring.h"

namespace assay::internal {

/// A chain (or a single request) that cannot simply be issued: it failed already, is drained, or goes to a worker.
void SimRing::queue_chain_slowly(Request& head) {
  if (head.failed) {
    head.sqe().flags &= static_cast<std::uint8_t>(~IOSQE_IO_HARDLINK);
    head.place = Place::kSubmission;
    complete(head);
  } else if (drain_active_) {
    drain(head);
  } else {
    queue_worker(head);
  }
}

void SimRing::run_submit(SimRing& ring, Request& request) {
  if (request.force_worker) {
    ring.queue_worker(request);
  } else {
    ring.issue(request);
  }
}

/// Not by recursion: a chain may be as long as the SQ.
void SimRing::run_next_link(Request& request) {
  next_links_.push_back(&request);
  if (std::exchange(runs_links_, true)) return;
  while (Request* next = next_links_.first()) {
    next_links_.remove(next);
    issue(*next);
  }
  runs_links_ = false;
}

void SimRing::fail_links(Request& request) {
  Request* first = request.link;
  if (first == nullptr) return;
  request.link = nullptr;
  for (Request* link = first; link != nullptr; link = link->link) link->skip_success = request.skip_link_cqes;
  if (world_.semantics().links_run_at_once) {
    run_fail_chain(*this, *first);
  } else {
    queue_task_work(*first, run_fail_chain);
  }
}

void SimRing::run_fail_chain(SimRing& ring, Request& first) {
  for (Request* link = &first; link != nullptr;) {
    Request* next = link->link;
    link->link = nullptr;
    link->arms_link_timeout = false;
    ring.complete(*link, link->failed ? link->result : -ECANCELED);
    link = next;
  }
}

/// The request goes on, so its limit starts to run. (It may have ended: then the limit was taken off the chain.)
void SimRing::arm_link_timeout(Request& request, Request* limit) {
  if (limit == nullptr || limit->place != Place::kChain) return;
  request.arms_link_timeout = false;
  request.has_link_timeout = true;
  limit->operation->issue(*this, *limit);
  limit->limited = &request;
}

/// The LINK_TIMEOUT that limits this request has nothing left to do.
void SimRing::disarm_link_timeout(Request& request) {
  request.arms_link_timeout = request.has_link_timeout = false;
  Request* limit = request.link;
  if (limit == nullptr || limit->opcode() != IORING_OP_LINK_TIMEOUT) return;
  request.link = limit->link;
  limit->link = nullptr;
  limit->limited = nullptr;
  disarm_timer(*limit);
  limit->result = -ECANCELED;
  queue_task_work(*limit, run_complete);
}

}  // namespace assay::internal
