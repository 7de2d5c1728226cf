// What a NOP can be told to do: look for a file or a buffer, end later, or with a large CQE.

#include <sys/uio.h>

#include <cerrno>

#include "assay/conformance/ring_actions.h"
#include "assay/conformance/ring_suites.h"

namespace assay::conformance {
namespace {

constexpr KernelVersion kFlagsSince{6, 10};
constexpr KernelVersion kFindsSince{6, 13};

io_uring_sqe& prepare_flagged(Ring& ring, std::uint32_t flags, int fd = -1) {
  io_uring_sqe& sqe = prepare_nop(ring, 1);
  sqe.rw_flags = static_cast<int>(flags);
  sqe.fd = fd;
  return sqe;
}

/// Of a NOP that ends well, or not, with another one behind it: whether that one ran.
bool lets_its_chain_go_on(Ring& ring, std::uint32_t flags, int fd) {
  prepare_flagged(ring, flags, fd).flags = IOSQE_IO_LINK;
  prepare_nop(ring, 2);
  submit_all(ring);
  return find(take(ring, 2), 2).res == 0;
}

}  // namespace

std::vector<Behaviour> ring_nop_behaviours() {
  const std::string suite = "RingNop";
  const Needs finds{.since = kFindsSince};
  return {
      {suite,
       "PaysNoHeedToFlagsWhereItHasNone",
       {.switches_off = {&Semantics::nop_checks_flags}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         prepare_flagged(ring, ~0u);
         EXPECT_EQ(run_one(ring).res, 0);
       }},
      {suite,
       "RefusesEveryFlagWhereItHasNoneAndLooks",
       {.switches_on = {&Semantics::nop_checks_flags}, .until = kFlagsSince},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         for (unsigned bit = 0; bit < 32; ++bit) {
           prepare_flagged(ring, 1u << bit);
           EXPECT_EQ(run_one(ring).res, -EINVAL) << "flag bit " << bit;
         }
       }},
      {suite,
       "CutsItsChainWithTheErrorThatItIsGiven",
       {.since = kFlagsSince},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         io_uring_sqe& sqe = prepare_flagged(ring, uapi::kNopInjectResult);
         sqe.len = static_cast<unsigned>(-EIO);
         sqe.flags = IOSQE_IO_LINK;
         prepare_nop(ring, 2);
         submit_all(ring);
         const std::vector<Completion> completions = take(ring, 2);
         EXPECT_EQ(find(completions, 1).res, -EIO);
         EXPECT_EQ(find(completions, 2).res, -ECANCELED);
       }},
      {suite, "FindsAFile", finds,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("file");
         prepare_flagged(ring, uapi::kNopFile, file.get());
         EXPECT_EQ(run_one(ring).res, 0);
         EXPECT_TRUE(lets_its_chain_go_on(ring, uapi::kNopFile, file.get()));
         EXPECT_FALSE(lets_its_chain_go_on(ring, uapi::kNopFile, -1));
       }},
      {suite, "FindsARegisteredFile", finds,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("file");
         const int fd = file.get();
         ASSERT_EQ(ring.register_files({&fd, 1}), 0);
         constexpr std::uint32_t kFixed = uapi::kNopFile | uapi::kNopFixedFile;
         EXPECT_TRUE(lets_its_chain_go_on(ring, kFixed, 0));
         EXPECT_FALSE(lets_its_chain_go_on(ring, kFixed, 1));
       }},
      {suite, "FindsARegisteredBuffer", finds,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         EXPECT_FALSE(lets_its_chain_go_on(ring, uapi::kNopFixedBuffer, -1));
         char bytes[16];
         const iovec buffer{bytes, sizeof bytes};
         ASSERT_EQ(ring.register_buffers({&buffer, 1}), 0);
         EXPECT_TRUE(lets_its_chain_go_on(ring, uapi::kNopFixedBuffer, -1));
       }},
      {suite,
       "TellsWhatItDidNotFind",
       {.switches_on = {&Semantics::nop_tells_failure}, .since = kFindsSince},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         prepare_flagged(ring, uapi::kNopFile);
         EXPECT_EQ(run_one(ring).res, -EBADF);
         prepare_flagged(ring, uapi::kNopFixedBuffer);
         EXPECT_EQ(run_one(ring).res, -EFAULT);
       }},
      {suite,
       "KeepsToItselfWhatItDidNotFindWhereItDid",
       {.switches_off = {&Semantics::nop_tells_failure}, .since = kFindsSince},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         prepare_flagged(ring, uapi::kNopFile);
         EXPECT_EQ(run_one(ring).res, 0);
       }},
      {suite,
       "EndsFromTaskWork",
       {.since = {6, 17}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         io_uring_sqe& sqe = prepare_flagged(ring, uapi::kNopTaskWork | uapi::kNopInjectResult);
         sqe.len = 42;
         prepare_nop(ring, 2);
         submit_all(ring);
         const std::vector<Completion> completions = take(ring, 2);
         EXPECT_EQ(completions[0].user_data, 2u) << "the one that ended at once is first";
         EXPECT_EQ(completions[1], (Completion{1, 42, 0}));
       }},
      {suite,
       "FillsALargeCqe",
       {.setup_flags = IORING_SETUP_CQE32, .since = {6, 18}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel, {.sq_entries = 4, .setup_flags = IORING_SETUP_CQE32});
         io_uring_sqe& sqe = prepare_flagged(ring, uapi::kNopCqe32);
         sqe.off = 7;
         sqe.addr = 9;
         submit_all(ring);
         const io_uring_cqe* cqe = ring.peek_cqe();
         ASSERT_NE(cqe, nullptr);
         EXPECT_EQ(cqe->res, 0);
         EXPECT_EQ(cqe->big_cqe[0], 7u);
         EXPECT_EQ(cqe->big_cqe[1], 9u);
         ring.cqe_seen(cqe);
       }},
      {suite,
       "HasNoLargeCqeWhereThereIsNoRoom",
       {.since = {6, 18}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         prepare_flagged(ring, uapi::kNopCqe32);
         ring.submit();
         EXPECT_EQ(take(ring).res, -EINVAL);
       }},
  };
}

}  // namespace assay::conformance
