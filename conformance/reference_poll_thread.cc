// The poll thread of the reference backend (SQPOLL): that it really takes the work, on its own; and groups of rings
// that share one. What the backend asks of its kernel is watched on the way there.

#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "assay/conformance/backend_suites.h"
#include "assay/conformance/reference_actions.h"
#include "assay/conformance/ring_actions.h"

namespace assay::conformance {
namespace {

using namespace std::chrono_literals;

/// How a ring was set up, in the end.
struct SetUp {
  int fd;
  unsigned flags;
  unsigned cpu;
  unsigned attached_to;
};

/// Another Kernel, whose set-ups and enters are kept.
class WatchedKernel final : public Kernel {
 public:
  explicit WatchedKernel(Kernel& watched) : watched_(watched) {}

  int setup(unsigned entries, io_uring_params* params) override {
    const int fd = watched_.setup(entries, params);
    const std::lock_guard lock(mutex_);
    if (fd >= 0) set_ups_.push_back({fd, params->flags, params->sq_thread_cpu, params->wq_fd});
    return fd;
  }
  int enter(int ring_fd, unsigned to_submit, unsigned min_complete, unsigned flags, const void* arg,
            std::size_t arg_bytes) override {
    ++enters_;
    return watched_.enter(ring_fd, to_submit, min_complete, flags, arg, arg_bytes);
  }
  int register_op(int ring_fd, unsigned opcode, void* arg, unsigned nr_args) override {
    return watched_.register_op(ring_fd, opcode, arg, nr_args);
  }
  int map(int ring_fd, std::uint64_t offset, std::size_t bytes, void** address) override {
    return watched_.map(ring_fd, offset, bytes, address);
  }
  int unmap(void* address, std::size_t bytes) override { return watched_.unmap(address, bytes); }
  int close(int ring_fd) override { return watched_.close(ring_fd); }
  int now(clockid_t clock, timespec* time) override { return watched_.now(clock, time); }
  int wait_readable(int ring_fd, const timespec* timeout) override { return watched_.wait_readable(ring_fd, timeout); }
  void relax(int ring_fd) override { watched_.relax(ring_fd); }
  std::string name() const override { return watched_.name(); }

  unsigned enters() const { return enters_; }
  const SetUp& last() const { return set_ups_.back(); }

 private:
  Kernel& watched_;
  std::mutex mutex_;
  std::vector<SetUp> set_ups_;
  std::atomic<unsigned> enters_{0};
};

std::unique_ptr<Backend> make(Kernel& kernel, const BackendOptions& options) {
  return must(Backend::create(kernel, options));
}

BackendOptions in_group(const char* name, unsigned threads = 1, std::vector<unsigned> cpus = {}) {
  return {.poll_sq = true, .sq_group_name = name, .sq_group_threads = threads, .sq_cpus = std::move(cpus)};
}

bool names(const Backend& backend, std::string_view option) {
  for (const std::string& line : backend.unmet_options()) {
    if (line.find(option) == 0) return true;
  }
  return false;
}

bool is_attached(const WatchedKernel& kernel, Backend& other) {
  return (kernel.last().flags & IORING_SETUP_ATTACH_WQ) != 0 &&
         kernel.last().attached_to == static_cast<unsigned>(other.ring().fd());
}

/// A processor that this process may use.
unsigned some_cpu() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  EXPECT_EQ(::sched_getaffinity(0, sizeof allowed, &allowed), 0);
  for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &allowed)) return cpu;
  }
  return 0;
}

/// The poll thread of a ring, as Linux tells; nothing where it does not, as 5.10 while the thread is at work.
std::optional<std::string> poll_thread_of(Backend& backend) {
  std::ifstream info("/proc/self/fdinfo/" + std::to_string(backend.ring().fd()));
  for (std::string line; std::getline(info, line);) {
    if (line.find("SqThread:") == 0 && line.find("-1") == std::string::npos) return line;
  }
  return std::nullopt;
}

/// Has the backend write something to a pipe, and sees it arrive.
void work(BackendScenario& s, Backend& backend) {
  const Pipe pipe = make_pipe();
  Owed& written = s.owe("the write");
  const std::string text = "x";
  backend.write(pipe.write_end.get(), sent(text), kCurrentPosition, written.callback());
  for (int turns = 0; !written.done() && turns < 1000; ++turns) must(backend.loop(LoopMode::kOnce));
  EXPECT_EQ(written.res, 1);
  EXPECT_EQ(read_text(pipe.read_end.get(), 1), "x");
}

