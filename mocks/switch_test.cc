// Each switch makes a difference that a program can see: what finds out whether a kernel has it (its trial in the
// probe) must tell a simulated kernel that has it from one that has not. Where the probe has no trial, one stands here.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/capability.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "assay/backend/uapi.h"
#include "assay/mocks/chooser.h"
#include "assay/mocks/probe.h"
#include "assay/mocks/probe_trial.h"
#include "assay/mocks/profile.h"
#include "assay/mocks/sim/capabilities.h"
#include "assay/mocks/sim_kernel.h"

namespace assay {

static void PrintTo(const Switch& entry, std::ostream* out) { *out << entry.name; }

namespace {

using internal::next_sqe;
using internal::take_ready;
using internal::Verdict;

/// A release with this switch on or off, whatever it was itself.
Profile release_with(const Switch& entry, KernelVersion version, bool on) {
  Profile profile = documented_profile("release", version);
  EXPECT_TRUE(set_profile_bit(profile, entry.name, on).has_value());
  return profile;
}

/// What the probe finds by trying, or nothing where it has to assume.
Verdict probed(const Switch& entry, const Profile& profile) {
  SimKernel kernel({.profile = profile});
  const Result<Profile> found = probe(kernel, "found");
  if (!found) return std::nullopt;
  const bool assumed = std::find(found->assumed.begin(), found->assumed.end(), entry.name) != found->assumed.end();
  return assumed ? std::nullopt : Verdict(found->semantics.*entry.member);
}

/// There is no memory for any overflow entry.
class NoOverflowMemory final : public PlainChooser {
 public:
  std::uint64_t choose(const Choice& choice) override {
    return choice.point == ChoicePoint::kOverflowAllocation ? 1 : PlainChooser::choose(choice);
  }
};

/// More completions than the CQ takes, one of which is dropped; then a wait.
Verdict told_of_drop(const Profile& profile) {
  NoOverflowMemory chooser;
  SimKernel kernel({.profile = profile, .chooser = &chooser});
  Result<Ring> ring = Ring::create(kernel, {.sq_entries = 4});
  if (!ring) return std::nullopt;
  for (unsigned i = 0; i <= ring->cq_entries(); ++i) {
    next_sqe(*ring, IORING_OP_NOP, i);
    if (ring->submit() != 1) return std::nullopt;
  }
  ring->cq_advance(ring->cq_entries());
  io_uring_sqe& timeout = next_sqe(*ring, IORING_OP_TIMEOUT, 1);
  static constexpr __kernel_timespec kSecond = {1, 0};
  timeout.addr = reinterpret_cast<std::uintptr_t>(&kSecond);
  timeout.len = 1;
  if (ring->submit() != 1) return std::nullopt;
  const int first = kernel.enter(ring->fd(), 0, 1, IORING_ENTER_GETEVENTS, nullptr, 8);
  const int second = kernel.enter(ring->fd(), 0, 1, IORING_ENTER_GETEVENTS, nullptr, 8);
  // Once, and then no more.
  return second == 0 ? Verdict(first == -EBADR) : std::nullopt;
}

/// A directory is opened: is it open when the call returns?
Verdict opened_at_once(const Profile& profile) {
  SimKernel kernel({.profile = profile});
  Result<Ring> ring = Ring::create(kernel, {.sq_entries = 4});
  if (!ring) return std::nullopt;
  io_uring_sqe& open = next_sqe(*ring, IORING_OP_OPENAT, 1);
  open.fd = AT_FDCWD;
  open.addr = reinterpret_cast<std::uintptr_t>("/");
  open.open_flags = O_RDONLY | O_DIRECTORY;
  if (ring->submit() != 1) return std::nullopt;
  const bool at_once = ring->cq_ready() == 1;
  for (const internal::TrialCompletion& completion : internal::run_trial(*ring, 1)) {
    if (completion.res < 0) return std::nullopt;
    ::close(completion.res);
  }
  return at_once;
}

/// Whether io_uring_setup answers `error`, and the other calls do what then is due.
Verdict refuses_setup(const Profile& profile, int error, int other_calls) {
  SimKernel kernel({.profile = profile});
  io_uring_params params{};
  const int answer = kernel.setup(4, &params);
  if (answer >= 0) kernel.close(answer);
  if (answer >= 0) return false;
  const bool others = kernel.enter(-1, 0, 0, 0, nullptr, 0) == other_calls &&
                      kernel.register_op(-1, IORING_UNREGISTER_FILES, nullptr, 0) == other_calls;
  return answer == error && others ? Verdict(true) : std::nullopt;
}

/// A poll thread for a thread without these capabilities; whoever runs this need not have them.
Verdict needs_privilege(const Profile& profile, std::initializer_list<int> capabilities) {
  SimKernel kernel({.profile = profile});
  int answer = 0;
  std::thread([&] {
    for (const int capability : capabilities) internal::drop_capability(capability);
    io_uring_params params{};
    params.flags = IORING_SETUP_SQPOLL;
    answer = kernel.setup(4, &params);
    if (answer >= 0) kernel.close(answer);
  }).join();
  return answer == -EPERM;
}

/// The trials that the probe has not, or that ask for privileges there: what they show on a kernel cannot be provoked
/// there, or is a matter of time.
Verdict tried_here(const Switch& entry, const Profile& profile) {
  if (entry.member == &Semantics::ebadr_after_drop) return told_of_drop(profile);
  if (entry.member == &Semantics::open_at_once) return opened_at_once(profile);
  if (entry.member == &Semantics::setup_forbidden) return refuses_setup(profile, -EPERM, -EBADF);
  if (entry.member == &Semantics::calls_absent) return refuses_setup(profile, -ENOSYS, -ENOSYS);
  if (entry.member == &Semantics::sqpoll_needs_admin) return needs_privilege(profile, {CAP_SYS_ADMIN});
  if (entry.member == &Semantics::sqpoll_needs_nice) return needs_privilege(profile, {CAP_SYS_ADMIN, CAP_SYS_NICE});
  return std::nullopt;
}

Verdict seen(const Switch& entry, const Profile& profile) {
  const Verdict here = tried_here(entry, profile);
  return here ? here : probed(entry, profile);
}

class EachSwitch : public testing::TestWithParam<Switch> {};

TEST_P(EachSwitch, MakesADifferenceThatCanBeSeen) {
  const Switch& entry = GetParam();
  // The release that brought it, or the last that had it, has what else a trial may need.
  const KernelVersion version = entry.since == kNoRelease ? KernelVersion{6, 12}
                                : entry.until != KernelVersion{}
                                    ? KernelVersion{entry.until.major, entry.until.minor - 1}
                                    : entry.since;
  const KernelVersion release = version.minor < 0 ? KernelVersion{version.major - 1, 19} : version;
  EXPECT_EQ(seen(entry, release_with(entry, release, true)), Verdict(true));
  EXPECT_EQ(seen(entry, release_with(entry, release, false)), Verdict(false));
}

TEST_P(EachSwitch, IsOnInItsReleasesOnly) {
  const Switch& entry = GetParam();
  if (entry.since == kNoRelease) {
    EXPECT_FALSE(documented_profile("latest", {9, 0}).semantics.*entry.member);
    return;
  }
  EXPECT_TRUE(documented_profile("first", entry.since).semantics.*entry.member);
  if (entry.until == KernelVersion{}) {
    EXPECT_TRUE(documented_profile("latest", {9, 0}).semantics.*entry.member);
  } else {
    EXPECT_FALSE(documented_profile("next", entry.until).semantics.*entry.member);
  }
}

INSTANTIATE_TEST_SUITE_P(Switches, EachSwitch, testing::ValuesIn(switch_table()),
                         [](const testing::TestParamInfo<Switch>& param) { return std::string(param.param.name); });

}  // namespace
}  // namespace assay
