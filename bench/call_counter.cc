#include "assay/bench/call_counter.h"

#include <fcntl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cerrno>
#include <csignal>
#include <set>

namespace assay::bench {
namespace {

// getpriority(2) of a kind that there is not: a system call that does nothing, which says where the counted part begins
// and ends. What was done goes along.
constexpr long kMark = 0x4153'5341;
// The same around what does not count although it lies between those.
constexpr long kUncounted = kMark + 1;

struct Stop {
  long number = -1;
  std::uint64_t arguments[3] = {};
  bool is_entry = false;
};

Stop syscall_of(pid_t thread) {
  Stop stop;
  __ptrace_syscall_info info{};
  if (::ptrace(PTRACE_GET_SYSCALL_INFO, thread, sizeof info, &info) < 0) return stop;
  if (info.op != PTRACE_SYSCALL_INFO_ENTRY) return stop;
  stop.is_entry = true;
  stop.number = static_cast<long>(info.entry.nr);
  for (int i = 0; i < 3; ++i) stop.arguments[i] = info.entry.args[i];
  return stop;
}

[[noreturn]] void become_subject(const std::string& bench_name, std::uint64_t rounds) {
  const int null = ::open("/dev/null", O_RDWR);
  ::dup2(null, STDIN_FILENO);
  ::dup2(null, STDOUT_FILENO);
  ::dup2(null, STDERR_FILENO);
  // A terminal's SIGINT asks this program to come to an end, and not the one that is counted.
  ::setpgid(0, 0);
  if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(126);
  ::execl("/proc/self/exe", "assay-bench", "--rounds", std::to_string(rounds).c_str(), "--only", bench_name.c_str(),
          nullptr);
  ::_exit(127);
}

}  // namespace

void begin_counted_part() { ::syscall(SYS_getpriority, kMark, 0, 0); }
void end_counted_part(std::uint64_t operations, std::uint64_t cqes) {
  ::syscall(SYS_getpriority, kMark, operations, cqes);
}

Uncounted::Uncounted() { ::syscall(SYS_getpriority, kUncounted, 1, 0); }
Uncounted::~Uncounted() { ::syscall(SYS_getpriority, kUncounted, 0, 0); }

Result<CallCounts> count_calls(const std::string& bench_name, std::uint64_t rounds) {
  const pid_t subject = ::fork();
  if (subject < 0) return Error::from_errno(errno, "fork");
  if (subject == 0) become_subject(bench_name, rounds);

  CallCounts counts;
  bool counting = false;
  bool uncounted = false;
  bool ended = false;
  int status = 0;
  // It stops at its exec first; a child that may not be traced ends instead.
  if (::waitpid(subject, &status, 0) != subject || !WIFSTOPPED(status)) {
    return Error::from_errno(EPERM, "ptrace, which counts system calls");
  }
  constexpr long kOptions =
      PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK;
  if (::ptrace(PTRACE_SETOPTIONS, subject, 0, kOptions) != 0) {
    const int error = errno;
    ::kill(subject, SIGKILL);
    ::waitpid(subject, nullptr, 0);
    return Error::from_errno(error, "ptrace, which counts system calls");
  }
  ::ptrace(PTRACE_SYSCALL, subject, 0, 0);
  std::set<pid_t> threads{subject};
  while (!threads.empty()) {
    const pid_t thread = ::waitpid(-1, &status, __WALL);
    if (thread < 0) break;
    if (!WIFSTOPPED(status)) {
      threads.erase(thread);
      continue;
    }
    threads.insert(thread);
    int signal = WSTOPSIG(status);
    if (signal == (SIGTRAP | 0x80)) {
      const Stop stop = syscall_of(thread);
      if (stop.is_entry && stop.number == SYS_getpriority && stop.arguments[0] == kMark) {
        if (counting) {
          counts.operations = stop.arguments[1];
          counts.cqes = stop.arguments[2];
          ended = true;
          // What it takes down is nobody's business, and would be stopped at each call.
          ::kill(subject, SIGKILL);
        }
        counting = !counting;
      } else if (stop.is_entry && stop.number == SYS_getpriority && stop.arguments[0] == kUncounted) {
        uncounted = stop.arguments[1] != 0;
      } else if (stop.is_entry && counting && !uncounted) {
        ++counts.calls;
        if (stop.number == SYS_io_uring_enter) ++counts.enters;
      }
      signal = 0;
    } else if (signal == SIGTRAP || signal == SIGSTOP) {
      // A clone, or the first stop of a new thread.
      signal = 0;
    }
    ::ptrace(PTRACE_SYSCALL, thread, 0, signal);
  }
  if (!ended) return Error::from_errno(ECANCELED, bench_name + " did not come to its end under ptrace");
  return counts;
}

}  // namespace assay::bench
