#include "assay/backend/backend.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <thread>

#include <gtest/gtest.h>

#include "assay/backend/linux_kernel.h"

namespace assay {
namespace {

using namespace std::chrono_literals;

class Pipe {
 public:
  Pipe() { EXPECT_EQ(0, ::pipe2(fds_.data(), O_CLOEXEC)); }
  ~Pipe() {
    close_read();
    close_write();
  }
  int read_end() const { return fds_[0]; }
  int write_end() const { return fds_[1]; }
  void put(std::string_view text) const {
    EXPECT_EQ(static_cast<ssize_t>(text.size()), ::write(fds_[1], text.data(), text.size()));
  }
  void close_read() { close(0); }
  void close_write() { close(1); }

 private:
  void close(std::size_t end) {
    if (fds_[end] >= 0) ::close(fds_[end]);
    fds_[end] = -1;
  }
  std::array<int, 2> fds_{-1, -1};
};

std::unique_ptr<Backend> make_backend(const BackendOptions& options = {}) {
  auto backend = Backend::create(LinuxKernel::instance(), options);
  EXPECT_TRUE(backend.has_value()) << backend.error().message();
  return std::move(backend).value();
}

void expect_status(LoopStatus expected, const Result<LoopStatus>& status) {
  ASSERT_TRUE(status.has_value()) << status.error().message();
  EXPECT_EQ(expected, *status);
}

// A NOP that counts what it is told.
class CountingNop final : public Operation {
 public:
  int completed = 0;
  int cancelled_times = 0;
  int last_res = 1;

 private:
  void prepare(io_uring_sqe& sqe) override { io_uring_prep_nop(&sqe); }
  void complete(const Completion& completion) override {
    ++completed;
    last_res = completion.res;
  }
  void cancelled(const Completion& completion) override {
    ++cancelled_times;
    last_res = completion.res;
  }
};

class PollOperation final : public Operation {
 public:
  explicit PollOperation(int fd) : fd_(fd) {}
  std::vector<int> results;

