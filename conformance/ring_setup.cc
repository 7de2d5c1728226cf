// What io_uring_setup(2) promises, and what mmap(2) of ring memory shows.

#include <fcntl.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>

#include "assay/conformance/ring_actions.h"
#include "assay/conformance/ring_suites.h"

namespace assay::conformance {
namespace {

/// Sets up a ring for its answer alone, and gives it back.
int try_setup(KernelUnderTest& kernel, unsigned entries, io_uring_params& params) {
  const int fd = kernel.kernel().setup(entries, &params);
  if (fd >= 0) kernel.kernel().close(fd);
  return std::min(fd, 0);
}

int try_setup(KernelUnderTest& kernel, unsigned entries, unsigned flags) {
  io_uring_params params{};
  params.flags = flags;
  return try_setup(kernel, entries, params);
}

/// Ring memory mapped by hand, where a test is about the mapping itself.
class Mapping {
 public:
  Mapping(Kernel& kernel, int fd, std::uint64_t offset, std::size_t bytes) : kernel_(kernel), bytes_(bytes) {
    result_ = kernel.map(fd, offset, bytes, &address_);
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() {
    if (result_ == 0) kernel_.unmap(address_, bytes_);
  }

  int result() const { return result_; }
  unsigned& word(unsigned offset) const { return *reinterpret_cast<unsigned*>(static_cast<char*>(address_) + offset); }

 private:
  Kernel& kernel_;
  std::size_t bytes_;
  void* address_ = nullptr;
  int result_;
};

std::size_t sq_ring_bytes(const io_uring_params& params) {
  return params.sq_off.array + params.sq_entries * sizeof(unsigned);
}
std::size_t cq_ring_bytes(const io_uring_params& params) {
  return params.cq_off.cqes + params.cq_entries * sizeof(io_uring_cqe);
}

}  // namespace

std::vector<Behaviour> ring_setup_behaviours() {
  const std::string suite = "RingSetup";
  return {
      {suite,
       "RoundsEntriesUpToAPowerOfTwo",
       {},
       [](KernelUnderTest& kernel) {
         for (const unsigned entries : {1u, 2u, 3u, 5u, 8u, 33u}) {
           io_uring_params params{};
           ASSERT_EQ(try_setup(kernel, entries, params), 0);
           unsigned rounded = 1;
           while (rounded < entries) rounded *= 2;
           EXPECT_EQ(params.sq_entries, rounded);
           EXPECT_EQ(params.cq_entries, 2 * rounded) << "the CQ is twice the SQ unless asked otherwise";
         }
       }},
      {suite, "RefusesZeroEntries", {}, [](KernelUnderTest& kernel) { EXPECT_EQ(try_setup(kernel, 0, 0u), -EINVAL); }},
      {suite,
       "RefusesMoreEntriesThanTheLimit",
       {},
       [](KernelUnderTest& kernel) {
         // 4096 was the limit until 5.4, 32768 since.
         EXPECT_EQ(try_setup(kernel, 32769, 0u), -EINVAL);
       }},
      {suite,
       "ClampsEntriesToTheLimitWhenAsked",
       {.setup_flags = IORING_SETUP_CLAMP},
       [](KernelUnderTest& kernel) {
         io_uring_params params{};
         params.flags = IORING_SETUP_CLAMP;
         ASSERT_EQ(try_setup(kernel, 1u << 20, params), 0);
         EXPECT_EQ(params.sq_entries, 32768u);
         EXPECT_EQ(params.cq_entries, 65536u);
       }},
      {suite,
       "GivesTheCqItsOwnSize",
       {.setup_flags = IORING_SETUP_CQSIZE},
       [](KernelUnderTest& kernel) {
         io_uring_params params{};
         params.flags = IORING_SETUP_CQSIZE;
         params.cq_entries = 100;
         ASSERT_EQ(try_setup(kernel, 4, params), 0);
         EXPECT_EQ(params.sq_entries, 4u);
         EXPECT_EQ(params.cq_entries, 128u);
       }},
      {suite,
       "RefusesACqSmallerThanTheSq",
       {.setup_flags = IORING_SETUP_CQSIZE},
       [](KernelUnderTest& kernel) {
         io_uring_params params{};
         params.flags = IORING_SETUP_CQSIZE;
         params.cq_entries = 4;
         EXPECT_EQ(try_setup(kernel, 8, params), -EINVAL);
       }},
      {suite,
       "RefusesACqOfZeroEntries",
       {.setup_flags = IORING_SETUP_CQSIZE},
       [](KernelUnderTest& kernel) { EXPECT_EQ(try_setup(kernel, 8, IORING_SETUP_CQSIZE), -EINVAL); }},
      {suite,
       "RefusesACqAboveTheLimit",
       {.setup_flags = IORING_SETUP_CQSIZE},
       [](KernelUnderTest& kernel) {
         io_uring_params params{};
         params.flags = IORING_SETUP_CQSIZE;
         params.cq_entries = 65537;
         EXPECT_EQ(try_setup(kernel, 8, params), -EINVAL);
       }},
      {suite,
       "ClampsTheCqToItsLimitWhenAsked",
       {.setup_flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP},
       [](KernelUnderTest& kernel) {
         io_uring_params params{};
         params.flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
         params.cq_entries = 1u << 20;
         ASSERT_EQ(try_setup(kernel, 8, params), 0);
         EXPECT_EQ(params.sq_entries, 8u);
         EXPECT_EQ(params.cq_entries, 65536u);
       }},
      {suite,
       "RefusesEveryFlagItDoesNotHave",
       {},
       [](KernelUnderTest& kernel) {
         for (unsigned bit = 0; bit < 32; ++bit) {
           const unsigned flag = 1u << bit;
           if ((kernel.profile().setup_flags & flag) != 0) continue;
           io_uring_params params{};
           params.flags = flag;
           params.cq_entries = 16;  // so that CQSIZE has nothing else wrong with it
           EXPECT_EQ(try_setup(kernel, 8, params), -EINVAL) << "setup flag bit " << bit;
         }
       }},
      {suite,
       "AcceptsTheFlagsThatItHas",
       {},
       [](KernelUnderTest& kernel) {
         // Those that ask for nothing but themselves.
         for (const unsigned flag : {IORING_SETUP_CLAMP, IORING_SETUP_R_DISABLED, IORING_SETUP_SUBMIT_ALL,
                                     IORING_SETUP_COOP_TASKRUN, IORING_SETUP_SINGLE_ISSUER}) {
           if ((kernel.profile().setup_flags & flag) == 0) continue;
           io_uring_params params{};
           params.flags = flag;
           EXPECT_EQ(try_setup(kernel, 8, params), 0) << uapi_flags(UapiClass::kSetupFlag, flag);
           EXPECT_EQ(params.flags, flag) << "the kernel gives the flags back as they were";
         }
       }},
      {suite,
       "RefusesReservedFieldsThatAreNotZero",
       {},
       [](KernelUnderTest& kernel) {
         for (int i = 0; i < 3; ++i) {
           io_uring_params params{};
           params.resv[i] = 1;
           EXPECT_EQ(try_setup(kernel, 8, params), -EINVAL) << "resv[" << i << "]";
         }
       }},
      {suite,
       "RefusesParamsThatItCannotRead",
       {},
       [](KernelUnderTest& kernel) { EXPECT_EQ(kernel.kernel().setup(8, nullptr), -EFAULT); }},
      {suite,
       "TellsItsFeatures",
       {},
       [](KernelUnderTest& kernel) {
         io_uring_params params{};
         ASSERT_EQ(try_setup(kernel, 8, params), 0);
         EXPECT_EQ(uapi_flags(UapiClass::kFeature, params.features),
                   uapi_flags(UapiClass::kFeature, kernel.profile().features));
       }},
      {suite,
       "RefusesAnAffinityWithoutAPollThread",
       {.setup_flags = IORING_SETUP_SQ_AFF},
       [](KernelUnderTest& kernel) { EXPECT_EQ(try_setup(kernel, 8, IORING_SETUP_SQ_AFF), -EINVAL); }},
      {suite,
       "RefusesATaskrunFlagWithoutCooperativeOrDeferredTaskWork",
       {.setup_flags = IORING_SETUP_TASKRUN_FLAG},
       [](KernelUnderTest& kernel) {
         EXPECT_EQ(try_setup(kernel, 8, IORING_SETUP_TASKRUN_FLAG), -EINVAL);
         EXPECT_EQ(try_setup(kernel, 8, IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_COOP_TASKRUN), 0);
       }},
      {suite,
       "RefusesDeferredTaskWorkWithoutASingleIssuer",
       {.setup_flags = IORING_SETUP_DEFER_TASKRUN},
       [](KernelUnderTest& kernel) {
         EXPECT_EQ(try_setup(kernel, 8, IORING_SETUP_DEFER_TASKRUN), -EINVAL);
         EXPECT_EQ(try_setup(kernel, 8, IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SINGLE_ISSUER), 0);
       }},
      {suite,
       "RefusesDeferredTaskWorkWithAPollThread",
       {.setup_flags = IORING_SETUP_DEFER_TASKRUN},
       [](KernelUnderTest& kernel) {
         EXPECT_EQ(try_setup(kernel, 8, IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_SQPOLL),
                   -EINVAL);
       }},
      {suite,
       "RefusesARegisteredFdOnlyWhereTheRingIsMapped",
       {.setup_flags = uapi::kSetupRegisteredFdOnly},
       [](KernelUnderTest& kernel) { EXPECT_EQ(try_setup(kernel, 8, uapi::kSetupRegisteredFdOnly), -EINVAL); }},
      {suite,
       "HasNoIndexArrayWhereNoneIsAskedFor",
       {.setup_flags = uapi::kSetupNoSqarray},
       [](KernelUnderTest& kernel) {
         io_uring_params params{};
         params.flags = uapi::kSetupNoSqarray;
         ASSERT_EQ(try_setup(kernel, 8, params), 0);
         EXPECT_EQ(params.sq_off.array, 0u);
       }},
      {suite,
       "ClosesTheRingOnExec",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         EXPECT_EQ(::fcntl(ring.fd(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
       }},
      {suite,
       "ShowsEmptyRingsInFreshMemory",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel, {.sq_entries = 8});
         const io_uring& raw = *ring.raw();
         EXPECT_EQ(*raw.sq.khead, 0u);
         EXPECT_EQ(*raw.sq.ktail, 0u);
         EXPECT_EQ(*raw.sq.kring_mask, 7u);
         EXPECT_EQ(*raw.sq.kring_entries, 8u);
         EXPECT_EQ(*raw.sq.kdropped, 0u);
         EXPECT_EQ(*raw.cq.khead, 0u);
         EXPECT_EQ(*raw.cq.ktail, 0u);
         EXPECT_EQ(*raw.cq.kring_mask, 15u);
         EXPECT_EQ(*raw.cq.kring_entries, 16u);
         EXPECT_EQ(*raw.cq.koverflow, 0u);
       }},
      {suite,
       "MapsTheTwoRingsTogetherUnderEitherOffset",
       {.features = IORING_FEAT_SINGLE_MMAP},
       [](KernelUnderTest& kernel) {
         io_uring_params params{};
         const int fd = kernel.kernel().setup(8, &params);
         ASSERT_GE(fd, 0);
         {
           const std::size_t bytes = std::max(sq_ring_bytes(params), cq_ring_bytes(params));
           Mapping both(kernel.kernel(), fd, IORING_OFF_SQ_RING, bytes);
           Mapping cq(kernel.kernel(), fd, IORING_OFF_CQ_RING, bytes);
           EXPECT_EQ(both.result(), 0);
           EXPECT_EQ(cq.result(), 0);
           if (both.result() == 0 && cq.result() == 0) {
             EXPECT_EQ(both.word(params.sq_off.ring_mask), 7u);
             EXPECT_EQ(both.word(params.cq_off.ring_mask), 15u);
             both.word(params.cq_off.head) = 5;
             EXPECT_EQ(cq.word(params.cq_off.head), 5u) << "both mappings are the same memory";
             both.word(params.cq_off.head) = 0;
           }
         }
         EXPECT_EQ(kernel.kernel().close(fd), 0);
       }},
      {suite,
       "MapsTheTwoRingsApartWhereTheyCannotShare",
       {.without_features = IORING_FEAT_SINGLE_MMAP},
       [](KernelUnderTest& kernel) {
         io_uring_params params{};
         const int fd = kernel.kernel().setup(8, &params);
         ASSERT_GE(fd, 0);
         {
           Mapping sq(kernel.kernel(), fd, IORING_OFF_SQ_RING, sq_ring_bytes(params));
           Mapping cq(kernel.kernel(), fd, IORING_OFF_CQ_RING, cq_ring_bytes(params));
           EXPECT_EQ(sq.result(), 0);
           EXPECT_EQ(cq.result(), 0);
           if (sq.result() == 0 && cq.result() == 0) {
             EXPECT_EQ(sq.word(params.sq_off.ring_mask), 7u);
             EXPECT_EQ(cq.word(params.cq_off.ring_mask), 15u);
           }
         }
         EXPECT_EQ(kernel.kernel().close(fd), 0);
       }},
      {suite,
       "RefusesToMapAnOffsetWhereNothingLies",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         Mapping elsewhere(kernel.kernel(), ring.fd(), 0x30000000, 4096);
         // EINVAL from the ring's mmap; ENOMEM since the address is chosen by io_uring, which looks at the offset
         // first.
         EXPECT_TRUE(elsewhere.result() == -EINVAL || elsewhere.result() == -ENOMEM) << elsewhere.result();
       }},
  };
}

}  // namespace assay::conformance
