#pragma once

#include <cstdint>

#include "assay/backend/uapi_names.h"
#include "assay/mocks/sim/request.h"

namespace assay::internal {

class SimRing;

/// What came of carrying out a request.
enum class Outcome {
  kDone,        ///< `result` says how it ended.
  kWouldBlock,  ///< Its file is not ready.
  kParked,      ///< The operation has put it where it will be found: a timer, a poll.
  kTaken,       ///< The request is no more: the operation completed it.
};

/// One opcode. Its file in this folder defines it, complete, and table.cc has one row for it.
struct Operation {
  /// Checks the SQE's fields and takes what is needed of them. 0 or the negative errno that refuses it.
  int (*prepare)(SimRing& ring, Request& request) = nullptr;
  /// Carries it out without waiting; from a worker (`request.in_worker`) it may block, as long as that ends by itself.
  Outcome (*issue)(SimRing& ring, Request& request) = nullptr;
  bool needs_file = false;
  /// `ioprio` means something, so it may be non-zero.
  bool uses_ioprio = false;
  /// EPOLLIN or EPOLLOUT: what to wait for when it would block.
  std::uint32_t ready_events = 0;
  /// Can make files ready that other requests wait for.
  bool wakes_others = false;
  /// Always handed to a worker: it never completes during submission.
  bool always_in_worker = false;
  /// Its SQE has 128 bytes.
  bool large_entry = false;
  /// A kernel may hand it to a worker.
  bool may_be_in_worker = false;
  /// What it parks for, a worker waits for. To cancel it is to interrupt that worker: -EALREADY, and the request's own
  /// result is -ERESTARTSYS.
  bool waits_in_worker = false;
  /// The release since which it takes IOSQE_BUFFER_SELECT; {0, 0} is never.
  KernelVersion selects_buffers_since = {};
  /// Called once when `result` and `cqe_flags` are settled, however the request came to its end, and before its CQE.
  void (*settle)(SimRing& ring, Request& request) = nullptr;
  /// Where it waits for what has no file to poll: asked on every step whether the wait is over, and with what result.
  /// `before_sleep` is whether nothing else is left to do.
  bool (*revisit)(SimRing& ring, Request& request, bool before_sleep, std::int32_t* result) = nullptr;
};

/// The operation, or null if it is not modelled.
const Operation* find_operation(std::uint8_t opcode);

}  // namespace assay::internal
