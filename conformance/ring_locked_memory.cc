// Whether the memory of rings and of registered buffers counts against RLIMIT_MEMLOCK, for those who are not above such
// limits.

#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <thread>
#include <vector>

#include "assay/conformance/ring_actions.h"
#include "assay/conformance/ring_suites.h"

namespace assay::conformance {
namespace {

/// Runs `call` on a thread of its own, where no more memory than this may be locked.
int where_little_may_be_locked(rlim_t bytes, const std::function<int()>& call) {
  rlimit before{};
  EXPECT_EQ(::getrlimit(RLIMIT_MEMLOCK, &before), 0);
  const rlimit little{bytes, before.rlim_max};
  EXPECT_EQ(::setrlimit(RLIMIT_MEMLOCK, &little), 0);
  int result = 0;
  std::thread([&] {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3]{};
    ::syscall(SYS_capget, &header, sets);
    sets[CAP_TO_INDEX(CAP_IPC_LOCK)].effective &= ~CAP_TO_MASK(CAP_IPC_LOCK);
    ::syscall(SYS_capset, &header, sets);
    result = call();
  }).join();
  EXPECT_EQ(::setrlimit(RLIMIT_MEMLOCK, &before), 0);
  return result;
}

int where_nothing_may_be_locked(const std::function<int()>& call) { return where_little_may_be_locked(0, call); }

/// Memory in pages of the usual size. Of a huge page, which the heap may have come to be in, a kernel counts all when
/// it counts a part (io_buffer_account_pin).
class SmallPages {
 public:
  explicit SmallPages(std::size_t bytes)
      : memory_(::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)), bytes_(bytes) {
    EXPECT_NE(memory_, MAP_FAILED);
    // A kernel without huge pages does not know the advice, and needs none.
    static_cast<void>(::madvise(memory_, bytes, MADV_NOHUGEPAGE));
  }
  SmallPages(const SmallPages&) = delete;
  SmallPages& operator=(const SmallPages&) = delete;
  ~SmallPages() { ::munmap(memory_, bytes_); }

  void* data() const noexcept { return memory_; }
  std::size_t size() const noexcept { return bytes_; }

 private:
  void* memory_;
  std::size_t bytes_;
};

/// On a ring of its own.
int register_one(Kernel& kernel, const iovec& buffer) {
  Result<Ring> ring = Ring::create(kernel, {.sq_entries = 4});
  if (!ring) return -ring.error().code.value();
  return ring->register_buffers({&buffer, 1});
}

int set_up(Kernel& kernel) {
  io_uring_params params{};
  const int fd = kernel.setup(4, &params);
  if (fd < 0) return fd;
  kernel.close(fd);
  return 0;
}

}  // namespace

std::vector<Behaviour> ring_locked_memory_behaviours() {
  const std::string suite = "RingLockedMemory";
  return {
      {suite,
       "CountsRings",
       {.switches_on = {&Semantics::ring_memlock}},
       [](KernelUnderTest& kernel) {
         EXPECT_EQ(where_nothing_may_be_locked([&] { return set_up(kernel.kernel()); }), -ENOMEM);
         EXPECT_EQ(set_up(kernel.kernel()), 0) << "not for those who may";
       }},
      {suite,
       "CountsRingsOnceMore",
       {.switches_on = {&Semantics::region_memlock}},
       [](KernelUnderTest& kernel) {
         EXPECT_EQ(where_nothing_may_be_locked([&] { return set_up(kernel.kernel()); }), -ENOMEM);
         EXPECT_EQ(set_up(kernel.kernel()), 0) << "not for those who may";
       }},
      {suite,
       "CountsRegisteredBuffers",
       {.register_ops = {IORING_REGISTER_BUFFERS}},
       [](KernelUnderTest& kernel) {
         // Half of that is enough for a ring, whether that counts or not; twice as much is what users have at least.
         const SmallPages memory(32 << 10);
         const iovec buffer{memory.data(), memory.size()};
         const auto within = [&](rlim_t bytes) {
           return where_little_may_be_locked(bytes, [&] { return register_one(kernel.kernel(), buffer); });
         };
         EXPECT_EQ(within(memory.size() / 2), -ENOMEM);
         EXPECT_EQ(within(memory.size() * 2), 0);
         EXPECT_EQ(register_one(kernel.kernel(), buffer), 0) << "not for those who may";
       }},
      {suite,
       "DoesNotCountRings",
       {.switches_off = {&Semantics::ring_memlock, &Semantics::region_memlock}},
       [](KernelUnderTest& kernel) {
         EXPECT_EQ(where_nothing_may_be_locked([&] { return set_up(kernel.kernel()); }), 0);
       }},
  };
}

}  // namespace assay::conformance
