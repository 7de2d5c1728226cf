// WAITID.

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "assay/conformance/ring_actions.h"
#include "assay/conformance/ring_suites.h"

namespace assay::conformance {
namespace {

/// A child that ends, with the status 7, once it is told to; it never outlives the test.
class Child {
 public:
  Child() : pipe_(make_pipe()) {
    pid_ = ::fork();
    if (pid_ == 0) {
      pipe_.write_end.reset();
      char byte;
      static_cast<void>(!::read(pipe_.read_end.get(), &byte, 1));
      ::_exit(7);
    }
    pipe_.read_end.reset();
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    end();
    if (!reaped_) ::waitpid(pid_, nullptr, 0);
  }

  pid_t pid() const { return pid_; }
  void end() { pipe_.write_end.reset(); }
  /// Waits until it has ended, and leaves it to be waited for.
  void wait_until_ended() {
    end();
    siginfo_t info;
    ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT);
  }
  /// Somebody else has waited for it.
  void set_reaped() { reaped_ = true; }

 private:
  Pipe pipe_;
  pid_t pid_ = -1;
  bool reaped_ = false;
};

io_uring_sqe& prepare_waitid(Ring& ring, unsigned which, int id, siginfo_t* info, int options,
                             std::uint64_t user_data = 1) {
  io_uring_sqe& sqe = next_sqe(ring, user_data);
  sqe.opcode = uapi::kOpWaitid;
  sqe.fd = id;
  sqe.len = which;
  sqe.file_index = static_cast<std::uint32_t>(options);
  sqe.addr2 = reinterpret_cast<std::uint64_t>(info);
  return sqe;
}

void expect_exit(const siginfo_t& info, const Child& child) {
  EXPECT_EQ(info.si_signo, SIGCHLD);
  EXPECT_EQ(info.si_code, CLD_EXITED);
  EXPECT_EQ(info.si_pid, child.pid());
  EXPECT_EQ(info.si_status, 7);
}

}  // namespace

