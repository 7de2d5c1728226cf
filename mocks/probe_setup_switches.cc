// What setting a ring up asks for, and what its memory has: no feature bit tells.

#include <linux/capability.h>
#include <sys/resource.h>

#include <cerrno>
#include <initializer_list>
#include <thread>

#include "assay/backend/uapi.h"
#include "assay/mocks/probe_trial.h"
#include "assay/mocks/sim/capabilities.h"

namespace assay::internal {
namespace {

/// What io_uring_setup answers to a thread that has given up these capabilities: 0 or a negative errno.
int set_up_without(Kernel& kernel, std::initializer_list<int> capabilities, std::uint32_t flags) {
  int answer = 0;
  std::thread([&] {
    for (const int capability : capabilities) drop_capability(capability);
    io_uring_params params{};
    params.flags = flags;
    answer = kernel.setup(4, &params);
    if (answer >= 0) kernel.close(answer);
  }).join();
  return answer < 0 ? answer : 0;
}

/// A ring where no memory may be locked, set up by a thread that is not above such limits.
Verdict try_ring_memory_limit(Kernel& kernel) {
  rlimit before{};
  if (::getrlimit(RLIMIT_MEMLOCK, &before) != 0) return std::nullopt;
  const rlimit nothing{0, before.rlim_max};
  if (::setrlimit(RLIMIT_MEMLOCK, &nothing) != 0) return std::nullopt;
  const int answer = set_up_without(kernel, {CAP_IPC_LOCK}, 0);
  ::setrlimit(RLIMIT_MEMLOCK, &before);
  if (answer != 0 && answer != -ENOMEM) return std::nullopt;
  return answer == -ENOMEM;
}

struct PollThreadTrial {
  Verdict needs_admin;
  Verdict needs_nice;
};

PollThreadTrial try_poll_thread_privileges(Kernel& kernel) {
  const int without_any = set_up_without(kernel, {CAP_SYS_ADMIN, CAP_SYS_NICE}, IORING_SETUP_SQPOLL);
  if (without_any == 0) return {false, false};
  if (without_any != -EPERM || !has_capability(CAP_SYS_NICE)) return {};
  const bool nice_is_enough = set_up_without(kernel, {CAP_SYS_ADMIN}, IORING_SETUP_SQPOLL) == 0;
  return {!nice_is_enough, nice_is_enough};
}

/// A CQ of 5 for an SQ of 8: enough, if 5 is taken for 8.
Verdict try_odd_cq_size(Kernel& kernel) {
  io_uring_params params{};
  params.flags = IORING_SETUP_CQSIZE;
  params.cq_entries = 5;
  const int answer = kernel.setup(8, &params);
  if (answer >= 0) kernel.close(answer);
  return answer >= 0;
}

Verdict try_cq_flags_word(Kernel& kernel) {
  io_uring_params params{};
  const int answer = kernel.setup(4, &params);
  if (answer < 0) return std::nullopt;
  kernel.close(answer);
  return params.cq_off.flags != 0;
}

}  // namespace

std::vector<SwitchTrial> try_setup_switches(Kernel& kernel, KernelVersion version) {
  const Verdict memory_limit = try_ring_memory_limit(kernel);
  // The first reason for counting was gone in 5.12, the second one is younger by far.
  const bool counts_regions = version >= KernelVersion{5, 12};
  const PollThreadTrial poll_thread = try_poll_thread_privileges(kernel);
  return {
      // Here a ring can be had.
      {&Semantics::setup_forbidden, false},
      {&Semantics::calls_absent, false},
      {&Semantics::ring_memlock, counts_regions ? Verdict(false) : memory_limit},
      {&Semantics::region_memlock, counts_regions ? memory_limit : Verdict(false)},
      {&Semantics::sqpoll_needs_admin, poll_thread.needs_admin},
      {&Semantics::sqpoll_needs_nice, poll_thread.needs_nice},
      {&Semantics::cq_rounded_before_comparison, try_odd_cq_size(kernel)},
      {&Semantics::cq_flags_word, try_cq_flags_word(kernel)},
  };
}

}  // namespace assay::internal
