#include "assay/mocks/probe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "assay/backend/linux_kernel.h"
#include "assay/backend/uapi.h"
#include "assay/mocks/probe_trial.h"
#include "assay/mocks/sim_kernel.h"

namespace assay {

static void PrintTo(const Profile& profile, std::ostream* out) { *out << profile_to_json(profile); }

namespace {

using ::testing::Contains;
using ::testing::IsSubsetOf;
using ::testing::Not;

// The running kernel.

class ProbeOfLinux : public testing::Test {
 protected:
  void SetUp() override {
    io_uring_params params{};
    const int fd = LinuxKernel::instance().setup(4, &params);
    if (fd < 0) {
      // Then the probe must fail just so, which ProbeWithoutIoUring demands of every kernel.
      ASSERT_TRUE(fd == -ENOSYS || fd == -EPERM || fd == -ENOMEM) << fd;
      const Result<Profile> refused = probe(LinuxKernel::instance(), "x");
      ASSERT_FALSE(refused.has_value());
      EXPECT_EQ(refused.error().code.value(), -fd);
      GTEST_SKIP() << "io_uring_setup: " << refused.error().message();
    }
    LinuxKernel::instance().close(fd);
    Result<Profile> profile = probe(LinuxKernel::instance(), "here");
    ASSERT_TRUE(profile.has_value()) << profile.error().message();
    profile_ = *profile;
  }

  Profile profile_;
};

TEST_F(ProbeOfLinux, AgreesWithWhatTheKernelSaysOfItself) {
  const std::optional<internal::QueryAnswer> query = internal::query_kernel(LinuxKernel::instance());
  if (profile_.version >= KernelVersion{6, 18}) {
    ASSERT_TRUE(query.has_value());
  }
  if (!query) GTEST_SKIP() << "IORING_REGISTER_QUERY is new in 6.18; this is " << profile_.release;
  EXPECT_EQ(profile_.features, query->features);
  EXPECT_EQ(profile_.setup_flags, query->setup_flags);
  EXPECT_EQ(profile_.enter_flags, query->enter_flags);
  EXPECT_EQ(profile_.sqe_flags, query->sqe_flags);
  for (std::uint32_t opcode = query->register_ops; opcode < 256; ++opcode) {
    EXPECT_FALSE(profile_.register_ops.test(opcode)) << opcode;
  }
  for (std::uint32_t opcode = query->opcodes; opcode < 256; ++opcode) EXPECT_FALSE(profile_.opcodes.test(opcode));
}

TEST_F(ProbeOfLinux, FindsAtLeastWhatUpstreamsReleaseHas) {
  EXPECT_EQ(profile_.origin, ProfileOrigin::kRecorded);
  EXPECT_FALSE(profile_.release.empty());
  const Profile upstream = documented_profile("here", profile_.version);
  EXPECT_EQ(profile_.features & upstream.features, upstream.features);
  EXPECT_EQ(profile_.setup_flags & upstream.setup_flags, upstream.setup_flags);
  EXPECT_EQ(profile_.enter_flags & upstream.enter_flags, upstream.enter_flags);
  EXPECT_EQ(profile_.sqe_flags & upstream.sqe_flags, upstream.sqe_flags);
}

TEST_F(ProbeOfLinux, TriesWhatCanBeTriedHere) {
  EXPECT_THAT(profile_.assumed, Not(Contains("overflow_drops")));
  EXPECT_THAT(profile_.assumed, Not(Contains("batch_stops_at_bad_sqe")));
  EXPECT_THAT(profile_.assumed, Not(Contains("timeout_update")));
}

std::string fds_and_maps() {
  std::string text;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) text += entry.path().string() + '\n';
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.find("io_uring") != std::string::npos) text += line + '\n';
  }
  return text;
}

TEST_F(ProbeOfLinux, LeavesNothingBehind) {
  const std::string before = fds_and_maps();
  ASSERT_TRUE(probe(LinuxKernel::instance(), "again").has_value());
  EXPECT_EQ(fds_and_maps(), before);
}

