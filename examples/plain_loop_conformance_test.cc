// Holds the program plain_loop_conformance to both of its directions: what the plain loop claims passes, and when it is
// held to the rest, just that fails, by name. A suite that passes everybody would be worth nothing.

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <set>
#include <string>

namespace {

struct Outcome {
  int exit_status = -1;
  /// Behaviours ("BackendTimers.FireOnce") that passed, and that failed, in at least one case.
  std::set<std::string> passed, failed;
};

std::string behaviour_of(const std::string& line, const std::string& mark) {
  if (line.rfind(mark, 0) != 0) return {};
  const std::string test = line.substr(mark.size());
  const std::size_t slash = test.find('/');
  return slash == std::string::npos ? std::string() : test.substr(0, slash);
}

Outcome run_program(const std::string& options) {
  Outcome outcome;
  std::FILE* output = ::popen((std::string(PLAIN_LOOP_CONFORMANCE) + " " + options + " 2>&1").c_str(), "r");
  if (output == nullptr) return outcome;
  std::array<char, 4096> buffer;
  while (std::fgets(buffer.data(), buffer.size(), output) != nullptr) {
    const std::string line = buffer.data();
    if (const std::string name = behaviour_of(line, "[       OK ] "); !name.empty()) outcome.passed.insert(name);
    if (const std::string name = behaviour_of(line, "[  FAILED  ] "); !name.empty()) outcome.failed.insert(name);
  }
  const int status = ::pclose(output);
  if (WIFEXITED(status)) outcome.exit_status = WEXITSTATUS(status);
  return outcome;
}

TEST(PlainLoopConformance, PassesWhatItClaims) {
  const Outcome outcome = run_program("");
  EXPECT_EQ(outcome.exit_status, 0);
  EXPECT_TRUE(outcome.failed.empty());
  EXPECT_GE(outcome.passed.size(), 15u);
}

TEST(PlainLoopConformance, FailsByNameWhatItDoesNotHave) {
  const std::string kernel = "--kernel sim:linux-6.12.0 --gtest_filter='*/plain_loop_sim_linux_6.12.0'";
  const Outcome claimed = run_program(kernel);
  const Outcome all = run_program("--all " + kernel);
  EXPECT_EQ(claimed.exit_status, 0);
  EXPECT_EQ(all.exit_status, 1);
  for (const std::string& name : claimed.passed) EXPECT_FALSE(all.failed.contains(name)) << name;
  // One for each thing that plain_loop.h says the loop lacks.
  for (const char* name :
       {"BackendSignals.IsTold", "BackendWake.FromAnotherThreadEndsAWait", "BackendOperations.CancelAnIdleRead",
        "BackendChains.RunInOrder", "BackendLife.TellsAnIdleRead", "BackendFdEvents.TheTimeoutComesFirst",
        "BackendFiles.OpensWritesAndCloses", "BackendFaults.LostCompletionsEndWhatIsInFlight"}) {
    EXPECT_TRUE(all.failed.contains(name)) << name << " must fail: the loop has no such thing";
  }
}

TEST(PlainLoopConformance, RefusesWhatItDoesNotKnow) {
  EXPECT_EQ(run_program("--al").exit_status, 2);
  EXPECT_EQ(run_program("--kernel sim:linux-6.13.7").exit_status, 2);
  EXPECT_EQ(run_program("--plan enter/eintrr").exit_status, 2);
}

}  // namespace
