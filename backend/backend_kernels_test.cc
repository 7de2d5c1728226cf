// The backend on simulated kernels of other ages, and on kernels that do what they legally may.

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <array>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "assay/backend/backend.h"
#include "assay/faultinject/kernel_stack.h"
#include "assay/faultinject/ledger.h"

namespace assay {
namespace {

using namespace std::chrono_literals;

std::unique_ptr<KernelStack> open_stack(const std::string& kernel, const std::string& plan = "") {
  auto stack = open_kernel_stack({.kernel = kernel, .plan = plan});
  EXPECT_TRUE(stack.has_value()) << stack.error().message();
  return std::move(stack).value();
}

struct Pipe {
  Pipe() { EXPECT_EQ(0, ::pipe2(ends, O_CLOEXEC)); }
  ~Pipe() {
    ::close(ends[0]);
    ::close(ends[1]);
  }
  int ends[2];
};

// Calls a function to fill its SQE and collects its results.
class Recorded final : public Operation {
 public:
  explicit Recorded(std::function<void(io_uring_sqe&)> fill) : fill_(std::move(fill)) {}
  std::vector<int> results;
  std::function<void()> then;

 private:
  void prepare(io_uring_sqe& sqe) override { fill_(sqe); }
  void complete(const Completion& completion) override {
    results.push_back(completion.res);
    if (then) then();
  }
  std::function<void(io_uring_sqe&)> fill_;
};

std::function<void(io_uring_sqe&)> poll_of(int fd) {
  return [fd](io_uring_sqe& sqe) { io_uring_prep_poll_add(&sqe, fd, POLL_IN); };
}

std::function<void(io_uring_sqe&)> nop() {
  return [](io_uring_sqe& sqe) { io_uring_prep_nop(&sqe); };
}

std::unique_ptr<Backend> make_backend(KernelStack& stack, const BackendOptions& options = {}) {
  auto backend = Backend::create(stack.top(), options);
  EXPECT_TRUE(backend.has_value()) << backend.error().message();
  return std::move(backend).value();
}

unsigned open_descriptors() {
  unsigned count = 0;
  // Those that a simulated kernel holds for its requests and rings are numbered higher.
  for (int fd = 0; fd < 256; ++fd) count += ::fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
  return count;
}

const char* const kKernels[] = {"sim:linux-5.4,strict", "sim:linux-5.10.0,strict", "sim:linux-6.12.0,strict", "linux"};

// -EBADR came with 5.19.
bool says_ebadr(std::string_view kernel) { return kernel != kKernels[0] && kernel != kKernels[1]; }

class OnKernel : public ::testing::TestWithParam<const char*> {};

std::string kernel_name(const ::testing::TestParamInfo<const char*>& tested) {
  std::string name;
  for (const char letter : std::string_view(tested.param)) {
    if (std::isalnum(static_cast<unsigned char>(letter))) name += letter;
  }
  return name;
}

INSTANTIATE_TEST_SUITE_P(BackendKernels, OnKernel, ::testing::ValuesIn(kKernels), kernel_name);

TEST_P(OnKernel, IdleReadsEndWithTheBackend) {
  auto stack = open_stack(GetParam());
  Pipe pipe;
  std::array<std::byte, 4> buffer;
  std::vector<int> results;
  auto backend = make_backend(*stack);
  for (int count = 0; count < 3; ++count) {
    backend->read(pipe.ends[0], buffer, kCurrentPosition, [&](int res) { results.push_back(res); });
  }
  backend->read_all(pipe.ends[0], buffer, kCurrentPosition, [&](TransferResult result) {
    EXPECT_EQ(0u, result.bytes);
    results.push_back(result.error);
  });
  ASSERT_TRUE(backend->loop(LoopMode::kNonblock));
  ASSERT_TRUE(results.empty());
  backend.reset();
  EXPECT_EQ(std::vector<int>(4, -ECANCELED), results);
}

TEST_P(OnKernel, AnIdleReadIsCancelled) {
  auto stack = open_stack(GetParam());
  Pipe pipe;
  std::array<std::byte, 4> buffer;
  std::vector<int> results;
  auto backend = make_backend(*stack);
  const OperationHandle handle =
      backend->read(pipe.ends[0], buffer, kCurrentPosition, [&](int res) { results.push_back(res); });
  ASSERT_TRUE(backend->loop(LoopMode::kNonblock));
  ASSERT_TRUE(backend->cancel(handle));
  ASSERT_TRUE(backend->loop());
  EXPECT_EQ(std::vector<int>{-ECANCELED}, results);
}

TEST_P(OnKernel, TransfersAndDescriptorsAreTheSameEverywhere) {
  auto stack = open_stack(GetParam());
  std::string path = ::testing::TempDir() + "assay_backend_kernels_XXXXXX";
  ::close(::mkstemp(path.data()));
  auto backend = make_backend(*stack);
  const unsigned before = open_descriptors();
  int fd = -1;
  backend->openat(AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0, [&](int res) { fd = res; });
  ASSERT_EQ(-1, fd) << "a callback never runs inside the call";
  ASSERT_TRUE(backend->loop());
  ASSERT_GE(fd, 0);
  const std::string text(10'000, 'q');
  TransferResult written, read;
  std::string back(20'000, '-');
  backend->write_all(fd, std::as_bytes(std::span(text)), 0, [&](TransferResult result) { written = result; });
  ASSERT_TRUE(backend->loop());
  backend->read_all(fd, std::as_writable_bytes(std::span(back)), 0, [&](TransferResult result) { read = result; });
  ASSERT_TRUE(backend->loop());
  EXPECT_EQ(0, written.error);
  EXPECT_EQ(0, read.error);
  EXPECT_EQ(text, back.substr(0, read.bytes));
  int closed = -1, missing = 0;
  backend->close(fd, [&](int res) { closed = res; });
  backend->openat(AT_FDCWD, path + "/not-there", O_RDONLY, 0, [&](int res) { missing = res; });
  ASSERT_TRUE(backend->loop());
  EXPECT_EQ(0, closed);
  EXPECT_EQ(-ENOTDIR, missing);
  EXPECT_EQ(before, open_descriptors());
  ::unlink(path.c_str());
}

TEST_P(OnKernel, CreationThatFailsNamesTheCallAndLeavesNothing) {
  struct Case {
    const char* plan;
    std::errc code;
    bool unavailable;
    const char* call;
  };
  for (const Case& c : {Case{"setup/enosys", std::errc::function_not_supported, true, "io_uring_setup"},
                        Case{"setup/eperm", std::errc::operation_not_permitted, true, "io_uring_setup"},
                        Case{"setup/enomem", std::errc::not_enough_memory, false, "io_uring_setup"},
                        Case{"map/enomem:nth=1", std::errc::not_enough_memory, false, "mmap"},
                        Case{"map/enomem:nth=2", std::errc::not_enough_memory, false, "mmap"}}) {
    auto stack = open_stack(GetParam(), c.plan);
    const unsigned before = open_descriptors();
    auto backend = Backend::create(stack->top(), {.defer_taskrun = true});
    ASSERT_FALSE(backend.has_value()) << c.plan;
    EXPECT_TRUE(backend.error() == c.code) << c.plan;
    EXPECT_EQ(c.unavailable, Backend::is_unavailable(backend.error())) << c.plan;
    EXPECT_EQ(0u, backend.error().message().find(c.call)) << backend.error().message();
    EXPECT_EQ(before, open_descriptors()) << c.plan;
  }
}

TEST_P(OnKernel, WantOfMemoryIsMetWithASmallerRing) {
  auto stack = open_stack(GetParam(), "setup/enomem:to=2");
  auto backend = make_backend(*stack, {.capacity = 64, .min_capacity = 8});
  EXPECT_EQ(16u, backend->ring().cq_entries());
  EXPECT_EQ("capacity: 16 instead of 64", backend->unmet_options().back().substr(0, 26));
  Recorded one(nop());
  ASSERT_TRUE(backend->submit(one));
  ASSERT_TRUE(backend->loop());
  EXPECT_EQ(std::vector<int>{0}, one.results);
}

TEST_P(OnKernel, ChainsThatTheKernelCutsAreMended) {
  // The chain is a write, a read of what was written, and a NOP; taken one by one, the read would start without the
  // write being over unless it was held back. The first fails in the second round, and must take the rest with it.
  for (const char* plan : {"enter/take:k=1", "enter/take:k=2", "enter/take:k=3"}) {
    auto stack = open_stack(GetParam(), plan);
    Pipe pipe;
    auto backend = make_backend(*stack);
    char text[4] = {'a', 'b', 'c', 'd'};
    char back[4] = {};
    iovec from{text, 4}, to{back, 4};
    Recorded write([&](io_uring_sqe& sqe) { io_uring_prep_writev(&sqe, pipe.ends[1], &from, 1, 0); });
    Recorded read([&](io_uring_sqe& sqe) { io_uring_prep_readv(&sqe, pipe.ends[0], &to, 1, 0); });
    Recorded last(nop());
    last.then = [&] { EXPECT_EQ(1u, read.results.size()); };
    std::array<Operation*, 3> chain{&write, &read, &last};
    ASSERT_TRUE(backend->submit_chain(chain));
    ASSERT_TRUE(backend->loop());
    EXPECT_EQ(std::vector<int>{4}, write.results) << plan;
    EXPECT_EQ(std::vector<int>{4}, read.results) << plan;
    EXPECT_EQ(std::vector<int>{0}, last.results) << plan;
    EXPECT_EQ(0, std::memcmp(text, back, 4)) << plan;

    // Ends with what it can get, which is less than was asked for, and so cuts the chain.
    iovec more{back, 4};
    ASSERT_EQ(2, ::write(pipe.ends[1], "xy", 2));
    Recorded short_read([&](io_uring_sqe& sqe) { io_uring_prep_readv(&sqe, pipe.ends[0], &more, 1, 0); });
    std::array<Operation*, 3> cut{&short_read, &read, &last};
    read.results.clear();
    last.results.clear();
    ASSERT_TRUE(backend->submit_chain(cut));
    ASSERT_TRUE(backend->loop());
    EXPECT_EQ(std::vector<int>{2}, short_read.results) << plan;
    EXPECT_EQ(std::vector<int>{-ECANCELED}, read.results) << plan;
    EXPECT_EQ(std::vector<int>{-ECANCELED}, last.results) << plan;
    EXPECT_EQ(0u, backend->counters().requests.late_completions);
  }
}

TEST_P(OnKernel, ChainsThatTheKernelCutsMayBeCancelledAndDestroyed) {
  for (const bool cancels : {true, false}) {
    auto stack = open_stack(GetParam(), "enter/take:k=2");
    Pipe pipe;
    Recorded first(poll_of(pipe.ends[0])), second(nop()), third(nop());
    std::array<Operation*, 3> chain{&first, &second, &third};
    auto backend = make_backend(*stack);
    ASSERT_TRUE(backend->submit_chain(chain));
    for (int turn = 0; turn < 4; ++turn) ASSERT_TRUE(backend->loop(LoopMode::kNonblock));
    ASSERT_TRUE(second.in_flight());
    if (cancels) {
      ASSERT_TRUE(backend->cancel(third));
      ASSERT_EQ(1, ::write(pipe.ends[1], "x", 1));
      ASSERT_TRUE(backend->loop());
      EXPECT_EQ(1u, second.results.size());
      EXPECT_EQ(std::vector<int>{-ECANCELED}, third.results);
      EXPECT_EQ(POLL_IN, first.results.at(0) & POLL_IN);
    } else {
      backend.reset();
      EXPECT_EQ(std::vector<int>{-ECANCELED}, first.results);
      EXPECT_EQ(std::vector<int>{-ECANCELED}, second.results);
      EXPECT_EQ(std::vector<int>{-ECANCELED}, third.results);
    }
  }
}

class OnKernelThatDrops : public OnKernel {};

INSTANTIATE_TEST_SUITE_P(BackendKernels, OnKernelThatDrops, ::testing::Values(kKernels[2], kKernels[3]), kernel_name);

TEST_P(OnKernelThatDrops, EndsEverythingOnceAndTheLoopGoesOn) {
  auto stack = open_stack(GetParam(), "enter/ebadr:nth=1");
  Pipe pipe;
  auto backend = make_backend(*stack, {.when_dropped = WhenDropped::kEndAll});
  Recorded poll(poll_of(pipe.ends[0]));
  int told = 0;
  FdEvent event(*backend, pipe.ends[0], {.read = true, .persistent = true}, [&](Readiness) {
    ++told;
    ASSERT_TRUE(event.remove());
  });
  ASSERT_TRUE(backend->submit(poll));
  ASSERT_TRUE(event.add());
  const auto status = backend->loop();
  ASSERT_FALSE(status.has_value());
  EXPECT_EQ(EBADR, status.error().code.value());
  EXPECT_EQ(std::vector<int>{-EBADR}, poll.results);
  // What the kernel says of that poll now concerns nobody, least of all whoever has its slot.
  Recorded again(poll_of(pipe.ends[0]));
  ASSERT_TRUE(backend->submit(again));
  ASSERT_EQ(1, ::write(pipe.ends[1], "x", 1));
  const auto next = backend->loop();
  ASSERT_TRUE(next.has_value()) << next.error().message();
  EXPECT_EQ(1u, again.results.size());
  EXPECT_EQ(1, told);
  EXPECT_EQ(std::vector<int>{-EBADR}, poll.results);
}

TEST_P(OnKernelThatDrops, WhatSubmitsItselfAgainIsNotToldOfItsFirstRequest) {
  auto stack = open_stack(GetParam(), "enter/ebadr:nth=1");
  Pipe first;
  Pipe second;
  auto backend = make_backend(*stack, {.when_dropped = WhenDropped::kEndAll});
  int fd = first.ends[0];
  Recorded poll([&fd](io_uring_sqe& sqe) { io_uring_prep_poll_add(&sqe, fd, POLL_IN); });
  poll.then = [&] {
    if (poll.results.size() > 1) return;
    fd = second.ends[0];
    ASSERT_TRUE(backend->submit(poll));
  };
  ASSERT_TRUE(backend->submit(poll));
  ASSERT_FALSE(backend->loop().has_value());
  ASSERT_EQ(std::vector<int>{-EBADR}, poll.results);
  // The kernel still polls the first pipe, or ends that poll with -ECANCELED.
  ASSERT_EQ(1, ::write(first.ends[1], "x", 1));
  for (int turn = 0; turn < 3; ++turn) ASSERT_TRUE(backend->loop(LoopMode::kNonblock));
  EXPECT_EQ(std::vector<int>{-EBADR}, poll.results);
  ASSERT_EQ(1, ::write(second.ends[1], "x", 1));
  ASSERT_TRUE(backend->loop());
  EXPECT_EQ((std::vector<int>{-EBADR, POLL_IN}), poll.results);
}

// With MSG_TRUNC the kernel's result is the datagram's whole length, which the buffer does not have. One that is kept
// while the buffer before it in memory is filled anew shows whoever writes beyond that.
void receives_cut_datagrams(const std::string& kernel, const std::string& plan) {
  constexpr std::size_t kBytes = 128;
  auto stack = open_stack(kernel, plan);
  int ends[2];
  ASSERT_EQ(0, ::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends));
  {
    auto backend = make_backend(*stack);
    auto pool = BufferPool::create(*backend, {.count = 2, .bytes = kBytes});
    ASSERT_TRUE(pool) << pool.error().message();
    unsigned told = 0;
    const auto send_and_wait = [&](char letter) {
      const std::string sent(3 * kBytes, letter);
      const unsigned before = told;
      ASSERT_EQ(static_cast<ssize_t>(sent.size()), ::send(ends[1], sent.data(), sent.size(), 0));
      while (told == before) ASSERT_TRUE(backend->loop(LoopMode::kOnce));
    };
    const auto text = [](std::span<const std::byte> bytes) {
      return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    };
    const std::size_t payload = kBytes - sizeof(io_uring_recvmsg_out) - 16;

    std::map<const std::byte*, ReceivedMessage> kept;
    const OperationHandle handle =
        backend->recvmsg_each(ends[0], *pool, {.control = 16}, MSG_TRUNC, [&](int, ReceivedMessage message, bool more) {
          if (!more) return;
          const std::byte* place = message.payload().data();
          kept.emplace(place, std::move(message));
          ++told;
        });
    send_and_wait('a');
    send_and_wait('b');
    ASSERT_EQ(kept.size(), 2u);
    kept.erase(kept.begin());
    const std::string last = text(kept.begin()->second.payload());
    EXPECT_THAT(last, testing::AnyOf(std::string(payload, 'a'), std::string(payload, 'b')));
    send_and_wait('c');
    ASSERT_EQ(kept.size(), 2u);
    EXPECT_EQ(text(kept.begin()->second.payload()), std::string(payload, 'c'));
    EXPECT_EQ(text(kept.rbegin()->second.payload()), last) << "written over by what came into the buffer before it";
    kept.clear();
    ASSERT_TRUE(backend->cancel(handle));
    ASSERT_TRUE(backend->loop());

    std::string whole;
    backend->recv_each(ends[0], *pool, MSG_TRUNC, [&](int, ProvidedBuffer buffer, bool more) {
      if (!more) return;
      whole = text(buffer.data());
      ++told;
    });
    send_and_wait('d');
    EXPECT_EQ(whole, std::string(kBytes, 'd'));
  }
  for (const int end : ends) ::close(end);
}

TEST_P(OnKernel, DatagramsThatAreAskedForByTheirLengthAreCut) { receives_cut_datagrams(GetParam(), ""); }

TEST(BackendReceives, CutDatagramsWhereTheMultishotRequestIsRefused) {
  receives_cut_datagrams(kKernels[2], "cqe/refused:nth=1:op=RECVMSG");
}

TEST_P(OnKernel, RefusalsWithNothingInFlightAreNoReasonToHang) {
  for (const char* plan : {"enter/eagain:to=5", "enter/ebusy:to=5", "enter/eintr:to=5"}) {
    auto stack = open_stack(GetParam(), plan);
    auto backend = make_backend(*stack);
    Recorded one(nop());
    ASSERT_TRUE(backend->submit(one));
    const auto status = backend->loop();
    ASSERT_TRUE(status.has_value()) << status.error().message();
    EXPECT_EQ(std::vector<int>{0}, one.results) << plan;
  }
}

TEST(BackendDestruction, IsNotOverAtAnErrorOfEnter) {
  unsigned fired = 0;
  for (int nth = 1; nth <= 6; ++nth) {
    auto stack = open_stack("sim:linux-6.12.0,strict", "enter/errno:errno=EFAULT:nth=" + std::to_string(nth));
    LedgerKernel ledger(stack->top());
    Pipe pipe;
    std::array<std::byte, 4> buffer;
    {
      auto backend = Backend::create(ledger);
      ASSERT_TRUE(backend) << backend.error().message();
      (*backend)->read(pipe.ends[0], buffer, kCurrentPosition, [](int) {});
      (void)(*backend)->loop(LoopMode::kNonblock);
    }
    const LedgerReport report = ledger.finish();
    // Of the read and of the poll that wakes the loop; cancelations that succeed say nothing.
    EXPECT_EQ(report.completions, 2u) << "error at enter " << nth;
    fired += stack->report().firings_of(FaultPointId::kEnterErrno) != 0 ? 1 : 0;
  }
  EXPECT_GE(fired, 3u) << "in the destruction, too";
}

TEST_P(OnKernel, DestructionSurvivesRefusals) {
  for (const char* plan : {"enter/eagain:every=2", "enter/ebusy:every=2", "enter/eintr:every=2", "enter/take:k=1",
                           "enter/eintr-masked", "enter/ebadr:nth=1"}) {
    if (plan == std::string_view("enter/ebadr:nth=1") && !says_ebadr(GetParam())) continue;
    auto stack = open_stack(GetParam(), plan);
    Pipe pipe;
    std::vector<std::unique_ptr<Recorded>> polls;
    for (int count = 0; count < 20; ++count) polls.push_back(std::make_unique<Recorded>(poll_of(pipe.ends[0])));
    auto backend = make_backend(*stack, {.capacity = 16, .sq_entries = 4});
    for (int count = 0; count < 10; ++count) ASSERT_TRUE(backend->submit(*polls[static_cast<std::size_t>(count)]));
    for (int turn = 0; turn < 30; ++turn) (void)backend->loop(LoopMode::kNonblock);
    for (int count = 10; count < 20; ++count) ASSERT_TRUE(backend->submit(*polls[static_cast<std::size_t>(count)]));
    backend.reset();
    for (const auto& poll : polls) ASSERT_EQ(1u, poll->results.size()) << plan;
  }
}

TEST_P(OnKernel, NoMoreIsInFlightThanADroppingCqHolds) {
  auto stack = open_stack(GetParam());
  Pipe pipe;
  auto backend = make_backend(*stack, {.capacity = 16, .sq_entries = 8});
  std::vector<std::unique_ptr<Recorded>> polls;
  for (int count = 0; count < 100; ++count) {
    polls.push_back(std::make_unique<Recorded>(poll_of(pipe.ends[0])));
    ASSERT_TRUE(backend->submit(*polls.back()));
  }
  ASSERT_TRUE(backend->loop(LoopMode::kNonblock));
  ASSERT_EQ(1, ::write(pipe.ends[1], "x", 1));
  const auto status = backend->loop();
  ASSERT_TRUE(status.has_value()) << status.error().message();
  for (const auto& poll : polls) ASSERT_EQ(1u, poll->results.size());
}

TEST(BackendOldKernels, ADroppedCompletionIsNoticedByItsCount) {
  auto stack = open_stack("sim:linux-5.4,strict", "cqe/full:nth=1:op=NOP");
  auto backend = make_backend(*stack);
  Recorded one(nop()), two(nop());
  ASSERT_TRUE(backend->submit(one));
  ASSERT_TRUE(backend->submit(two));
  const auto status = backend->loop();
  ASSERT_TRUE(status.has_value()) << status.error().message();
  EXPECT_EQ(1u, backend->counters().recoveries);
  EXPECT_EQ(1u, backend->counters().lost);
  // A CQ that is full has what the loop waits for, so it is not the first that is lost.
  EXPECT_EQ(std::vector<int>{0}, one.results);
  EXPECT_EQ(std::vector<int>{-EBADR}, two.results);
}

TEST(BackendOldKernels, WhatCouldNotBeHadIsSaid) {
  auto stack = open_stack("sim:linux-5.4");
  auto backend = make_backend(*stack, {.defer_taskrun = true, .register_ring_fd = true});
  ASSERT_TRUE(backend->loop());
  std::string all;
  for (const std::string& line : backend->unmet_options()) all += line + "\n";
  EXPECT_NE(std::string::npos, all.find("defer_taskrun: ")) << all;
  EXPECT_NE(std::string::npos, all.find("coop_taskrun: ")) << all;
  EXPECT_NE(std::string::npos, all.find("capacity: ")) << all;
  EXPECT_NE(std::string::npos, all.find("register_ring_fd: ")) << all;
}

TEST(BackendClock, AWaitThatCanNeverEndIsReported) {
  auto stack = open_stack("sim:linux-6.12.0");
  Pipe pipe;
  auto backend = make_backend(*stack);
  Recorded poll(poll_of(pipe.ends[0]));
  ASSERT_TRUE(backend->submit(poll));
  const auto status = backend->loop();
  ASSERT_FALSE(status.has_value());
  EXPECT_EQ(EDEADLK, status.error().code.value());
  EXPECT_TRUE(poll.results.empty());
}

TEST(BackendClock, SimulatedTimersFireOnTheNanosecond) {
  for (const char* kernel : {"sim:linux-5.4", "sim:linux-6.12.0"}) {
    auto stack = open_stack(kernel);
    auto backend = make_backend(*stack);
    const auto start = backend->now();
    std::vector<std::chrono::nanoseconds> fired;
    Timer timer(*backend, [&] {
      fired.push_back(backend->now() - start);
      if (fired.size() < 3) return;
      EXPECT_TRUE(timer.stop().has_value());
    });
    ASSERT_TRUE(timer.start_every(1'234'567ns));
    ASSERT_TRUE(backend->loop());
    EXPECT_EQ((std::vector<std::chrono::nanoseconds>{1'234'567ns, 2'469'134ns, 3'703'701ns}), fired) << kernel;
  }
}

}  // namespace
}  // namespace assay
