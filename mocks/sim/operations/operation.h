#pragma once

#include <cstdint>

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

/// One opcode. Adding one takes a file in this folder and a row in table.cc.
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
  /// A kernel may hand it to a worker.
  bool may_be_in_worker = false;
};

/// The operation, or null if it is not modelled.
const Operation* find_operation(std::uint8_t opcode);

}  // namespace assay::internal
