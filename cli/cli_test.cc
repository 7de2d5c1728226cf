#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "assay/backend/linux_kernel.h"
#include "assay/backend/uapi.h"
#include "assay/cli/program_fixture.h"
#include "assay/faultinject/fault_points.h"
#include "assay/mocks/profile.h"

namespace assay {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::StartsWith;

class CommandLine : public ProgramTest {
 protected:
  CommandLine() : ProgramTest(ASSAY_PROGRAM) {}
};

bool io_uring_is_available() {
  io_uring_params params{};
  const int fd = LinuxKernel::instance().setup(4, &params);
  if (fd >= 0) LinuxKernel::instance().close(fd);
  return fd >= 0;
}

// Bad input: one line that names the offending part and what would be right, exit status 2.

struct BadInput {
  const char* arguments;
  const char* complaint;
};

void PrintTo(const BadInput& bad, std::ostream* out) { *out << "assay " << bad.arguments; }

class BadCommandLine : public CommandLine, public testing::WithParamInterface<BadInput> {};

TEST_P(BadCommandLine, IsToldInOneLineWithStatusTwo) {
  const Outcome outcome = run(GetParam().arguments);
  EXPECT_EQ(outcome.status, 2);
  EXPECT_EQ(outcome.out, "");
  EXPECT_THAT(outcome.err, HasSubstr(GetParam().complaint));
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
  EXPECT_THAT(outcome.err, MatchesRegex("assay( conformance)?: (.|\n)*"));
}

INSTANTIATE_TEST_SUITE_P(
    Inputs, BadCommandLine,
    testing::Values(BadInput{"", "a command is missing (see assay --help)"},
                    BadInput{"prob", "unknown command 'prob'; did you mean 'probe'?"},
                    BadInput{"frobnicate", "unknown command 'frobnicate' (see assay --help)"},
                    BadInput{"--vresion", "unknown option '--vresion'; did you mean '--version'?"},
                    BadInput{"probe --jsno",
                             "unknown option '--jsno'; did you mean '--json'? (see assay probe --help)"},
                    BadInput{"probe --kernel", "--kernel needs a value"}, BadInput{"probe extra", "unexpected 'extra'"},
                    BadInput{"probe --kernel sim:linux-5.11", "did you mean"},
                    BadInput{"probe --kernel sim:linux-6.12.0-SENDMSGZC", "did you mean 'SENDMSG_ZC'?"},
                    BadInput{"probe --kernel windows", "'windows'"}, BadInput{"profiles show", "NAME"},
                    BadInput{"profiles show linux-5.11", "unknown profile 'linux-5.11'"},
                    BadInput{"profiles show ./missing.json", "profile file './missing.json' cannot be read"},
                    BadInput{"profiles diff linux-5.4", "B"},
                    BadInput{"profiles diff linux-5.4 linux-6.13", "unknown profile 'linux-6.13'"},
                    BadInput{"profiles shwo linux-5.4", "unknown command 'shwo'; did you mean 'show'?"},
                    BadInput{"faults --kernel linux", "unknown option '--kernel'"},
                    BadInput{"conformance --kernel sim:linux-9.9", "linux-9.9"},
                    BadInput{"conformance --seed many", "--seed: takes a number"},
                    BadInput{"conformance --kernel sim:linux-6.12.0 --plan enter/eintrr", "enter/eintr"},
                    BadInput{"conformance --filter", "--filter needs a value"},
                    BadInput{"specimens short-read-is-hole", "did you mean 'short-read-is-whole'?"}));

// Help that teaches.

class HelpOf : public CommandLine, public testing::WithParamInterface<const char*> {};

TEST_P(HelpOf, HasUsageExamplesAndExitStatuses) {
  const std::string command = GetParam();
  const Outcome outcome = run(command + " --help");
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.err, "");
  EXPECT_THAT(outcome.out,
              AllOf(HasSubstr("Usage: assay"), HasSubstr("Examples:\n  assay "), HasSubstr("Exit status: ")));
}

INSTANTIATE_TEST_SUITE_P(Commands, HelpOf,
                         testing::Values("", "probe", "profiles", "faults", "conformance", "specimens"),
                         [](const auto& param) { return *param.param == '\0' ? std::string("assay") : param.param; });

TEST_F(CommandLine, HandsTheMatrixItsArguments) {
  const Outcome help = run("matrix --help");
  EXPECT_EQ(help.status, 0);
  EXPECT_THAT(help.out, HasSubstr("--boot-timeout"));
  const Outcome unknown = run("matrix 5.10 --nonesuch --run /bin/true");
  EXPECT_EQ(unknown.status, 2);
  EXPECT_THAT(unknown.err, HasSubstr("--nonesuch"));
  EXPECT_EQ(run("report /nonexistent.xml").status, 2);
}

