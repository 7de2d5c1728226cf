// Registered credentials, and requests that use them.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "assay/conformance/folder.h"
#include "assay/conformance/ring_actions.h"
#include "assay/conformance/ring_suites.h"

namespace assay::conformance {
namespace {

int register_personality(Ring& ring) { return ring.register_op(IORING_REGISTER_PERSONALITY, nullptr, 0); }
int unregister_personality(Ring& ring, int id) {
  return ring.register_op(IORING_UNREGISTER_PERSONALITY, nullptr, static_cast<unsigned>(id));
}

std::int32_t nop_as(Ring& ring, int personality) {
  prepare_nop(ring, 1).personality = static_cast<std::uint16_t>(personality);
  return run_one(ring).res;
}

}  // namespace

std::vector<Behaviour> ring_personality_behaviours() {
  const std::string suite = "RingPersonality";
  const Needs needs{.register_ops = {IORING_REGISTER_PERSONALITY, IORING_UNREGISTER_PERSONALITY}};
  return {
      {suite, "IsNamedByANumberFromOneOn", needs,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         EXPECT_EQ(register_personality(ring), 1);
         EXPECT_EQ(register_personality(ring), 2);
       }},
      {suite, "GetsAFreshNumberEvenWhenOneWasGivenBack", needs,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const int first = register_personality(ring);
         ASSERT_EQ(unregister_personality(ring, first), 0);
         EXPECT_EQ(register_personality(ring), first + 1);
       }},
      {suite, "ServesRequests", needs,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const int id = register_personality(ring);
         EXPECT_EQ(nop_as(ring, id), 0);
         EXPECT_EQ(nop_as(ring, id), 0) << "as often as one likes";
       }},
      {suite, "MustBeRegistered", needs,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         EXPECT_EQ(nop_as(ring, 1), -EINVAL);
         const int id = register_personality(ring);
         EXPECT_EQ(nop_as(ring, id + 1), -EINVAL);
         ASSERT_EQ(unregister_personality(ring, id), 0);
         EXPECT_EQ(nop_as(ring, id), -EINVAL) << "any more";
       }},
      {suite, "BelongsToItsRing", needs,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         Ring other = open_ring(kernel);
         const int id = register_personality(ring);
         EXPECT_EQ(nop_as(other, id), -EINVAL);
       }},
      {suite, "CannotBeGivenBackTwice", needs,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const int id = register_personality(ring);
         EXPECT_EQ(unregister_personality(ring, id), 0);
         EXPECT_EQ(unregister_personality(ring, id), -EINVAL);
         EXPECT_EQ(unregister_personality(ring, 0), -EINVAL);
       }},
      {suite, "TakesNoArguments", needs,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         int word = 0;
         EXPECT_EQ(ring.register_op(IORING_REGISTER_PERSONALITY, &word, 0), -EINVAL);
         EXPECT_EQ(ring.register_op(IORING_REGISTER_PERSONALITY, nullptr, 1), -EINVAL);
         const int id = register_personality(ring);
         EXPECT_EQ(ring.register_op(IORING_UNREGISTER_PERSONALITY, &word, static_cast<unsigned>(id)), -EINVAL);
       }},
      {suite,
       "OpensFilesAsWhoeverRegisteredIt",
       {.opcodes = {IORING_OP_OPENAT}, .register_ops = {IORING_REGISTER_PERSONALITY}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder;
         { const Fd file(::openat(folder.fd(), "private", O_CREAT | O_RDWR | O_CLOEXEC, 0600)); }
         const int id = register_personality(ring);
         ASSERT_GT(id, 0);
         // Nobody becomes another user without privilege; who has none opens the file as its owner both times.
         constexpr uid_t kNobody = 65534;
         const bool changed = ::geteuid() == 0 && ::seteuid(kNobody) == 0;
         io_uring_prep_openat(&next_sqe(ring, 1), folder.fd(), "private", O_RDWR, 0);
         const std::int32_t as_caller = run_one(ring).res;
         io_uring_sqe& sqe = next_sqe(ring, 2);
         io_uring_prep_openat(&sqe, folder.fd(), "private", O_RDWR, 0);
         sqe.personality = static_cast<std::uint16_t>(id);
         const std::int32_t as_registered = run_one(ring).res;
         if (changed) {
           EXPECT_EQ(::seteuid(0), 0);
           EXPECT_EQ(as_caller, -EACCES);
         } else {
           EXPECT_GE(as_caller, 0);
         }
         EXPECT_GE(as_registered, 0);
         if (as_caller >= 0) ::close(as_caller);
         if (as_registered >= 0) ::close(as_registered);
       }},
  };
}

}  // namespace assay::conformance
