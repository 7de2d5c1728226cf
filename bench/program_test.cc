// The program `assay-bench` as its users run it. What it measures is not looked at: figures are for reports.

#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "assay/backend/linux_kernel.h"
#include "assay/backend/ring.h"
#include "assay/bench/fitted_rounds.h"
#include "assay/bench/interference.h"
#include "assay/bench/perf_counters.h"
#include "assay/cli/program_fixture.h"

namespace assay::bench {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class BenchProgram : public ProgramTest {
 protected:
  BenchProgram() : ProgramTest(ASSAY_BENCH_PROGRAM) {}

  nlohmann::json figures() const { return nlohmann::json::parse(contents(folder_ / "out.json")); }
  nlohmann::json runs() const { return figures()["benchmarks"]; }
  std::string notes() const { return figures()["context"]["notes"]; }
};

/// What is measured on the running kernel.
class BenchProgramOnLinux : public BenchProgram {
 protected:
  void SetUp() override {
    BenchProgram::SetUp();
    if (!Ring::create(LinuxKernel::instance())) GTEST_SKIP() << "io_uring is not available here";
  }
};

constexpr const char* kNops = "--filter 'paths/nop/plain/*/batch:8' --min-time-ms 1 --json out.json ";

TEST_F(BenchProgram, RefusesBadInputInOneLineWithStatusTwo) {
  for (const char* arguments :
       {"--preset slow", "--filter 'nothing/*'", "--repetitions 0", "--min-time-ms -1", "--json /nowhere/at/all.json",
        "--only paths/nop/plain/libring/batch:8", "--quick", "surplus"}) {
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.status, 2) << arguments;
    EXPECT_EQ(outcome.out, "") << arguments;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    EXPECT_THAT(outcome.err, StartsWith("assay-bench: ")) << arguments;
  }
}

TEST_F(BenchProgram, ListsWhatItWouldMeasure) {
  const Outcome quick = run("--list");
  const Outcome full = run("--preset full --list");
  EXPECT_EQ(quick.status, 0);
  EXPECT_THAT(quick.out, HasSubstr("paths/nop/plain/liburing/batch:1\n"));
  EXPECT_LT(quick.out.size(), full.out.size());
  EXPECT_THAT(full.out, AllOf(HasSubstr("paths/tcp/deferred+provided/Ring/batch:32\n"),
                              Not(HasSubstr("paths/nop/plain+file")), Not(HasSubstr("iopoll/Backend"))));
}

TEST_F(BenchProgramOnLinux, RunsThePathsOfARowInTurns) {
  ASSERT_EQ(run(std::string(kNops) + "--repetitions 3").status, 0);
  std::vector<std::string> order;
  for (const auto& run : runs()) {
    order.push_back(run["name"].get<std::string>() + " " + std::to_string(run["repetition_index"].get<int>()));
  }
  std::vector<std::string> wanted;
  for (const char* repetition : {" 0", " 1", " 2"}) {
    for (const char* path : {"liburing", "Ring", "Backend"})
      wanted.push_back(std::string("paths/nop/plain/") + path + "/batch:8" + repetition);
  }
  EXPECT_EQ(order, wanted);
}

TEST_F(BenchProgramOnLinux, RunsTheSetupsOfAWorkInTheSameTurns) {
  ASSERT_EQ(
      run("--preset full --filter 'paths/poll/plain/liburing/batch:1' --filter 'paths/poll/plain/liburing/batch:32' "
          "--filter 'paths/poll/plain+file/liburing/*' "
          "--min-time-ms 1 --repetitions 2 --no-call-counts --json out.json")
          .status,
      0);
  std::vector<std::string> order;
  for (const auto& run : runs()) {
    const auto repetition = run["repetition_index"].get<int>();
    order.push_back(run["name"].get<std::string>() + " " + std::to_string(repetition));
  }
  std::vector<std::string> wanted;
  for (const char* repetition : {" 0", " 1"}) {
    for (const char* batch : {"batch:1", "batch:32"}) {
      for (const char* setup : {"plain", "plain+file"})
        wanted.push_back(std::string("paths/poll/") + setup + "/liburing/" + batch + repetition);
    }
  }
  EXPECT_EQ(order, wanted);
}

