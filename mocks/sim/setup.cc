#include "assay/mocks/sim/setup.h"

#include <fcntl.h>
#include <unistd.h>

#include <bit>
#include <cerrno>

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
  return 0;
}

int check_thread(SimWorld& world, const io_uring_params& params) {
  if (params.flags & IORING_SETUP_ATTACH_WQ) {
    const int fd = static_cast<int>(params.wq_fd);
    if (::fcntl(fd, F_GETFD) < 0) return -ENXIO;
    if (world.find(fd) == nullptr) return -EINVAL;
  }
  if ((params.flags & IORING_SETUP_SQPOLL) && (params.flags & IORING_SETUP_SQ_AFF)) {
    const long cpus = ::sysconf(_SC_NPROCESSORS_CONF);
    if (params.sq_thread_cpu >= static_cast<unsigned>(cpus)) return -EINVAL;
  }
  return 0;
}

int fill_sizes(SimWorld& world, unsigned entries, io_uring_params& params) {
  const bool clamps = (params.flags & IORING_SETUP_CLAMP) != 0;
  if (entries == 0) return -EINVAL;
  if (entries > kMaxEntries) {
    if (!clamps) return -EINVAL;
    entries = kMaxEntries;
  }
  params.sq_entries = std::bit_ceil(entries);
  if (!(params.flags & IORING_SETUP_CQSIZE)) {
    params.cq_entries = 2 * params.sq_entries;
    return 0;
  }
  if (params.cq_entries == 0) return -EINVAL;
  if (params.cq_entries > kMaxCqEntries) {
    if (!clamps) return -EINVAL;
    params.cq_entries = kMaxCqEntries;
  }
  const unsigned asked = params.cq_entries;
  params.cq_entries = std::bit_ceil(asked);
  const unsigned compared = world.behaviour().cq_rounded_before_comparison ? params.cq_entries : asked;
  return compared < params.sq_entries ? -EINVAL : 0;
}

}  // namespace

int check_setup(SimWorld& world, unsigned entries, io_uring_params& params) {
  for (const std::uint32_t reserved : params.resv) {
    if (reserved != 0) return -EINVAL;
  }
  // wq_fd was a reserved field until 5.6.
  if (!world.is_since(5, 6) && params.wq_fd != 0) return -EINVAL;
  if (const int error = check_flags(world, params); error != 0) return error;
  if (const int error = fill_sizes(world, entries, params); error != 0) return error;
  return check_thread(world, params);
}

}  // namespace assay::internal
