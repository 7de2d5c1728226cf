// Live mode: what goes on between calls. No call is made while a test waits; it looks at ring memory, an fd or a word.

#include <gtest/gtest.h>
#include <linux/futex.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "assay/backend/ring.h"
#include "assay/backend/uapi.h"
#include "assay/mocks/sim_kernel.h"

#if defined(__SANITIZE_THREAD__)
/// Children of a process with threads start threads of their own here.
extern "C" const char* __tsan_default_options() { return "die_after_fork=0"; }
#endif

namespace assay {
namespace {

using namespace std::chrono_literals;

constexpr std::int32_t k32BitsPrivate = 2 | 128;

/// Looks until it is so; a machine may be slow, but not that slow.
bool comes_true(const std::function<bool()>& is_so) {
  const auto limit = std::chrono::steady_clock::now() + 30s;
  while (!is_so()) {
    if (std::chrono::steady_clock::now() > limit) return false;
    std::this_thread::yield();
  }
  return true;
}

std::uint32_t flags_of(Ring& ring) { return __atomic_load_n(ring.raw()->sq.kflags, __ATOMIC_SEQ_CST); }

class Pipe {
 public:
  Pipe() { EXPECT_EQ(::pipe(ends_), 0); }
  ~Pipe() {
    ::close(ends_[0]);
    ::close(ends_[1]);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;

  int read_end() const { return ends_[0]; }
  void write_byte() const { EXPECT_EQ(::write(ends_[1], "x", 1), 1); }

 private:
  int ends_[2] = {-1, -1};
};

class SimLive : public testing::Test {
 protected:
  Ring& open(const RingOptions& options = {.sq_entries = 8}) {
    SimOptions newest;
    newest.profile = documented_profile("linux-6.18", {6, 18});
    newest.live = true;
    if (!kernel_) kernel_ = std::make_unique<SimKernel>(newest);
    auto ring = Ring::create(*kernel_, options);
    EXPECT_TRUE(ring) << ring.error().message();
    rings_.push_back(std::make_unique<Ring>(std::move(*ring)));
    return *rings_.back();
  }
  static io_uring_sqe* prepare(Ring& ring, std::uint8_t opcode, int fd, std::uint64_t user_data) {
    io_uring_sqe* sqe = ring.get_sqe();
    *sqe = {};
    sqe->opcode = opcode;
    sqe->fd = fd;
    sqe->user_data = user_data;
    return sqe;
  }
  static void prepare_poll(Ring& ring, int fd, std::uint64_t user_data) {
    prepare(ring, IORING_OP_POLL_ADD, fd, user_data)->poll32_events = POLLIN;
  }
  static void prepare_futex(Ring& ring, const std::uint32_t* word, std::uint32_t value, std::uint32_t mask) {
    io_uring_sqe* sqe = prepare(ring, uapi::kOpFutexWait, k32BitsPrivate, 1);
    sqe->addr = reinterpret_cast<std::uint64_t>(word);
    sqe->addr2 = value;
    sqe->addr3 = mask;
  }
  /// The result of the only completion, which comes without a call.
  static int result(Ring& ring) {
    if (!comes_true([&] { return ring.cq_ready() > 0; })) return -ETIMEDOUT;
    io_uring_cqe* cqe = ring.peek_cqe();
    const int result = cqe->res;
    ring.cqe_seen(cqe);
    return result;
  }

