#include "assay/backend/ring_setup.h"

#include <algorithm>
#include <cerrno>
#include <utility>

namespace assay::internal {
namespace {

constexpr unsigned kLeastCapacity = 2;
// Without NODROP a part of the CQ is kept free, so a very small one would leave nothing to work with.
constexpr unsigned kLeastDroppingCapacity = 8;

constexpr unsigned kDeferFlags = IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_SUBMIT_ALL |
                                 IORING_SETUP_R_DISABLED | IORING_SETUP_TASKRUN_FLAG;

// One way to set up the ring: its flags, whether the size of the CQ is asked for, and what is given up by it.
struct Attempt {
  unsigned flags;
  bool cq_size;
  std::vector<std::string> unmet;
  SqGroupOptions poll_thread{};
};

std::vector<Attempt> attempts_for(const BackendOptions& options) {
  const std::string no_poll_sq = "poll_sq: this kernel's poll thread is not ours to use (before 5.11), or refused";
  const std::string no_defer = "defer_taskrun: this kernel refuses IORING_SETUP_DEFER_TASKRUN (since 6.1)";
  const std::string no_coop = "coop_taskrun: this kernel refuses IORING_SETUP_COOP_TASKRUN (since 5.19)";
  const std::string no_size = "capacity: this kernel refuses IORING_SETUP_CQSIZE (since 5.5); the CQ is twice the SQ";

  std::vector<Attempt> attempts;
  std::vector<std::string> unmet;
  // The poll thread does the work that would be deferred or be done on the way; the kernel refuses both together.
  if (options.poll_sq) {
    if (options.defer_taskrun) unmet.push_back("defer_taskrun: excluded by poll_sq");
    SqGroupOptions thread{options.sq_group_name, options.sq_group_threads, options.sq_cpus};
    attempts.push_back({IORING_SETUP_SQPOLL, true, unmet, thread});
    if (!thread.cpus.empty()) {
      unmet.push_back("sq_cpus: the kernel refuses to bind the poll thread there");
      thread.cpus.clear();
      attempts.push_back({IORING_SETUP_SQPOLL, true, unmet, thread});
    }
    if (!thread.name.empty()) {
      unmet.push_back("sq_group_name: the kernel refuses to share a poll thread");
      attempts.push_back({IORING_SETUP_SQPOLL, true, unmet});
    }
    unmet.assign(1, no_poll_sq);
  } else {
    const std::string no_thread = ": there is no poll thread without poll_sq";
    if (!options.sq_group_name.empty()) unmet.push_back("sq_group_name" + no_thread);
    if (!options.sq_cpus.empty()) unmet.push_back("sq_cpus" + no_thread);
    if (options.poll_sq_immediate_io) unmet.push_back("poll_sq_immediate_io" + no_thread);
  }
  if (options.defer_taskrun) {
    attempts.push_back({kDeferFlags, true, unmet});
    unmet.push_back(no_defer);
  }
  if (options.coop_taskrun) {
    attempts.push_back({IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG, true, unmet});
    unmet.push_back(no_coop);
  }
  attempts.push_back({0, true, unmet});
  unmet.push_back(no_size);
  attempts.push_back({0, false, unmet});
  return attempts;
}

// Before SQPOLL_NONFIXED (5.11) a poll thread serves registered files only, and events are on files of anybody's.
bool serves(const Ring& ring) {
  return (ring.setup_flags() & IORING_SETUP_SQPOLL) == 0 || (ring.features() & IORING_FEAT_SQPOLL_NONFIXED) != 0;
}

Result<RingSetup> try_attempt(Kernel& kernel, const BackendOptions& options, const Attempt& attempt, unsigned capacity,
                              unsigned sq_entries) {
  RingOptions ring_options;
  // Without CQSIZE the CQ is twice the SQ, so the SQ decides what can be in flight.
  ring_options.sq_entries = attempt.cq_size ? sq_entries : std::max(capacity / 2, 1u);
  ring_options.cq_entries = attempt.cq_size ? capacity : 0;
  ring_options.setup_flags = attempt.flags;
  ring_options.sq_thread_idle = options.sq_idle;
  SqGroupPlace place;
  Result<Ring> ring = SqGroupPlace::set_up(kernel, attempt.poll_thread, ring_options, &place);
  if (!ring) return ring.error();
  return RingSetup{std::move(ring).value(), attempt.unmet, std::move(place)};
}

}  // namespace

Result<RingSetup> set_up_ring(Kernel& kernel, const BackendOptions& options) {
  unsigned wanted = std::max(options.capacity, kLeastCapacity);
  const unsigned wanted_sq = options.sq_entries != 0 ? options.sq_entries : std::max(2 * options.max_submit, 1u);
  const unsigned least = options.min_capacity != 0 ? std::max(options.min_capacity, kLeastCapacity) : wanted;
  const std::vector<Attempt> attempts = attempts_for(options);
  Error last;
  for (unsigned capacity = wanted;;) {
    for (const Attempt& attempt : attempts) {
      Result<RingSetup> setup = try_attempt(kernel, options, attempt, capacity, std::min(wanted_sq, capacity));
      if (setup && !serves(setup->ring)) continue;
      if (setup && (setup->ring.features() & IORING_FEAT_NODROP) == 0 && wanted < kLeastDroppingCapacity) {
        capacity = wanted = kLeastDroppingCapacity;
        setup->place = {};
        setup = try_attempt(kernel, options, attempt, capacity, std::min(wanted_sq, capacity));
      }
      if (setup) {
        if (capacity != wanted) {
          setup->unmet.push_back("capacity: " + std::to_string(setup->ring.cq_entries()) + " instead of " +
                                 std::to_string(wanted) + ", for " + last.message());
        }
        return setup;
      }
      last = setup.error();
      // Only EINVAL can be about flags, and EPERM about a poll thread (before 5.11); anything else would be the same
      // with fewer of them.
      const bool about_poll_thread =
          (attempt.flags & IORING_SETUP_SQPOLL) != 0 && last == std::errc::operation_not_permitted;
      if (!(last == std::errc::invalid_argument) && !about_poll_thread) break;
    }
    // No io_uring of any size will be had.
    if (last == std::errc::function_not_supported || last == std::errc::operation_not_permitted) return last;
    if (capacity / 2 < least) return last;
    capacity /= 2;
  }
}

}  // namespace assay::internal
