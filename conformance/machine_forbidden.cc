// io_uring where an administrator or a container runtime forbids it: by the sysctl kernel.io_uring_disabled (6.6), and
// by a seccomp filter. Source: Documentation/admin-guide/sysctl/kernel.rst, io_uring_setup(2), seccomp(2).

#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <memory>
#include <string>

#include "assay/backend/backend.h"
#include "assay/conformance/child_process.h"
#include "assay/conformance/machine_suites.h"
#include "assay/conformance/ring_actions.h"

namespace assay::conformance {
namespace {

constexpr char kDisabled[] = "/proc/sys/kernel/io_uring_disabled";
constexpr char kGroup[] = "/proc/sys/kernel/io_uring_group";
constexpr KernelVersion kSysctlSince{6, 6};
constexpr unsigned kNobody = 65534;
constexpr unsigned kSomeGroup = 4242;

/// A ring's set-up and what it answered: 0, or a negative errno.
int set_up(Kernel& kernel) {
  const Result<Ring> ring = Ring::create(kernel, {.sq_entries = 4});
  return ring ? 0 : -ring.error().code.value();
}

/// For a child: gives up what root may do. 0, or a negative errno.
int become_nobody(gid_t group = kNobody) {
  if (::setgroups(0, nullptr) != 0 || ::setresgid(group, group, group) != 0 ||
      ::setresuid(kNobody, kNobody, kNobody) != 0) {
    return -errno;
  }
  return 0;
}

/// For a child: this system call answers `error` from now on.
int forbid(unsigned system_call, unsigned error) {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, system_call, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{.len = static_cast<unsigned short>(std::size(filter)), .filter = filter};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -errno;
  return ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0 ? 0 : -errno;
}

struct Answers {
  int preparation = 0;
  int first = 0;
  int second = 0;
  bool backend_is_unavailable = false;
  unsigned left = 0;
};

}  // namespace

std::vector<Behaviour> machine_forbidden_behaviours() {
  const std::string suite = "MachineForbidden";
  return {
      {suite,
       "HasNoSysctlForItYet",
       {.until = kSysctlSince},
       [](KernelUnderTest&) { EXPECT_NE(::access(kDisabled, F_OK), 0) << "the sysctl came with 6.6"; }},
      {suite,
       "AnswersEpermToAllWhereTheSysctlIs2",
       {.since = kSysctlSince},
       [](KernelUnderTest& kernel) {
         const ScopedSetting forbidden(kDisabled, "2");
         ASSERT_EQ(forbidden.error(), 0);
         EXPECT_EQ(set_up(kernel.kernel()), -EPERM);
         const auto backend = Backend::create(kernel.kernel());
         ASSERT_FALSE(backend);
         EXPECT_TRUE(Backend::is_unavailable(backend.error())) << backend.error().message();
       }},
      {suite,
       "LetsRingsGoOnThatWereThereBefore",
       {.since = kSysctlSince},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const ScopedSetting forbidden(kDisabled, "2");
         ASSERT_EQ(forbidden.error(), 0);
         prepare_nop(ring, 7);
         EXPECT_EQ(run_one(ring), (Completion{7, 0, 0}));
       }},
      {suite,
       "AnswersEpermToTheUnprivilegedWhereTheSysctlIs1",
       {.since = kSysctlSince},
       [](KernelUnderTest& kernel) {
         const ScopedSetting restricted(kDisabled, "1");
         ASSERT_EQ(restricted.error(), 0);
         EXPECT_EQ(set_up(kernel.kernel()), 0) << "root has CAP_SYS_ADMIN";
         std::string ending;
         const Answers answers = in_child<Answers>(
             [&](Answers& found) {
               found.preparation = become_nobody();
               found.first = set_up(kernel.kernel());
             },
             ending);
         EXPECT_EQ(ending, "");
         EXPECT_EQ(answers.preparation, 0);
         EXPECT_EQ(answers.first, -EPERM);
       }},
      {suite,
       "LetsTheSysctlsGroupPass",
       {.since = kSysctlSince},
       [](KernelUnderTest& kernel) {
         const ScopedSetting restricted(kDisabled, "1");
         const ScopedSetting group(kGroup, std::to_string(kSomeGroup));
         ASSERT_EQ(restricted.error(), 0);
         ASSERT_EQ(group.error(), 0);
         std::string ending;
         const Answers answers = in_child<Answers>(
             [&](Answers& found) {
               found.preparation = become_nobody(kSomeGroup);
               found.first = set_up(kernel.kernel());
             },
             ending);
         EXPECT_EQ(ending, "");
         EXPECT_EQ(answers.preparation, 0);
         EXPECT_EQ(answers.first, 0);
       }},
      {suite,
       "AnswersWhatAFilterSaysOfSetup",
       {},
       [](KernelUnderTest& kernel) {
         for (const int error : {EPERM, ENOSYS}) {
           std::string ending;
           const Answers answers = in_child<Answers>(
               [&](Answers& found) {
                 found.preparation = forbid(SYS_io_uring_setup, static_cast<unsigned>(error));
                 found.first = set_up(kernel.kernel());
                 const auto backend = Backend::create(kernel.kernel());
                 found.backend_is_unavailable = !backend && Backend::is_unavailable(backend.error());
               },
               ending);
           EXPECT_EQ(ending, "");
           EXPECT_EQ(answers.preparation, 0);
           EXPECT_EQ(answers.first, -error);
           EXPECT_TRUE(answers.backend_is_unavailable) << "with errno " << error;
         }
       }},
      {suite,
       "LosesNoSqeWhenAFilterForbidsEnter",
       {},
       [](KernelUnderTest& kernel) {
         std::string ending;
         const Answers answers = in_child<Answers>(
             [&](Answers& found) {
               Result<Ring> ring = Ring::create(kernel.kernel(), {.sq_entries = 4});
               if (!ring) return;
               prepare_nop(*ring, 1);
               prepare_nop(*ring, 2);
               found.preparation = forbid(SYS_io_uring_enter, EPERM);
               found.first = ring->submit();
               found.left = ring->sq_ready();
             },
             ending);
         EXPECT_EQ(ending, "");
         EXPECT_EQ(answers.preparation, 0);
         EXPECT_EQ(answers.first, -EPERM);
         EXPECT_EQ(answers.left, 2u);
       }},
      {suite,
       "EndsABackendsLoopWithWhatAFilterSaysOfEnter",
       {},
       [](KernelUnderTest& kernel) {
         std::string ending;
         const Answers answers = in_child<Answers>(
             [&](Answers& found) {
               auto backend = Backend::create(kernel.kernel());
               if (!backend) return;
               std::byte byte{};
               int told = 0;
               const Fd file = make_file("x");
               (*backend)->read(file.get(), {&byte, 1}, 0, [&](int) { ++told; });
               found.preparation = forbid(SYS_io_uring_enter, EPERM);
               const auto status = (*backend)->loop();
               found.first = status ? 0 : -status.error().code.value();
               (*backend).reset();
               found.second = told;
             },
             ending);
         EXPECT_EQ(ending, "");
         EXPECT_EQ(answers.preparation, 0);
         EXPECT_EQ(answers.first, -EPERM);
         EXPECT_EQ(answers.second, 1) << "the destructor tells each callback, once";
       }},
  };
}

}  // namespace assay::conformance