TEST_F(BenchProgramOnLinux, ListensToNoFlagsOfGoogleBenchmarkInTheEnvironment) {
  ::setenv("BENCHMARK_REPETITIONS", "3", 1);
  const Outcome outcome = run(std::string(kNops) + "--repetitions 2 --no-call-counts");
  ::unsetenv("BENCHMARK_REPETITIONS");
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  std::map<std::string, unsigned> times;
  for (const auto& run : runs()) ++times[run["name"]];
  EXPECT_EQ(times, (std::map<std::string, unsigned>{{"paths/nop/plain/liburing/batch:8", 2},
                                                    {"paths/nop/plain/Ring/batch:8", 2},
                                                    {"paths/nop/plain/Backend/batch:8", 2}}));
}

TEST_F(BenchProgramOnLinux, TellsFiguresForEachOperation) {
  ASSERT_EQ(run(std::string(kNops) + "--repetitions 1").status, 0);
  ASSERT_EQ(runs().size(), 3U);
  for (const auto& run : runs()) {
    EXPECT_GT(run["ns_per_op"].get<double>(), 0);
    EXPECT_GT(run["cpu_ns_per_op"].get<double>(), 0);
    EXPECT_GT(run["items_per_second"].get<double>(), 0);
    EXPECT_GE(run["others_share"].get<double>(), 0);
    EXPECT_LT(run["others_share"].get<double>(), 1);
  }
}

TEST_F(BenchProgramOnLinux, CountsSystemCalls) {
  ASSERT_EQ(run(std::string(kNops) + "--repetitions 1").status, 0);
  ASSERT_EQ(runs().size(), 3U);
  for (const auto& run : runs()) {
    if (!run.contains("calls_per_op")) {
      // A container may forbid it, which is said.
      EXPECT_THAT(notes(), HasSubstr("ptrace"));
      continue;
    }
    // One call a batch of eight, and nothing else but where the Backend's loop begins and ends.
    EXPECT_NEAR(run["calls_per_op"].get<double>(), 1.0 / 8, 0.01) << run["name"];
    EXPECT_NEAR(run["cqes_per_enter"].get<double>(), 8, 0.5) << run["name"];
  }
}

TEST_F(BenchProgram, CountsOnlyTheCallsOfWhatIsTimed) {
  ASSERT_EQ(run("--filter peers/echo/tcp/epoll/connections:64 --repetitions 1 --min-time-ms 1 --json out.json").status,
            0);
  ASSERT_EQ(runs().size(), 1U);
  const auto run = runs().front();
  if (!run.contains("calls_per_op")) {
    // A container may forbid it, which is said.
    EXPECT_THAT(notes(), HasSubstr("ptrace"));
    return;
  }
  // A receive and a send of the server's, which waits now and then, and nothing of its clients'.
  EXPECT_NEAR(run["calls_per_op"].get<double>(), 2, 0.5);
}

TEST_F(BenchProgram, LeavesOutWhatThereAreTooFewDescriptorsForAndMeasuresTheRest) {
  const Outcome outcome = run_prepared(
      "--preset full --filter 'peers/events/self_ping/epoll/*' --repetitions 2 --min-time-ms 1 --json out.json", [] {
        const rlimit few{.rlim_cur = 200, .rlim_max = 200};
        return ::setrlimit(RLIMIT_NOFILE, &few) == 0;
      });
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(notes(), HasSubstr("1 left out, the first peers/events/self_ping/epoll/fds:1024"));
  std::multiset<std::string> names;
  for (const auto& run : runs()) names.insert(run["name"]);
  EXPECT_THAT(names,
              testing::ElementsAre("peers/events/self_ping/epoll/fds:1", "peers/events/self_ping/epoll/fds:1",
                                   "peers/events/self_ping/epoll/fds:64", "peers/events/self_ping/epoll/fds:64"));
}

