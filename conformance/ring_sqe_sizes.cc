// Rings of unusual shape, held to what every ring does: no index array, entries of double size or of both sizes, memory
// of the caller's, an SQ without a head.

#include <sys/mman.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <vector>

#include "assay/conformance/ring_actions.h"
#include "assay/conformance/ring_suites.h"

namespace assay::conformance {
namespace {

/// Sixty NOPs in batches of three: both rings wrap, at every place.
void expect_nops(Ring& ring) {
  std::uint64_t sent = 0;
  std::uint64_t seen = 0;
  for (int batch = 0; batch < 20; ++batch) {
    for (int i = 0; i < 3; ++i) prepare_nop(ring, ++sent);
    ASSERT_EQ(ring.submit_and_wait(3), 3);
    for (const Completion& completion : take(ring, 3)) EXPECT_EQ(completion, (Completion{++seen, 0, 0}));
  }
}

Ring open_shaped(KernelUnderTest& kernel, unsigned setup_flags) {
  return open_ring(kernel, {.sq_entries = 4, .setup_flags = setup_flags});
}

int try_setup(KernelUnderTest& kernel, std::uint32_t flags, unsigned entries = 4, unsigned cq_entries = 0) {
  io_uring_params params{};
  params.flags = flags;
  params.cq_entries = cq_entries;
  const int fd = kernel.kernel().setup(entries, &params);
  if (fd < 0) return fd;
  kernel.kernel().close(fd);
  return 0;
}

/// A NOP with a CQE of 32 bytes.
void prepare_large_cqe(Ring& ring, std::uint64_t user_data) {
  io_uring_sqe& sqe = prepare_nop(ring, user_data);
  sqe.rw_flags = static_cast<int>(uapi::kNopCqe32);
  sqe.off = user_data + 1;
  sqe.addr = user_data + 2;
}

/// A NOP in an SQE of 128 bytes. In a mixed SQ it takes the next entry along.
void prepare_large_sqe(Ring& ring, std::uint64_t user_data) { next_sqe(ring, user_data).opcode = uapi::kOpNop128; }

/// The entries of a CQ as they lie there, all of them given back.
std::vector<io_uring_cqe*> entries_of(Ring& ring, unsigned first, unsigned count) {
  std::vector<io_uring_cqe*> entries;
  for (unsigned i = 0; i < count; ++i) entries.push_back(&ring.raw()->cq.cqes[(first + i) & (ring.cq_entries() - 1)]);
  return entries;
}

}  // namespace

std::vector<Behaviour> ring_sqe_sizes_behaviours() {
  const std::string suite = "RingShape";
  const std::string mixed = "RingMixed";
  const Needs cqes{.setup_flags = uapi::kSetupCqeMixed};
  const Needs sqes{.opcodes = {uapi::kOpNop128}, .setup_flags = uapi::kSetupSqeMixed};
  const Needs rewind{.setup_flags = uapi::kSetupSqRewind};
  constexpr std::uint32_t kRewind = uapi::kSetupSqRewind | uapi::kSetupNoSqarray;
  return {
      {suite,
       "WorksWithoutAnIndexArray",
       {.setup_flags = uapi::kSetupNoSqarray},
       [](KernelUnderTest& kernel) {
         Ring ring = open_shaped(kernel, uapi::kSetupNoSqarray);
         expect_nops(ring);
       }},
      {suite,
       "WorksWithSqesOfDoubleSize",
       {.setup_flags = IORING_SETUP_SQE128},
       [](KernelUnderTest& kernel) {
         Ring ring = open_shaped(kernel, IORING_SETUP_SQE128);
         expect_nops(ring);
       }},
      {suite,
       "WorksWithCqesOfDoubleSize",
       {.setup_flags = IORING_SETUP_CQE32},
       [](KernelUnderTest& kernel) {
         Ring ring = open_shaped(kernel, IORING_SETUP_CQE32);
         expect_nops(ring);
         prepare_nop(ring, 1);
         submit_all(ring);
         const io_uring_cqe* cqe = ring.peek_cqe();
         ASSERT_NE(cqe, nullptr);
         EXPECT_EQ(cqe->big_cqe[0], 0u);
         EXPECT_EQ(cqe->big_cqe[1], 0u);
         ring.cqe_seen(cqe);
       }},
      {suite,
       "OverflowsWithCqesOfDoubleSize",
       {.features = IORING_FEAT_NODROP, .setup_flags = IORING_SETUP_CQE32},
       [](KernelUnderTest& kernel) {
         Ring ring = open_shaped(kernel, IORING_SETUP_CQE32);
         for (std::uint64_t i = 0; i < 12; ++i) {
           prepare_nop(ring, i);
           if (ring.sq_space_left() == 0) submit_all(ring);
         }
         std::uint64_t seen = 0;
         for (const Completion& completion : take(ring, 12)) EXPECT_EQ(completion.user_data, seen++);
       }},
      {suite,
       "WorksInTheCallersMemory",
       {.setup_flags = uapi::kSetupNoMmap},
       [](KernelUnderTest& kernel) {
         Ring ring = open_shaped(kernel, uapi::kSetupNoMmap);
         expect_nops(ring);
       }},
      {suite,
       "WorksInTheCallersMemoryWithoutAnIndexArray",
       {.setup_flags = uapi::kSetupNoMmap | uapi::kSetupNoSqarray},
       [](KernelUnderTest& kernel) {
         Ring ring = open_shaped(kernel, uapi::kSetupNoMmap | uapi::kSetupNoSqarray);
         expect_nops(ring);
       }},
      {suite,
       "WorksWithoutAnFd",
       {.setup_flags = uapi::kSetupNoMmap | uapi::kSetupRegisteredFdOnly},
       [](KernelUnderTest& kernel) {
         Ring ring = open_shaped(kernel, uapi::kSetupNoMmap | uapi::kSetupRegisteredFdOnly);
         expect_nops(ring);
         EXPECT_EQ(
             kernel.kernel().register_op(ring.raw()->enter_ring_fd,
                                         IORING_REGISTER_PERSONALITY | uapi::kRegisterUseRegisteredRing, nullptr, 0),
             1)
             << "registrations go by its index too";
       }},
      {suite,
       "NeedsTheCallersMemoryToBeThere",
       {.setup_flags = uapi::kSetupNoMmap},
       [](KernelUnderTest& kernel) { EXPECT_EQ(try_setup(kernel, uapi::kSetupNoMmap), -EFAULT); }},
      {suite,
       "WorksWithACqMuchLargerThanTheSq",
       {.setup_flags = IORING_SETUP_CQSIZE},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel, {.sq_entries = 1, .cq_entries = 256});
         for (std::uint64_t i = 0; i < 256; ++i) {
           prepare_nop(ring, i);
           submit_all(ring);
         }
         EXPECT_EQ(ring.cq_ready(), 256u);
         std::uint64_t seen = 0;
         for (const Completion& completion : take_ready(ring)) EXPECT_EQ(completion.user_data, seen++);
       }},
      {suite,
       "WorksWithOneEntry",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel, {.sq_entries = 1});
         for (std::uint64_t i = 0; i < 5; ++i) {
           prepare_nop(ring, i);
           EXPECT_EQ(run_one(ring).user_data, i);
         }
       }},
      {suite, "StartsEachBatchAtTheFirstSqeWhenItRewinds", rewind,
       [](KernelUnderTest& kernel) {
         Ring ring = open_shaped(kernel, kRewind);
         for (std::uint64_t i = 1; i <= 3; ++i) {
           io_uring_sqe& sqe = *ring.raw()->sq.sqes;
           std::memset(static_cast<void*>(&sqe), 0, sizeof sqe);
           sqe.user_data = i;
           EXPECT_EQ(kernel.kernel().enter(ring.fd(), 1, 0, 0, nullptr, 0), 1);
           EXPECT_EQ(take(ring).user_data, i);
         }
         EXPECT_EQ(*ring.raw()->sq.khead, 0u) << "head and tail are left alone";
         EXPECT_EQ(*ring.raw()->sq.ktail, 0u);
       }},
      {suite, "TakesNoMoreThanTheWholeSqWhenItRewinds", rewind,
       [](KernelUnderTest& kernel) {
         Ring ring = open_shaped(kernel, kRewind);
         for (unsigned i = 0; i < ring.sq_entries(); ++i) {
           std::memset(static_cast<void*>(ring.raw()->sq.sqes + i), 0, sizeof(io_uring_sqe));
         }
         EXPECT_EQ(kernel.kernel().enter(ring.fd(), 100, 0, 0, nullptr, 0), 4);
         take(ring, 4);
       }},
      {suite, "RewindsOnlyWithoutAnIndexArrayAndAPollThread", rewind,
       [](KernelUnderTest& kernel) {
         EXPECT_EQ(try_setup(kernel, uapi::kSetupSqRewind), -EINVAL);
         EXPECT_EQ(try_setup(kernel, kRewind | IORING_SETUP_SQPOLL), -EINVAL);
       }},
      {mixed, "PostsBothKindsOfCqes", cqes,
       [](KernelUnderTest& kernel) {
         Ring ring = open_shaped(kernel, uapi::kSetupCqeMixed);
         prepare_nop(ring, 10);
         prepare_large_cqe(ring, 20);
         prepare_nop(ring, 30);
         submit_all(ring);
         EXPECT_EQ(ring.cq_ready(), 4u) << "a large one takes two entries";
         const std::vector<io_uring_cqe*> entries = entries_of(ring, 0, 4);
         EXPECT_EQ(entries[0]->user_data, 10u);
         EXPECT_EQ(entries[0]->flags, 0u);
         EXPECT_EQ(entries[1]->user_data, 20u);
         EXPECT_EQ(entries[1]->flags, uapi::kCqeF32);
         EXPECT_EQ(entries[1]->big_cqe[0], 21u);
         EXPECT_EQ(entries[1]->big_cqe[1], 22u);
         EXPECT_EQ(entries[3]->user_data, 30u);
         ring.cq_advance(4);
       }},
      {mixed, "FillsThePlaceWhereALargeCqeDoesNotFit", cqes,
       [](KernelUnderTest& kernel) {
         Ring ring = open_shaped(kernel, uapi::kSetupCqeMixed);
         for (std::uint64_t i = 0; i < 7; ++i) {
           prepare_nop(ring, i);
           EXPECT_EQ(run_one(ring).user_data, i);
         }
         prepare_large_cqe(ring, 20);
         submit_all(ring);
         EXPECT_EQ(ring.cq_ready(), 3u);
         const std::vector<io_uring_cqe*> entries = entries_of(ring, 7, 2);
         EXPECT_EQ(entries[0]->flags, uapi::kCqeFSkip) << "says nothing";
         EXPECT_EQ(entries[1]->user_data, 20u);
         EXPECT_EQ(entries[1]->flags, uapi::kCqeF32);
         EXPECT_EQ(entries[1]->big_cqe[0], 21u);
         ring.cq_advance(3);
       }},
      {mixed, "KeepsALargeCqeForWhichThereIsNoRoom", cqes,
       [](KernelUnderTest& kernel) {
         Ring ring = open_shaped(kernel, uapi::kSetupCqeMixed);
         for (std::uint64_t i = 0; i < 7; ++i) {
           prepare_nop(ring, i);
           submit_all(ring);
         }
         prepare_large_cqe(ring, 20);
         submit_all(ring);
         EXPECT_TRUE(ring.cq_has_overflow());
         ring.cq_advance(ring.cq_ready());
         ring.get_events();
         bool found = false;
         for (const io_uring_cqe* entry : entries_of(ring, *ring.raw()->cq.khead, ring.cq_ready())) {
           found |= entry->user_data == 20 && entry->flags == uapi::kCqeF32 && entry->big_cqe[1] == 22;
         }
         EXPECT_TRUE(found);
         ring.cq_advance(ring.cq_ready());
       }},
      {mixed, "NeedsRoomForALargeCqe", cqes,
       [](KernelUnderTest& kernel) {
         EXPECT_EQ(try_setup(kernel, uapi::kSetupCqeMixed | IORING_SETUP_CQSIZE, 1, 1), -EOVERFLOW);
         EXPECT_EQ(try_setup(kernel, uapi::kSetupCqeMixed | IORING_SETUP_CQE32), -EINVAL) << "either all or some";
       }},
      {mixed, "TakesBothKindsOfSqes", sqes,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel, {.sq_entries = 8, .setup_flags = uapi::kSetupSqeMixed});
         prepare_nop(ring, 1);
         prepare_large_sqe(ring, 2);
         next_sqe(ring);  // its second half
         prepare_nop(ring, 3);
         EXPECT_EQ(ring.submit(), 4) << "counted in entries";
         for (std::uint64_t i = 1; i <= 3; ++i) EXPECT_EQ(take(ring), (Completion{i, 0, 0}));
       }},
      {mixed, "RefusesALargeSqeThatIsCutOff", sqes,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel, {.sq_entries = 8, .setup_flags = uapi::kSetupSqeMixed});
         prepare_large_sqe(ring, 1);
         EXPECT_EQ(ring.submit(), 1);
         EXPECT_EQ(take(ring), (Completion{1, -EINVAL, 0})) << "only half of it was submitted";
         for (std::uint64_t i = 2; i <= 7; ++i) prepare_nop(ring, i);
         EXPECT_EQ(ring.submit(), 6);
         take(ring, 6);
         prepare_large_sqe(ring, 8);
         prepare_nop(ring, 9);
         EXPECT_EQ(ring.submit(), 1) << "the batch ends there";
         EXPECT_EQ(take(ring), (Completion{8, -EINVAL, 0})) << "its other half lies elsewhere";
         EXPECT_EQ(ring.submit(), 1);
         EXPECT_EQ(take(ring), (Completion{9, 0, 0}));
       }},
      {mixed,
       "RefusesALargeSqeWhereAllAreSmall",
       {.opcodes = {uapi::kOpNop128}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         prepare_large_sqe(ring, 1);
         ring.submit();
         EXPECT_EQ(take(ring), (Completion{1, -EINVAL, 0}));
       }},
      {mixed,
       "TakesALargeSqeWhereAllAreLarge",
       {.opcodes = {uapi::kOpNop128}, .setup_flags = IORING_SETUP_SQE128},
       [](KernelUnderTest& kernel) {
         Ring ring = open_shaped(kernel, IORING_SETUP_SQE128);
         prepare_large_sqe(ring, 1);
         EXPECT_EQ(run_one(ring), (Completion{1, 0, 0}));
       }},
      {mixed, "NeedsRoomForALargeSqe", sqes,
       [](KernelUnderTest& kernel) {
         EXPECT_EQ(try_setup(kernel, uapi::kSetupSqeMixed, 1), -EOVERFLOW);
         EXPECT_EQ(try_setup(kernel, uapi::kSetupSqeMixed | IORING_SETUP_SQE128), -EINVAL) << "either all or some";
       }},
  };
}

}  // namespace assay::conformance
