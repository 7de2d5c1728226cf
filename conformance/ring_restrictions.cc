// Rings that may be used for some things only: registered while the ring is disabled, in force once it is enabled.

#include <cerrno>
#include <vector>

#include "assay/conformance/ring_actions.h"
#include "assay/conformance/ring_suites.h"

namespace assay::conformance {
namespace {

io_uring_restriction allow_sqe(std::uint8_t opcode) {
  io_uring_restriction entry{};
  entry.opcode = IORING_RESTRICTION_SQE_OP;
  entry.sqe_op = opcode;
  return entry;
}

io_uring_restriction allow_registration(std::uint8_t opcode) {
  io_uring_restriction entry{};
  entry.opcode = IORING_RESTRICTION_REGISTER_OP;
  entry.register_op = opcode;
  return entry;
}

io_uring_restriction sqe_flags(std::uint16_t kind, std::uint8_t flags) {
  io_uring_restriction entry{};
  entry.opcode = kind;
  entry.sqe_flags = flags;
  return entry;
}

int restrict(Ring& ring, std::vector<io_uring_restriction> entries) {
  return ring.register_op(IORING_REGISTER_RESTRICTIONS, entries.data(), static_cast<unsigned>(entries.size()));
}

Ring open_disabled(KernelUnderTest& kernel) {
  return open_ring(kernel, {.sq_entries = 8, .setup_flags = IORING_SETUP_R_DISABLED});
}

/// What most tests start from: NOPs, and registering an eventfd.
const std::vector<io_uring_restriction> kNopsOnly = {allow_sqe(IORING_OP_NOP),
                                                     allow_registration(IORING_REGISTER_EVENTFD)};

std::int32_t result_of(Ring& ring, std::uint8_t opcode, std::uint8_t flags = 0) {
  io_uring_sqe& sqe = next_sqe(ring, 1);
  sqe.opcode = opcode;
  sqe.fd = -1;
  sqe.flags = flags;
  submit_all(ring);
  return take(ring).res;
}

}  // namespace

std::vector<Behaviour> ring_restrictions_behaviours() {
  const std::string suite = "RingRestrictions";
  const Needs needs{.setup_flags = IORING_SETUP_R_DISABLED, .register_ops = {IORING_REGISTER_RESTRICTIONS}};
  return {
      {suite, "LetsThroughWhatTheyAllow", needs,
       [](KernelUnderTest& kernel) {
         Ring ring = open_disabled(kernel);
         ASSERT_EQ(restrict(ring, kNopsOnly), 0);
         ASSERT_EQ(ring.enable(), 0);
         EXPECT_EQ(result_of(ring, IORING_OP_NOP), 0);
         const Fd event = make_eventfd();
         EXPECT_EQ(ring.register_eventfd(event.get()), 0);
       }},
      {suite, "RefuseEveryOtherOpcode", needs,
       [](KernelUnderTest& kernel) {
         Ring ring = open_disabled(kernel);
         ASSERT_EQ(restrict(ring, kNopsOnly), 0);
         ASSERT_EQ(ring.enable(), 0);
         EXPECT_EQ(result_of(ring, IORING_OP_TIMEOUT), -EACCES);
         EXPECT_EQ(result_of(ring, IORING_OP_POLL_ADD), -EACCES) << "before its file is looked for";
         EXPECT_EQ(result_of(ring, IORING_OP_NOP), 0) << "the ring works on";
       }},
      {suite, "RefuseEveryOtherRegistration", needs,
       [](KernelUnderTest& kernel) {
         Ring ring = open_disabled(kernel);
         ASSERT_EQ(restrict(ring, kNopsOnly), 0);
         ASSERT_EQ(ring.enable(), 0);
         EXPECT_EQ(ring.register_op(IORING_REGISTER_PERSONALITY, nullptr, 0), -EACCES);
         EXPECT_EQ(ring.unregister_files(), -EACCES);
         EXPECT_EQ(ring.enable(), -EACCES) << "even where it would fail anyway";
       }},
      {suite, "RefuseAnUnknownOpcodeAsUnknown", needs,
       [](KernelUnderTest& kernel) {
         Ring ring = open_disabled(kernel);
         ASSERT_EQ(restrict(ring, kNopsOnly), 0);
         ASSERT_EQ(ring.enable(), 0);
         EXPECT_EQ(result_of(ring, 255), -EINVAL);
         EXPECT_EQ(result_of(ring, IORING_OP_TIMEOUT, 0x80), -EINVAL) << "a flag that does not exist, too";
       }},
      {suite, "AreNotInForceWhileTheRingIsDisabled", needs,
       [](KernelUnderTest& kernel) {
         Ring ring = open_disabled(kernel);
         ASSERT_EQ(restrict(ring, kNopsOnly), 0);
         const Fd file = make_file("kept");
         const int fd = file.get();
         EXPECT_EQ(ring.register_files({&fd, 1}), 0);
         EXPECT_EQ(ring.unregister_files(), 0);
         ASSERT_EQ(ring.enable(), 0);
         EXPECT_EQ(ring.register_files({&fd, 1}), -EACCES);
       }},
      {suite, "RefuseFlagsThatWereNotAllowed", needs,
       [](KernelUnderTest& kernel) {
         Ring ring = open_disabled(kernel);
         std::vector<io_uring_restriction> entries = kNopsOnly;
         entries.push_back(sqe_flags(IORING_RESTRICTION_SQE_FLAGS_ALLOWED, IOSQE_IO_DRAIN));
         ASSERT_EQ(restrict(ring, entries), 0);
         ASSERT_EQ(ring.enable(), 0);
         EXPECT_EQ(result_of(ring, IORING_OP_NOP), 0);
         EXPECT_EQ(result_of(ring, IORING_OP_NOP, IOSQE_IO_DRAIN), 0);
         EXPECT_EQ(result_of(ring, IORING_OP_NOP, IOSQE_ASYNC), -EACCES);
       }},
      {suite, "RefuseEveryFlagWhereNoneIsNamed", needs,
       [](KernelUnderTest& kernel) {
         Ring ring = open_disabled(kernel);
         ASSERT_EQ(restrict(ring, kNopsOnly), 0);
         ASSERT_EQ(ring.enable(), 0);
         EXPECT_EQ(result_of(ring, IORING_OP_NOP, IOSQE_ASYNC), -EACCES);
       }},
      {suite, "RefuseSqesWithoutTheFlagsTheyRequire", needs,
       [](KernelUnderTest& kernel) {
         Ring ring = open_disabled(kernel);
         std::vector<io_uring_restriction> entries = kNopsOnly;
         entries.push_back(sqe_flags(IORING_RESTRICTION_SQE_FLAGS_REQUIRED, IOSQE_ASYNC));
         ASSERT_EQ(restrict(ring, entries), 0);
         ASSERT_EQ(ring.enable(), 0);
         EXPECT_EQ(result_of(ring, IORING_OP_NOP), -EACCES);
         EXPECT_EQ(result_of(ring, IORING_OP_NOP, IOSQE_ASYNC), 0) << "what is required is allowed";
         EXPECT_EQ(result_of(ring, IORING_OP_NOP, IOSQE_ASYNC | IOSQE_IO_DRAIN), -EACCES);
       }},
      {suite,
       "CutTheChainOfWhatTheyRefuse",
       {.setup_flags = IORING_SETUP_R_DISABLED, .register_ops = {IORING_REGISTER_RESTRICTIONS}, .since = {5, 12}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_disabled(kernel);
         std::vector<io_uring_restriction> entries = kNopsOnly;
         entries.push_back(sqe_flags(IORING_RESTRICTION_SQE_FLAGS_ALLOWED, IOSQE_IO_LINK));
         ASSERT_EQ(restrict(ring, entries), 0);
         ASSERT_EQ(ring.enable(), 0);
         prepare_nop(ring, 1).flags = IOSQE_IO_LINK;
         next_sqe(ring, 2).opcode = IORING_OP_TIMEOUT;
         ring.submit();
         const std::vector<Completion> completions = take(ring, 2);
         EXPECT_EQ(find(completions, 1).res, -ECANCELED);
         EXPECT_EQ(find(completions, 2).res, -EACCES);
       }},
      {suite, "AreForDisabledRingsOnly", needs,
       [](KernelUnderTest& kernel) {
         Ring enabled = open_ring(kernel);
         EXPECT_EQ(restrict(enabled, kNopsOnly), -EBADFD);
         Ring ring = open_disabled(kernel);
         ASSERT_EQ(ring.enable(), 0);
         EXPECT_EQ(restrict(ring, kNopsOnly), -EBADFD) << "disabled once is not enough";
       }},
      {suite, "AreRegisteredOnce", needs,
       [](KernelUnderTest& kernel) {
         Ring ring = open_disabled(kernel);
         ASSERT_EQ(restrict(ring, kNopsOnly), 0);
         EXPECT_EQ(restrict(ring, kNopsOnly), -EBUSY);
       }},
      {suite, "AreTakenWholeOrNotAtAll", needs,
       [](KernelUnderTest& kernel) {
         Ring ring = open_disabled(kernel);
         std::vector<io_uring_restriction> entries = kNopsOnly;
         entries.push_back(allow_sqe(255));
         EXPECT_EQ(restrict(ring, entries), -EINVAL);
         entries.back() = allow_registration(255);
         EXPECT_EQ(restrict(ring, entries), -EINVAL);
         entries.back() = sqe_flags(99, 0);
         EXPECT_EQ(restrict(ring, entries), -EINVAL) << "no such kind of restriction";
         entries.pop_back();
         EXPECT_EQ(restrict(ring, entries), 0) << "so far there were none";
       }},
      {suite, "AreReadFromMemoryThatIsThere", needs,
       [](KernelUnderTest& kernel) {
         Ring ring = open_disabled(kernel);
         EXPECT_EQ(ring.register_op(IORING_REGISTER_RESTRICTIONS, nullptr, 1), -EINVAL);
         EXPECT_EQ(ring.register_op(IORING_REGISTER_RESTRICTIONS, reinterpret_cast<void*>(1), 1), -EFAULT);
         std::vector<io_uring_restriction> many(1000, allow_sqe(IORING_OP_NOP));
         EXPECT_EQ(restrict(ring, many), -EINVAL) << "more than there can be";
       }},
  };
}

}  // namespace assay::conformance