TEST_F(CommandLine, HandsTheBenchItsArguments) {
  const Outcome help = run("bench --help");
  EXPECT_EQ(help.status, 0);
  EXPECT_THAT(help.out, HasSubstr("--min-time-ms"));
  const Outcome unknown = run("bench --nonesuch");
  EXPECT_EQ(unknown.status, 2);
  EXPECT_THAT(unknown.err, HasSubstr("--nonesuch"));
  EXPECT_EQ(run("bench show /nonexistent.json").status, 2);
}

TEST_F(CommandLine, TellsItsVersion) {
  const Outcome outcome = run("--version");
  EXPECT_EQ(outcome.status, 0);
  EXPECT_THAT(outcome.out, MatchesRegex("assay [0-9]+\\.[0-9]+\\.[0-9]+\n"));
}

TEST_F(CommandLine, FailsWhenItsOutputCannotBeWritten) {
  const Outcome outcome = run("profiles show linux-5.4 --json >/dev/full");
  EXPECT_EQ(outcome.status, 1);
  EXPECT_EQ(outcome.err, "assay: standard output cannot be written\n");
}

TEST_F(CommandLine, ProbesTheRunningKernel) {
  if (!io_uring_is_available()) GTEST_SKIP() << "io_uring_setup is refused here, which the next tests are about";
  const Outcome outcome = run("probe");
  EXPECT_EQ(outcome.status, 0);
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("linux-running: recorded"), HasSubstr("opcodes"),
                                 HasSubstr("overflow_drops"), HasSubstr("tried"), HasSubstr("assumed")));
}

TEST_F(CommandLine, PrintsTheWaysOfTheBackend) {
  const Outcome whole = run("probe --kernel sim:linux-6.12.0");
  EXPECT_THAT(whole.out, AllOf(HasSubstr("SWITCH"), HasSubstr("BACKEND"), HasSubstr("multishot poll")));
  const Outcome ways = run("probe --backend --kernel sim:linux-5.4");
  EXPECT_EQ(ways.status, 0);
  EXPECT_THAT(ways.out, AllOf(Not(HasSubstr("SWITCH")), HasSubstr("oneshot poll"), HasSubstr("refused: ENOTSUP")));
  const nlohmann::json rows = nlohmann::json::parse(run("probe --backend --json --kernel sim:linux-6.12.0").out);
  EXPECT_EQ(rows[0]["what"], "persistent events");
  EXPECT_EQ(rows[0]["way"], "multishot poll");
  EXPECT_EQ(rows[0]["since"], "5.13");
  EXPECT_EQ(run("probe --backend", EPERM).status, 1);
}

TEST_F(CommandLine, SaysInOneLineWhyIoUringIsNotAvailable) {
  const Outcome forbidden = run("probe", EPERM);
  EXPECT_EQ(forbidden.status, 1);
  EXPECT_EQ(forbidden.out, "");
  EXPECT_THAT(forbidden.err,
              MatchesRegex("assay: io_uring is not available on linux: io_uring_setup: Operation not permitted \\(.*"
                           "seccomp.*io_uring_disabled.*\\)\n"));
  const Outcome absent = run("probe --json", ENOSYS);
  EXPECT_EQ(absent.status, 1);
  EXPECT_EQ(absent.out, "");
  EXPECT_THAT(absent.err, MatchesRegex("assay: .*Function not implemented \\(.*older than 5.1.*\\)\n"));
}

TEST_F(CommandLine, SimulatesWhereIoUringIsForbidden) {
  EXPECT_EQ(run("probe --kernel sim:linux-6.12.0", EPERM).status, 0);
  const Outcome list = run("profiles", EPERM);
  EXPECT_EQ(list.status, 0);
  EXPECT_THAT(list.out, HasSubstr("linux-running  unavailable"));
  EXPECT_EQ(run("profiles show linux-running", EPERM).status, 1);
}

TEST_F(CommandLine, SimulatesWhatItRecorded) {
  const std::string from = io_uring_is_available() ? "linux" : "sim:linux-6.12.0";
  const Outcome recorded = run("probe --json --name mine --kernel " + from);
  ASSERT_EQ(recorded.status, 0);
  std::ofstream(folder_ / "mine.json") << recorded.out;
  const Result<Profile> profile = profile_from_json(recorded.out);
  ASSERT_TRUE(profile.has_value()) << profile.error().message();
  EXPECT_EQ(profile->name, "mine");
  const Outcome shown = run("profiles show ./mine.json --json");
  EXPECT_EQ(shown.out, recorded.out);
  const Outcome simulated = run("probe --kernel sim:./mine.json");
  EXPECT_EQ(simulated.status, 0) << simulated.err;
}

