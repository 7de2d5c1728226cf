#include <linux/capability.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <thread>

#include "assay/backend/uapi.h"
#include "assay/mocks/probe_trial.h"

namespace assay::internal {
namespace {

constexpr __kernel_timespec kNanosecond = {0, 1};

/// What overflowing a small CQ with NOPs shows.
struct OverflowTrial {
  Verdict drops;
  Verdict submit_ebusy;
};

void push_nop(Ring& ring, std::uint64_t user_data) {
  io_uring_sqe* sqe = ring.get_sqe();
  *sqe = {};
  sqe->user_data = user_data;
}

/// Submits `count` NOPs, one a call, until one is refused.
int submit_nops(Ring& ring, unsigned count) {
  for (unsigned i = 0; i < count; ++i) {
    push_nop(ring, 100 + i);
    const int result = ring.submit();
    if (result != 1) return result;
  }
  return 0;
}

/// Fills the CQ, one more, and another: the last submission finds an overflow backlog, or a dropped completion.
OverflowTrial try_overflow(Kernel& kernel) {
  Result<Ring> ring = Ring::create(kernel, {.sq_entries = 4});
  if (!ring || submit_nops(*ring, ring->cq_entries() + 1) != 0) return {};
  const bool drops = ring->cq_overflow_count() != 0;
  const int result = submit_nops(*ring, 1);
  return {drops, result == -EBUSY};
}

/// A multishot poll that fires while the CQ is full: does it go on?
Verdict try_multishot_overflow(Kernel& kernel) {
  constexpr std::uint64_t kPoll = 1;
  const int event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (event_fd < 0) return std::nullopt;
  Verdict ends;
  {
    Result<Ring> ring = Ring::create(kernel, {.sq_entries = 4});
    if (ring) {
      io_uring_sqe* sqe = ring->get_sqe();
      *sqe = {};
      sqe->opcode = IORING_OP_POLL_ADD;
      sqe->fd = event_fd;
      sqe->poll32_events = POLLIN;
      sqe->len = IORING_POLL_ADD_MULTI;
      sqe->user_data = kPoll;
      const std::uint64_t one = 1;
      if (ring->submit() == 1 && submit_nops(*ring, ring->cq_entries()) == 0 &&
          write(event_fd, &one, sizeof(one)) == sizeof(one)) {
        ring->get_events();
        for (const TrialCompletion& completion : run_trial(*ring, ring->cq_entries() + 1)) {
          if (completion.user_data == kPoll && completion.res > 0) ends = (completion.flags & IORING_CQE_F_MORE) == 0;
        }
      }
    }
  }
  close(event_fd);
  return ends;
}

/// A bad SQE and a NOP in one call: is the NOP taken?
Verdict try_bad_sqe_in_batch(Kernel& kernel) {
  Result<Ring> ring = Ring::create(kernel, {.sq_entries = 4});
  if (!ring) return std::nullopt;
  push_nop(*ring, 1);
  push_nop(*ring, 2);
  ring->raw()->sq.sqes[0].opcode = 255;
  const int consumed = ring->submit();
  if (consumed < 1) return std::nullopt;
  return consumed == 1;
}

Verdict try_sqpoll_wakeup(Kernel& kernel) {
  const TrialRing ring(kernel, IORING_SETUP_SQPOLL);
  if (!ring) return std::nullopt;
  return kernel.enter(ring.fd(), 0, 0, IORING_ENTER_SQ_WAKEUP, nullptr, 0) == -EOWNERDEAD;
}

Verdict try_timeout_flags(Kernel& kernel, std::uint32_t flags) {
  return known_unless_einval(try_sqe(kernel, [flags](io_uring_sqe& sqe) {
    sqe.opcode = IORING_OP_TIMEOUT;
    sqe.fd = -1;
    sqe.addr = reinterpret_cast<std::uintptr_t>(&kNanosecond);
    sqe.len = 1;
    sqe.timeout_flags = flags;
    // Multishot: once. Else a count of completions, which no NOP is there to reach.
    sqe.off = 1;
  }));
}

/// Nobody has this user_data: -ENOENT where the flags are known.
Verdict try_for_nobody(Kernel& kernel, std::uint8_t opcode, std::uint32_t flags) {
  return known_unless_einval(try_sqe(kernel, [opcode, flags](io_uring_sqe& sqe) {
    sqe.opcode = opcode;
    sqe.fd = -1;
    sqe.addr = 77;
    sqe.addr2 = opcode == IORING_OP_TIMEOUT_REMOVE ? reinterpret_cast<std::uintptr_t>(&kNanosecond) : 0;
    // timeout_flags, cancel_flags: one union.
    sqe.timeout_flags = flags;
  }));
}

Verdict try_poll_multishot(Kernel& kernel) {
  return known_unless_einval(try_sqe(kernel, [](io_uring_sqe& sqe) {
    sqe.opcode = IORING_OP_POLL_REMOVE;
    sqe.fd = -1;
    sqe.addr = 77;
    sqe.len = IORING_POLL_UPDATE_EVENTS;
    sqe.poll32_events = POLLIN;
  }));
}

/// A timeout of an hour, and a cancelation that knows nothing of it but its opcode. That the flag is taken is not
/// enough: a 6.1 of many stable releases takes it and finds nothing.
Verdict try_cancel_by_op(Kernel& kernel) {
  constexpr std::uint64_t kCancel = 2;
  static constexpr __kernel_timespec kHour = {3600, 0};
  Result<Ring> ring = Ring::create(kernel, {.sq_entries = 4});
  if (!ring) return std::nullopt;
  io_uring_sqe* timeout = ring->get_sqe();
  *timeout = {};
  timeout->opcode = IORING_OP_TIMEOUT;
  timeout->fd = -1;
  timeout->addr = reinterpret_cast<std::uintptr_t>(&kHour);
  timeout->len = 1;
  // Not 0: a kernel that takes the flag and matches by user_data, 0 here, must not find it.
  timeout->user_data = 1;
  io_uring_sqe* cancel = ring->get_sqe();
  *cancel = {};
  cancel->opcode = IORING_OP_ASYNC_CANCEL;
  cancel->fd = -1;
  cancel->len = IORING_OP_TIMEOUT;
  cancel->cancel_flags = uapi::kAsyncCancelOp;
  cancel->user_data = kCancel;
  if (ring->submit() != 2) return std::nullopt;
  for (const TrialCompletion& completion : run_trial(*ring, 1)) {
    if (completion.user_data == kCancel) return completion.res == 0;
  }
  return std::nullopt;
}

/// Gives up a capability of the calling thread, for good.
void drop_capability(int capability) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3]{};
  if (syscall(SYS_capget, &header, sets) != 0) return;
  sets[CAP_TO_INDEX(capability)].effective &= ~CAP_TO_MASK(capability);
  syscall(SYS_capset, &header, sets);
}

