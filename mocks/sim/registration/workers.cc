// Limits and affinity of workers. Follows io_uring/register.c and io_uring/io-wq.c.

#include "assay/mocks/sim/registration/workers.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>

#include "assay/mocks/sim/ring.h"
#include "assay/mocks/sim/user_memory.h"

namespace assay::internal {

namespace {

/// No more workers than the caller may have processes.
std::uint32_t process_limit() {
  rlimit limit{};
  constexpr rlim_t kMost = std::numeric_limits<std::int32_t>::max();
  if (::getrlimit(RLIMIT_NPROC, &limit) != 0) return kMost;
  return static_cast<std::uint32_t>(std::min(limit.rlim_cur, kMost));
}

}  // namespace

WorkerLimits WorkerLimits::initial(unsigned sq_entries) {
  const auto cpus = static_cast<unsigned>(::sysconf(_SC_NPROCESSORS_ONLN));
  return {std::min(sq_entries, 4 * cpus), process_limit()};
}

void WorkerLimits::exchange(std::uint32_t (&wanted)[2]) {
  std::uint32_t* const limits[] = {&bounded, &unbounded};
  for (unsigned kind = 0; kind < 2; ++kind) {
    const std::uint32_t previous = *limits[kind];
    if (wanted[kind] != 0) *limits[kind] = std::min(wanted[kind], process_limit());
    wanted[kind] = previous;
  }
}

int SimRing::register_max_workers(void* arg) {
  std::uint32_t counts[2];
  if (!copy_from_user(counts, arg, sizeof counts)) return -EFAULT;
  for (const std::uint32_t count : counts) {
    if (count > static_cast<std::uint32_t>(std::numeric_limits<std::int32_t>::max())) return -EINVAL;
  }
  WorkerLimits& limits = poll_thread_ ? poll_thread_->workers : world_.worker_limits(memory_.sq_entries());
  limits.exchange(counts);
  return copy_to_user(reinterpret_cast<std::uint64_t>(arg), counts, sizeof counts) ? 0 : -EFAULT;
}

/// Which CPUs the workers run on means nothing here; what a kernel refuses is refused all the same.
int SimRing::register_worker_affinity(const void* mask, unsigned bytes) {
  constexpr unsigned kMaskBytes = 1024;  // of the largest kernels; what is beyond is ignored
  return is_user_memory(mask, std::min(bytes, kMaskBytes)) ? 0 : -EFAULT;
}

}  // namespace assay::internal