TEST_F(BenchProgram, GoesOnWithoutIoUring) {
  const Outcome outcome =
      run("--preset full --filter 'paths/nop/plain/*' --repetitions 1 --min-time-ms 1 --json out.json", EPERM);
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  const std::string err = outcome.err;
  const std::string said = "io_uring is not available here: ";
  ASSERT_THAT(err, HasSubstr(said));
  EXPECT_EQ(err.find(said), err.rfind(said)) << "once, not for each: " << err;
  EXPECT_THAT(notes(), HasSubstr("; 15 left out, the first paths/nop/plain/liburing/batch:1"));
  EXPECT_TRUE(runs().empty());
}

TEST_F(BenchProgramOnLinux, LeavesPollThreadsOutWhereThereIsOneCpu) {
  const Outcome outcome =
      run_prepared("--filter 'paths/nop/*/liburing/batch:8' --repetitions 1 --min-time-ms 1 --json out.json", [] {
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(static_cast<std::size_t>(::sched_getcpu()), &one);
        return ::sched_setaffinity(0, sizeof one, &one) == 0;
      });
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("one CPU, "));
  std::set<std::string> names;
  for (const auto& run : runs()) names.insert(run["name"]);
  EXPECT_THAT(names, AllOf(testing::Contains("paths/nop/plain/liburing/batch:8"), Each(Not(HasSubstr("sqpoll")))));
}

TEST_F(BenchProgramOnLinux, KeepsWhatItMeasuredBeforeItWasInterrupted) {
  // Until then hours are left.
  const Outcome outcome =
      run("--filter 'paths/nop/plain/*' --repetitions 1000 --min-time-ms 20 --no-call-counts --json out.json & "
          "sleep 1; kill -INT $!; wait $!");
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(notes(), HasSubstr("interrupted"));
  EXPECT_FALSE(runs().empty());
}

TEST_F(BenchProgramOnLinux, DoesRoundsWithoutAClockForProfilers) {
  const Outcome outcome = run("--only paths/nop/plain/Ring/batch:8 --rounds 10");
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.out + outcome.err, "");
}

TEST_F(BenchProgramOnLinux, MeasuresWhatAssayItselfCosts) {
  const Outcome outcome = run("--filter 'harness/*' --repetitions 1 --min-time-ms 1 --no-call-counts --json out.json");
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  std::set<std::string> works;
  for (const auto& run : runs()) {
    const std::string name = run["name"];
    works.insert(name.substr(0, name.find('/', sizeof "harness/")));
    EXPECT_GT(run["ns_per_op"].get<double>(), 0) << name;
  }
  // Reads are left out where the directory of tests is a tmpfs.
  works.erase("harness/drop_in_reads");
  EXPECT_THAT(works, testing::ElementsAre("harness/drop_in", "harness/fiu_point", "harness/kernels", "harness/reap",
                                          "harness/sim_kernel", "harness/submit"));
}

TEST_F(BenchProgram, MeasuresSimulatedKernelsWithoutIoUring) {
  const Outcome outcome = run("--filter 'harness/*' --repetitions 1 --min-time-ms 1 --json out.json", EPERM);
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  std::set<std::string> names;
  for (const auto& run : runs()) names.insert(run["name"]);
  EXPECT_THAT(names, AllOf(testing::Contains("harness/sim_kernel/linux-6.12.0/SimKernel/batch:32"),
                           testing::Contains("harness/fiu_point/crossing/not asked/points:1"),
                           Each(Not(HasSubstr("harness/drop_in"))), Each(Not(HasSubstr("harness/kernels")))));
}

TEST_F(BenchProgramOnLinux, LeavesOutTheDropInWhereItsProgramsAreNotThereOrEndEarly) {
  std::filesystem::copy_file(program_, folder_ / "assay-bench");
  program_ = folder_ / "assay-bench";
  std::ofstream(folder_ / "assay-bench-drop-in") << "#!/bin/sh\nexit 7\n";
  std::filesystem::permissions(folder_ / "assay-bench-drop-in", std::filesystem::perms::owner_all);
  const Outcome outcome =
      run("--filter 'harness/drop_in/plain/*/batch:32' --repetitions 1 --min-time-ms 1 --json out.json");
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("/assay-bench-liburing: No such file or directory"),
                                 HasSubstr("assay-bench-drop-in ended by exit status 7")));
  EXPECT_TRUE(runs().empty());
}