/// A ring where no memory may be locked, set up by a thread that is not above such limits.
Verdict try_ring_memory_limit(Kernel& kernel) {
  rlimit before{};
  if (getrlimit(RLIMIT_MEMLOCK, &before) != 0) return std::nullopt;
  const rlimit nothing{0, before.rlim_max};
  if (setrlimit(RLIMIT_MEMLOCK, &nothing) != 0) return std::nullopt;
  int fd = 0;
  std::thread([&] {
    drop_capability(CAP_IPC_LOCK);
    io_uring_params params{};
    fd = kernel.setup(4, &params);
    if (fd >= 0) kernel.close(fd);
  }).join();
  setrlimit(RLIMIT_MEMLOCK, &before);
  if (fd < 0 && fd != -ENOMEM) return std::nullopt;
  return fd == -ENOMEM;
}

/// A NOP that is to find a file where there is none.
Verdict try_nop_without_file(Kernel& kernel) {
  const std::optional<int> answer = try_sqe(kernel, [](io_uring_sqe& sqe) {
    sqe.opcode = IORING_OP_NOP;
    sqe.fd = -1;
    sqe.rw_flags = static_cast<int>(uapi::kNopFile);
  });
  if (!answer) return std::nullopt;
  return *answer == -EBADF;
}

Verdict try_unknown_nop_flag(Kernel& kernel) {
  const std::optional<int> answer = try_sqe(kernel, [](io_uring_sqe& sqe) {
    sqe.opcode = IORING_OP_NOP;
    sqe.rw_flags = static_cast<int>(0x8000'0000u);
  });
  if (!answer) return std::nullopt;
  return *answer == -EINVAL;
}

}  // namespace