 private:
  void prepare(io_uring_sqe& sqe) override { io_uring_prep_poll_add(&sqe, fd_, POLL_IN); }
  void complete(const Completion& completion) override { results.push_back(completion.res); }
  int fd_;
};

TEST(BackendLoop, SaysNoEventsWhenThereIsNothing) {
  auto backend = make_backend();
  expect_status(LoopStatus::kNoEvents, backend->loop());
  expect_status(LoopStatus::kNoEvents, backend->loop(LoopMode::kOnce));
  expect_status(LoopStatus::kNoEvents, backend->loop(LoopMode::kNonblock));
}

TEST(BackendLoop, SaysNothingToDoWhenNothingIsDue) {
  auto backend = make_backend();
  Timer timer(*backend, [] {});
  ASSERT_TRUE(timer.start_after(1h));
  expect_status(LoopStatus::kNothingToDo, backend->loop(LoopMode::kNonblock));
}

TEST(BackendLoop, RefusesToRunWithinItself) {
  auto backend = make_backend();
  bool refused = false;
  backend->post([&] { refused = backend->loop().error() == std::errc::device_or_resource_busy; });
  expect_status(LoopStatus::kHadEvents, backend->loop());
  EXPECT_TRUE(refused);
}

TEST(BackendLoop, BreakLosesNothingThatWasCompleted) {
  auto backend = make_backend({.max_get = 1});
  CountingNop first, second;
  ASSERT_TRUE(backend->submit(first));
  ASSERT_TRUE(backend->submit(second));
  Timer timer(*backend, [&] { backend->loop_break(); });
  ASSERT_TRUE(timer.start_after(0ns));
  expect_status(LoopStatus::kHadEvents, backend->loop());
  EXPECT_EQ(1, first.completed);
  EXPECT_EQ(0, second.completed);
  expect_status(LoopStatus::kHadEvents, backend->loop());
  EXPECT_EQ(1, second.completed);
}

TEST(BackendOperation, IsRefusedWhileItIsInFlight) {
  auto backend = make_backend();
  CountingNop nop;
  ASSERT_TRUE(backend->submit(nop));
  EXPECT_TRUE(backend->submit(nop).error() == std::errc::operation_in_progress);
  expect_status(LoopStatus::kHadEvents, backend->loop());
  EXPECT_EQ(1, nop.completed);
  ASSERT_TRUE(backend->submit(nop));
  expect_status(LoopStatus::kHadEvents, backend->loop());
  EXPECT_EQ(2, nop.completed);
}

TEST(BackendOperation, ManyMoreThanTheRingsHoldAllComplete) {
  auto backend = make_backend({.capacity = 16, .sq_entries = 8});
  std::vector<CountingNop> nops(1000);
  for (CountingNop& nop : nops) ASSERT_TRUE(backend->submit(nop));
  expect_status(LoopStatus::kHadEvents, backend->loop());
  for (CountingNop& nop : nops) ASSERT_EQ(1, nop.completed);
}

TEST(BackendOperation, CancelBeforeTheKernelSawIt) {
  auto backend = make_backend();
  CountingNop nop, other;
  ASSERT_TRUE(backend->submit(nop));
  ASSERT_TRUE(backend->submit(other));
  ASSERT_TRUE(backend->cancel(nop));
  EXPECT_EQ(0, nop.cancelled_times);
  expect_status(LoopStatus::kHadEvents, backend->loop());
  EXPECT_EQ(1, nop.cancelled_times);
  EXPECT_EQ(-ECANCELED, nop.last_res);
  EXPECT_EQ(1, other.completed);
  EXPECT_TRUE(backend->cancel(nop).error() == std::errc::no_such_file_or_directory);
}

TEST(BackendOperation, CancelInFlight) {
  auto backend = make_backend();
  Pipe pipe;
  std::array<std::byte, 8> buffer;
  int result = 1;
  const OperationHandle handle =
      backend->read(pipe.read_end(), buffer, kCurrentPosition, [&](int res) { result = res; });
  expect_status(LoopStatus::kNothingToDo, backend->loop(LoopMode::kNonblock));
  ASSERT_TRUE(backend->cancel(handle));
  expect_status(LoopStatus::kHadEvents, backend->loop());
  EXPECT_EQ(-ECANCELED, result);
  EXPECT_TRUE(backend->cancel(handle).error() == std::errc::no_such_file_or_directory);
}

TEST(BackendOperation, DestroyingOneInFlightCancelsIt) {
  auto backend = make_backend();
  Pipe pipe;
  {
    PollOperation poll(pipe.read_end());
    ASSERT_TRUE(backend->submit_now(poll));
    expect_status(LoopStatus::kNothingToDo, backend->loop(LoopMode::kNonblock));
  }
  expect_status(LoopStatus::kNoEvents, backend->loop());
}

TEST(BackendChain, IsToldAsAWhole) {
  auto backend = make_backend();
  std::array<CountingNop, 5> nops;
  std::array<Operation*, 5> chain;
  for (std::size_t index = 0; index < nops.size(); ++index) chain[index] = &nops[index];
  ASSERT_TRUE(backend->submit_chain(chain));
  expect_status(LoopStatus::kHadEvents, backend->loop());
  for (CountingNop& nop : nops) EXPECT_EQ(1, nop.completed);
}

TEST(BackendChain, CancelEndsTheRest) {
  auto backend = make_backend();
  std::array<CountingNop, 4> nops;
  std::array<Operation*, 4> chain;
  for (std::size_t index = 0; index < nops.size(); ++index) chain[index] = &nops[index];
  ASSERT_TRUE(backend->submit_chain(chain));
  ASSERT_TRUE(backend->cancel(nops[2]));
  expect_status(LoopStatus::kHadEvents, backend->loop());
  EXPECT_EQ(1, nops[0].completed);
  EXPECT_EQ(1, nops[1].completed);
  EXPECT_EQ(1, nops[2].cancelled_times);
  EXPECT_EQ(1, nops[3].cancelled_times);
}

TEST(BackendChain, LongerThanTheSqIsRefused) {
  auto backend = make_backend({.capacity = 16, .sq_entries = 8});
  std::array<CountingNop, 9> nops;
  std::array<Operation*, 9> chain;
  for (std::size_t index = 0; index < nops.size(); ++index) chain[index] = &nops[index];
  EXPECT_TRUE(backend->submit_chain(chain).error() == std::errc::argument_list_too_long);
  EXPECT_FALSE(nops[0].in_flight());
}

TEST(BackendFdEvent, PersistentIsToldUntilDrained) {
  auto backend = make_backend();
  Pipe pipe;
  int told = 0;
  FdEvent event(*backend, pipe.read_end(), {.read = true, .persistent = true}, [&](Readiness ready) {
    EXPECT_TRUE(ready.read);
    EXPECT_FALSE(ready.write);
    if (++told < 3) return;
    char byte;
    EXPECT_EQ(1, ::read(pipe.read_end(), &byte, 1));
    ASSERT_TRUE(event.remove());
  });
  ASSERT_TRUE(event.add());
  ASSERT_TRUE(event.add());
  pipe.put("x");
  expect_status(LoopStatus::kHadEvents, backend->loop());
  EXPECT_EQ(3, told);
  EXPECT_TRUE(event.remove().error() == std::errc::no_such_file_or_directory);
}

TEST(BackendFdEvent, HangUpIsToldToWhoeverAskedForEither) {
  auto backend = make_backend();
  Pipe pipe;
  int told = 0;
  FdEvent reader(*backend, pipe.read_end(), {.read = true}, [&](Readiness ready) {
    EXPECT_TRUE(ready.read && ready.hang_up);
    ++told;
  });
  ASSERT_TRUE(reader.add());
  pipe.close_write();
  expect_status(LoopStatus::kHadEvents, backend->loop());
  EXPECT_EQ(1, told);
}

TEST(BackendFdEvent, BadDescriptorIsReportedAndOver) {
  auto backend = make_backend();
  Readiness seen;
  FdEvent event(*backend, 12345, {.read = true, .persistent = true}, [&](Readiness ready) { seen = ready; });
  ASSERT_TRUE(event.add());
  expect_status(LoopStatus::kHadEvents, backend->loop());
  EXPECT_EQ(-EBADF, seen.error);
  EXPECT_FALSE(event.added());
}

TEST(BackendFdEvent, MayBeDestroyedByItsOwnCallback) {
  auto backend = make_backend();
  Pipe pipe;
  pipe.put("x");
  std::unique_ptr<FdEvent> event;
  const std::string captured = "still alive after the event is gone";
  event = std::make_unique<FdEvent>(*backend, pipe.read_end(), FdInterest{.read = true, .persistent = true},
                                    [&event, captured](Readiness) {
                                      event.reset();
                                      EXPECT_EQ("still alive after the event is gone", captured);
                                    });
  ASSERT_TRUE(event->add());
  expect_status(LoopStatus::kHadEvents, backend->loop());
  EXPECT_EQ(nullptr, event);
}

TEST(BackendFdEvent, TimeoutComesFirst) {
  auto backend = make_backend();
  Pipe pipe;
  int timeouts = 0;
  FdEvent event(*backend, pipe.read_end(), {.read = true}, [&](Readiness ready) {
    EXPECT_TRUE(ready.timed_out && !ready.read);
    ++timeouts;
  });
  ASSERT_TRUE(event.add(1ms));
  expect_status(LoopStatus::kHadEvents, backend->loop());
  EXPECT_EQ(1, timeouts);
}

TEST(BackendFdEvent, EdgeTriggeredIsToldOnceForWhatIsNotDrained) {
  auto backend = make_backend();
  Pipe pipe;
  int told = 0;
  FdEvent event(*backend, pipe.read_end(), {.read = true, .edge_triggered = true}, [&](Readiness) { ++told; });
  ASSERT_TRUE(event.add());
  pipe.put("x");
  expect_status(LoopStatus::kHadEvents, backend->loop(LoopMode::kOnce));
  expect_status(LoopStatus::kNothingToDo, backend->loop(LoopMode::kNonblock));
  pipe.put("y");
  expect_status(LoopStatus::kHadEvents, backend->loop(LoopMode::kOnce));
  EXPECT_EQ(2, told);
}

TEST(BackendTimer, FiresInOrderAndNeverEarly) {
  auto backend = make_backend();
  std::string order;
  const auto start = backend->now();
  Timer late(*backend, [&] {
    order += 'b';
    EXPECT_GE(backend->now() - start, 3ms);
  });
  Timer early(*backend, [&] { order += 'a'; });
  ASSERT_TRUE(late.start_after(3ms));
  ASSERT_TRUE(early.start_after(1ms));
  expect_status(LoopStatus::kHadEvents, backend->loop());
  EXPECT_EQ("ab", order);
}

TEST(BackendTimer, StartAgainMovesIt) {
  auto backend = make_backend();
  int fired = 0;
  Timer timer(*backend, [&] { ++fired; });
  ASSERT_TRUE(timer.start_after(1h));
  ASSERT_TRUE(timer.start_after(1ms));
  expect_status(LoopStatus::kHadEvents, backend->loop());
  EXPECT_EQ(1, fired);
  EXPECT_FALSE(timer.stop());
}

TEST(BackendTimer, OneThatStartsItselfForNowDoesNotStarveTheTurn) {
  auto backend = make_backend();
  int fired = 0;
  Timer timer(*backend, [&] {
    if (++fired == 5) return;
    ASSERT_TRUE(timer.start_after(0ns));
  });
  ASSERT_TRUE(timer.start_after(0ns));
  expect_status(LoopStatus::kHadEvents, backend->loop(LoopMode::kNonblock));
  EXPECT_EQ(1, fired);
  expect_status(LoopStatus::kHadEvents, backend->loop());
  EXPECT_EQ(5, fired);
}

TEST(BackendSignal, TellsEveryEventOfEveryLoopAndRestoresTheDisposition) {
  struct sigaction before {};
  before.sa_handler = SIG_IGN;
  ASSERT_EQ(0, ::sigaction(SIGUSR1, &before, nullptr));
  auto first = make_backend();
  auto second = make_backend();
  int told_a = 0, told_b = 0, told_c = 0;
  SignalEvent a(*first, SIGUSR1, [&](int) { ++told_a; });
  SignalEvent b(*first, SIGUSR1, [&](int) { ++told_b; });
  SignalEvent c(*second, SIGUSR1, [&](int) { ++told_c; });
  ASSERT_TRUE(a.add() && b.add() && c.add());
  ASSERT_EQ(0, ::raise(SIGUSR1));
  expect_status(LoopStatus::kHadEvents, first->loop(LoopMode::kOnce));
  expect_status(LoopStatus::kHadEvents, second->loop(LoopMode::kOnce));
  ASSERT_TRUE(a.remove());
  ASSERT_EQ(0, ::raise(SIGUSR1));
  expect_status(LoopStatus::kHadEvents, first->loop(LoopMode::kOnce));
  EXPECT_EQ(1, told_a);
  EXPECT_EQ(2, told_b);
  EXPECT_EQ(1, told_c);
  second.reset();
  ASSERT_TRUE(b.remove());
  struct sigaction after {};
  ASSERT_EQ(0, ::sigaction(SIGUSR1, nullptr, &after));
  EXPECT_EQ(SIG_IGN, after.sa_handler);
  ::signal(SIGUSR1, SIG_DFL);
}

TEST(BackendSignal, RefusesWhatCannotBeCaught) {
  auto backend = make_backend();
  EXPECT_TRUE(SignalEvent(*backend, SIGKILL, [](int) {}).add().error() == std::errc::invalid_argument);
  EXPECT_TRUE(SignalEvent(*backend, 0, [](int) {}).add().error() == std::errc::invalid_argument);
}

TEST(BackendWake, FromAnotherThreadEndsTheWait) {
  auto backend = make_backend();
  Pipe pipe;
  FdEvent event(*backend, pipe.read_end(), {.read = true}, [](Readiness) {});
  ASSERT_TRUE(event.add());
  std::thread other([&] { backend->wake(); });
  expect_status(LoopStatus::kNothingToDo, backend->loop(LoopMode::kOnce));
  other.join();
}

TEST(BackendWake, PostedFunctionsRunInOrderOnTheLoop) {
  auto backend = make_backend();
  std::vector<int> order;
  std::thread other([&] {
    for (int number = 0; number < 100; ++number) backend->post([&order, number] { order.push_back(number); });
    backend->post([&] { backend->loop_break(); });
  });
  expect_status(LoopStatus::kHadEvents, backend->loop(LoopMode::kForever));
  other.join();
  ASSERT_EQ(100u, order.size());
  for (int number = 0; number < 100; ++number) EXPECT_EQ(number, order[static_cast<std::size_t>(number)]);
}

TEST(BackendFiles, OpenWriteReadSyncClose) {
  auto backend = make_backend();
  std::string path = ::testing::TempDir() + "assay_backend_test_XXXXXX";
  const int made = ::mkstemp(path.data());
  ASSERT_GE(made, 0);
  ::close(made);
  int fd = -1;
  backend->openat(AT_FDCWD, path, O_RDWR, 0, [&](int res) { fd = res; });
  expect_status(LoopStatus::kHadEvents, backend->loop());
  ASSERT_GE(fd, 0);
  const std::string text(100'000, 'x');
  TransferResult written;
  backend->write_all(fd, std::as_bytes(std::span(text)), 0, [&](TransferResult result) { written = result; });
  expect_status(LoopStatus::kHadEvents, backend->loop());
  EXPECT_EQ(0, written.error);
  EXPECT_EQ(text.size(), written.bytes);
  int synced = -1, data_synced = -1;
  backend->fsync(fd, [&](int res) { synced = res; });
  backend->fdatasync(fd, [&](int res) { data_synced = res; });
  std::string back(text.size() + 10, '\0');
  TransferResult read;
  backend->read_all(fd, std::as_writable_bytes(std::span(back)), 0, [&](TransferResult result) { read = result; });
  expect_status(LoopStatus::kHadEvents, backend->loop());
  EXPECT_EQ(0, synced);
  EXPECT_EQ(0, data_synced);
  EXPECT_EQ(0, read.error);
  EXPECT_EQ(text.size(), read.bytes);
  back.resize(read.bytes);
  EXPECT_EQ(text, back);
  int closed = -1;
  backend->close(fd, [&](int res) { closed = res; });
  expect_status(LoopStatus::kHadEvents, backend->loop());
  EXPECT_EQ(0, closed);
  EXPECT_EQ(-1, ::fcntl(fd, F_GETFD));
  ::unlink(path.c_str());
}

TEST(BackendFiles, ReadAllGoesOnThroughAPipe) {
  auto backend = make_backend();
  Pipe pipe;
  std::string back(8, '\0');
  TransferResult read{.bytes = 99};
  backend->read_all(pipe.read_end(), std::as_writable_bytes(std::span(back)), kCurrentPosition,
                    [&](TransferResult result) { read = result; });
  pipe.put("abc");
  expect_status(LoopStatus::kNothingToDo, backend->loop(LoopMode::kNonblock));
  pipe.put("de");
  pipe.close_write();
  expect_status(LoopStatus::kHadEvents, backend->loop());
  EXPECT_EQ(0, read.error);
  EXPECT_EQ(5u, read.bytes);
  EXPECT_EQ("abcde", back.substr(0, 5));
}

TEST(BackendDestruction, TellsEveryOperationOnce) {
  Pipe pipe;
  std::array<std::byte, 8> buffer;
  std::vector<int> in_flight, unsubmitted;
  CountingNop nop;
  {
    auto backend = make_backend({.capacity = 16, .sq_entries = 8});
    backend->read(pipe.read_end(), buffer, kCurrentPosition, [&](int res) { in_flight.push_back(res); });
    expect_status(LoopStatus::kNothingToDo, backend->loop(LoopMode::kNonblock));
    for (int count = 0; count < 20; ++count) {
      backend->read(pipe.read_end(), buffer, kCurrentPosition, [&](int res) { unsubmitted.push_back(res); });
    }
    ASSERT_TRUE(backend->submit(nop));
  }
  EXPECT_EQ(std::vector<int>{-ECANCELED}, in_flight);
  EXPECT_EQ(std::vector<int>(20, -ECANCELED), unsubmitted);
  EXPECT_EQ(1, nop.cancelled_times);
  EXPECT_EQ(-ECANCELED, nop.last_res);
}

TEST(BackendDestruction, OfALoopThatNeverRan) {
  for (const bool defer : {false, true}) {
    CountingNop nop;
    auto backend = make_backend({.defer_taskrun = defer});
    FdEvent event(*backend, 0, {.read = true}, [](Readiness) {});
    Timer timer(*backend, [] {});
    ASSERT_TRUE(event.add());
    ASSERT_TRUE(timer.start_after(1s));
    ASSERT_TRUE(backend->submit(nop));
    backend.reset();
    EXPECT_EQ(1, nop.cancelled_times);
    EXPECT_TRUE(timer.start_after(1s).error() == std::errc::operation_canceled);
    EXPECT_TRUE(event.add().error() == std::errc::operation_canceled);
  }
}

/// In every order of four, of which each number go before the backend does and the others after it.
TEST(BackendDestruction, WhatIsAttachedMayGoInAnyOrder) {
  std::array<unsigned, 4> order{0, 1, 2, 3};
  do {
    for (std::size_t before = 0; before <= order.size(); ++before) {
      auto backend = make_backend();
      std::array<std::optional<Timer>, 4> timers;
      for (auto& timer : timers) {
        timer.emplace(*backend, [] {});
        ASSERT_TRUE(timer->start_after(1h));
      }
      for (std::size_t gone = 0; gone < before; ++gone) timers[order[gone]].reset();
      backend.reset();
      for (auto& timer : timers) {
        EXPECT_TRUE(!timer || timer->start_after(1s).error() == std::errc::operation_canceled);
      }
    }
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST(BackendDestruction, OperationsThatComeBackAreToldToo) {
  int told = 0;
  auto backend = make_backend();
  Backend* raw = backend.get();
  std::function<void(int)> again = [&](int res) {
    EXPECT_EQ(-ECANCELED, res);
    if (++told < 3) raw->fsync(0, again);
  };
  raw->fsync(0, again);
  backend.reset();
  EXPECT_EQ(3, told);
}

TEST(BackendOptionsTest, DeferTaskrunRunsOnTheThreadOfItsFirstRun) {
  auto backend = make_backend({.defer_taskrun = true, .register_ring_fd = true});
  CountingNop nop;
  ASSERT_TRUE(backend->submit_now(nop));
  std::thread other([&] { expect_status(LoopStatus::kHadEvents, backend->loop()); });
  other.join();
  EXPECT_EQ(1, nop.completed);
  EXPECT_TRUE(backend->loop().error() == std::errc::file_exists);
}

TEST(BackendOptionsTest, HalvesTheCapacityDownToTheLeast) {
  auto backend = make_backend({.capacity = 1 << 20, .min_capacity = 64});
  EXPECT_EQ(1u << 16, backend->ring().cq_entries());
  ASSERT_EQ(1u, backend->unmet_options().size());
  EXPECT_EQ(0u, backend->unmet_options()[0].find("capacity: 65536 instead of 1048576"));
  EXPECT_FALSE(Backend::create(LinuxKernel::instance(), {.capacity = 1 << 20}).has_value());
}

TEST(BackendOptionsTest, PollSqCompletesEverything) {
  auto backend = make_backend({.capacity = 64, .sq_entries = 16, .poll_sq = true, .sq_idle = 1ms});
  std::vector<CountingNop> nops(500);
  for (CountingNop& nop : nops) ASSERT_TRUE(backend->submit(nop));
  expect_status(LoopStatus::kHadEvents, backend->loop());
  for (CountingNop& nop : nops) ASSERT_EQ(1, nop.completed);
}

}  // namespace
}  // namespace assay
