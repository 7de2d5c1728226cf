// The framework seen from outside: what it prints, writes and returns for suites that pass, fail, skip, leak and run
// nothing. GoogleTest keeps what was registered for the life of a process, so each run is a process of its own.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "assay/conformance/behaviour.h"
#include "assay/conformance/report.h"
#include "assay/conformance/resources.h"

namespace assay::conformance {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

struct Outcome {
  int status = -1;
  /// Standard output and standard error.
  std::string output;
};

Outcome run(const std::string& arguments) {
  const std::string command = std::string(ASSAY_FRAMEWORK_SPECIMEN) + " " + arguments + " 2>&1";
  std::FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) return {};
  Outcome outcome;
  char bytes[4096];
  for (std::size_t count = 0; (count = std::fread(bytes, 1, sizeof bytes, pipe)) > 0;)
    outcome.output.append(bytes, count);
  const int status = ::pclose(pipe);
  outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return outcome;
}

std::size_t lines(const std::string& text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

constexpr char kOnSim[] = " --kernel sim:linux-6.12.0";

/// Whether every tag is closed in its turn and every attribute is quoted: as much of XML as the reports use.
testing::AssertionResult is_well_formed(const std::string& xml) {
  std::vector<std::string> open;
  std::size_t at = xml.find("?>");
  if (at == std::string::npos) return testing::AssertionFailure() << "no XML declaration";
  at += 2;
  for (;;) {
    const std::size_t begin = xml.find('<', at);
    for (const char c : xml.substr(at, begin - at)) {
      if (c == '>' || static_cast<unsigned char>(c) > 0x7e) return testing::AssertionFailure() << "stray " << int{c};
      if (static_cast<unsigned char>(c) < 0x20 && c != '\n') return testing::AssertionFailure() << "control " << int{c};
    }
    if (begin == std::string::npos) break;
    std::size_t end = begin + 1;
    for (bool quoted = false; end < xml.size() && (quoted || xml[end] != '>'); ++end) {
      if (xml[end] == '"') quoted = !quoted;
      if (xml[end] == '<') return testing::AssertionFailure() << "a tag within a tag at " << end;
    }
    if (end >= xml.size()) return testing::AssertionFailure() << "a tag without end";
    const std::string tag = xml.substr(begin + 1, end - begin - 1);
    if (tag[0] == '/') {
      if (open.empty() || open.back() != tag.substr(1)) return testing::AssertionFailure() << "unexpected <" << tag;
      open.pop_back();
    } else if (tag.back() != '/') {
      open.push_back(tag.substr(0, tag.find(' ')));
    }
    at = end + 1;
  }
  if (!open.empty()) return testing::AssertionFailure() << "<" << open.back() << "> is never closed";
  return testing::AssertionSuccess();
}

std::string file_text(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

class TemporaryFile {
 public:
  TemporaryFile() {
    char name[] = "/tmp/assay-framework-XXXXXX";
    ::close(::mkstemp(name));
    path_ = name;
  }
  ~TemporaryFile() { ::unlink(path_.c_str()); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

TEST(Framework, ATestThatTakesItsProcessDownHasFailed) {
  const Outcome result = run("crashing --jobs 2" + std::string(kOnSim));
  EXPECT_EQ(result.status, 1) << result.output;
  EXPECT_THAT(
      result.output,
      AllOf(HasSubstr("Specimen.TakesItsProcessDown/sim_linux_6.12.0 failed on sim:linux-6.12.0:\n    it took "
                      "its process down: SIGABRT\n"),
            HasSubstr("those of its share behind that did not run"), HasSubstr("\n4 passed, 1 failed, 0 skipped\n")));
}

TEST(Framework, ManyProcessesFindWhatOneFinds) {
  const auto found = [](const std::string& jobs) {
    const TemporaryFile junit;
    const Outcome result = run("failing --jobs " + jobs + " --junit " + junit.path() + kOnSim);
    EXPECT_EQ(result.status, 1) << result.output;
    std::string tests;
    const std::string xml = file_text(junit.path());
    for (std::size_t at = 0; (at = xml.find("<testcase name=", at)) != std::string::npos; ++at) {
      tests += xml.substr(at, xml.find(" time=", at) - at) + "\n";
    }
    return tests + result.output.substr(result.output.find("\nFailed:"));
  };
  EXPECT_EQ(found("1"), found("2"));
  EXPECT_EQ(found("1"), found("7"));
}

TEST(Framework, PassesASuiteThatPasses) {
  const Outcome result = run("passing" + std::string(kOnSim));
  EXPECT_EQ(result.status, 0) << result.output;
  EXPECT_THAT(result.output, HasSubstr("\n2 passed, 0 failed, 0 skipped\n"));
}

TEST(Framework, TellsWhyATestWasSkippedAndOnWhichKernel) {
  const Outcome result = run("passing --kernel sim:linux-5.4 --kernel sim:linux-6.12.0");
  EXPECT_EQ(result.status, 0) << result.output;
  EXPECT_THAT(result.output, AllOf(HasSubstr("needs IORING_FEAT_EXT_ARG: 1 on sim:linux-5.4\n"),
                                   HasSubstr("\n3 passed, 0 failed, 1 skipped\n")));
}

TEST(Framework, FailsWhenABehaviourFailsAndPrintsHowToReplayIt) {
  const Outcome result = run("failing" + std::string(kOnSim));
  EXPECT_EQ(result.status, 1) << result.output;
  EXPECT_THAT(result.output, AllOf(HasSubstr("Specimen.Fails/sim_linux_6.12.0 failed on sim:linux-6.12.0"),
                                   HasSubstr("--kernel sim:linux-6.12.0 --filter 'Specimen.Fails/sim_linux_6.12.0'"),
                                   HasSubstr("\n1 passed, 1 failed, 0 skipped\n")));
}

TEST(Framework, FailsASkipThatNobodyExpected) {
  const Outcome result = run("skipping" + std::string(kOnSim));
  EXPECT_EQ(result.status, 1) << result.output;
  EXPECT_THAT(result.output, HasSubstr("was skipped although the kernel has all that it needs"));
}

TEST(Framework, FailsASkipThatTheKernelItselfContradicts) {
  const Outcome result = run("contradicting" + std::string(kOnSim));
  EXPECT_EQ(result.status, 1) << result.output;
  EXPECT_THAT(result.output, HasSubstr("needs IORING_FEAT_EXT_ARG, but it offers IORING_FEAT_EXT_ARG"));
}

TEST(Framework, FailsASuiteThatRunsNothing) {
  const Outcome narrowed = run("idle" + std::string(kOnSim));
  EXPECT_EQ(narrowed.status, 1) << narrowed.output;
  EXPECT_THAT(narrowed.output, HasSubstr("nothing ran"));
  const Outcome whole = run("idle");
  EXPECT_EQ(whole.status, 1) << whole.output;
  EXPECT_THAT(whole.output, HasSubstr("suite Specimen ran nothing"));
}

TEST(Framework, FailsASetOfSuitesWithoutTests) {
  const Outcome result = run("empty" + std::string(kOnSim));
  EXPECT_EQ(result.status, 1) << result.output;
  EXPECT_THAT(result.output, HasSubstr("the specimen suites have no tests"));
}

TEST(Framework, FailsATestThatLeavesAFdOpen) {
  const Outcome result = run("leaking" + std::string(kOnSim));
  EXPECT_EQ(result.status, 1) << result.output;
  EXPECT_THAT(result.output, HasSubstr("was left open"));
}

TEST(Framework, FailsABodyThatEndsWithoutAWord) {
  const Outcome result = run("throwing" + std::string(kOnSim));
  EXPECT_EQ(result.status, 1) << result.output;
  EXPECT_THAT(result.output, HasSubstr("told nobody why"));
}

TEST(Framework, WritesWellFormedXmlWhateverAFailureSays) {
  const TemporaryFile file;
  const Outcome result = run("failing" + std::string(kOnSim) + " --junit " + file.path());
  EXPECT_EQ(result.status, 1);
  const std::string xml = file_text(file.path());
  EXPECT_TRUE(is_well_formed(xml)) << xml;
  EXPECT_THAT(xml, AllOf(HasSubstr("<testsuite name=\"Specimen\" tests=\"2\" failures=\"1\""),
                         HasSubstr("&lt;&amp;&quot;'&gt; and ? ?"),
                         HasSubstr("<testcase name=\"Passes/sim_linux_6.12.0\" classname=\"Specimen\"")));
}

TEST(Framework, WritesSkipsIntoTheXml) {
  const TemporaryFile file;
  run("passing --kernel sim:linux-5.4 --junit " + file.path());
  const std::string xml = file_text(file.path());
  EXPECT_TRUE(is_well_formed(xml)) << xml;
  EXPECT_THAT(xml, HasSubstr("<skipped message=\"needs IORING_FEAT_EXT_ARG\"/>"));
}

TEST(Framework, RefusesAFilterThatMatchesNothing) {
  const TemporaryFile file;
  const Outcome result =
      run("passing" + std::string(kOnSim) + " --filter Specimen --filter 'Nonesuch.*' --junit " + file.path());
  EXPECT_EQ(result.status, 2);
  EXPECT_THAT(result.output, HasSubstr("'Nonesuch.*'"));
  EXPECT_EQ(lines(result.output), 1u) << result.output;
  EXPECT_EQ(file_text(file.path()), "") << "nothing is half-done";
}

TEST(Framework, RefusesAKernelThatIsMisspelled) {
  const Outcome result = run("passing --kernel sim:linux-5.40");
  EXPECT_EQ(result.status, 2);
  EXPECT_THAT(result.output, HasSubstr("linux-5.40"));
  EXPECT_EQ(lines(result.output), 1u) << result.output;
}

TEST(Framework, RefusesAPlanThatIsMisspelled) {
  const Outcome result = run("passing --plan enter/nonsense" + std::string(kOnSim));
  EXPECT_EQ(result.status, 2);
  EXPECT_THAT(result.output, HasSubstr("enter/nonsense"));
  EXPECT_EQ(lines(result.output), 1u) << result.output;
}

TEST(Framework, RefusesAReportThatCannotBeWritten) {
  const Outcome result = run("passing --junit /nonexistent/report.xml" + std::string(kOnSim));
  EXPECT_EQ(result.status, 2);
  EXPECT_THAT(result.output, HasSubstr("/nonexistent/report.xml"));
  EXPECT_EQ(lines(result.output), 1u) << result.output;
}

TEST(Framework, TracesEveryTestUnderItsName) {
  const TemporaryFile file;
  const Outcome result = run("tracing" + std::string(kOnSim) + " --trace " + file.path());
  EXPECT_EQ(result.status, 0) << result.output;
  const std::string trace = file_text(file.path());
  const std::size_t first = trace.find("# Specimen.First on sim:linux-6.12.0\n");
  const std::size_t second = trace.find("# Specimen.Second on sim:linux-6.12.0\n");
  ASSERT_NE(first, std::string::npos) << trace;
  ASSERT_NE(second, std::string::npos) << trace;
  EXPECT_NE(trace.substr(first, second - first).find("setup entries=4"), std::string::npos);
  EXPECT_NE(trace.substr(second).find("setup entries=4"), std::string::npos);
  EXPECT_EQ(::access((file.path() + ".part").c_str(), F_OK), -1) << "nothing is left beside it";
}

TEST(Framework, RefusesATraceThatCannotBeWritten) {
  const Outcome result = run("passing --trace /nonexistent/trace" + std::string(kOnSim));
  EXPECT_EQ(result.status, 2);
  EXPECT_THAT(result.output, HasSubstr("/nonexistent/trace"));
  EXPECT_EQ(lines(result.output), 1u) << result.output;
}

TEST(Framework, PrintsTheSeedThatAReplayNeeds) {
  const Outcome result = run("failing --seed 7" + std::string(kOnSim));
  EXPECT_THAT(result.output, HasSubstr("--filter 'Specimen.Fails/sim_linux_6.12.0' --seed 7\n"));
}

TEST(Framework, SelectsBySuiteBehaviourAndTest) {
  for (const char* pattern : {"Specimen", "Specimen.Does*", "Specimen.DoesWhatItShould/sim:linux-5.4", "*/*5.4"}) {
    const Outcome result = run("passing --kernel sim:linux-5.4 --kernel sim:linux-6.12.0 --list y --filter '" +
                               std::string(pattern) + "'");
    EXPECT_EQ(result.status, 0);
    EXPECT_THAT(result.output, HasSubstr("Specimen.DoesWhatItShould/sim_linux_5.4\n")) << pattern;
  }
  const Outcome one =
      run("passing --kernel sim:linux-5.4 --kernel sim:linux-6.12.0 --list y --filter '*/sim:linux-5.4'");
  EXPECT_THAT(one.output, Not(HasSubstr("6.12.0")));
}

TEST(Framework, SpellsKernelsSoThatFiltersCanBearThem) {
  EXPECT_EQ(test_name_part("linux"), "linux");
  EXPECT_EQ(test_name_part("sim:linux-6.12.0"), "sim_linux_6.12.0");
  EXPECT_EQ(test_name_part("sim:linux-6.1-SENDMSG_ZC,seed=3"), "sim_linux_6.1_SENDMSG_ZC_seed_3");
}

TEST(Framework, FindsWhatWasLeftOverAndWhatIsMissing) {
  const Resources before{.fds = {{3, "a"}, {4, "b"}, {5, "c"}}, .mappings = {{"ring", 1}}};
  const Resources after{.fds = {{3, "a"}, {4, "other"}, {6, "d"}}, .mappings = {{"ring", 3}}};
  EXPECT_EQ(resource_difference(before, before), "");
  EXPECT_EQ(resource_difference(before, after),
            "fd 4 was b and is now other\nfd 6 was left open: d\nfd 5 was closed: c\n"
            "2 shared mapping(s) left over of ring\n");
}

TEST(Framework, FailsARunWhoseNamedKernelIsMissing) {
  ConformanceReport report;
  report.tests.push_back({.suite = "S", .name = "T/linux", .kernel = "linux"});
  EXPECT_FALSE(report.failed());
  report.unavailable.push_back({"linux", "io_uring_setup: Operation not permitted", false});
  EXPECT_FALSE(report.failed()) << "of the default table it may be missing";
  report.unavailable.back().required = true;
  EXPECT_TRUE(report.failed());
  std::ostringstream xml;
  write_junit(report, xml);
  EXPECT_TRUE(is_well_formed(xml.str())) << xml.str();
  EXPECT_THAT(xml.str(), HasSubstr("<failure message=\"io_uring_setup: Operation not permitted\"/>"));
}

}  // namespace
}  // namespace assay::conformance