void the_poll_thread_takes_the_work(BackendScenario& s) {
  WatchedKernel kernel(s.kernel());
  // It spins for longer than this takes, so nobody ever has to wake it.
  const auto backend = make(kernel, {.poll_sq = true, .sq_idle = 60s, .poll_cq = true});
  EXPECT_TRUE(backend->unmet_options().empty());
  EXPECT_NE(backend->ring().setup_flags() & IORING_SETUP_SQPOLL, 0u);
  work(s, *backend);
  const unsigned before = kernel.enters();
  for (int round = 0; round < 50; ++round) work(s, *backend);
  EXPECT_EQ(kernel.enters(), before) << "nobody else submits, waits, or wakes";
}

void a_sleeping_poll_thread_is_woken(BackendScenario& s) {
  WatchedKernel kernel(s.kernel());
  const auto backend = make(kernel, {.poll_sq = true, .sq_idle = 1ms});
  for (int round = 0; round < 3; ++round) {
    work(s, *backend);
    Timer timer(*backend, [] {});
    must(timer.start_after(20ms));
    must(backend->loop(LoopMode::kOnce));
  }
}

void immediate_requests_begin_in_the_callback(BackendScenario& s) {
  const auto backend = make(s.kernel(), {.poll_sq = true, .poll_sq_immediate_io = true});
  const Pipe pipe = make_pipe();
  Owed& written = s.owe("the write");
  bool arrived = false;
  backend->post([&] {
    backend->write(pipe.write_end.get(), sent("x"), kCurrentPosition, written.callback());
    pollfd reader{.fd = pipe.read_end.get(), .events = POLLIN, .revents = 0};
    for (int looks = 0; looks < 10'000 && !arrived; ++looks) {
      s.kernel().relax(backend->ring().fd());
      arrived = ::poll(&reader, 1, s.simulated() ? 0 : 1) == 1;
    }
    EXPECT_FALSE(written.done());
  });
  for (int turns = 0; !written.done() && turns < 1000; ++turns) must(backend->loop(LoopMode::kOnce));
  EXPECT_TRUE(arrived) << "the request waited for the turn's end";
  EXPECT_EQ(written.res, 1);
}

void rings_of_a_group_share_a_thread(BackendScenario& s) {
  WatchedKernel kernel(s.kernel());
  const auto first = make(kernel, in_group("one"));
  EXPECT_EQ(kernel.last().flags & IORING_SETUP_ATTACH_WQ, 0u);
  const auto second = make(kernel, in_group("one"));
  EXPECT_TRUE(is_attached(kernel, *first));
  const auto other = make(kernel, in_group("another"));
  EXPECT_EQ(kernel.last().flags & IORING_SETUP_ATTACH_WQ, 0u);
  const auto alone = make(kernel, {.poll_sq = true});
  EXPECT_EQ(kernel.last().flags & IORING_SETUP_ATTACH_WQ, 0u);
  for (Backend* backend : {first.get(), second.get(), other.get(), alone.get()}) {
    EXPECT_TRUE(backend->unmet_options().empty());
    work(s, *backend);
  }
  // Which is known once the threads have run.
  const auto thread = poll_thread_of(*first), same = poll_thread_of(*second);
  if (thread && same) {
    EXPECT_EQ(thread, same);
    EXPECT_NE(thread, poll_thread_of(*other));
    EXPECT_NE(thread, poll_thread_of(*alone));
  }
}

void each_kernel_has_groups_of_its_own(BackendScenario& s) {
  WatchedKernel one(s.kernel()), two(s.kernel());
  const auto first = make(one, in_group("one")), second = make(two, in_group("one"));
  EXPECT_EQ(two.last().flags & IORING_SETUP_ATTACH_WQ, 0u);
  work(s, *first);
  work(s, *second);
}

// The kernel lets a ring attach to a living one only.
void whoever_was_first_may_leave(BackendScenario& s) {
  WatchedKernel kernel(s.kernel());
  auto first = make(kernel, in_group("one"));
  auto second = make(kernel, in_group("one"));
  work(s, *first);
  work(s, *second);
  first.reset();
  work(s, *second);
  auto third = make(kernel, in_group("one"));
  EXPECT_TRUE(is_attached(kernel, *second));
  second.reset();
  work(s, *third);
  third.reset();
  // A group that everybody has left begins anew.
  const auto fourth = make(kernel, in_group("one"));
  EXPECT_EQ(kernel.last().flags & IORING_SETUP_ATTACH_WQ, 0u);
  work(s, *fourth);
}

