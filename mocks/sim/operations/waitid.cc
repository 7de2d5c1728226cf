// WAITID (6.7). Follows io_uring/waitid.c.
//
// Any child, a group of them, a child that stops: for most of what can be waited for there is nothing to poll, so the
// kernel is asked on every step.

#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>

#include "assay/mocks/sim/operations/finish.h"
#include "assay/mocks/sim/operations/operation.h"
#include "assay/mocks/sim/user_memory.h"

namespace assay::internal {

namespace {

int options_of(const Request& request) { return static_cast<int>(request.sqe().file_index); }

/// waitid(2) as it stands, without ever waiting: 0 or a negative errno, and in `info` a pid of 0 where nothing
/// happened.
int wait_now(const Request& request, siginfo_t* info) {
  const io_uring_sqe& sqe = request.sqe();
  *info = {};
  const long result = ::syscall(SYS_waitid, sqe.len, sqe.fd, info, options_of(request) | WNOHANG, nullptr);
  return result < 0 ? -errno : 0;
}

/// The kernel writes just these members.
bool copy_info_to_user(std::uint64_t address, const siginfo_t& info) {
  if (address == 0) return true;
  const auto copy = [&](std::size_t offset, const auto& member) {
    return copy_to_user(address + offset, &member, sizeof member);
  };
  constexpr int kNoError = 0;
  return copy(offsetof(siginfo_t, si_signo), info.si_signo) && copy(offsetof(siginfo_t, si_errno), kNoError) &&
         copy(offsetof(siginfo_t, si_code), info.si_code) && copy(offsetof(siginfo_t, si_pid), info.si_pid) &&
         copy(offsetof(siginfo_t, si_uid), info.si_uid) && copy(offsetof(siginfo_t, si_status), info.si_status);
}

int prepare_waitid(SimRing&, Request& request) {
  const io_uring_sqe& sqe = request.sqe();
  return sqe.addr != 0 || sqe.buf_index != 0 || sqe.addr3 != 0 || sqe.rw_flags != 0 ? -EINVAL : 0;
}

Outcome issue_waitid(SimRing& ring, Request& request) {
  siginfo_t info;
  int result = wait_now(request, &info);
  const bool would_wait = result == 0 && info.si_pid == 0 && (options_of(request) & WNOHANG) == 0;
  if (!would_wait) {
    if (!copy_info_to_user(request.sqe().addr2, info)) result = -EFAULT;
    return finish(ring, request, result);
  }
  ring.park_for_revisits(request);
  return Outcome::kParked;
}

bool revisit_waitid(SimRing&, Request& request, bool, std::int32_t* result) {
  siginfo_t info;
  *result = wait_now(request, &info);
  if (*result == 0 && info.si_pid == 0) return false;
  if (!copy_info_to_user(request.sqe().addr2, info)) *result = -EFAULT;
  return true;
}

}  // namespace

extern const Operation kWaitid = {.prepare = prepare_waitid, .issue = issue_waitid, .revisit = revisit_waitid};

}  // namespace assay::internal
