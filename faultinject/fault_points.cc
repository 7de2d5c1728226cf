#include "assay/faultinject/fault_points.h"

#include <algorithm>

#include "assay/mocks/nearest_name.h"

namespace assay {
namespace {

using Id = FaultPointId;
constexpr auto kBoth = FaultReach::kBoth;
constexpr auto kSimulation = FaultReach::kSimulation;

constexpr FaultPoint kPoints[] = {
    {Id::kSetupEnomem, "assay/setup/enomem", "io_uring_setup fails with -ENOMEM and no ring exists.",
     "Memory for the rings cannot be had; before 5.12 also because it counts against RLIMIT_MEMLOCK. All kernels.",
     "a setup", kBoth, 0, 0},
    {Id::kSetupEperm, "assay/setup/eperm", "io_uring_setup fails with -EPERM: io_uring exists but is forbidden here.",
     "A container's seccomp filter, the sysctl kernel.io_uring_disabled (6.6) or a security module. All kernels.",
     "a setup", kBoth, 0, 0},
    {Id::kSetupEnosys, "assay/setup/enosys", "io_uring_setup fails with -ENOSYS: this kernel has no io_uring.",
     "Kernels before 5.1, built without CONFIG_IO_URING, gVisor, or a seccomp filter that says so.", "a setup", kBoth,
     0, 0},
    {Id::kSetupErrno, "assay/setup/errno", "io_uring_setup fails with the given errno.",
     "EMFILE and ENFILE when descriptors run out, EINVAL for a flag or size that this kernel refuses. All kernels.",
     "a setup", kBoth, kTakesErrno, kTakesErrno},
    {Id::kSetupFeatureAbsent, "assay/setup/feature-absent",
     "io_uring_setup does not announce the feature, and what came with it is refused with -EINVAL.",
     "A kernel older than the feature. Only features that announce an offer can be hidden; one that says how the "
     "kernel "
     "behaves must be taken from a profile (sim:PROFILE-BIT).",
     "a setup that would announce the feature", kBoth, kTakesBit, kTakesBit},
    {Id::kMapEnomem, "assay/map/enomem",
     "mmap of ring memory fails with -ENOMEM; the ring's fd is there and must be closed.",
     "The address space or the limit on mappings (vm.max_map_count) is used up. All kernels.", "a map", kBoth, 0, 0},
    {Id::kRegisterErrno, "assay/register/errno", "io_uring_register fails with the given errno and registers nothing.",
     "ENOMEM for memory or RLIMIT_MEMLOCK, EINVAL for an opcode newer than the kernel, EBUSY, EMFILE. All kernels.",
     "a registration that the filter lets through", kBoth, kTakesErrno | kTakesRegisterFilter, kTakesErrno},
    {Id::kRegisterOpcodeAbsent, "assay/register/opcode-absent",
     "IORING_REGISTER_PROBE does not list the opcode, and a request with it ends with -EINVAL.",
     "A kernel older than the opcode, or one that was configured without it.", "a probe, or a request with the opcode",
     kBoth, kTakesOpcode, kTakesOpcode},
    {Id::kEnterEintr, "assay/enter/eintr",
     "io_uring_enter fails with -EINTR; nothing was submitted, completions may be there or not.",
     "A signal ends the wait; or, before anything is submitted, a call that a supervisor looks at (seccomp's user "
     "notification) is interrupted there. All kernels.",
     "an enter that submits or waits", kBoth, 0, 0},
    {Id::kEnterEintrMasked, "assay/enter/eintr-masked",
     "io_uring_enter returns how many SQEs it took, but its wait was cut short: fewer completions may be there than "
     "asked "
     "for.",
     "A signal ends the wait after something was submitted: the count hides the error. All kernels.",
     "an enter that submits and waits", kBoth, 0, 0},
    {Id::kEnterEagain, "assay/enter/eagain", "io_uring_enter fails with -EAGAIN; nothing was submitted.",
     "No memory for the first request of the batch. All kernels.", "an enter that submits, without SQPOLL", kBoth, 0,
     0},
    {Id::kEnterEbusy, "assay/enter/ebusy",
     "io_uring_enter fails with -EBUSY; nothing was submitted. Completions must be reaped first.",
     "The overflow backlog cannot be flushed because the CQ is full: for a submission from 5.5 to about 5.13, for a "
     "wait "
     "as io_uring_enter(2) has it to this day.",
     "an enter that submits or waits, without SQPOLL", kBoth, 0, 0},
    {Id::kEnterEbadr, "assay/enter/ebadr",
     "A wait that would have slept fails with -EBADR: completions were dropped. Where SQEs were submitted too, their "
     "number is returned without a wait and the next wait says it.",
     "No memory for an overflow entry while the CQ is full. Since 5.19; said once.", "an enter that waits", kBoth, 0,
     0},
    {Id::kEnterErrno, "assay/enter/errno", "io_uring_enter fails with the given errno; nothing was submitted.",
     "EEXIST for the wrong thread under SINGLE_ISSUER (6.0), EOWNERDEAD for a poll thread that died, ENXIO for a ring "
     "that "
     "is torn down, EFAULT for a bad argument.",
     "an enter", kBoth, kTakesErrno, kTakesErrno},
    {Id::kEnterTake, "assay/enter/take",
     "io_uring_enter takes k of the n SQEs offered, in order, and returns k without waiting.",
     "A request in the batch is refused without SUBMIT_ALL (5.18), or no memory for the next request. All kernels.",
     "an enter that offers more than k SQEs, without SQPOLL", kBoth, kTakesK, 0},
    {Id::kCqeShort, "assay/cqe/short", "A read or write transfers fewer bytes than asked for, at least one.",
     "Page cache holds only a part, the socket's or pipe's buffer is full, a signal, a device's own limits. All "
     "kernels.",
     "a transfer of more than the given bytes that may be short", kBoth, kTakesBytes | kTakesSqeFilter, 0},
    {Id::kCqeErrno, "assay/cqe/errno", "A request ends with the given errno and is not carried out.",
     "EIO, ENOSPC, ENOBUFS, EAGAIN, ECONNRESET … whatever the operation may give. All kernels.",
     "a request on a file (with op=: any request of that opcode)", kBoth, kTakesErrno | kTakesSqeFilter, kTakesErrno},
    {Id::kCqeFull, "assay/cqe/full",
     "A completion goes to the overflow backlog as if the CQ were full; a kernel without NODROP (before 5.5) loses it.",
     "The program does not reap as fast as requests complete. All kernels.", "a completion", kSimulation,
     kTakesSqeFilter, 0},
    {Id::kCqeDrop, "assay/cqe/drop",
     "A completion that overflows is dropped, is counted in cq.koverflow, and from 5.19 the next wait says -EBADR.",
     "No memory for the overflow entry. Since 5.5; before that every overflow drops.",
     "a completion that overflows (see cqe/full)", kSimulation, kTakesSqeFilter, 0},
    {Id::kCqeMultishotEnd, "assay/cqe/multishot-end",
     "A multishot request ends with this completion, without IORING_CQE_F_MORE, and must be armed again.",
     "The CQ overflowed, buffers ran out, or the kernel ended it for reasons of its own. Since 5.13.",
     "a completion of a multishot request", kSimulation, kTakesSqeFilter, 0},
    {Id::kCqeLater, "assay/cqe/later",
     "A request that could complete during submission completes afterwards, from task work.",
     "The kernel punts it to a worker or polls first. All kernels.", "a request that could complete inline",
     kSimulation, kTakesSqeFilter, 0},
    {Id::kCqeReorder, "assay/cqe/reorder", "Of several requests that can complete now, the youngest does so first.",
     "Independent requests complete in any order. All kernels.", "a completion that others could precede", kSimulation,
     0, 0},
};

static_assert(std::size(kPoints) == kFaultPoints);

constexpr std::string_view kPrefix = "assay/";

std::string_view without_prefix(std::string_view name) {
  return name.starts_with(kPrefix) ? name.substr(kPrefix.size()) : name;
}

}  // namespace

std::span<const FaultPoint> fault_points() { return kPoints; }

const FaultPoint& fault_point(FaultPointId id) { return kPoints[static_cast<std::size_t>(id)]; }

const FaultPoint* find_fault_point(std::string_view name) {
  for (const FaultPoint& point : kPoints) {
    if (short_name(point) == without_prefix(name)) return &point;
  }
  return nullptr;
}

std::string_view short_name(const FaultPoint& point) { return point.name.substr(kPrefix.size()); }

const FaultPoint& nearest_fault_point(std::string_view name) {
  const std::string_view wanted = without_prefix(name);
  // Someone who left the call out ("eintr") is nearest to the effect of that name.
  const auto distance = [wanted](const FaultPoint& point) {
    const std::string_view whole = short_name(point);
    const std::string_view effect = whole.substr(whole.find('/') + 1);
    return wanted.find('/') == std::string_view::npos ? edit_distance(wanted, effect) : edit_distance(wanted, whole);
  };
  return *std::min_element(std::begin(kPoints), std::end(kPoints),
                           [&](const FaultPoint& a, const FaultPoint& b) { return distance(a) < distance(b); });
}

bool is_standing(const FaultPoint& point) { return (point.takes & (kTakesBit | kTakesOpcode)) != 0; }

std::string fault_settings(const FaultPoint& point) {
  std::string text;
  const auto append = [&](unsigned parameter, std::string_view setting) {
    if ((point.takes & parameter) == 0) return;
    const bool needed = (point.needs & parameter) != 0;
    if (!text.empty()) text += ' ';
    text += needed ? std::string(setting) : '[' + std::string(setting) + ']';
  };
  append(kTakesErrno, "errno=NAME");
  append(kTakesBytes, "bytes=N");
  append(kTakesK, "k=N");
  append(kTakesBit, "bit=NAME");
  append(kTakesOpcode, "op=NAME");
  append(kTakesRegisterFilter, "op=NAME");
  append(kTakesSqeFilter, "op=NAME");
  append(kTakesSqeFilter, "fd=N");
  append(kTakesSqeFilter, "user_data=N");
  return text;
}

std::string_view fault_reach_name(FaultReach reach) {
  switch (reach) {
    case FaultReach::kBoth:
      return "linux and simulated";
    case FaultReach::kSimulation:
      return "simulated";
  }
  return "";
}

}  // namespace assay