  std::unique_ptr<SimKernel> kernel_;
  std::vector<std::unique_ptr<Ring>> rings_;
};

TEST_F(SimLive, ATimeoutEndsWithoutACall) {
  Ring& ring = open();
  __kernel_timespec time{.tv_sec = 0, .tv_nsec = 1'000'000};
  io_uring_sqe* sqe = prepare(ring, IORING_OP_TIMEOUT, -1, 1);
  sqe->addr = reinterpret_cast<std::uint64_t>(&time);
  sqe->len = 1;
  ASSERT_EQ(ring.submit(), 1);
  EXPECT_EQ(result(ring), -ETIME);
}

TEST_F(SimLive, ReceivedBytesAreThereWithoutACall) {
  Ring& ring = open();
  const Pipe pipe;
  char byte = 0;
  io_uring_sqe* sqe = prepare(ring, IORING_OP_READ, pipe.read_end(), 1);
  sqe->addr = reinterpret_cast<std::uint64_t>(&byte);
  sqe->len = 1;
  sqe->off = ~std::uint64_t{0};
  ASSERT_EQ(ring.submit(), 1);
  EXPECT_EQ(ring.cq_ready(), 0u);
  pipe.write_byte();
  EXPECT_EQ(result(ring), 1);
  EXPECT_EQ(byte, 'x');
}

TEST_F(SimLive, TheRingFdWakesALoopOfTheOperatingSystem) {
  Ring& ring = open();
  __kernel_timespec time{.tv_sec = 0, .tv_nsec = 1'000'000};
  io_uring_sqe* sqe = prepare(ring, IORING_OP_TIMEOUT, -1, 1);
  sqe->addr = reinterpret_cast<std::uint64_t>(&time);
  sqe->len = 1;
  ASSERT_EQ(ring.submit(), 1);
  pollfd entry{ring.fd(), POLLIN, 0};
  ASSERT_EQ(::poll(&entry, 1, 30'000), 1);
  EXPECT_EQ(result(ring), -ETIME);
}

TEST_F(SimLive, ARegisteredEventfdTellsWithoutACall) {
  Ring& ring = open();
  const Pipe pipe;
  const int event = ::eventfd(0, EFD_CLOEXEC);
  ASSERT_EQ(ring.register_eventfd(event), 0);
  prepare_poll(ring, pipe.read_end(), 1);
  ASSERT_EQ(ring.submit(), 1);
  pipe.write_byte();
  std::uint64_t count = 0;
  pollfd entry{event, POLLIN, 0};
  ASSERT_EQ(::poll(&entry, 1, 30'000), 1);
  EXPECT_EQ(::read(event, &count, sizeof count), static_cast<ssize_t>(sizeof count));
  EXPECT_EQ(count, 1u);
  EXPECT_EQ(result(ring), POLLIN);
  ::close(event);
}

TEST_F(SimLive, AThreadThatWaitsIsWokenByAFileThatBecomesReady) {
  Ring& ring = open();
  const Pipe pipe;
  prepare_poll(ring, pipe.read_end(), 1);
  std::thread writer([&] { pipe.write_byte(); });
  EXPECT_EQ(ring.submit_and_wait(1), 1);
  EXPECT_EQ(result(ring), POLLIN);
  writer.join();
}

TEST_F(SimLive, CooperativeTaskWorkWaitsForACallAndSaysSo) {
  Ring& ring = open({.sq_entries = 8, .setup_flags = IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG});
  const Pipe pipe;
  prepare_poll(ring, pipe.read_end(), 1);
  ASSERT_EQ(ring.submit(), 1);
  pipe.write_byte();
  ASSERT_TRUE(comes_true([&] { return (flags_of(ring) & IORING_SQ_TASKRUN) != 0; }));
  EXPECT_EQ(ring.cq_ready(), 0u);
  EXPECT_GE(ring.get_events(), 0);
  EXPECT_EQ(result(ring), POLLIN);
}

TEST_F(SimLive, DeferredTaskWorkMakesTheRingFdReadable) {
  Ring& ring = open({.sq_entries = 8, .setup_flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN});
  const Pipe pipe;
  prepare_poll(ring, pipe.read_end(), 1);
  ASSERT_EQ(ring.submit(), 1);
  pipe.write_byte();
  pollfd entry{ring.fd(), POLLIN, 0};
  ASSERT_EQ(::poll(&entry, 1, 30'000), 1);
  EXPECT_EQ(ring.cq_ready(), 0u);
  EXPECT_GE(ring.get_events(), 0);
  EXPECT_EQ(result(ring), POLLIN);
}

TEST_F(SimLive, APollThreadSubmitsAndFallsAsleepWithoutACall) {
  Ring& ring = open({.sq_entries = 8, .setup_flags = IORING_SETUP_SQPOLL, .sq_thread_idle = 20ms});
  prepare(ring, IORING_OP_NOP, -1, 1);
  ring.flush_sq();
  EXPECT_EQ(result(ring), 0);
  ASSERT_TRUE(comes_true([&] { return (flags_of(ring) & IORING_SQ_NEED_WAKEUP) != 0; }));
  prepare(ring, IORING_OP_NOP, -1, 2);
  EXPECT_EQ(ring.submit(), 1) << "which wakes it";
  EXPECT_EQ(result(ring), 0);
}

TEST_F(SimLive, AFutexIsWokenByAForeigner) {
  Ring& ring = open();
  std::uint32_t word = 5;
  prepare_futex(ring, &word, 5, ~0u);
  ASSERT_EQ(ring.submit(), 1);
  // The word keeps its value: only a real wake-up can tell.
  EXPECT_EQ(::syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0), 1);
  EXPECT_EQ(result(ring), 0);
}

TEST_F(SimLive, AFutexThatChangesUnannouncedSleepsOn) {
  Ring& ring = open();
  std::uint32_t word = 5;
  const Pipe pipe;
  prepare_futex(ring, &word, 5, ~0u);
  prepare_poll(ring, pipe.read_end(), 2);
  ASSERT_EQ(ring.submit(), 2);
  __atomic_store_n(&word, 6, __ATOMIC_SEQ_CST);
  pipe.write_byte();
  EXPECT_EQ(result(ring), POLLIN);
  EXPECT_EQ(ring.cq_ready(), 0u);
  prepare(ring, IORING_OP_ASYNC_CANCEL, -1, 3)->addr = 1;
  EXPECT_EQ(ring.submit_and_wait(2), 1);
  EXPECT_EQ(result(ring), 1) << "for a futex, how many were cancelled";
  EXPECT_EQ(result(ring), -ECANCELED);
}

TEST_F(SimLive, AFutexIsWokenByASimulatedRing) {
  Ring& ring = open();
  std::uint32_t word = 5;
  for (const std::uint32_t mask : {~0u, 1u}) {
    prepare_futex(ring, &word, 5, mask);
    ASSERT_EQ(ring.submit(), 1);
    io_uring_sqe* sqe = prepare(ring, uapi::kOpFutexWake, k32BitsPrivate, 2);
    sqe->addr = reinterpret_cast<std::uint64_t>(&word);
    sqe->addr2 = 1;
    sqe->addr3 = ~std::uint32_t{0};
    ASSERT_EQ(ring.submit(), 1);
    ASSERT_TRUE(comes_true([&] { return ring.cq_ready() == 2; })) << mask;
    int woken = 0;
    for (int left = 2; left > 0; --left) {
      const bool is_wake = ring.peek_cqe()->user_data == 2;
      const int told = result(ring);
      if (is_wake) woken = told;
    }
    EXPECT_EQ(woken, 1) << mask;
  }
}

TEST_F(SimLive, AChildThatEndsIsToldOf) {
  Ring& ring = open();
  const Pipe pipe;
  const pid_t child = ::fork();
  if (child == 0) {
    char byte;
    ::_exit(::read(pipe.read_end(), &byte, 1) == 1 ? 3 : 4);
  }
  siginfo_t info{};
  io_uring_sqe* sqe = prepare(ring, uapi::kOpWaitid, child, 1);
  sqe->len = P_PID;
  sqe->file_index = WEXITED;
  sqe->addr2 = reinterpret_cast<std::uint64_t>(&info);
  ASSERT_EQ(ring.submit(), 1);
  pipe.write_byte();
  EXPECT_EQ(result(ring), 0);
  // The CQ is mapped twice, so ThreadSanitizer cannot see that its tail orders the two threads: a call does.
  EXPECT_GE(ring.get_events(), 0);
  EXPECT_EQ(info.si_status, 3);
}

TEST_F(SimLive, AForkedChildHasAServiceThreadForItsOwnRings) {
  const auto times_out = [](Ring& ring) {
    __kernel_timespec time{.tv_sec = 0, .tv_nsec = 1'000'000};
    io_uring_sqe* sqe = prepare(ring, IORING_OP_TIMEOUT, -1, 1);
    sqe->addr = reinterpret_cast<std::uint64_t>(&time);
    sqe->len = 1;
    return ring.submit() == 1 && result(ring) == -ETIME;
  };
  // The thread is at work before the fork: a sanitizer's allocator is locked in the child for ever if one that is still
  // starting has locked it.
  ASSERT_TRUE(times_out(open()));
  const pid_t child = ::fork();
  if (child == 0) ::_exit(times_out(open()) ? 0 : 1);
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST_F(SimLive, TakesRingsInMemoryOfTheUsersAsTheyComeAndGo) {
  for (int count = 0; count < 200; ++count) {
    open({.sq_entries = 8, .setup_flags = uapi::kSetupNoMmap});
    rings_.clear();
  }
}

TEST_F(SimLive, EndsWithRequestsInFlight) {
  Ring& ring = open();
  const Pipe pipe;
  std::uint32_t word = 5;
  prepare_poll(ring, pipe.read_end(), 1);
  prepare_futex(ring, &word, 5, ~0u);
  ASSERT_EQ(ring.submit(), 2);
  rings_.clear();
  kernel_.reset();
}

}  // namespace
}  // namespace assay