TEST_F(BenchProgram, CountsInstructionsBelowValgrindOnly) {
  const Outcome outcome = run("--instructions --filter 'paths/nop/plain/*'");
  EXPECT_EQ(outcome.status, 2);
  EXPECT_EQ(outcome.out, "");
  EXPECT_THAT(outcome.err, StartsWith("assay-bench: --instructions: "));
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
}

TEST(FittedRounds, AreMoreWhereARepetitionWasMuchTooShort) {
  using std::chrono::duration;
  constexpr duration<double> kMinTime = std::chrono::milliseconds(40);
  EXPECT_EQ(fitted_rounds(100, kMinTime, kMinTime), 100);
  EXPECT_EQ(fitted_rounds(100, 9 * kMinTime, kMinTime), 100)
      << "never fewer: the ones before may have been slowed down";
  EXPECT_EQ(fitted_rounds(100, kMinTime / 3, kMinTime), 100);
  EXPECT_EQ(fitted_rounds(100, kMinTime / 8, kMinTime), 800);
  EXPECT_EQ(fitted_rounds(6, kMinTime / 1e6, kMinTime), 64 * 6) << "whole multiples, step by step";
  EXPECT_EQ(fitted_rounds(6, duration<double>(0), kMinTime), 64 * 6);
}

TEST(PerfCounters, CountWhatRanOrSayWhyNot) {
  PerfCounters counters;
  counters.start();
  volatile unsigned sum = 0;
  for (unsigned i = 0; i < 1'000'000; ++i) sum = sum + i;
  const auto counts = counters.stop();
  if (!counters.unavailable().empty()) {
    EXPECT_THAT(counters.unavailable(), StartsWith("no perf events, "));
    EXPECT_FALSE(counts);
    return;
  }
  ASSERT_TRUE(counts);
  EXPECT_GT(counts->instructions, 2'000'000U);
  EXPECT_LT(counts->instructions, 50'000'000U);
  EXPECT_GT(counts->cycles, 100'000U);
}

/// Spins on one CPU beside this thread until destroyed.
class Beside : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(0, ::sched_getaffinity(0, sizeof before_, &before_));
    CPU_ZERO(&one_);
    CPU_SET(static_cast<std::size_t>(::sched_getcpu()), &one_);
    ASSERT_EQ(0, ::sched_setaffinity(0, sizeof one_, &one_));
    if (!interference_.unavailable().empty()) GTEST_SKIP() << interference_.unavailable();
  }
  void TearDown() override { ::sched_setaffinity(0, sizeof before_, &before_); }

  static void spin_until(const std::atomic<bool>& done) {
    while (!done.load()) {
    }
  }
  /// Spins for so long that the scheduler had to share the CPU.
  double share_of_others() {
    interference_.start();
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(200);
    while (std::chrono::steady_clock::now() < end) {
    }
    return interference_.stop();
  }

  cpu_set_t before_;
  cpu_set_t one_;
  Interference interference_;
};
using InterferenceBeside = Beside;

TEST_F(InterferenceBeside, AStrangerIsTakenOff) {
  const pid_t stranger = ::fork();
  if (stranger == 0) {
    for (volatile bool forever = true; forever;) {
    }
  }
  const double share = share_of_others();
  ::kill(stranger, SIGKILL);
  ::waitpid(stranger, nullptr, 0);
  EXPECT_GT(share, 0.1);
  EXPECT_LT(share, 1);
}

TEST_F(InterferenceBeside, AThreadOfOnesOwnIsNoStranger) {
  std::atomic<bool> done = false;
  std::thread own([&done] { spin_until(done); });
  const double share = share_of_others();
  done = true;
  own.join();
  EXPECT_EQ(share, 0);
}

}  // namespace
}  // namespace assay::bench