TEST_F(CommandLine, ListsAndShowsEveryProfile) {
  const Outcome list = run("profiles");
  EXPECT_EQ(list.status, 0);
  for (const std::string& name : profile_names()) {
    EXPECT_THAT(list.out, HasSubstr("\n" + name + " "));
    if (name == "linux-running" && !io_uring_is_available()) continue;
    const Outcome json = run("profiles show --json " + name);
    EXPECT_EQ(json.status, 0);
    const Result<Profile> profile = profile_from_json(json.out);
    ASSERT_TRUE(profile.has_value()) << profile.error().message();
    EXPECT_EQ(profile->name, name);
    EXPECT_THAT(run("profiles show " + name).out, AllOf(StartsWith(name + ": "), HasSubstr("SWITCH")));
  }
}

TEST_F(CommandLine, TellsProfilesApart) {
  const Outcome same = run("profiles diff linux-5.4 linux-5.4");
  EXPECT_EQ(same.status, 0);
  EXPECT_EQ(same.out, "");
  const Outcome different = run("profiles diff linux-5.4 linux-5.10.0");
  EXPECT_EQ(different.status, 1);
  EXPECT_THAT(different.out, AllOf(HasSubstr("+ features NODROP\n"), HasSubstr("+ opcodes OPENAT\n"),
                                   HasSubstr("- switches overflow_drops\n")));
  const Outcome json = run("profiles diff --json linux-5.4 linux-5.10.0");
  EXPECT_EQ(json.status, 1);
  const nlohmann::json object = nlohmann::json::parse(json.out, nullptr, false);
  ASSERT_TRUE(object.is_object()) << json.out;
  EXPECT_EQ(object["a"], "linux-5.4");
  EXPECT_EQ(object["b"], "linux-5.10.0");
  EXPECT_THAT(object["features"]["more"], Contains("NODROP"));
  EXPECT_THAT(object["opcodes"]["more"], Contains("OPENAT"));
  EXPECT_THAT(object["semantics"]["less"], Contains("overflow_drops"));
  // What A has more is what B has less.
  const nlohmann::json back = nlohmann::json::parse(run("profiles diff --json linux-5.10.0 linux-5.4").out);
  EXPECT_EQ(back["semantics"]["more"], object["semantics"]["less"]);
  EXPECT_EQ(back["opcodes"]["less"], object["opcodes"]["more"]);
}

TEST_F(CommandLine, ListsEveryFaultPoint) {
  const Outcome table = run("faults");
  EXPECT_EQ(table.status, 0);
  const Outcome json = run("faults --json");
  EXPECT_EQ(json.status, 0);
  const nlohmann::json points = nlohmann::json::parse(json.out, nullptr, false);
  ASSERT_TRUE(points.is_array());
  ASSERT_EQ(points.size(), fault_points().size());
  for (std::size_t i = 0; i < points.size(); ++i) {
    EXPECT_EQ(points[i]["name"], std::string(fault_points()[i].name));
    EXPECT_THAT(table.out, HasSubstr("\n" + std::string(fault_points()[i].name) + " "));
  }
}

TEST_F(CommandLine, RunsASuiteAndWritesJunit) {
  const Outcome outcome = run("conformance --kernel sim:linux-6.12.0 --filter 'RingSetup.*' --junit out.xml");
  EXPECT_EQ(outcome.status, 0) << outcome.out << outcome.err;
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("RingSetup"), HasSubstr("sim:linux-6.12.0")));
  EXPECT_THAT(contents(folder_ / "out.xml"), HasSubstr("<testsuite"));
}

TEST_F(CommandLine, JudgesASpecimenAndItsTwinAndReplaysThem) {
  const Outcome judged = run("specimens short-read-is-whole");
  EXPECT_EQ(judged.status, 0) << judged.out << judged.err;
  EXPECT_THAT(judged.out, AllOf(HasSubstr("condemned by cqe/short:nth=1"),
                                HasSubstr("1 of 1 condemned, 1 of 1 twins healthy, 1 of 1 trials hold")));
  EXPECT_EQ(run("replay short-read-is-whole --plan cqe/short:nth=1").status, 1);
  EXPECT_EQ(run("replay short-read-is-whole-twin --plan cqe/short:nth=1").status, 0);
  EXPECT_THAT(run("specimens --list").out, HasSubstr("short-read-is-whole (B35, reads-whole): A short read"));
}

}  // namespace
}  // namespace assay
