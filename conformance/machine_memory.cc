// Memory, descriptors and locked memory that run out. A memory cgroup makes the kernel's own allocations fail, those of
// overflow entries among them, so completions are dropped for real, without any debugging support in the kernel.
// Source: io_uring/io_uring.c (io_cqring_event_overflow), memcg_test.txt, io_uring_setup(2), io_uring_enter(2).

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "assay/conformance/child_process.h"
#include "assay/conformance/machine_suites.h"
#include "assay/conformance/ring_actions.h"

namespace assay::conformance {
namespace {

constexpr unsigned kNobody = 65534;
/// Room for a small ring, where that counts at all, and for little else.
constexpr std::size_t kFewPages = 16 * 4096;

constexpr char kCgroups[] = "/sys/fs/cgroup";
constexpr char kLimited[] = "/sys/fs/cgroup/assay-limited";

/// A memory cgroup (version 2) with a hard limit.
class MemoryLimit {
 public:
  explicit MemoryLimit(std::size_t bytes) {
    error_ = write_setting(std::string(kCgroups) + "/cgroup.subtree_control", "+memory");
    if (error_ == 0 && ::mkdir(kLimited, 0755) != 0 && errno != EEXIST) error_ = -errno;
    if (error_ == 0) error_ = write_setting(std::string(kLimited) + "/memory.max", std::to_string(bytes));
  }
  MemoryLimit(const MemoryLimit&) = delete;
  MemoryLimit& operator=(const MemoryLimit&) = delete;
  ~MemoryLimit() { ::rmdir(kLimited); }

  /// Why there is no limit, as a negative errno; 0 where there is one.
  int error() const noexcept { return error_; }
  /// Moves the calling process into it, as one that the OOM killer leaves alone: what needs memory in the kernel is
  /// then refused.
  int enter() const {
    const int error = write_setting("/proc/self/oom_score_adj", "-1000");
    return error != 0 ? error : write_setting(std::string(kLimited) + "/cgroup.procs", std::to_string(::getpid()));
  }

