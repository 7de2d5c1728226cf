#include "assay/backend/ring_setup.h"

#include <algorithm>
#include <cerrno>
#include <utility>

namespace assay::internal {
namespace {

// Without NODROP a part of the CQ is kept free, so a very small one would leave nothing to work with.
constexpr unsigned kLeastCapacity = 8;

constexpr unsigned kDeferFlags = IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_SUBMIT_ALL |
                                 IORING_SETUP_R_DISABLED | IORING_SETUP_TASKRUN_FLAG;

// One way to set up the ring: its flags, whether the size of the CQ is asked for, and what is given up by it.
struct Attempt {
  unsigned flags;
  bool cq_size;
  std::vector<std::string> unmet;
};

std::vector<Attempt> attempts_for(const BackendOptions& options) {
  const std::string no_defer = "defer_taskrun: this kernel refuses IORING_SETUP_DEFER_TASKRUN (since 6.1)";
  const std::string no_coop = "coop_taskrun: this kernel refuses IORING_SETUP_COOP_TASKRUN (since 5.19)";
  const std::string no_size = "capacity: this kernel refuses IORING_SETUP_CQSIZE (since 5.5); the CQ is twice the SQ";
  const unsigned base = options.poll_sq ? IORING_SETUP_SQPOLL : 0u;

  std::vector<Attempt> attempts;
  std::vector<std::string> unmet;
  if (options.defer_taskrun) {
    if (!options.poll_sq) attempts.push_back({base | kDeferFlags, true, unmet});
    // The poll thread does the work that would be deferred; the kernel refuses both together.
    unmet.push_back(options.poll_sq ? "defer_taskrun: excluded by poll_sq" : no_defer);
  }
  if (options.coop_taskrun && !options.poll_sq) {
    attempts.push_back({base | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG, true, unmet});
    unmet.push_back(no_coop);
  }
  attempts.push_back({base, true, unmet});
  unmet.push_back(no_size);
  attempts.push_back({base, false, unmet});
  return attempts;
}

Result<Ring> try_attempt(Kernel& kernel, const BackendOptions& options, const Attempt& attempt, unsigned capacity,
                         unsigned sq_entries) {
  RingOptions ring_options;
  // Without CQSIZE the CQ is twice the SQ, so the SQ decides what can be in flight.
  ring_options.sq_entries = attempt.cq_size ? sq_entries : std::max(capacity / 2, 1u);
  ring_options.cq_entries = attempt.cq_size ? capacity : 0;
  ring_options.setup_flags = attempt.flags;
  ring_options.sq_thread_idle = options.sq_idle;
  return Ring::create(kernel, ring_options);
}

}  // namespace

Result<RingSetup> set_up_ring(Kernel& kernel, const BackendOptions& options) {
  const unsigned wanted = std::max(options.capacity, kLeastCapacity);
  const unsigned wanted_sq = options.sq_entries != 0 ? options.sq_entries : std::max(2 * options.max_submit, 1u);
  const unsigned least = options.min_capacity != 0 ? std::max(options.min_capacity, kLeastCapacity) : wanted;
  const std::vector<Attempt> attempts = attempts_for(options);
  Error last;
  for (unsigned capacity = wanted;;) {
    for (const Attempt& attempt : attempts) {
      Result<Ring> ring = try_attempt(kernel, options, attempt, capacity, std::min(wanted_sq, capacity));
      if (ring) {
        RingSetup setup{std::move(ring).value(), attempt.unmet};
        if (capacity != wanted) {
          setup.unmet.push_back("capacity: " + std::to_string(setup.ring.cq_entries()) + " instead of " +
                                std::to_string(wanted) + ", for " + last.message());
        }
        return setup;
      }
      last = ring.error();
      // Only EINVAL can be about flags; anything else would be the same with fewer of them.
      if (!(last == std::errc::invalid_argument)) break;
    }
    // No io_uring of any size will be had.
    if (last == std::errc::function_not_supported || last == std::errc::operation_not_permitted) return last;
    if (capacity / 2 < least) return last;
    capacity /= 2;
  }
}

}  // namespace assay::internal
