#pragma once

#include <bitset>

#include "assay/backend/ring.h"

namespace assay::internal {

/// What the kernel under a ring offers, as far as the backend chooses its ways by it. Below the first two members stand
/// the ways themselves, which the table in kernel_ways.cc decides and nothing else.
struct KernelSupport {
  std::bitset<256> opcodes;
  /// IORING_FEAT_*.
  unsigned features = 0;

  /// Completions are kept when the CQ is full (5.5). Without it they are lost, so no more may be in flight than fit.
  bool keeps_overflow = false;
  /// The ring's flags say that completions wait in the kernel's backlog (5.8). Without it only enter brings them.
  bool says_that_it_overflows = false;
  /// When completions were lost for want of memory, enter says so (-EBADR, 5.19). Before, only a counter in the ring
  /// does.
  bool says_that_it_dropped = false;
  /// A request need not post a CQE when it succeeds (5.17).
  bool skips_success_cqes = false;
  /// A read or write that would block waits for readiness by itself (5.7). Without it a worker blocks in it, and
  /// nothing can end that.
  bool waits_for_readiness = false;
  /// The offset -1 means the file's own position (5.6). Without it the offset of a file that has none must be 0.
  bool knows_current_position = false;
  /// The table of registered files may have empty slots, and be changed (5.5).
  bool updates_files = false;
  /// POLL_ADD can be multishot (5.13).
  bool multishot_poll = false;
  /// ACCEPT can be multishot (5.19).
  bool multishot_accept = false;
  /// RECV can be multishot, and take its buffers from a ring of them (6.0).
  bool picks_buffers = false;
  /// READ can be multishot (6.7).
  bool multishot_read = false;
  /// One completion of RECV can fill several buffers (6.10).
  bool bundles = false;
  /// A wait takes a limit of its own (5.11).
  bool limits_waits = false;
  /// One wait can be for a batch first and for one completion then (6.12).
  bool waits_for_batches = false;
  /// A TIMEOUT counts nobody's completions, and can be taken back (5.5).
  bool plain_timeouts = false;
  /// A TIMEOUT can be moved (5.11).
  bool moves_timeouts = false;
  /// Another loop can wait for this one (5.4): there are TIMEOUT requests, and eventfds to be told.
  bool nests = false;

  bool has(unsigned opcode) const { return opcodes.test(opcode); }
};

/// Asks the kernel, once: what was found is kept with it. IORING_REGISTER_PROBE (5.6) tells the opcodes; where it is
/// refused they are those of the oldest release that has the features which the ring reports. Newer things without a
/// feature of their own are inferred from the first one that came with the same release.
KernelSupport find_kernel_support(Ring& ring);

}  // namespace assay::internal
