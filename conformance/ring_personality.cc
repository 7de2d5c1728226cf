// Registered credentials, and requests that use them.

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <initializer_list>
#include <thread>

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

constexpr uid_t kNobody = 65534;
constexpr gid_t kSomeGroup = 4242;

// Of the calling thread alone, which the C library's functions would not be.
bool be_user(uid_t user) { return ::syscall(SYS_setresuid, -1, user, -1) == 0; }
bool have_groups(std::initializer_list<gid_t> groups) {
  return ::syscall(SYS_setgroups, groups.size(), groups.begin()) == 0;
}

std::int32_t open_as(Ring& ring, const Folder& folder, int personality) {
  io_uring_sqe& sqe = next_sqe(ring, 2);
  io_uring_prep_openat(&sqe, folder.fd(), "shared", O_RDONLY, 0);
  sqe.personality = static_cast<std::uint16_t>(personality);
  const std::int32_t result = run_one(ring).res;
  if (result >= 0) ::close(result);
  return result < 0 ? result : 0;
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
      {suite,
       "DoesNotInstallDescriptors",
       {.opcodes = {uapi::kOpFixedFdInstall}, .register_ops = {IORING_REGISTER_PERSONALITY}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("hello");
         const int fd = file.get();
         ASSERT_EQ(ring.register_op(IORING_REGISTER_FILES, const_cast<int*>(&fd), 1), 0);
         io_uring_sqe& sqe = next_sqe(ring, 1);
         sqe.opcode = uapi::kOpFixedFdInstall;
         sqe.flags = IOSQE_FIXED_FILE;
         sqe.personality = static_cast<std::uint16_t>(register_personality(ring));
         EXPECT_EQ(run_one(ring), (Completion{1, -EPERM, 0})) << "they are the task's own";
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
      {suite,
       "OpensFilesByTheGroupsOfWhoeverRegisteredIt",
       {.opcodes = {IORING_OP_OPENAT}, .register_ops = {IORING_REGISTER_PERSONALITY}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder;
         const bool root = ::geteuid() == 0;  // nobody else can give itself groups, and then nothing keeps it out
         { const Fd file = folder.make("shared"); }
         ASSERT_EQ(::fchmod(folder.fd(), 0711), 0);
         if (root) {
           ASSERT_EQ(::fchownat(folder.fd(), "shared", 0, kSomeGroup, 0), 0);
           ASSERT_EQ(::fchmodat(folder.fd(), "shared", 0640, 0), 0);
         }
         std::int32_t as_caller = 0;
         std::int32_t as_registered = 0;
         std::thread([&] {
           const bool in_group = root && have_groups({kSomeGroup}) && be_user(kNobody);
           const int id = register_personality(ring);
           const bool out_again = in_group && be_user(0) && have_groups({}) && be_user(kNobody);
           EXPECT_EQ(out_again, root);
           as_caller = open_as(ring, folder, 0);
           as_registered = open_as(ring, folder, id);
         }).join();
         EXPECT_EQ(as_caller, root ? -EACCES : 0);
         EXPECT_EQ(as_registered, 0);
       }},
  };
}

}  // namespace assay::conformance