 private:
  int error_ = 0;
};

struct Losses {
  int preparation = 0;
  std::uint64_t submitted = 0;
  std::uint64_t seen = 0;
  std::uint64_t seen_twice = 0;
  unsigned dropped = 0;
  int submit_error = 0;
  int wait_error = 0;
  int last_wait = 0;
};

constexpr std::size_t kLimitBytes = 4 << 20;
constexpr unsigned kBatch = 512;
constexpr unsigned kMostBatches = 400;
/// Overflow entries are allocated with GFP_ATOMIC. Such an allocation was granted beyond a cgroup's limit, as found on
/// 5.10 to 6.17, and is refused by 6.18 and later.
constexpr KernelVersion kRefusedSince{6, 18};

/// For a child: NOPs without a look at the CQ until completions are dropped, then all that is left, by waits.
void overflow_without_memory(Kernel& kernel, const MemoryLimit& limit, Losses& losses) {
  Result<Ring> made = Ring::create(kernel, {.sq_entries = kBatch, .cq_entries = kBatch});
  // From here on nothing may touch a page that is not there yet: a fault that finds no memory waits for ever.
  if (!made || ::mlockall(MCL_CURRENT) != 0) {
    losses.preparation = -ENOMEM;
    return;
  }
  Ring& ring = *made;
  static std::array<bool, std::size_t{kBatch} * kMostBatches> known;
  known.fill(false);
  losses.preparation = limit.enter();
  for (unsigned batch = 0; batch < kMostBatches && ring.cq_overflow_count() == 0; ++batch) {
    for (unsigned i = 0; i < kBatch; ++i) {
      io_uring_sqe* sqe = ring.get_sqe();
      io_uring_prep_nop(sqe);
      sqe->user_data = losses.submitted + i;
    }
    const int submitted = ring.submit();
    if (submitted < 0) {
      losses.submit_error = submitted;
      break;
    }
    losses.submitted += static_cast<unsigned>(submitted);
  }
  while (losses.seen + ring.cq_overflow_count() < losses.submitted) {
    while (const io_uring_cqe* cqe = ring.peek_cqe()) {
      bool& before = known[cqe->user_data];
      losses.seen_twice += before;
      before = true;
      ++losses.seen;
      ring.cqe_seen(const_cast<io_uring_cqe*>(cqe));
    }
    if (losses.seen + ring.cq_overflow_count() >= losses.submitted) break;
    const int answer = kernel.enter(ring.fd(), 0, 1, IORING_ENTER_GETEVENTS, nullptr, 0);
    if (answer < 0 && answer != -EBUSY) {
      losses.wait_error = answer;
      break;
    }
  }
  losses.dropped = ring.cq_overflow_count();
  // All that is left has come. Who counts on more would wait for ever, and is told.
  if (losses.dropped > 0) losses.last_wait = ring.submit_and_wait(1, std::chrono::seconds(1));
}

struct Answers {
  int preparation = 0;
  int first = 0;
  int second = 0;
};

/// For a child: no right to lock more memory than `bytes`, and no privilege that would make up for it.
int lock_at_most(rlim_t bytes) {
  const rlimit limit{.rlim_cur = bytes, .rlim_max = bytes};
  if (::setrlimit(RLIMIT_MEMLOCK, &limit) != 0) return -errno;
  return ::setresuid(kNobody, kNobody, kNobody) == 0 ? 0 : -errno;
}

int set_up(Kernel& kernel, unsigned entries) {
  const Result<Ring> ring = Ring::create(kernel, {.sq_entries = entries});
  return ring ? 0 : -ring.error().code.value();
}

/// What a set-up of half a MiB of ring memory answers to one who may lock an eighth of that.
int set_up_where_little_may_be_locked(Kernel& kernel) {
  std::string ending;
  const Answers answers = in_child<Answers>(
      [&](Answers& found) {
        found.preparation = lock_at_most(kFewPages);
        found.first = set_up(kernel, 4096);
      },
      ending);
  EXPECT_EQ(ending, "");
  EXPECT_EQ(answers.preparation, 0);
  return answers.first;
}

}  // namespace

std::vector<Behaviour> machine_memory_behaviours() {
  const std::string suite = "MachineMemory";
  return {
      {suite,
       "AnswersEmfileWithoutADescriptorToGive",
       {},
       [](KernelUnderTest& kernel) {
         std::string ending;
         const Answers answers = in_child<Answers>(
             [&](Answers& found) {
               const rlimit none{.rlim_cur = 0, .rlim_max = 0};
               found.preparation = ::setrlimit(RLIMIT_NOFILE, &none);
               found.first = set_up(kernel.kernel(), 4);
             },
             ending);
         EXPECT_EQ(ending, "");
         EXPECT_EQ(answers.preparation, 0);
         EXPECT_EQ(answers.first, -EMFILE);
       }},
      // Ring memory counted until 5.12, when cgroups took it over, and again while it was an ordinary region.
      {suite,
       "CountsRingMemoryAsLocked",
       {.since = {6, 14}, .until = {7, 2}},
       [](KernelUnderTest& kernel) { EXPECT_EQ(set_up_where_little_may_be_locked(kernel.kernel()), -ENOMEM); }},
      {suite,
       "CountsNoRingMemoryAsLocked",
       {.switches_off = {&Semantics::ring_memlock}, .until = {6, 14}},
       [](KernelUnderTest& kernel) { EXPECT_EQ(set_up_where_little_may_be_locked(kernel.kernel()), 0); }},
      {suite,
       "CountsNoRingMemoryAsLockedAnyMore",
       {.since = {7, 2}},
       [](KernelUnderTest& kernel) { EXPECT_EQ(set_up_where_little_may_be_locked(kernel.kernel()), 0); }},
      {suite,
       "CountsRegisteredBuffersAsLocked",
       {},
       [](KernelUnderTest& kernel) {
         std::string ending;
         const Answers answers = in_child<Answers>(
             [&](Answers& found) {
               static std::array<std::byte, 4 * kFewPages> memory;
               found.preparation = lock_at_most(kFewPages);
               const Result<Ring> ring = Ring::create(kernel.kernel(), {.sq_entries = 4});
               if (!ring) return;
               iovec much{.iov_base = memory.data(), .iov_len = memory.size()};
               found.first = kernel.kernel().register_op(ring->fd(), IORING_REGISTER_BUFFERS, &much, 1);
               found.second = kernel.kernel().register_op(ring->fd(), IORING_UNREGISTER_BUFFERS, nullptr, 0);
             },
             ending);
         EXPECT_EQ(ending, "");
         EXPECT_EQ(answers.preparation, 0);
         EXPECT_EQ(answers.first, -ENOMEM);
         EXPECT_EQ(answers.second, -ENXIO) << "nothing is left of a registration that failed";
       }},
      {suite,
       "DropsAndCountsWhatItHasNoMemoryFor",
       {.features = IORING_FEAT_NODROP, .since = kRefusedSince},
       [](KernelUnderTest& kernel) {
         const MemoryLimit limit(kLimitBytes);
         ASSERT_EQ(limit.error(), 0) << "no memory cgroup of version 2 at " << kCgroups;
         std::string ending;
         const Losses losses =
             in_child<Losses>([&](Losses& found) { overflow_without_memory(kernel.kernel(), limit, found); }, ending);
         EXPECT_EQ(ending, "");
         EXPECT_EQ(losses.preparation, 0);
         EXPECT_EQ(losses.submit_error, 0);
         EXPECT_EQ(losses.wait_error, 0);
         EXPECT_EQ(losses.seen_twice, 0u);
         EXPECT_GT(losses.dropped, 0u) << "memory did not run out in " << losses.submitted << " requests";
         EXPECT_EQ(losses.seen + losses.dropped, losses.submitted) << "each request is seen or counted";
         EXPECT_EQ(losses.last_wait, -EBADR);
       }},
      {suite,
       "KeepsOverflowBeyondAMemoryLimit",
       {.features = IORING_FEAT_NODROP, .until = kRefusedSince},
       [](KernelUnderTest& kernel) {
         const MemoryLimit limit(kLimitBytes);
         ASSERT_EQ(limit.error(), 0) << "no memory cgroup of version 2 at " << kCgroups;
         std::string ending;
         const Losses losses =
             in_child<Losses>([&](Losses& found) { overflow_without_memory(kernel.kernel(), limit, found); }, ending);
         EXPECT_EQ(ending, "");
         EXPECT_EQ(losses.preparation, 0);
         EXPECT_EQ(losses.submit_error, 0);
         EXPECT_EQ(losses.wait_error, 0);
         EXPECT_EQ(losses.submitted, std::uint64_t{kBatch} * kMostBatches);
         EXPECT_EQ(losses.dropped, 0u);
         EXPECT_EQ(losses.seen, losses.submitted);
         EXPECT_EQ(losses.seen_twice, 0u);
       }},
  };
}

}  // namespace assay::conformance
