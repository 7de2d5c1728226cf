#pragma once

#include "assay/mocks/sim/operations/operation.h"

/// The operations, family by family, as table.cc refers to them.
namespace assay::internal {

// nop.cc
int prepare_nop(SimRing& ring, Request& request);
Outcome issue_nop(SimRing& ring, Request& request);

// read_write.cc
int prepare_single_buffer(SimRing& ring, Request& request);
int prepare_vectored(SimRing& ring, Request& request);
int prepare_registered_buffer(SimRing& ring, Request& request);
Outcome issue_read(SimRing& ring, Request& request);
Outcome issue_write(SimRing& ring, Request& request);

// sync.cc
int prepare_fsync(SimRing& ring, Request& request);
Outcome issue_fsync(SimRing& ring, Request& request);

// open_close.cc
int prepare_openat(SimRing& ring, Request& request);
Outcome issue_openat(SimRing& ring, Request& request);
int prepare_close(SimRing& ring, Request& request);
Outcome issue_close(SimRing& ring, Request& request);

// poll.cc
int prepare_poll_add(SimRing& ring, Request& request);
Outcome issue_poll_add(SimRing& ring, Request& request);
int prepare_poll_remove(SimRing& ring, Request& request);
Outcome issue_poll_remove(SimRing& ring, Request& request);

// timeout.cc
int prepare_timeout(SimRing& ring, Request& request);
Outcome issue_timeout(SimRing& ring, Request& request);
int prepare_link_timeout(SimRing& ring, Request& request);
Outcome issue_link_timeout(SimRing& ring, Request& request);
int prepare_timeout_remove(SimRing& ring, Request& request);
Outcome issue_timeout_remove(SimRing& ring, Request& request);

// cancel.cc
int prepare_async_cancel(SimRing& ring, Request& request);
Outcome issue_async_cancel(SimRing& ring, Request& request);

// files_update.cc
int prepare_files_update(SimRing& ring, Request& request);
Outcome issue_files_update(SimRing& ring, Request& request);

// msg_ring.cc
int prepare_msg_ring(SimRing& ring, Request& request);
Outcome issue_msg_ring(SimRing& ring, Request& request);

}  // namespace assay::internal
