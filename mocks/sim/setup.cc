#include "assay/mocks/sim/setup.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <unistd.h>

#include <bit>
#include <cerrno>

#include "assay/mocks/sim/capabilities.h"
#include "assay/mocks/sim/locked_memory.h"
#include "assay/mocks/sim/ring.h"
#include "assay/mocks/sim/ring_memory.h"
#include "assay/mocks/sim/world.h"

namespace assay::internal {

namespace {

constexpr unsigned kMaxEntries = 32768;
constexpr unsigned kMaxCqEntries = 2 * kMaxEntries;

int check_flags(SimWorld& world, const io_uring_params& params) {
  const std::uint32_t flags = params.flags;
  if (flags & ~(world.profile().setup_flags & kModelledSetupFlags)) return -EINVAL;
  if (flags & IORING_SETUP_SQPOLL) {
    constexpr std::uint32_t kTaskWork =
        IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_DEFER_TASKRUN;
    if (flags & kTaskWork) return -EINVAL;
  } else if (flags & IORING_SETUP_SQ_AFF) {
    return -EINVAL;
  }
  if ((flags & IORING_SETUP_TASKRUN_FLAG) && !(flags & (IORING_SETUP_COOP_TASKRUN | IORING_SETUP_DEFER_TASKRUN))) {
    return -EINVAL;
  }
  if ((flags & IORING_SETUP_DEFER_TASKRUN) && !(flags & IORING_SETUP_SINGLE_ISSUER)) return -EINVAL;
  if ((flags & uapi::kSetupRegisteredFdOnly) && !(flags & uapi::kSetupNoMmap)) return -EINVAL;
  // Entries are either all large or of both kinds.
  if ((flags & uapi::kSetupCqeMixed) && (flags & IORING_SETUP_CQE32)) return -EINVAL;
  if ((flags & uapi::kSetupSqeMixed) && (flags & IORING_SETUP_SQE128)) return -EINVAL;
  if ((flags & uapi::kSetupSqRewind) && ((flags & IORING_SETUP_SQPOLL) || !(flags & uapi::kSetupNoSqarray))) {
    return -EINVAL;
  }
  return 0;
}

/// Whether the calling thread may have a poll thread, as far as privileges go.
bool may_poll(const Semantics& semantics) {
  if (semantics.sqpoll_needs_admin) return has_capability(CAP_SYS_ADMIN);
  if (semantics.sqpoll_needs_nice) return has_capability(CAP_SYS_ADMIN) || has_capability(CAP_SYS_NICE);
  return true;
}

int check_thread(SimWorld& world, const io_uring_params& params) {
  const bool polls = (params.flags & IORING_SETUP_SQPOLL) != 0;
  const SimRing* group = nullptr;
  if (params.flags & IORING_SETUP_ATTACH_WQ) {
    const int fd = static_cast<int>(params.wq_fd);
    if (::fcntl(fd, F_GETFD) < 0) return -ENXIO;
    group = world.find(fd);
    if (group == nullptr) return -EINVAL;
  }
  if (!polls) return 0;
  if (!may_poll(world.semantics())) return -EPERM;
  if (group != nullptr && group->poll_thread() == nullptr) return -EINVAL;
  if (params.flags & IORING_SETUP_SQ_AFF) {
    const long cpus = ::sysconf(_SC_NPROCESSORS_CONF);
    if (params.sq_thread_cpu >= static_cast<unsigned>(cpus)) return -EINVAL;
  }
  return 0;
}

int check_room_for_large_entries(const io_uring_params& params) {
  if ((params.flags & uapi::kSetupCqeMixed) && params.cq_entries < 2) return -EOVERFLOW;
  if ((params.flags & uapi::kSetupSqeMixed) && params.sq_entries < 2) return -EOVERFLOW;
  return 0;
}

}  // namespace

int fill_ring_sizes(const SimWorld& world, unsigned entries, io_uring_params& params) {
  const bool clamps = (params.flags & IORING_SETUP_CLAMP) != 0;
  if (entries == 0) return -EINVAL;
  if (entries > kMaxEntries) {
    if (!clamps) return -EINVAL;
    entries = kMaxEntries;
  }
  params.sq_entries = std::bit_ceil(entries);
  if (!(params.flags & IORING_SETUP_CQSIZE)) {
    params.cq_entries = 2 * params.sq_entries;
    return check_room_for_large_entries(params);
  }
  if (params.cq_entries == 0) return -EINVAL;
  if (params.cq_entries > kMaxCqEntries) {
    if (!clamps) return -EINVAL;
    params.cq_entries = kMaxCqEntries;
  }
  const unsigned asked = params.cq_entries;
  params.cq_entries = std::bit_ceil(asked);
  const unsigned compared = world.semantics().cq_rounded_before_comparison ? params.cq_entries : asked;
  return compared < params.sq_entries ? -EINVAL : check_room_for_large_entries(params);
}

int check_setup(SimWorld& world, unsigned entries, io_uring_params& params) {
  if (world.semantics().setup_forbidden) return -EPERM;
  for (const std::uint32_t reserved : params.resv) {
    if (reserved != 0) return -EINVAL;
  }
  // wq_fd was a reserved field until 5.6.
  if (!world.is_since(5, 6) && params.wq_fd != 0) return -EINVAL;
  if (const int error = check_flags(world, params); error != 0) return error;
  if (const int error = fill_ring_sizes(world, entries, params); error != 0) return error;
  return check_thread(world, params);
}

std::size_t pages_to_bytes(std::size_t pages) {
  static const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return pages * page;
}

std::size_t pages_of(std::size_t bytes) { return (bytes + pages_to_bytes(1) - 1) / pages_to_bytes(1); }

int count_ring_memory(SimWorld& world, const io_uring_params& params, LockedPages& pages) {
  const Semantics& semantics = world.profile().semantics;
  if (!semantics.ring_memlock && !semantics.region_memlock) return 0;
  std::size_t rings = pages_of(RingMemory::rings_bytes_for(params));
  std::size_t sqes = pages_of(RingMemory::sqes_bytes_for(params));
  if (semantics.ring_memlock) {
    // Each was one piece, whose size is a power of two.
    rings = std::bit_ceil(rings);
    sqes = std::bit_ceil(sqes);
  }
  return pages.add(world.locked_memory(), rings + sqes);
}

}  // namespace assay::internal
