// What the suites cannot say, because a kernel does it otherwise: waits for futexes, children and FIFOs that have no
// file to poll, as the simulator serves them.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/futex.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>

#include "assay/backend/ring.h"
#include "assay/mocks/sim_kernel.h"

namespace assay {
namespace {

using namespace std::chrono_literals;

constexpr std::int32_t k32BitsPrivate = 2 | 128;

SimOptions newest() {
  SimOptions options;
  options.profile = documented_profile("linux-6.18", {6, 18});
  return options;
}

void prepare_futex(Ring& ring, std::uint8_t opcode, const std::uint32_t* word, std::uint32_t value,
                   std::uint64_t user_data) {
  io_uring_sqe* sqe = ring.get_sqe();
  *sqe = {};
  sqe->opcode = opcode;
  sqe->fd = k32BitsPrivate;
  sqe->addr = reinterpret_cast<std::uint64_t>(word);
  sqe->addr2 = value;
  sqe->addr3 = ~std::uint32_t{0};
  sqe->user_data = user_data;
}

class Revisits : public testing::Test {
 protected:
  void open(SimOptions options = newest()) {
    kernel_ = std::make_unique<SimKernel>(options);
    auto ring = Ring::create(*kernel_, {.sq_entries = 8});
    ASSERT_TRUE(ring) << ring.error().message();
    ring_ = std::make_unique<Ring>(std::move(*ring));
  }
  /// Submits, waits for one completion and returns its result; what the wait said where there is none.
  int run(std::uint64_t* user_data = nullptr) {
    const int entered = ring_->submit_and_wait(1);
    io_uring_cqe* cqe = ring_->peek_cqe();
    if (cqe == nullptr) return entered;
    const int result = cqe->res;
    if (user_data != nullptr) *user_data = cqe->user_data;
    ring_->cqe_seen(cqe);
    return result;
  }

  std::unique_ptr<SimKernel> kernel_;
  std::unique_ptr<Ring> ring_;
};

TEST_F(Revisits, AWaiterGoesOnWhenItsWordHasChangedAndNothingElseIsLeftToDo) {
  open();
  std::uint32_t word = 1;
  prepare_futex(*ring_, uapi::kOpFutexWait, &word, 1, 7);
  ASSERT_EQ(ring_->submit(), 1);
  word = 2;
  EXPECT_EQ(ring_->submit(), 0);
  EXPECT_EQ(ring_->peek_cqe(), nullptr) << "nobody sleeps yet, so the wake-up may still come";
  std::uint64_t user_data = 0;
  EXPECT_EQ(run(&user_data), 0);
  EXPECT_EQ(user_data, 7u);
}

/// A FIFO in a folder of its own.
class Fifo {
 public:
  Fifo() {
    EXPECT_NE(::mkdtemp(folder_), nullptr);
    EXPECT_EQ(::mkfifo(path().c_str(), 0600), 0);
  }
  ~Fifo() {
    EXPECT_EQ(::unlink(path().c_str()), 0);
    EXPECT_EQ(::rmdir(folder_), 0);
  }
  Fifo(const Fifo&) = delete;
  Fifo& operator=(const Fifo&) = delete;

  std::string path() const { return std::string(folder_) + "/fifo"; }