TEST_F(ProbeOfLinux, SaysTheSameTwice) {
  const Result<Profile> again = probe(LinuxKernel::instance(), "here");
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(*again, profile_);
}

// Simulated kernels.

/// What SimKernel does not model, whatever its profile says, and refuses as a kernel without it does.
Profile unmodelled() {
  Profile profile;
  for (const char* bit : {"IOPOLL", "HYBRID_IOPOLL", "ZCRX_IFQ", "ZCRX_CTRL"}) {
    const Result<void> known = set_profile_bit(profile, bit, true);
    EXPECT_TRUE(known.has_value()) << known.error().message();
  }
  return profile;
}

class ProbeOfSimulation : public testing::TestWithParam<std::string> {};

TEST_P(ProbeOfSimulation, FindsTheProfileThatIsSimulated) {
  const Result<Profile> simulated = find_profile(GetParam());
  if (!simulated && GetParam() == "linux-running") GTEST_SKIP() << simulated.error().message();
  ASSERT_TRUE(simulated.has_value()) << simulated.error().message();
  SimKernel kernel({.profile = *simulated});
  const Result<Profile> found = probe(kernel, simulated->name);
  ASSERT_TRUE(found.has_value()) << found.error().message();

  const Profile absent = unmodelled();
  EXPECT_EQ(found->features, simulated->features);
  EXPECT_EQ(found->sqe_flags, simulated->sqe_flags);
  EXPECT_EQ(found->setup_flags | absent.setup_flags, simulated->setup_flags | absent.setup_flags);
  EXPECT_EQ(found->enter_flags | absent.enter_flags, simulated->enter_flags | absent.enter_flags);
  EXPECT_EQ(found->opcodes | absent.opcodes, simulated->opcodes | absent.opcodes);
  EXPECT_EQ(found->register_ops | absent.register_ops, simulated->register_ops | absent.register_ops);
  for (const Switch& entry : switch_table()) {
    // What was not tried goes by the version, which a distribution's backports belie, and no simulation can tell.
    const auto is_assumed = [&](const Profile& profile) {
      return std::find(profile.assumed.begin(), profile.assumed.end(), entry.name) != profile.assumed.end();
    };
    if (is_assumed(*found) || is_assumed(*simulated)) continue;
    EXPECT_EQ(found->semantics.*entry.member, simulated->semantics.*entry.member) << entry.name;
  }
}

TEST(ProbeOfSimulationWithout, FindsThatABitIsGone) {
  for (const char* bit :
       {"READV", "NODROP", "SINGLE_ISSUER", "SQ_WAIT", "REGISTER_EVENTFD", "multishot_ends_on_overflow",
        "batch_stops_at_bad_sqe", "timeout_update", "poll_multishot", "cancel_by_op", "timeout_multishot"}) {
    Profile profile = documented_profile("linux-6.12.0", {6, 12});
    ASSERT_TRUE(set_profile_bit(profile, bit, false).has_value()) << bit;
    SimKernel kernel({.profile = profile});
    Result<Profile> found = probe(kernel, profile.name);
    ASSERT_TRUE(found.has_value()) << found.error().message();
    const Profile before = *found;
    ASSERT_TRUE(set_profile_bit(*found, bit, false).has_value());
    EXPECT_EQ(*found, before) << bit;
  }
}

TEST(ProbeOfSimulationWithout, TakesTheReleaseFromWhatIsOffered) {
  SimKernel kernel({.profile = documented_profile("x", {5, 19})});
  const Result<Profile> found = probe(kernel, "x");
  ASSERT_TRUE(found.has_value()) << found.error().message();
  EXPECT_EQ(found->version, (KernelVersion{5, 19}));
  EXPECT_EQ(found->release, "");
}

INSTANTIATE_TEST_SUITE_P(Profiles, ProbeOfSimulation, testing::ValuesIn(profile_names()),
                         [](const testing::TestParamInfo<std::string>& param) {
                           std::string name = param.param;
                           for (char& letter : name) letter = std::isalnum(letter) != 0 ? letter : '_';
                           return name;
                         });

}  // namespace
}  // namespace assay