std::vector<Behaviour> ring_waitid_behaviours() {
  const std::string suite = "RingWaitid";
  const Needs waitid{.opcodes = {uapi::kOpWaitid}};
  // The child is no part of a simulated world, so its time must be real.
  const Needs waits{.opcodes = {uapi::kOpWaitid}, .real_clock = true};
  return {
      {suite, "TellsOfAChildThatHasEnded", waitid,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         Child child;
         child.wait_until_ended();
         siginfo_t info{};
         prepare_waitid(ring, P_PID, child.pid(), &info, WEXITED);
         EXPECT_EQ(run_one(ring).res, 0);
         expect_exit(info, child);
         EXPECT_EQ(::waitpid(child.pid(), nullptr, WNOHANG), -1) << "it was reaped";
         child.set_reaped();
       }},
      {suite, "WaitsForAChildToEnd", waits,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         Child child;
         siginfo_t info{};
         prepare_waitid(ring, P_PID, child.pid(), &info, WEXITED);
         submit_all(ring);
         prepare_nop(ring, 9);
         EXPECT_EQ(run_one(ring).user_data, 9u);
         child.end();
         EXPECT_EQ(take(ring), (Completion{1, 0, 0}));
         expect_exit(info, child);
         child.set_reaped();
       }},
      {suite, "WaitsForAnyChild", waits,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         Child first;
         Child second;
         siginfo_t info{};
         prepare_waitid(ring, P_ALL, 0, &info, WEXITED);
         submit_all(ring);
         prepare_nop(ring, 9);
         EXPECT_EQ(run_one(ring).user_data, 9u);
         second.end();
         EXPECT_EQ(take(ring), (Completion{1, 0, 0}));
         expect_exit(info, second);
         second.set_reaped();
       }},
      {suite, "LeavesAChildToBeWaitedForWhenAskedTo", waitid,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         Child child;
         child.wait_until_ended();
         siginfo_t info{};
         prepare_waitid(ring, P_PID, child.pid(), &info, WEXITED | WNOWAIT);
         EXPECT_EQ(run_one(ring).res, 0);
         expect_exit(info, child);
         EXPECT_EQ(::waitpid(child.pid(), nullptr, 0), child.pid());
         child.set_reaped();
       }},
      {suite, "TellsOfNothingWhenToldNotToWait", waitid,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Child child;
         siginfo_t info{};
         info.si_signo = 77;
         prepare_waitid(ring, P_PID, child.pid(), &info, WEXITED | WNOHANG);
         EXPECT_EQ(run_one(ring).res, 0);
         EXPECT_EQ(info.si_signo, 0);
         EXPECT_EQ(info.si_pid, 0);
       }},
      {suite, "TellsOfAChildThatStopsAndGoesOn", waits,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Child child;
         siginfo_t info{};
         prepare_waitid(ring, P_PID, child.pid(), &info, WSTOPPED);
         submit_all(ring);
         ASSERT_EQ(::kill(child.pid(), SIGSTOP), 0);
         EXPECT_EQ(take(ring), (Completion{1, 0, 0}));
         EXPECT_EQ(info.si_code, CLD_STOPPED);
         EXPECT_EQ(info.si_status, SIGSTOP);
         prepare_waitid(ring, P_PID, child.pid(), &info, WCONTINUED);
         submit_all(ring);
         ASSERT_EQ(::kill(child.pid(), SIGCONT), 0);
         EXPECT_EQ(take(ring), (Completion{1, 0, 0}));
         EXPECT_EQ(info.si_code, CLD_CONTINUED);
       }},
      {suite, "NeedsNoPlaceToTellIt", waitid,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         Child child;
         child.wait_until_ended();
         prepare_waitid(ring, P_PID, child.pid(), nullptr, WEXITED);
         EXPECT_EQ(run_one(ring).res, 0);
         child.set_reaped();
       }},
      {suite, "TellsThatThereIsNoPlaceToTellIt", waitid,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         Child child;
         child.wait_until_ended();
         prepare_waitid(ring, P_PID, child.pid(), reinterpret_cast<siginfo_t*>(8), WEXITED | WNOWAIT);
         EXPECT_EQ(run_one(ring).res, -EFAULT);
       }},
      {suite, "TellsThatThereIsNoSuchChild", waitid,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         siginfo_t info{};
         prepare_waitid(ring, P_PID, ::getpid(), &info, WEXITED);
         EXPECT_EQ(run_one(ring).res, -ECHILD);
         prepare_waitid(ring, P_ALL, 0, &info, WEXITED);
         EXPECT_EQ(run_one(ring).res, -ECHILD);
       }},
      {suite, "RefusesWhatItCannotWaitFor", waitid,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         siginfo_t info{};
         prepare_waitid(ring, P_PID, 0, &info, WEXITED);
         EXPECT_EQ(run_one(ring).res, -EINVAL) << "no pid";
         prepare_waitid(ring, 17, 1, &info, WEXITED);
         EXPECT_EQ(run_one(ring).res, -EINVAL) << "no kind of id";
         prepare_waitid(ring, P_ALL, 0, &info, 0);
         EXPECT_EQ(run_one(ring).res, -EINVAL) << "nothing to wait for";
         prepare_waitid(ring, P_ALL, 0, &info, WEXITED | 1 << 20);
         EXPECT_EQ(run_one(ring).res, -EINVAL) << "an unknown option";
       }},
      {suite, "RefusesFieldsThatMeanNothing", waitid,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         siginfo_t info{};
         prepare_waitid(ring, P_ALL, 0, &info, WEXITED).addr = 1;
         EXPECT_EQ(run_one(ring).res, -EINVAL);
         prepare_waitid(ring, P_ALL, 0, &info, WEXITED).buf_index = 1;
         EXPECT_EQ(run_one(ring).res, -EINVAL);
         prepare_waitid(ring, P_ALL, 0, &info, WEXITED).addr3 = 1;
         EXPECT_EQ(run_one(ring).res, -EINVAL);
         prepare_waitid(ring, P_ALL, 0, &info, WEXITED).rw_flags = 1;
         EXPECT_EQ(run_one(ring).res, -EINVAL);
       }},
      {suite, "StopsWaitingWhenCancelled", waitid,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Child child;
         siginfo_t info{};
         info.si_signo = 77;
         prepare_waitid(ring, P_PID, child.pid(), &info, WEXITED);
         submit_all(ring);
         io_uring_sqe& cancel = next_sqe(ring);
         io_uring_prep_cancel64(&cancel, 1, 0);
         cancel.user_data = 2;
         submit_all(ring);
         const auto completions = take(ring, 2);
         EXPECT_EQ(find(completions, 1).res, -ECANCELED);
         EXPECT_EQ(find(completions, 2).res, 1) << "how many, where other requests are told of by 0";
         EXPECT_EQ(info.si_pid, 0) << "nothing is told of the child";
       }},
      {suite, "StopsWaitingForAnyChildWhenCancelled", waitid,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Child child;
         prepare_waitid(ring, P_ALL, 0, nullptr, WEXITED);
         submit_all(ring);
         io_uring_sqe& cancel = next_sqe(ring);
         io_uring_prep_cancel64(&cancel, 1, 0);
         cancel.user_data = 2;
         submit_all(ring);
         const auto completions = take(ring, 2);
         EXPECT_EQ(find(completions, 1).res, -ECANCELED);
         EXPECT_EQ(find(completions, 2).res, 1) << "how many, where other requests are told of by 0";
       }},
      {suite, "GoesOnWithTheChainWhenTheChildHasEnded", waitid,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         Child child;
         child.wait_until_ended();
         siginfo_t info{};
         prepare_waitid(ring, P_PID, child.pid(), &info, WEXITED).flags = IOSQE_IO_LINK;
         prepare_waitid(ring, P_PID, child.pid(), &info, WEXITED, 2).flags = IOSQE_IO_LINK;
         prepare_nop(ring, 3);
         submit_all(ring);
         EXPECT_EQ(take(ring), (Completion{1, 0, 0}));
         EXPECT_EQ(take(ring), (Completion{2, -ECHILD, 0}));
         EXPECT_EQ(take(ring), (Completion{3, -ECANCELED, 0}));
         child.set_reaped();
       }},
  };
}

}  // namespace assay::conformance