 private:
  char folder_[32] = "/tmp/assay-fifo-XXXXXX";
};

TEST_F(Revisits, ACancellationInterruptsTheOpeningOfAFifo) {
  open();
  const Fifo fifo;
  const std::string path = fifo.path();
  for (const int flags : {O_RDONLY, O_WRONLY}) {
    io_uring_sqe* sqe = ring_->get_sqe();
    io_uring_prep_openat(sqe, AT_FDCWD, path.c_str(), flags, 0);
    sqe->flags = IOSQE_ASYNC;
    sqe->user_data = 1;
    EXPECT_EQ(ring_->submit(), 1);
    EXPECT_EQ(run(), -EDEADLK) << "nobody opens the other end";
    sqe = ring_->get_sqe();
    io_uring_prep_cancel64(sqe, 1, 0);
    sqe->user_data = 2;
    std::uint64_t user_data = 0;
    EXPECT_EQ(run(&user_data), -EALREADY);
    EXPECT_EQ(user_data, 2u);
    EXPECT_EQ(run(&user_data), -512) << "as Linux tells it";
    EXPECT_EQ(user_data, 1u);
  }
}

TEST_F(Revisits, ACancellationInterruptsTheWorkerThatSplices) {
  open();
  int from[2], to[2];
  ASSERT_EQ(::pipe2(from, O_CLOEXEC), 0);
  ASSERT_EQ(::pipe2(to, O_CLOEXEC), 0);
  io_uring_sqe* sqe = ring_->get_sqe();
  io_uring_prep_splice(sqe, from[0], -1, to[1], -1, 4, 0);
  sqe->user_data = 1;
  EXPECT_EQ(ring_->submit(), 1);
  EXPECT_EQ(run(), -EDEADLK) << "nobody writes";
  sqe = ring_->get_sqe();
  io_uring_prep_cancel64(sqe, 1, 0);
  sqe->user_data = 2;
  std::uint64_t user_data = 0;
  EXPECT_EQ(run(&user_data), -EALREADY);
  EXPECT_EQ(user_data, 2u);
  EXPECT_EQ(run(&user_data), -512) << "as 5.10 and 6.18 tell it";
  EXPECT_EQ(user_data, 1u);
  for (const int fd : {from[0], from[1], to[0], to[1]}) ::close(fd);
}

void prepare_openat2_in_worker(Ring& ring, const std::string& path, open_how& how) {
  io_uring_sqe* sqe = ring.get_sqe();
  io_uring_prep_openat2(sqe, AT_FDCWD, path.c_str(), &how);
  sqe->flags = IOSQE_ASYNC;
}

TEST_F(Revisits, AFifoThatIsLookedUpWithRestrictionsDoesNotStopTheSimulationEither) {
  open();
  const Fifo fifo;
  const std::string path = fifo.path();
  for (const int flags : {O_RDONLY, O_WRONLY}) {
    open_how how{};
    how.flags = static_cast<std::uint64_t>(flags);
    how.resolve = RESOLVE_NO_MAGICLINKS;
    prepare_openat2_in_worker(*ring_, path, how);
    EXPECT_EQ(ring_->submit(), 1);
    EXPECT_EQ(run(), -EDEADLK) << "nobody opens the other end";
    const int other = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    const int opened = run();
    EXPECT_GE(opened, 0);
    ::close(opened);
    ::close(other);
  }
}

TEST_F(Revisits, AFifoThatMayNotBeOpenedIsNotWaitedFor) {
  open();
  const Fifo fifo;
  const std::string path = fifo.path();
  const std::string link = path + "-link";
  ASSERT_EQ(::symlink(path.c_str(), link.c_str()), 0);
  open_how how{};
  how.resolve = RESOLVE_NO_SYMLINKS;
  prepare_openat2_in_worker(*ring_, link, how);
  EXPECT_EQ(run(), -ELOOP);
  how = {};
  how.mode = 0600;  // without O_CREAT
  prepare_openat2_in_worker(*ring_, path, how);
  EXPECT_EQ(run(), -EINVAL);
  how.flags = O_CREAT | O_EXCL;
  prepare_openat2_in_worker(*ring_, path, how);
  EXPECT_EQ(run(), -EEXIST);
  how = {};
  how.flags = O_DIRECTORY;
  prepare_openat2_in_worker(*ring_, path, how);
  EXPECT_EQ(run(), -ENOTDIR);
  EXPECT_EQ(::unlink(link.c_str()), 0);
}

TEST_F(Revisits, AWakeUpOfTheSimulationCountsAWaiterWhoseWordHasChanged) {
  open();
  std::uint32_t word = 1;
  prepare_futex(*ring_, uapi::kOpFutexWait, &word, 1, 7);
  ASSERT_EQ(ring_->submit(), 1);
  word = 2;
  prepare_futex(*ring_, uapi::kOpFutexWake, &word, 1, 8);
  std::uint64_t user_data = 0;
  EXPECT_EQ(run(&user_data), 1);
  EXPECT_EQ(user_data, 8u);
}

TEST_F(Revisits, AFutexThatNobodyWillWakeIsADeadlockThatIsNamed) {
  open();
  const std::uint32_t word = 1;
  prepare_futex(*ring_, uapi::kOpFutexWait, &word, 1, 7);
  ASSERT_EQ(ring_->submit(), 1);
  EXPECT_EQ(run(), -EDEADLK);
  EXPECT_NE(kernel_->describe_waiting().find("waits for a child, a futex or the other end of a FIFO"),
            std::string::npos)
      << kernel_->describe_waiting();
}

TEST_F(Revisits, AWakeUpReachesThreadsThatWaitInTheRunningKernel) {
  open();
  const std::uint32_t word = 1;
  std::atomic<bool> woken{false};
  std::thread sleeper([&] {
    // A signal or a stray wake-up is no wake-up of ours, but here nobody else knows the word.
    while (::syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 1, nullptr, nullptr, 0) != 0 && errno == EINTR) {
    }
    woken = true;
  });
  int count = 0;
  while (count == 0) {
    prepare_futex(*ring_, uapi::kOpFutexWake, &word, 1, 8);
    count = run();
  }
  EXPECT_EQ(count, 1);
  sleeper.join();
  EXPECT_TRUE(woken);
}

TEST_F(Revisits, OnRealTimeAThreadThatChangesTheWordEndsTheWait) {
  SimOptions options = newest();
  options.real_clock = true;
  open(options);
  std::atomic<std::uint32_t> word{1};
  prepare_futex(*ring_, uapi::kOpFutexWait, reinterpret_cast<const std::uint32_t*>(&word), 1, 7);
  ASSERT_EQ(ring_->submit(), 1);
  std::thread other([&] { word = 2; });
  EXPECT_EQ(run(), 0);
  other.join();
}

TEST_F(Revisits, AChildThatEndsInARealWorldEndsTheWait) {
  SimOptions options = newest();
  options.real_clock = true;
  open(options);
  int gate[2];
  ASSERT_EQ(::pipe(gate), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(gate[1]);
    char byte;
    static_cast<void>(!::read(gate[0], &byte, 1));
    ::_exit(3);
  }
  siginfo_t info{};
  io_uring_sqe* sqe = ring_->get_sqe();
  *sqe = {};
  sqe->opcode = uapi::kOpWaitid;
  sqe->fd = child;
  sqe->len = P_PID;
  sqe->file_index = WEXITED;
  sqe->addr2 = reinterpret_cast<std::uint64_t>(&info);
  ASSERT_EQ(ring_->submit(), 1);
  EXPECT_EQ(ring_->peek_cqe(), nullptr);
  ::close(gate[0]);
  ::close(gate[1]);
  EXPECT_EQ(run(), 0);
  EXPECT_EQ(info.si_pid, child);
  EXPECT_EQ(info.si_status, 3);
}

TEST_F(Revisits, ARingThatIsClosedForgetsItsWaiters) {
  open();
  const std::uint32_t word = 1;
  prepare_futex(*ring_, uapi::kOpFutexWait, &word, 1, 7);
  ASSERT_EQ(ring_->submit(), 1);
  auto other = Ring::create(*kernel_, {.sq_entries = 8});
  ASSERT_TRUE(other);
  ring_ = std::make_unique<Ring>(std::move(*other));  // closes the first
  prepare_futex(*ring_, uapi::kOpFutexWake, &word, 5, 8);
  EXPECT_EQ(run(), 0);
}

}  // namespace
}  // namespace assay