void probe_switches(Kernel& kernel, Profile& profile) {
  const OverflowTrial overflow = try_overflow(kernel);
  const Verdict poll_multishot = try_poll_multishot(kernel);
  const Verdict memory_limit = try_ring_memory_limit(kernel);
  // The first reason for counting was gone in 5.12, the second one is younger by far.
  const bool counts_regions = profile.version >= KernelVersion{5, 12};
  std::vector<SwitchTrial> trials = {
      SwitchTrial{&Semantics::overflow_drops, overflow.drops},
      SwitchTrial{&Semantics::submit_ebusy_on_overflow, overflow.submit_ebusy},
      SwitchTrial{&Semantics::poll_multishot, poll_multishot},
      SwitchTrial{&Semantics::multishot_ends_on_overflow,
                  poll_multishot.value_or(false) ? try_multishot_overflow(kernel) : poll_multishot},
      SwitchTrial{&Semantics::batch_stops_at_bad_sqe, try_bad_sqe_in_batch(kernel)},
      SwitchTrial{&Semantics::sqpoll_eownerdead, try_sqpoll_wakeup(kernel)},
      SwitchTrial{&Semantics::timeout_update, try_for_nobody(kernel, IORING_OP_TIMEOUT_REMOVE, IORING_TIMEOUT_UPDATE)},
      SwitchTrial{&Semantics::timeout_clocks, try_timeout_flags(kernel, IORING_TIMEOUT_BOOTTIME)},
      SwitchTrial{&Semantics::timeout_etime_success, try_timeout_flags(kernel, IORING_TIMEOUT_ETIME_SUCCESS)},
      SwitchTrial{&Semantics::timeout_multishot, try_timeout_flags(kernel, uapi::kTimeoutMultishot)},
      SwitchTrial{&Semantics::cancel_matching, try_for_nobody(kernel, IORING_OP_ASYNC_CANCEL, IORING_ASYNC_CANCEL_ALL)},
      SwitchTrial{&Semantics::cancel_by_op, try_cancel_by_op(kernel)},
      SwitchTrial{&Semantics::ring_memlock, counts_regions ? Verdict(false) : memory_limit},
      SwitchTrial{&Semantics::region_memlock, counts_regions ? memory_limit : Verdict(false)},
      SwitchTrial{&Semantics::nop_tells_failure, try_nop_without_file(kernel)},
      SwitchTrial{&Semantics::nop_checks_flags, try_unknown_nop_flag(kernel)},
  };
  const std::vector<SwitchTrial> of_sockets = try_socket_switches(kernel);
  trials.insert(trials.end(), of_sockets.begin(), of_sockets.end());
  const std::vector<SwitchTrial> of_files = try_file_switches(kernel);
  trials.insert(trials.end(), of_files.begin(), of_files.end());
  for (const Switch& entry : switch_table()) {
    Verdict verdict;
    // The kernel itself announces some of them.
    if (entry.feature != 0) verdict = ((profile.features & entry.feature) != 0) == entry.on_with_feature;
    for (const SwitchTrial& trial : trials) {
      if (trial.member == entry.member && trial.verdict) verdict = trial.verdict;
    }
    profile.semantics.*entry.member = verdict.value_or(entry.on_in(profile.version));
    if (!verdict) profile.assumed.emplace_back(entry.name);
  }
}

}  // namespace assay::internal
