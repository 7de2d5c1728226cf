// Memory that a ring and its user share for arguments, and waits that take theirs from there.

#include <sys/mman.h>

#include <cerrno>
#include <chrono>
#include <cstring>

#include "assay/conformance/ring_actions.h"
#include "assay/conformance/ring_suites.h"

namespace assay::conformance {
namespace {

using std::chrono::nanoseconds;
using std::chrono::seconds;

constexpr std::size_t kPage = 4096;
constexpr std::uint32_t kWaitFlags = IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG | uapi::kEnterExtArgReg;

/// One page of the user's own.
class Page {
 public:
  Page() : memory_(::mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) {
    std::memset(memory_, 0, kPage);
  }
  Page(const Page&) = delete;
  Page& operator=(const Page&) = delete;
  ~Page() { ::munmap(memory_, kPage); }
  std::uint64_t address() const { return reinterpret_cast<std::uint64_t>(memory_); }
  uapi::RegisteredWait& wait(unsigned index) const { return static_cast<uapi::RegisteredWait*>(memory_)[index]; }

 private:
  void* memory_;
};

uapi::RegionDescription of_user(const Page& page) {
  uapi::RegionDescription description{};
  description.user_addr = page.address();
  description.size = kPage;
  description.flags = uapi::kRegionOfUser;
  return description;
}

int register_region(Ring& ring, uapi::RegionDescription& description, std::uint64_t flags = 0) {
  uapi::MemRegion request{};
  request.region = reinterpret_cast<std::uint64_t>(&description);
  request.flags = flags;
  return ring.register_op(uapi::kRegisterMemRegion, &request, 1);
}

/// A ring whose waits take their arguments from `page`.
Ring open_waiting(KernelUnderTest& kernel, const Page& page) {
  Ring ring = open_ring(kernel, {.sq_entries = 8, .setup_flags = IORING_SETUP_R_DISABLED});
  uapi::RegionDescription description = of_user(page);
  EXPECT_EQ(register_region(ring, description, uapi::kMemRegionWaitArg), 0);
  EXPECT_EQ(ring.enable(), 0);
  return ring;
}

int wait_with(Ring& ring, std::uint64_t offset, std::size_t bytes = sizeof(uapi::RegisteredWait), unsigned submit = 0,
              unsigned flags = kWaitFlags) {
  return ring.kernel().enter(ring.fd(), submit, 1, flags, reinterpret_cast<const void*>(offset), bytes);
}

nanoseconds monotonic_now(Kernel& kernel) {
  timespec now{};
  kernel.now(CLOCK_MONOTONIC, &now);
  return seconds(now.tv_sec) + nanoseconds(now.tv_nsec);
}

}  // namespace

std::vector<Behaviour> ring_memory_region_behaviours() {
  const std::string suite = "RingMemoryRegion";
  const std::string waits = "RingRegisteredWait";
  const Needs region{.register_ops = {uapi::kRegisterMemRegion}};
  const Needs needs{.setup_flags = IORING_SETUP_R_DISABLED,
                    .enter_flags = uapi::kEnterExtArgReg,
                    .register_ops = {uapi::kRegisterMemRegion}};
  return {
      {suite, "MayBeTheUsersOwn", region,
       [](KernelUnderTest& kernel) {
         const Page page;
         Ring ring = open_ring(kernel);
         uapi::RegionDescription description = of_user(page);
         EXPECT_EQ(register_region(ring, description), 0);
       }},
      {suite, "MayBeTheKernelsToMap", region,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         uapi::RegionDescription description{};
         description.size = kPage;
         ASSERT_EQ(register_region(ring, description), 0);
         EXPECT_NE(description.mmap_offset, 0u);
         void* memory = nullptr;
         ASSERT_EQ(kernel.kernel().map(ring.fd(), description.mmap_offset, kPage, &memory), 0);
         EXPECT_EQ(*static_cast<std::uint64_t*>(memory), 0u) << "it is clean";
         std::memset(memory, 1, kPage);
         EXPECT_EQ(kernel.kernel().unmap(memory, kPage), 0);
       }},
      {suite, "CannotBeMappedWhereItIsTheUsersOwn", region,
       [](KernelUnderTest& kernel) {
         const Page page;
         Ring ring = open_ring(kernel);
         uapi::RegionDescription description = of_user(page);
         ASSERT_EQ(register_region(ring, description), 0);
         void* memory = nullptr;
         EXPECT_LT(kernel.kernel().map(ring.fd(), uapi::kOffParamRegion, kPage, &memory), 0);
       }},
      {suite, "IsRegisteredOnce", region,
       [](KernelUnderTest& kernel) {
         const Page page;
         Ring ring = open_ring(kernel);
         uapi::RegionDescription description = of_user(page);
         ASSERT_EQ(register_region(ring, description), 0);
         description = of_user(page);
         EXPECT_EQ(register_region(ring, description), -EBUSY);
       }},
      {suite, "IsWholePages", region,
       [](KernelUnderTest& kernel) {
         const Page page;
         Ring ring = open_ring(kernel);
         uapi::RegionDescription description = of_user(page);
         description.size = kPage / 2;
         EXPECT_EQ(register_region(ring, description), -EINVAL);
         description.size = 0;
         EXPECT_EQ(register_region(ring, description), -EINVAL);
         description = of_user(page);
         description.user_addr += 8;
         EXPECT_EQ(register_region(ring, description), -EINVAL);
       }},
      {suite, "IsMemoryThatIsThere", region,
       [](KernelUnderTest& kernel) {
         const Page page;
         Ring ring = open_ring(kernel);
         uapi::RegionDescription description = of_user(page);
         description.user_addr = kPage;
         EXPECT_EQ(register_region(ring, description), -EFAULT);
         description.user_addr = 0;
         EXPECT_EQ(register_region(ring, description), -EFAULT) << "the user's, and nowhere";
         description = of_user(page);
         description.flags = 0;
         EXPECT_EQ(register_region(ring, description), -EFAULT) << "the kernel's, and yet somewhere";
         uapi::MemRegion request{};
         request.region = 1;
         EXPECT_EQ(ring.register_op(uapi::kRegisterMemRegion, &request, 1), -EFAULT);
         EXPECT_EQ(ring.register_op(uapi::kRegisterMemRegion, nullptr, 1), -EINVAL);
       }},
      {suite, "RefusesFieldsThatMeanNothing", region,
       [](KernelUnderTest& kernel) {
         const Page page;
         Ring ring = open_ring(kernel);
         uapi::RegionDescription description = of_user(page);
         description.id = 1;
         EXPECT_EQ(register_region(ring, description), -EINVAL);
         description = of_user(page);
         description.mmap_offset = kPage;
         EXPECT_EQ(register_region(ring, description), -EINVAL);
         description = of_user(page);
         description.flags |= 1u << 20;
         EXPECT_EQ(register_region(ring, description), -EINVAL);
         description = of_user(page);
         description.resv[3] = 1;
         EXPECT_EQ(register_region(ring, description), -EINVAL);
         description = of_user(page);
         EXPECT_EQ(register_region(ring, description, 1u << 20), -EINVAL);
       }},
      {suite, "ServesNoWaitsOfARingThatIsEnabled", region,
       [](KernelUnderTest& kernel) {
         const Page page;
         Ring ring = open_ring(kernel);
         uapi::RegionDescription description = of_user(page);
         EXPECT_EQ(register_region(ring, description, uapi::kMemRegionWaitArg), -EINVAL);
       }},
      {waits, "EndsWithoutALimitWhenACompletionComes", needs,
       [](KernelUnderTest& kernel) {
         const Page page;
         Ring ring = open_waiting(kernel, page);
         prepare_nop(ring, 1);
         ring.flush_sq();
         EXPECT_EQ(wait_with(ring, 0, sizeof(uapi::RegisteredWait), 1), 1);
         EXPECT_EQ(take(ring).user_data, 1u);
       }},
      {waits, "EndsByTheTimeInItsArgument", needs,
       [](KernelUnderTest& kernel) {
         const Page page;
         Ring ring = open_waiting(kernel, page);
         const nanoseconds moment = kernel.kernel_case().options.moment;
         uapi::RegisteredWait& wait = page.wait(3);
         wait.flags = uapi::kRegisteredWaitTs;
         wait.ts.tv_nsec = moment.count() % 1'000'000'000;
         wait.ts.tv_sec = moment / seconds(1);
         const nanoseconds start = monotonic_now(kernel.kernel());
         EXPECT_EQ(wait_with(ring, 3 * sizeof wait), -ETIME);
         EXPECT_GE(monotonic_now(kernel.kernel()) - start, moment);
       }},
      {waits, "EndsAtAnAbsoluteTime", needs,
       [](KernelUnderTest& kernel) {
         const Page page;
         Ring ring = open_waiting(kernel, page);
         const nanoseconds when = monotonic_now(kernel.kernel()) + kernel.kernel_case().options.moment;
         page.wait(0).flags = uapi::kRegisteredWaitTs;
         page.wait(0).ts = {.tv_sec = when / seconds(1), .tv_nsec = (when % seconds(1)).count()};
         EXPECT_EQ(wait_with(ring, 0, sizeof(uapi::RegisteredWait), 0, kWaitFlags | uapi::kEnterAbsTimer), -ETIME);
         EXPECT_GE(monotonic_now(kernel.kernel()), when);
       }},
      {waits, "PaysNoHeedToATimeThatIsNotAnnounced", needs,
       [](KernelUnderTest& kernel) {
         const Page page;
         Ring ring = open_waiting(kernel, page);
         prepare_nop(ring, 1);
         ring.flush_sq();
         page.wait(0).ts = {.tv_sec = -1, .tv_nsec = -1};
         EXPECT_EQ(wait_with(ring, 0, sizeof(uapi::RegisteredWait), 1), 1);
       }},
      {waits, "RefusesAnOffsetThatIsNotInTheRegion", needs,
       [](KernelUnderTest& kernel) {
         const Page page;
         Ring ring = open_waiting(kernel, page);
         EXPECT_EQ(wait_with(ring, 4), -EFAULT) << "not aligned";
         EXPECT_EQ(wait_with(ring, kPage), -EFAULT);
         EXPECT_EQ(wait_with(ring, kPage - 8), -EFAULT) << "not all of it";
         EXPECT_EQ(wait_with(ring, ~std::uint64_t{7}), -EFAULT);
       }},
      {waits, "RefusesAnArgumentOfAnotherSize", needs,
       [](KernelUnderTest& kernel) {
         const Page page;
         Ring ring = open_waiting(kernel, page);
         EXPECT_EQ(wait_with(ring, 0, sizeof(io_uring_getevents_arg)), -EINVAL);
         EXPECT_EQ(wait_with(ring, 0, 0), -EINVAL);
       }},
      {waits, "RefusesFlagsThatItDoesNotHave", needs,
       [](KernelUnderTest& kernel) {
         const Page page;
         Ring ring = open_waiting(kernel, page);
         page.wait(0).flags = 1u << 9;
         EXPECT_EQ(wait_with(ring, 0), -EINVAL);
       }},
      {waits, "RefusesASignalMaskOfAnotherSize", needs,
       [](KernelUnderTest& kernel) {
         const Page page;
         Ring ring = open_waiting(kernel, page);
         std::uint64_t mask = 0;
         page.wait(0).sigmask = reinterpret_cast<std::uint64_t>(&mask);
         page.wait(0).sigmask_sz = 4;
         EXPECT_EQ(wait_with(ring, 0), -EINVAL);
       }},
      {waits, "NeedsARegionThatWasRegisteredForIt", needs,
       [](KernelUnderTest& kernel) {
         const Page page;
         Ring ring = open_ring(kernel);
         EXPECT_EQ(wait_with(ring, 0), -EFAULT);
         uapi::RegionDescription description = of_user(page);
         ASSERT_EQ(register_region(ring, description), 0);
         EXPECT_EQ(wait_with(ring, 0), -EFAULT) << "this one is for other things";
       }},
      {waits, "SettlesForOneCompletionAfterTheMinimumWait", needs,
       [](KernelUnderTest& kernel) {
         const Page page;
         Ring ring = open_waiting(kernel, page);
         page.wait(0).min_wait_usec = 1000;
         prepare_nop(ring, 1);
         ring.flush_sq();
         EXPECT_EQ(kernel.kernel().enter(ring.fd(), 1, 2, kWaitFlags, nullptr, sizeof(uapi::RegisteredWait)), 1);
         EXPECT_EQ(ring.cq_ready(), 1u);
         take(ring);
       }},
  };
}

}  // namespace assay::conformance