void a_ring_joins_the_least_loaded(BackendScenario& s) {
  WatchedKernel kernel(s.kernel());
  const unsigned cpu = some_cpu();
  const BackendOptions options = in_group("one", 2, {cpu});
  std::vector<std::unique_ptr<Backend>> rings;
  for (int thread = 0; thread < 2; ++thread) {
    rings.push_back(make(kernel, options));
    EXPECT_EQ(kernel.last().flags & (IORING_SETUP_ATTACH_WQ | IORING_SETUP_SQ_AFF), IORING_SETUP_SQ_AFF);
    EXPECT_EQ(kernel.last().cpu, cpu);
    EXPECT_FALSE(names(*rings.back(), "sq_cpus"));
  }
  for (std::size_t ring = 0; ring < 2; ++ring) {
    rings.push_back(make(kernel, options));
    EXPECT_TRUE(is_attached(kernel, *rings[ring]));
    EXPECT_EQ(kernel.last().flags & IORING_SETUP_SQ_AFF, 0u) << "the thread runs somewhere already";
  }
  rings[1].reset();
  rings.push_back(make(kernel, options));
  EXPECT_TRUE(is_attached(kernel, *rings[3]));
  for (const auto& ring : rings) {
    if (ring != nullptr) work(s, *ring);
  }
}

void a_thread_without_a_group_has_a_cpu(BackendScenario& s) {
  WatchedKernel kernel(s.kernel());
  const unsigned cpu = some_cpu();
  const auto backend = make(kernel, {.poll_sq = true, .sq_cpus = {cpu}});
  EXPECT_NE(kernel.last().flags & IORING_SETUP_SQ_AFF, 0u);
  EXPECT_EQ(kernel.last().cpu, cpu);
  EXPECT_FALSE(names(*backend, "sq_cpus"));
  work(s, *backend);
}

void what_cannot_be_had_is_said(BackendScenario& s) {
  const unsigned no_cpu = 1u << 20;
  const auto nowhere = make(s.kernel(), {.poll_sq = true, .sq_cpus = {no_cpu}});
  EXPECT_NE(nowhere->ring().setup_flags() & IORING_SETUP_SQPOLL, 0u);
  EXPECT_TRUE(names(*nowhere, "sq_cpus"));
  work(s, *nowhere);
  const auto none = make(s.kernel(), {.sq_group_name = "one", .sq_cpus = {some_cpu()}, .poll_sq_immediate_io = true});
  for (const char* option : {"sq_group_name", "sq_cpus", "poll_sq_immediate_io"}) {
    EXPECT_TRUE(names(*none, option)) << option;
  }
  EXPECT_EQ(none->ring().setup_flags() & IORING_SETUP_SQPOLL, 0u);
  work(s, *none);
}

void threads_come_and_go_at_once(BackendScenario& s) {
  std::atomic<int> works{0};
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&] {
      for (int round = 0; round < 5; ++round) {
        const auto backend = make(s.kernel(), in_group("one", 2));
        backend->timeout(1us, [&](int res) { works += res == -ETIME ? 1 : 0; });
        must(backend->loop());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(works, 20);
}

}  // namespace

void internal::add_reference_poll_thread(BackendBehaviours& behaviours) {
  const Needs poll_thread{.features = IORING_FEAT_SQPOLL_NONFIXED, .setup_flags = IORING_SETUP_SQPOLL};
  const auto add = [&](const char* name, void (*body)(BackendScenario&), Needs needs) {
    behaviours.push_back({.suite = "ReferencePollThread",
                          .name = name,
                          .capabilities = {Capability::kReference},
                          .body = body,
                          .needs = std::move(needs)});
  };
  // Completions that have overflowed are asked for by entering, which is no submission.
  behaviours.push_back({.suite = "ReferencePollThread",
                        .name = "ThePollThreadTakesTheWork",
                        .capabilities = {Capability::kReference},
                        .body = the_poll_thread_takes_the_work,
                        .needs = poll_thread,
                        .cannot_carry = {FaultPointId::kCqeFull}});
  add("ASleepingPollThreadIsWoken", a_sleeping_poll_thread_is_woken, poll_thread);
  add("ImmediateRequestsBeginInTheCallback", immediate_requests_begin_in_the_callback, poll_thread);
  add("RingsOfAGroupShareAThread", rings_of_a_group_share_a_thread, poll_thread);
  add("EachKernelHasGroupsOfItsOwn", each_kernel_has_groups_of_its_own, poll_thread);
  add("WhoeverWasFirstMayLeave", whoever_was_first_may_leave, poll_thread);
  add("ARingJoinsTheLeastLoaded", a_ring_joins_the_least_loaded, poll_thread);
  add("AThreadWithoutAGroupHasACpu", a_thread_without_a_group_has_a_cpu, poll_thread);
  add("WhatCannotBeHadIsSaid", what_cannot_be_had_is_said, poll_thread);
  Needs threads = poll_thread;
  threads.real_clock = true;
  add("ThreadsComeAndGoAtOnce", threads_come_and_go_at_once, threads);
}

}  // namespace assay::conformance
