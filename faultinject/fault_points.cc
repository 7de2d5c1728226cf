#include "assay/faultinject/fault_points.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "assay/mocks/nearest_name.h"

namespace assay {
namespace {

using Id = FaultPointId;
constexpr auto kBoth = FaultReach::kBoth;
constexpr auto kSimulation = FaultReach::kSimulation;

constexpr FaultPoint kPoints[] = {
    {Id::kSetupEnomem, "assay/setup/enomem", "io_uring_setup fails with -ENOMEM and no ring exists.",
     "Memory for the rings cannot be had; before 5.12 also because it counts against RLIMIT_MEMLOCK. All kernels.",
     "a setup", kBoth, 0, 0, ENOMEM},
    {Id::kSetupEperm, "assay/setup/eperm", "io_uring_setup fails with -EPERM: io_uring exists but is forbidden here.",
     "A container's seccomp filter, the sysctl kernel.io_uring_disabled (6.6) or a security module. All kernels.",
     "a setup", kBoth, 0, 0, EPERM},
    {Id::kSetupEnosys, "assay/setup/enosys", "io_uring_setup fails with -ENOSYS: this kernel has no io_uring.",
     "Kernels before 5.1, built without CONFIG_IO_URING, gVisor, or a seccomp filter that says so.", "a setup", kBoth,
     0, 0, ENOSYS},
    {Id::kSetupErrno,
     "assay/setup/errno",
     "io_uring_setup fails with the given errno.",
     "EMFILE and ENFILE when descriptors run out, EINVAL for a flag or size that this kernel refuses. All kernels.",
     "a setup",
     kBoth,
     kTakesErrno,
     kTakesErrno,
     kTellsItsErrno,
     {EMFILE, EINVAL}},
    {Id::kSetupFeatureAbsent, "assay/setup/feature-absent",
     "io_uring_setup does not announce the feature, and what came with it is refused with -EINVAL.",
     "A kernel older than the feature. Only features that announce an offer can be hidden; one that says how the "
     "kernel behaves must be taken from a profile (sim:PROFILE-BIT).",
     "a setup that would announce the feature", kBoth, kTakesBit, kTakesBit, kTellsUnsupported},
    {Id::kMapEnomem, "assay/map/enomem",
     "mmap of ring memory fails with -ENOMEM; the ring's fd is there and must be closed.",
     "The address space or the limit on mappings (vm.max_map_count) is used up. All kernels.", "a map", kBoth, 0, 0,
     ENOMEM},
    {Id::kRegisterErrno,
     "assay/register/errno",
     "io_uring_register fails with the given errno and registers nothing.",
     "ENOMEM for memory or RLIMIT_MEMLOCK, EINVAL for an opcode newer than the kernel, EBUSY, EMFILE. All kernels.",
     "a registration that the filter lets through",
     kBoth,
     kTakesErrno | kTakesRegisterFilter,
     kTakesErrno,
     kTellsItsErrno,
     {ENOMEM, EINVAL, EBUSY}},
    {Id::kRegisterOpcodeAbsent, "assay/register/opcode-absent",
     "IORING_REGISTER_PROBE does not list the opcode, and a request with it ends with -EINVAL.",
     "A kernel older than the opcode, or one that was configured without it.", "a probe, or a request with the opcode",
     kBoth, kTakesOpcode, kTakesOpcode, kTellsUnsupported},
    {Id::kEnterEintr, "assay/enter/eintr",
     "io_uring_enter fails with -EINTR; nothing was submitted, completions may be there or not.",
     "A signal ends the wait; or, before anything is submitted, a call that a supervisor looks at (seccomp's user "
     "notification) is interrupted there. All kernels.",
     "an enter that submits or waits", kBoth, 0, 0},
    {Id::kEnterEintrMasked, "assay/enter/eintr-masked",
     "io_uring_enter returns how many SQEs it took, but its wait was cut short: fewer completions may be there than "
     "asked for.",
     "A signal ends the wait after something was submitted: the count hides the error. All kernels.",
     "an enter that submits and waits", kBoth, 0, 0},
    {Id::kEnterEagain, "assay/enter/eagain", "io_uring_enter fails with -EAGAIN; nothing was submitted.",
     "No memory for the first request of the batch. All kernels.", "an enter that submits, without SQPOLL", kBoth, 0,
     0},
    {Id::kEnterEbusy, "assay/enter/ebusy",
     "io_uring_enter fails with -EBUSY; nothing was submitted. Completions must be reaped first.",
     "The overflow backlog cannot be flushed because the CQ is full: for a submission from 5.5 to about 5.13, for a "
     "wait as io_uring_enter(2) has it to this day.",
     "an enter that submits or waits, without SQPOLL", kBoth, 0, 0},
    {Id::kEnterEbadr, "assay/enter/ebadr",
     "A wait that would have slept fails with -EBADR: completions were dropped. Where SQEs were submitted too, their "
     "number is returned without a wait and the next wait says it.",
     "No memory for an overflow entry while the CQ is full. Since 5.19; said once.", "an enter that waits", kBoth, 0, 0,
     EBADR},
    {Id::kEnterErrno,
     "assay/enter/errno",
     "io_uring_enter fails with the given errno; nothing was submitted.",
     "EEXIST for the wrong thread under SINGLE_ISSUER (6.0), EOWNERDEAD for a poll thread that died, ENXIO for a ring "
     "that is torn down, EFAULT for a bad argument.",
     "an enter",
     kBoth,
     kTakesErrno,
     kTakesErrno,
     kTellsItsErrno,
     {EEXIST, EOWNERDEAD, ENXIO, EFAULT}},
    {Id::kEnterTake, "assay/enter/take",
     "io_uring_enter takes k of the n SQEs offered, in order, and returns k without waiting.",
     "A request in the batch is refused without SUBMIT_ALL (5.18), or no memory for the next request. All kernels.",
     "an enter that offers more than k SQEs, without SQPOLL", kBoth, kTakesK, 0},
    {Id::kEnterEarly, "assay/enter/early",
     "io_uring_enter returns 0 from a wait for two or more completions when the first of them is there.",
     "A TIMEOUT request that fires ends every wait on its ring, whatever the wait's count. All kernels.",
     "an enter that waits for two or more and submits nothing", kBoth, 0, 0},
    {Id::kCqeShort, "assay/cqe/short", "A read or write transfers fewer bytes than asked for, at least one.",
     "Page cache holds only a part, the socket's or pipe's buffer is full, a signal, a device's own limits. All "
     "kernels.",
     "a transfer of more than the given bytes that may be short", kBoth, kTakesBytes | kTakesSqeFilter, 0},
    {Id::kCqeEof, "assay/cqe/eof",
     "A read or receive ends with 0, as at the end of the file, and takes nothing from it.",
     "The file was truncated meanwhile, or the peer has closed its end. All kernels.", "a read or receive", kSimulation,
     kTakesSqeFilter, 0},
    {Id::kCqeErrno,
     "assay/cqe/errno",
     "A request ends with the given errno and is not carried out.",
     "EIO, ENOSPC, ENOBUFS, EAGAIN, ECONNRESET … whatever the operation may give. All kernels.",
     "a request on a file (with op=: any request of that opcode)",
     kBoth,
     kTakesErrno | kTakesSqeFilter,
     kTakesErrno,
     kTellsItsErrno,
     {EIO, ECANCELED, ECONNRESET}},
    {Id::kCqeEintr, "assay/cqe/eintr",
     "A request ends with -EINTR and is not carried out; the file's position is unchanged.",
     "A worker, or a request that waits in a system call, is interrupted by a signal. All kernels.",
     "a request on a file (with op=: any request of that opcode)", kBoth, kTakesSqeFilter, 0, EINTR},
    {Id::kCqeEagain, "assay/cqe/eagain", "A request ends with -EAGAIN and is not carried out.",
     "The file is O_NONBLOCK, a device or a worker is short of something, or the caller exits. All kernels.",
     "a request on a file (with op=: any request of that opcode)", kBoth, kTakesSqeFilter, 0, EAGAIN},
    {Id::kCqeEnobufs, "assay/cqe/enobufs",
     "A request that selects a provided buffer finds none and ends with -ENOBUFS, a multishot one too.",
     "The program gave buffers back too late: they were gone when the data came. Since 5.7.",
     "a request that takes a provided buffer", kSimulation, kTakesSqeFilter, 0},
    {Id::kCqeRefused, "assay/cqe/refused",
     "A request ends with -EINVAL at submission, though the probe lists its opcode; its chain is severed, and without "
     "SUBMIT_ALL the batch ends there.",
     "What was probed is not what runs: a flag or an argument newer than the kernel, a restriction, another machine "
     "after a migration. All kernels.",
     "a request on a file (with op=: any request of that opcode)", kSimulation, kTakesSqeFilter, 0, EINVAL},
    {Id::kCqeFull, "assay/cqe/full",
     "A completion goes to the overflow backlog as if the CQ were full; a kernel without NODROP (before 5.5) loses it.",
     "The program does not reap as fast as requests complete. All kernels.", "a completion", kSimulation,
     kTakesSqeFilter, 0},
    {Id::kCqeDrop, "assay/cqe/drop",
     "A completion that overflows is dropped, is counted in cq.koverflow, and from 5.19 the next wait says -EBADR.",
     "No memory for the overflow entry. Since 5.5; before that every overflow drops.",
     "a completion that overflows (see cqe/full)", kSimulation, kTakesSqeFilter, 0, EBADR},
    {Id::kCqeMultishotEnd, "assay/cqe/multishot-end",
     "A multishot request ends with this completion, without IORING_CQE_F_MORE, and must be armed again.",
     "The CQ overflowed, buffers ran out, or the kernel ended it for reasons of its own. Since 5.13.",
     "a completion of a multishot request", kSimulation, kTakesSqeFilter, 0},
    {Id::kCqeLater, "assay/cqe/later",
     "A request that could complete during submission completes afterwards, from task work.",
     "The kernel punts it to a worker or polls first. All kernels.", "a request that could complete inline",
     kSimulation, kTakesSqeFilter, 0},
    {Id::kCqeHeld, "assay/cqe/held",
     "A completion becomes visible only with the next enter, or when a wait would sleep.",
     "It is task work, which runs when the program next enters the kernel (COOP_TASKRUN, since 5.19) or asks for it "
     "(DEFER_TASKRUN, since 6.1).",
     "a completion on a ring with COOP_TASKRUN or DEFER_TASKRUN, without SQPOLL", kSimulation, kTakesSqeFilter, 0},
    {Id::kCqeReorder, "assay/cqe/reorder", "Of several requests that can complete now, the youngest does so first.",
     "Independent requests complete in any order. All kernels.", "a completion that others could precede", kSimulation,
     0, 0},
    {Id::kCqeForeign, "assay/cqe/foreign",
     "A CQE that no request of the program asked for comes first, with the user_data of LIBURING_UDATA_TIMEOUT (-1).",
     "liburing's timed waits before 5.11, MSG_RING from another ring, other code on the same ring. All kernels.",
     "a completion", kSimulation, kTakesSqeFilter, 0},
    {Id::kCqeNotifLate, "assay/cqe/notif-late",
     "The notification of a zero-copy send comes with a later call, behind other completions.",
     "The network card or the peer still uses the pages. Since 6.0.", "a notification", kSimulation, kTakesSqeFilter,
     0},
    {Id::kCqeCancelEnoent, "assay/cqe/cancel-enoent",
     "A cancelation of one request, or the LINK_TIMEOUT behind it, says -ENOENT although it is in flight, and leaves "
     "it there.",
     "The request is on its way between two states when it is looked for (24 of 3,000 on an emulated 6.1). All "
     "kernels.",
     "a cancelation of one request, or a LINK_TIMEOUT that fires", kSimulation, kTakesSqeFilter, 0},
    {Id::kCqeCancelEalready, "assay/cqe/cancel-ealready",
     "A cancelation of one request, or the LINK_TIMEOUT behind it, says -EALREADY: it was running, and is interrupted.",
     "A worker is at it. Since 5.5.", "a cancelation of one request, or a LINK_TIMEOUT that fires", kSimulation,
     kTakesSqeFilter, 0},
    {Id::kCqeCancelOrder, "assay/cqe/cancel-order",
     "A cancelation's reply and its target's completion come in the order that this kernel usually has not.",
     "Whether a cancelled request completes at once or from task work changed with releases. All kernels.",
     "a request that is cancelled", kSimulation, kTakesSqeFilter, 0},
    {Id::kPollerLate, "assay/poller/late",
     "With SQPOLL the SQ's head does not move yet, though SQEs are there and the poll thread is awake.",
     "The poll thread serves other rings, or has no CPU. All kernels.", "a poll thread that finds SQEs", kSimulation, 0,
     0},
    {Id::kPollerHeadLate, "assay/poller/head-late",
     "With SQPOLL the SQ's head stands still before SQEs whose completions are there already, until the next call.",
     "The poll thread moves the head once for all that it took, after it has posted what completed inline. All kernels.",
     "a poll thread that took SQEs", kSimulation, 0, 0},
    {Id::kPollerAsleep, "assay/poller/asleep",
     "The poll thread raises IORING_SQ_NEED_WAKEUP and sleeps before its idle time is over.",
     "Another ring of its group has a shorter idle time, or the thread is to be parked. All kernels.",
     "a poll thread that finds nothing", kSimulation, 0, 0},
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

std::string fault_tells_name(const FaultPoint& point) {
  switch (point.tells) {
    case kTellsNothing:
      return "nothing";
    case kTellsItsErrno:
      return "its errno";
    case kTellsUnsupported:
      return "EINVAL, EOPNOTSUPP, ENOSYS";
    default:
      return ::strerrorname_np(point.tells);
  }
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
