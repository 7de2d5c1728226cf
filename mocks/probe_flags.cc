#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include "assay/backend/uapi.h"
#include "assay/mocks/probe_trial.h"

namespace assay::internal {
namespace {

/// Some flags are refused alone, with the same -EINVAL as an unknown one; each is tried in the company that it needs.
std::uint32_t setup_companions(std::uint32_t flag) {
  switch (flag) {
    case IORING_SETUP_SQ_AFF:
      return IORING_SETUP_SQPOLL;
    case IORING_SETUP_TASKRUN_FLAG:
      return IORING_SETUP_COOP_TASKRUN;
    case IORING_SETUP_DEFER_TASKRUN:
      return IORING_SETUP_SINGLE_ISSUER;
    case uapi::kSetupRegisteredFdOnly:
      return uapi::kSetupNoMmap;
    case uapi::kSetupHybridIopoll:
      return IORING_SETUP_IOPOLL;
    case uapi::kSetupSqRewind:
      return uapi::kSetupNoSqarray;
    default:
      return 0;
  }
}

/// A CPU that this thread may run on: what SQ_AFF takes.
unsigned allowed_cpu() {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  if (sched_getaffinity(0, sizeof(cpus), &cpus) != 0) return 0;
  for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &cpus)) return cpu;
  }
  return 0;
}

/// Ring memory that the caller provides, for NO_MMAP: a page for the rings and one for the SQEs.
class UserMemory {
 public:
  UserMemory() : page_bytes_(static_cast<std::size_t>(sysconf(_SC_PAGESIZE))) {
    memory_ = mmap(nullptr, 2 * page_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  }
  UserMemory(const UserMemory&) = delete;
  UserMemory& operator=(const UserMemory&) = delete;
  ~UserMemory() {
    if (memory_ != MAP_FAILED) munmap(memory_, 2 * page_bytes_);
  }
  explicit operator bool() const { return memory_ != MAP_FAILED; }
  std::uint64_t page(std::size_t index) const {
    return reinterpret_cast<std::uintptr_t>(memory_) + index * page_bytes_;
  }

 private:
  std::size_t page_bytes_;
  void* memory_;
};

/// With REGISTERED_FD_ONLY the answer is an index, and the ring goes when the index is given back.
void release_registered_ring(Kernel& kernel, int index) {
  io_uring_rsrc_update update{};
  update.offset = static_cast<std::uint32_t>(index);
  kernel.register_op(index, IORING_UNREGISTER_RING_FDS | uapi::kRegisterUseRegisteredRing, &update, 1);
}

Verdict try_setup_flag(Kernel& kernel, std::uint32_t flag) {
  const TrialRing other(kernel, 0);
  const UserMemory memory;
  if (!other || !memory) return std::nullopt;
  io_uring_params params{};
  params.flags = flag | setup_companions(flag);
  params.sq_thread_idle = 1;
  params.sq_thread_cpu = allowed_cpu();
  params.cq_entries = flag == IORING_SETUP_CQSIZE ? 8 : 0;
  params.wq_fd = flag == IORING_SETUP_ATTACH_WQ ? static_cast<std::uint32_t>(other.fd()) : 0;
  if ((params.flags & uapi::kSetupNoMmap) != 0) {
    // cq_off.user_addr and sq_off.user_addr, which headers before 6.5 call resv2.
    params.cq_off.resv2 = memory.page(0);
    params.sq_off.resv2 = memory.page(1);
  }
  const int answer = kernel.setup(4, &params);
  if (answer >= 0 && flag == uapi::kSetupRegisteredFdOnly) {
    release_registered_ring(kernel, answer);
  } else if (answer >= 0) {
    kernel.close(answer);
  }
  return known_unless_einval(answer);
}

Verdict try_enter_flag(Kernel& kernel, std::uint32_t flag) {
  const TrialRing ring(kernel, 0);
  if (!ring) return std::nullopt;
  // The last slot of this thread's table of registered rings, where nothing is: -EBADF if the flag is known.
  constexpr int kEmptySlot = 15;
  const int fd = flag == IORING_ENTER_REGISTERED_RING ? kEmptySlot : ring.fd();
  return known_unless_einval(kernel.enter(fd, 0, 0, flag, nullptr, 0));
}

/// A NOP takes every flag, or refuses it by another name than -EINVAL, at once. A flag may suppress the CQE of success,
/// so a second NOP says when a refusal would have been there.
Verdict try_sqe_flag(Kernel& kernel, std::uint32_t flag) {
  Result<Ring> ring = Ring::create(kernel, {.sq_entries = 4});
  if (!ring) return std::nullopt;
  io_uring_sqe* sqe = ring->get_sqe();
  *sqe = {};
  sqe->flags = static_cast<std::uint8_t>(flag);
  sqe->user_data = 1;
  if (ring->submit() != 1) return std::nullopt;
  sqe = ring->get_sqe();
  *sqe = {};
  sqe->user_data = 2;
  bool over = false;
  for (const TrialCompletion& completion : run_trial(*ring, 1)) {
    if (completion.user_data == 1) return completion.res != -EINVAL;
    over = over || completion.user_data == 2;
  }
  if (!over) return std::nullopt;
  return true;
}

std::uint32_t try_mask(Kernel& kernel, unsigned bits, Verdict (*try_flag)(Kernel&, std::uint32_t)) {
  std::uint32_t mask = 0;
  for (unsigned bit = 0; bit < bits; ++bit) {
    const std::uint32_t flag = std::uint32_t{1} << bit;
    if (try_flag(kernel, flag).value_or(false)) mask |= flag;
  }
  return mask;
}

}  // namespace

void probe_setup_flags(Kernel& kernel, Profile& profile) { profile.setup_flags = try_mask(kernel, 32, try_setup_flag); }

void probe_enter_flags(Kernel& kernel, Profile& profile) { profile.enter_flags = try_mask(kernel, 32, try_enter_flag); }

void probe_sqe_flags(Kernel& kernel, Profile& profile) { profile.sqe_flags = try_mask(kernel, 8, try_sqe_flag); }

}  // namespace assay::internal
