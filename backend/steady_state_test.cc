// In the long run the loop allocates nothing: what an operation needs is kept and used again. This program has global
// operators new of its own, which count.

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <functional>
#include <new>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "assay/backend/backend.h"
#include "assay/backend/linux_kernel.h"

namespace {

std::atomic<std::size_t> allocations{0};

void* counted(std::size_t bytes, std::size_t alignment) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  // As aligned_alloc wants it, the size is a multiple of the alignment.
  void* memory = alignment <= alignof(std::max_align_t)
                     ? std::malloc(bytes != 0 ? bytes : 1)
                     : std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

// The others (arrays, nothrow) are the library's, which call these. None is inlined: GCC, which then sees a free() of
// what a plain `new` gave, would warn of a mismatch.
[[gnu::noinline]] void* operator new(std::size_t bytes) { return counted(bytes, 1); }
[[gnu::noinline]] void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return counted(bytes, static_cast<std::size_t>(alignment));
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

namespace assay {
namespace {

using namespace std::chrono_literals;

constexpr int kRounds = 1000;

class SteadyState : public ::testing::Test {
 protected:
  SteadyState() {
    auto made = Backend::create(LinuxKernel::instance(), {.capacity = 64, .sq_entries = 32});
    EXPECT_TRUE(made.has_value()) << made.error().message();
    backend_ = std::move(made).value();
  }

  /// Allocations in a thousand rounds, after as many that may allocate. A round runs the loop until all is told.
  template <typename Round>
  std::size_t allocations_of(Round round) {
    for (int count = 0; count < kRounds; ++count) round();
    const std::size_t before = allocations.load();
    for (int count = 0; count < kRounds; ++count) round();
    return allocations.load() - before;
  }
  void run_until(const bool& done) {
    while (!done) {
      const auto status = backend_->loop(LoopMode::kOnce);
      ASSERT_TRUE(status.has_value()) << status.error().message();
      ASSERT_TRUE(done || *status != LoopStatus::kNoEvents);
    }
  }
  /// A round of one operation: `start(done)` starts it, and its result must be this.
  template <typename Start>
  std::size_t allocations_of_operation(int expected, Start start) {
    return allocations_of([&] {
      bool done = false;
      start(ResultCallback([&done, expected](int res) {
        done = true;
        // EXPECT_EQ itself allocates nothing unless it fails.
        EXPECT_EQ(expected, res);
      }));
      run_until(done);
    });
  }

  std::unique_ptr<Backend> backend_;
};

class Nop final : public Operation {
 public:
  bool done = false;

 private:
  void prepare(io_uring_sqe& sqe) override { io_uring_prep_nop(&sqe); }
  void complete(const Completion& completion) override {
    EXPECT_EQ(0, completion.res);
    done = true;
  }
};

class Contents {
 public:
  Contents() : fd_(::memfd_create("steady_state_test", MFD_CLOEXEC)) { EXPECT_EQ(8, ::pwrite(fd_, "contents", 8, 0)); }
  ~Contents() { ::close(fd_); }
  int fd() const { return fd_; }

 private:
  int fd_;
};

class Sockets {
 public:
  Sockets() { EXPECT_EQ(0, ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds_.data())); }
  ~Sockets() {
    ::close(fds_[0]);
    ::close(fds_[1]);
  }
  int near() const { return fds_[0]; }
  int far() const { return fds_[1]; }

