#include "assay/mocks/profile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "assay/backend/uapi.h"
#include "assay/mocks/nearest_name.h"

namespace assay {

static void PrintTo(const Profile& profile, std::ostream* out) { *out << profile_to_json(profile); }

namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

Profile documented(std::string_view name) {
  Result<Profile> profile = find_profile(name);
  EXPECT_TRUE(profile.has_value()) << name;
  return profile.has_value() ? *profile : Profile{};
}

std::string error_of(const Result<Profile>& result) { return result ? "" : result.error().message(); }
std::string error_of(const Result<void>& result) { return result ? "" : result.error().message(); }

TEST(DocumentedProfile, OffersWhatItsReleaseHad) {
  const Profile v5_4 = documented("linux-5.4");
  EXPECT_EQ(v5_4.features, IORING_FEAT_SINGLE_MMAP);
  EXPECT_EQ(v5_4.setup_flags, IORING_SETUP_IOPOLL | IORING_SETUP_SQPOLL | IORING_SETUP_SQ_AFF);
  EXPECT_EQ(v5_4.opcodes.count(), 12u);
  EXPECT_TRUE(v5_4.opcodes.test(IORING_OP_TIMEOUT));
  EXPECT_FALSE(v5_4.opcodes.test(IORING_OP_READ));
  EXPECT_FALSE(v5_4.register_ops.test(IORING_REGISTER_PROBE));

  const Profile v5_10 = documented("linux-5.10.0");
  EXPECT_EQ(v5_10.features, 0x7fu);
  EXPECT_EQ(v5_10.opcodes.count(), 34u);
  EXPECT_EQ(v5_10.version, (KernelVersion{5, 10}));

  const Profile v6_12 = documented("linux-6.12.0");
  EXPECT_EQ(v6_12.features, 0xffffu);
  EXPECT_TRUE(v6_12.opcodes.test(uapi::kOpListen));
  EXPECT_FALSE(v6_12.opcodes.test(uapi::kOpRecvZc));
  EXPECT_EQ(v6_12.origin, ProfileOrigin::kDocumented);
  EXPECT_EQ(v6_12.release, "");
}

TEST(DocumentedProfile, BehavesAsItsReleaseDid) {
  const Semantics v5_4 = documented("linux-5.4").semantics;
  EXPECT_TRUE(v5_4.overflow_drops);
  EXPECT_FALSE(v5_4.submit_ebusy_on_overflow);
  EXPECT_TRUE(v5_4.ring_memlock);
  EXPECT_FALSE(v5_4.batch_stops_at_bad_sqe);
  const Semantics v5_10 = documented("linux-5.10.0").semantics;
  EXPECT_FALSE(v5_10.overflow_drops);
  EXPECT_TRUE(v5_10.submit_ebusy_on_overflow);
  EXPECT_FALSE(v5_10.poll_multishot);
  EXPECT_TRUE(v5_10.sqpoll_needs_fixed_files);
  const Semantics v6_12 = documented("linux-6.12.0").semantics;
  EXPECT_FALSE(v6_12.submit_ebusy_on_overflow);
  EXPECT_TRUE(v6_12.ebadr_after_drop);
  EXPECT_TRUE(v6_12.linked_file_at_execution);
  EXPECT_TRUE(v6_12.multishot_ends_on_overflow);
}

TEST(DocumentedProfile, IsSilentAboutNothing) {
  for (const Switch& entry : switch_table()) {
    EXPECT_FALSE(entry.meaning.empty()) << entry.name;
    EXPECT_TRUE(entry.since >= (KernelVersion{5, 1})) << entry.name;
    EXPECT_TRUE(entry.until == KernelVersion{} || entry.until > entry.since) << entry.name;
  }
}

TEST(SwitchTable, HasARowForEveryMemberOfSemantics) {
  // Semantics consists of switches only, so its size counts them; each row must move a member of its own.
  EXPECT_EQ(switch_table().size(), sizeof(Semantics));
  std::set<std::string_view> names;
  Semantics all;
  for (const Switch& entry : switch_table()) {
    EXPECT_FALSE(all.*entry.member) << entry.name << " shares its member with another row";
    all.*entry.member = true;
    EXPECT_TRUE(names.insert(entry.name).second) << entry.name;
  }
}

TEST(SwitchTable, AgreesWithTheFeatureBitsThatAnnounceASwitch) {
  for (KernelVersion version{5, 1}; version.minor < 20; ++version.minor) {
    const Profile profile = documented_profile("release", version);
    for (const Switch& entry : switch_table()) {
      if (entry.feature == 0) continue;
      const bool announced = (profile.features & entry.feature) != 0;
      EXPECT_EQ(profile.semantics.*entry.member, announced == entry.on_with_feature)
          << entry.name << " in 5." << version.minor;
    }
  }
}

TEST(FindProfile, ListsWhatThereIsWhenTheNameIsUnknown) {
  const std::string message = error_of(find_profile("linux-5.44"));
  EXPECT_THAT(message, AllOf(HasSubstr("'linux-5.44'"), HasSubstr("did you mean 'linux-5.4'?"),
                             HasSubstr("linux-5.4, "), HasSubstr("linux-running"), Not(HasSubstr("\n"))));
  EXPECT_TRUE(find_profile("linux-5.44").error() == std::errc::invalid_argument);
  EXPECT_THAT(error_of(find_profile("")), HasSubstr("unknown profile ''"));
}

TEST(FindProfile, FindsEveryNameThatIsListed) {
  EXPECT_THAT(profile_names(), Contains("linux-running"));
  for (const std::string& name : profile_names()) {
    const Result<Profile> profile = find_profile(name);
    if (!profile) {
      // Only the running kernel may have no io_uring.
      EXPECT_EQ(name, "linux-running") << profile.error().message();
      continue;
    }
    EXPECT_EQ(profile->name, name);
  }
}

TEST(FindProfile, ReadsAJsonFile) {
  const std::filesystem::path path = std::filesystem::path(testing::TempDir()) / "assay-profile-test.json";
  Profile written = documented_profile("mine", {6, 1});
  std::ofstream(path) << profile_to_json(written);
  const Result<Profile> read = find_profile(path.string());
  ASSERT_TRUE(read.has_value()) << read.error().message();
  EXPECT_EQ(*read, written);
  std::ofstream(path) << "{]";
  EXPECT_THAT(error_of(find_profile(path.string())),
              AllOf(HasSubstr(path.string()), HasSubstr("syntax error in line 1")));
  std::filesystem::remove(path);
  EXPECT_THAT(error_of(find_profile(path.string())), AllOf(HasSubstr(path.string()), HasSubstr("cannot be read")));
}

TEST(ProfileJson, IsTheInverseOfItself) {
  for (int minor = 1; minor < 20; ++minor) {
    for (const int major : {5, 6, 7}) {
      Profile profile = documented_profile("round trip", {major, minor});
      profile.origin = minor % 2 == 0 ? ProfileOrigin::kRecorded : ProfileOrigin::kDocumented;
      profile.release = "5.10.0-40-cloud-amd64";
      profile.assumed = {"ring_memlock", "PROBE"};
      const Result<Profile> read = profile_from_json(profile_to_json(profile));
      ASSERT_TRUE(read.has_value()) << read.error().message();
      EXPECT_EQ(*read, profile);
    }
  }
}

TEST(ProfileJson, KeepsBitsThatHaveNoNameYet) {
  Profile profile = documented_profile("of the future", {7, 3});
  profile.features |= 1u << 31;
  profile.sqe_flags |= 1u << 7;
  profile.opcodes.set(200);
  profile.register_ops.set(100);
  const std::string json = profile_to_json(profile);
  EXPECT_THAT(json,
              AllOf(HasSubstr("\"0x80000000\""), HasSubstr("\"0x80\""), HasSubstr("\"200\""), HasSubstr("\"100\"")));
  const Result<Profile> read = profile_from_json(json);
  ASSERT_TRUE(read.has_value()) << read.error().message();
  EXPECT_EQ(*read, profile);
}

TEST(ProfileJson, AssumesASwitchThatTheFileIsTooOldToHave) {
  std::string json = profile_to_json(documented_profile("older file", {6, 12}));
  const std::string line = "    \"ebadr_after_drop\": true,\n";
  ASSERT_THAT(json, HasSubstr(line));
  json.erase(json.find(line), line.size());
  const Result<Profile> read = profile_from_json(json);
  ASSERT_TRUE(read.has_value()) << read.error().message();
  EXPECT_TRUE(read->semantics.ebadr_after_drop);
  EXPECT_THAT(read->assumed, ::testing::ElementsAre("ebadr_after_drop"));
}

TEST(ProfileJson, TakesNoNoticeOfASwitchThatWasRetired) {
  const Profile written = documented_profile("older file", {6, 12});
  std::string json = profile_to_json(written);
  json.replace(json.find("    \"ebadr_after_drop\""), 0, "    \"wait_ebusy_on_overflow\": true,\n");
  json.replace(json.find("\"assumed\": []"), 13, "\"assumed\": [\"wait_ebusy_on_overflow\"]");
  const Result<Profile> read = profile_from_json(json);
  ASSERT_TRUE(read.has_value()) << read.error().message();
  EXPECT_EQ(*read, written);
}

struct BadJson {
  const char* replace;
  const char* by;
  const char* complaint;
};

class ProfileJsonWith : public testing::TestWithParam<BadJson> {};

void PrintTo(const BadJson& bad, std::ostream* out) { *out << bad.complaint; }

TEST_P(ProfileJsonWith, IsRefusedByNamingWhatIsWrong) {
  std::string json = profile_to_json(documented_profile("x", {5, 10}));
  const std::string from = GetParam().replace;
  ASSERT_THAT(json, HasSubstr(from));
  json.replace(json.find(from), from.size(), GetParam().by);
  const Result<Profile> read = profile_from_json(json);
  ASSERT_FALSE(read.has_value());
  EXPECT_THAT(read.error().message(), AllOf(HasSubstr(GetParam().complaint), Not(HasSubstr("\n"))));
  EXPECT_TRUE(read.error() == std::errc::invalid_argument);
}

INSTANTIATE_TEST_SUITE_P(
    Faults, ProfileJsonWith,
    testing::Values(BadJson{"\"schema\": 1", "\"schema\": 2", "'schema' is 2, and this program reads 1"},
                    BadJson{"\"schema\": 1,", "", "has no 'schema'"},
                    BadJson{"\"version\": \"5.10\"", "\"version\": \"5\"", "'version' is '5', not two numbers"},
                    BadJson{"\"documented\"", "\"invented\"", "'origin' is neither"},
                    BadJson{"\"SINGLE_MMAP\"", "\"SINGEL_MMAP\"", "'SINGEL_MMAP'; did you mean 'SINGLE_MMAP'?"},
                    BadJson{"\"SINGLE_MMAP\"", "7.5", "'features' is not a list of names"},
                    BadJson{"\"NOP\"", "\"300\"", "'opcodes' has the unknown name '300'"},
                    BadJson{"\"ring_memlock\": true", "\"ring_memlock\": 1",
                            "'ring_memlock' is neither true nor false"},
                    BadJson{"\"ring_memlock\"", "\"ring_memlok\"", "'ring_memlok'; did you mean 'ring_memlock'?"},
                    BadJson{"\"opcodes\"", "\"opcods\"", "'opcods'; did you mean 'opcodes'?"},
                    BadJson{"\"semantics\": {", "\"semantics\": [", "syntax error in line"}));

TEST(ProfileBits, AreGivenAndTakenByTheKernelsNames) {
  Profile profile = documented_profile("x", {6, 12});
  for (const char* name : {"SENDMSG_ZC", "OP_SENDMSG_ZC", "IORING_OP_SENDMSG_ZC"}) {
    ASSERT_TRUE(set_profile_bit(profile, name, false).has_value()) << name;
    EXPECT_FALSE(profile.opcodes.test(IORING_OP_SENDMSG_ZC)) << name;
    ASSERT_TRUE(set_profile_bit(profile, name, true).has_value()) << name;
    EXPECT_TRUE(profile.opcodes.test(IORING_OP_SENDMSG_ZC)) << name;
  }
  ASSERT_TRUE(set_profile_bit(profile, "FEAT_EXT_ARG", false).has_value());
  EXPECT_EQ(profile.features & IORING_FEAT_EXT_ARG, 0u);
  EXPECT_NE(profile.enter_flags & IORING_ENTER_EXT_ARG, 0u);
  ASSERT_TRUE(set_profile_bit(profile, "DEFER_TASKRUN", false).has_value());
  EXPECT_EQ(profile.setup_flags & IORING_SETUP_DEFER_TASKRUN, 0u);
  ASSERT_TRUE(set_profile_bit(profile, "CQE_SKIP_SUCCESS", false).has_value());
  EXPECT_EQ(profile.sqe_flags & IOSQE_CQE_SKIP_SUCCESS, 0u);
  ASSERT_TRUE(set_profile_bit(profile, "REGISTER_FILES_UPDATE", false).has_value());
  EXPECT_FALSE(profile.register_ops.test(IORING_REGISTER_FILES_UPDATE));
  EXPECT_TRUE(profile.opcodes.test(IORING_OP_FILES_UPDATE));
  ASSERT_TRUE(set_profile_bit(profile, "UNREGISTER_FILES", false).has_value());
  EXPECT_FALSE(profile.register_ops.test(IORING_UNREGISTER_FILES));
  ASSERT_TRUE(set_profile_bit(profile, "ebadr_after_drop", false).has_value());
  EXPECT_FALSE(profile.semantics.ebadr_after_drop);
}

TEST(ProfileBits, MoveASwitchTogetherWithTheFeatureThatAnnouncesIt) {
  Profile profile = documented_profile("x", {6, 12});
  ASSERT_TRUE(set_profile_bit(profile, "NODROP", false).has_value());
  EXPECT_TRUE(profile.semantics.overflow_drops);
  ASSERT_TRUE(set_profile_bit(profile, "overflow_drops", false).has_value());
  EXPECT_NE(profile.features & IORING_FEAT_NODROP, 0u);
  ASSERT_TRUE(set_profile_bit(profile, "linked_file_at_execution", false).has_value());
  EXPECT_EQ(profile.features & IORING_FEAT_LINKED_FILE, 0u);
}

TEST(ProfileBits, AreRefusedWhereTheNameIsAmbiguousOrUnknown) {
  Profile profile = documented_profile("x", {6, 12});
  const Profile before = profile;
  const Result<void> ambiguous = set_profile_bit(profile, "EXT_ARG", false);
  EXPECT_EQ(error_of(ambiguous), "'EXT_ARG' is ambiguous: say FEAT_EXT_ARG or ENTER_EXT_ARG");
  EXPECT_THAT(error_of(set_profile_bit(profile, "FILES_UPDATE", false)),
              HasSubstr("OP_FILES_UPDATE or REGISTER_FILES_UPDATE"));
  EXPECT_THAT(error_of(set_profile_bit(profile, "SENDMSGZC", false)), HasSubstr("did you mean 'SENDMSG_ZC'?"));
  EXPECT_THAT(error_of(set_profile_bit(profile, "ebadr", false)), HasSubstr("'ebadr' is no opcode"));
  EXPECT_TRUE(set_profile_bit(profile, "", false).error() == std::errc::invalid_argument);
  EXPECT_EQ(profile, before);
}

TEST(ProfileBits, AreAllFoundByTheNameThatBitNameGivesThem) {
  for (const UapiClass which : {UapiClass::kOpcode, UapiClass::kFeature, UapiClass::kSetupFlag, UapiClass::kEnterFlag,
                                UapiClass::kSqeFlag, UapiClass::kRegisterOp}) {
    for (const NamedValue& value : uapi_table(which)) {
      Profile profile;
      ASSERT_TRUE(set_profile_bit(profile, bit_name(which, value), true).has_value()) << value.name;
      Profile expected;
      ASSERT_TRUE(set_profile_bit(expected, value.name, true).has_value()) << value.name;
      EXPECT_EQ(profile, expected) << value.name;
      EXPECT_NE(profile, Profile{}) << value.name;
    }
  }
}

TEST(NearestName, IsNearOrNothing) {
  const std::vector<std::string> known = {"enter/eintr", "enter/eagain", "cqe/short"};
  EXPECT_EQ(nearest_name("enter/eintrr", known), "enter/eintr");
  EXPECT_EQ(nearest_name("ENTER/EAGAIN", known), "enter/eagain");
  EXPECT_EQ(nearest_name("cqe/shrot", known), "cqe/short");
  EXPECT_EQ(nearest_name("banana", known), "");
  EXPECT_EQ(nearest_name("", known), "");
}

}  // namespace
}  // namespace assay