 private:
  std::array<int, 2> fds_{-1, -1};
};

TEST_F(SteadyState, TheCounterCounts) {
  std::vector<int> numbers;
  EXPECT_EQ(static_cast<std::size_t>(kRounds), allocations_of([&] { numbers = std::vector<int>(7); }));
}

TEST_F(SteadyState, OperationsOfOnesOwn) {
  // More at a time than the rings have room for.
  std::vector<std::unique_ptr<Nop>> nops;
  for (int count = 0; count < 100; ++count) nops.push_back(std::make_unique<Nop>());
  EXPECT_EQ(0u, allocations_of([&] {
              for (const auto& nop : nops) {
                nop->done = false;
                ASSERT_TRUE(backend_->submit(*nop));
              }
              for (const auto& nop : nops) run_until(nop->done);
            }));
}

TEST_F(SteadyState, TransfersOfFiles) {
  const Contents file;
  std::array<std::byte, 8> buffer;
  const iovec vectors[] = {{buffer.data(), 4}, {buffer.data() + 4, 4}};
  EXPECT_EQ(0u, allocations_of_operation(
                    8, [&](ResultCallback done) { backend_->read(file.fd(), buffer, 0, std::move(done)); }));
  EXPECT_EQ(0u, allocations_of_operation(
                    8, [&](ResultCallback done) { backend_->write(file.fd(), buffer, 0, std::move(done)); }));
  EXPECT_EQ(0u, allocations_of_operation(
                    8, [&](ResultCallback done) { backend_->readv(file.fd(), vectors, 0, std::move(done)); }));
  EXPECT_EQ(0u, allocations_of([&] {
              bool done = false;
              backend_->read_all(file.fd(), buffer, 0, [&](TransferResult result) {
                EXPECT_EQ(8u, result.bytes);
                done = true;
              });
              run_until(done);
            }));
}

TEST_F(SteadyState, PathsAreKeptInWhatIsThere) {
  std::string path = ::testing::TempDir() + "assay_steady_state_XXXXXX";
  ::close(::mkstemp(path.data()));
  struct statx status {};
  EXPECT_EQ(0u, allocations_of_operation(0, [&](ResultCallback done) {
              backend_->statx(AT_FDCWD, path, 0, STATX_SIZE, &status, std::move(done));
            }));
  EXPECT_EQ(0u, allocations_of([&] {
              bool done = false;
              backend_->openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0, [&](int fd) {
                backend_->close(fd, [&done](int res) {
                  EXPECT_EQ(0, res);
                  done = true;
                });
              });
              run_until(done);
            }));
  ::unlink(path.c_str());
}

TEST_F(SteadyState, SocketsThatWait) {
  const Sockets sockets;
  std::array<std::byte, 4> in, out{};
  iovec vector{.iov_base = in.data(), .iov_len = in.size()};
  msghdr message{};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  EXPECT_EQ(0u, allocations_of([&] {
              bool received = false, sent = false;
              backend_->recv(sockets.far(), in, 0, [&](int res) { received = res == 4; });
              backend_->send(sockets.near(), out, 0, [&](int res) { sent = res == 4; });
              run_until(received);
              run_until(sent);
              received = sent = false;
              backend_->recvmsg(sockets.far(), message, 0, [&](int res) { received = res == 4; });
              backend_->sendmsg(sockets.near(), message, 0, [&](int res) { sent = res == 4; });
              run_until(received);
              run_until(sent);
            }));
}

TEST_F(SteadyState, ReceivesThatGoOn) {
  const Sockets sockets;
  auto pool = BufferPool::create(*backend_, {.count = 4, .bytes = 64});
  ASSERT_TRUE(pool.has_value()) << pool.error().message();
  bool came = false;
  backend_->recv_each(sockets.near(), *pool, 0, [&came](int res, ProvidedBuffer, bool more) {
    EXPECT_TRUE(more ? res == 5 : res <= 0) << res;
    came = true;
  });
  std::array<std::byte, 16> memory{};
  bool came_to_own = false;
  const Sockets others;
  backend_->recv_each(
      others.near(), [&memory] { return std::span<std::byte>(memory); }, 0,
      [&came_to_own](int res, bool more) {
        EXPECT_TRUE(more ? res == 5 : res <= 0) << res;
        came_to_own = true;
      });
  EXPECT_EQ(0u, allocations_of([&] {
              came = came_to_own = false;
              EXPECT_EQ(5, ::write(sockets.far(), "bytes", 5));
              EXPECT_EQ(5, ::write(others.far(), "bytes", 5));
              run_until(came);
              run_until(came_to_own);
            }));
  // Whose end both are told of, while what they write to is still there.
  backend_.reset();
}

TEST_F(SteadyState, OneRequestReceivesAll) {
  const Sockets sockets;
  auto pool = BufferPool::create(*backend_, {.count = 4, .bytes = 64});
  ASSERT_TRUE(pool.has_value()) << pool.error().message();
  // The table of ways has been asked the same.
  EXPECT_EQ(pool->in_kernel(), pool->reason().empty());
  if (!pool->in_kernel()) GTEST_SKIP() << pool->reason();
  bool came = false;
  backend_->recv_each(sockets.near(), *pool, 0, [&came](int, ProvidedBuffer, bool) { came = true; });
  std::uint64_t submitted = 0;
  for (int round = 0; round < kRounds; ++round) {
    came = false;
    EXPECT_EQ(1, ::write(sockets.far(), "x", 1));
    run_until(came);
    if (round == 0) submitted = backend_->counters().requests.submitted;
  }
  // What wakes the loop may have been armed again.
  EXPECT_LE(backend_->counters().requests.submitted - submitted, 2u);
  backend_.reset();
}

TEST_F(SteadyState, WhatIsCancelled) {
  const Sockets sockets;
  std::array<std::byte, 4> buffer;
  EXPECT_EQ(0u, allocations_of([&] {
              bool done = false;
              const OperationHandle handle = backend_->recv(sockets.far(), buffer, 0, [&](int res) {
                EXPECT_EQ(-ECANCELED, res);
                done = true;
              });
              ASSERT_TRUE(backend_->loop(LoopMode::kNonblock).has_value());
              ASSERT_TRUE(backend_->cancel(handle).has_value());
              run_until(done);
            }));
}

TEST_F(SteadyState, WhatEndsWithoutTheKernel) {
  const Contents file;
  EXPECT_EQ(0u, allocations_of([&] {
              bool done = false;
              backend_->read_all(file.fd(), {}, 0, [&](TransferResult result) {
                EXPECT_EQ(0, result.error);
                done = true;
              });
              run_until(done);
            }));
}

TEST_F(SteadyState, EventsOfDescriptors) {
  const int fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  const std::uint64_t one = 1;
  std::uint64_t count = 0;
  bool told = false;
  const auto drain = [&](Readiness) {
    EXPECT_EQ(static_cast<ssize_t>(sizeof count), ::read(fd, &count, sizeof count));
    told = true;
  };
  {
    FdEvent oneshot(*backend_, fd, {.read = true}, drain);
    EXPECT_EQ(0u, allocations_of([&] {
                told = false;
                ASSERT_TRUE(oneshot.add().has_value());
                ASSERT_EQ(static_cast<ssize_t>(sizeof one), ::write(fd, &one, sizeof one));
                run_until(told);
              }));
  }
  FdEvent persistent(*backend_, fd, {.read = true, .persistent = true}, drain);
  ASSERT_TRUE(persistent.add().has_value());
  EXPECT_EQ(0u, allocations_of([&] {
              told = false;
              ASSERT_EQ(static_cast<ssize_t>(sizeof one), ::write(fd, &one, sizeof one));
              run_until(told);
            }));
  ASSERT_TRUE(persistent.remove().has_value());
  ::close(fd);
}

TEST_F(SteadyState, TimersAndTimeouts) {
  bool told = false;
  Timer timer(*backend_, [&] { told = true; });
  EXPECT_EQ(0u, allocations_of([&] {
              told = false;
              ASSERT_TRUE(timer.start_after(1us).has_value());
              run_until(told);
            }));
  EXPECT_EQ(0u,
            allocations_of_operation(-ETIME, [&](ResultCallback done) { backend_->timeout(1us, std::move(done)); }));
}

TEST_F(SteadyState, FunctionsThatArePosted) {
  EXPECT_EQ(0u, allocations_of([&] {
              bool told = false;
              backend_->post([&] { told = true; });
              run_until(told);
            }));
}

}  // namespace
}  // namespace assay
