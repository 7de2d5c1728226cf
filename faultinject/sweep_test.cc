// The sweep on programs whose defect is known: it has to find each, by its plan, and nothing in those without.

#include "assay/faultinject/sweep.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <set>
#include <sstream>
#include <string>

#include "assay/backend/ring.h"
#include "assay/faultinject/schedule_space.h"
#include "assay/faultinject/shrink.h"
#include "assay/faultinject/sweep_report.h"

namespace assay {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr int kRounds = 6;

// Submits NOPs, one a call, and does everything right: an enter that fails for now is repeated, a completion that is
// nobody's is passed over, what did not come yet is waited for. `interrupted` is told of -EINTR, and of which round.
void nops(ScenarioRun& run, const std::function<void(int round)>& interrupted = {}) {
  Result<Ring> ring = Ring::create(run.kernel(), {.sq_entries = 4});
  if (!run.ended("Ring::create", ring)) return;
  for (int round = 1; round <= kRounds; ++round) {
    io_uring_sqe* sqe = ring->get_sqe();
    io_uring_prep_nop(sqe);
    sqe->user_data = 0;
    for (bool ended = false; !ended;) {
      const int answer = ring->submit_and_wait(1);
      if (answer == -EINTR && interrupted) interrupted(round);
      const bool passes = answer == -EINTR || answer == -EAGAIN || answer == -EBUSY;
      if (answer < 0 && !passes && !run.ended("enter", answer)) return;
      ring->for_each_cqe([&](const io_uring_cqe& cqe) { ended |= cqe.user_data == 0; });
      // Where completions are dropped, this program has nothing to lose by giving up.
      if (run.fired(FaultPointId::kCqeDrop)) return;
    }
  }
}

const Scenario kSound{"sound", "NOPs, done right.", [](ScenarioRun& run) { nops(run); }};

SweepOptions options(std::uint64_t pairs = 0) {
  SweepOptions options;
  options.kernel = "sim:linux-6.12.0,strict";
  options.schedules.pairs = pairs;
  options.jobs = 2;
  options.limit = 500ms;
  return options;
}

ScenarioReport sweep_of(const Scenario& scenario, const SweepOptions& with = options()) {
  const Result<SweepReport> report = sweep(std::span(&scenario, 1), with);
  EXPECT_TRUE(report) << report.error().message();
  return report ? report->scenarios.front() : ScenarioReport{};
}

TEST(Sweep, FindsNothingInAProgramThatIsSound) {
  const ScenarioReport report = sweep_of(kSound, options(300));
  EXPECT_THAT(report.findings, IsEmpty());
  EXPECT_EQ(report.failed, 0u);
  EXPECT_GT(report.singles, 60u);
  EXPECT_EQ(report.pairs, 300u);
}

TEST(Sweep, EachSingleFaultFires) {
  const ScenarioReport report = sweep_of(kSound);
  EXPECT_EQ(report.fired, report.singles) << "a schedule whose fault does not fire proves nothing";
}

// The defect shows in the last round only, so a sweep that leaves the last crossing out finds nothing.
TEST(Sweep, ReachesTheLastCrossing) {
  const Scenario scenario{"last", "An interruption of the last wait ends all.", [](ScenarioRun& run) {
                            nops(run, [&](int round) { run.expect(round != kRounds, "interrupted at the end"); });
                          }};
  const ScenarioReport report = sweep_of(scenario);
  ASSERT_THAT(report.findings, SizeIs(1));
  EXPECT_EQ(report.findings[0].kind, SweepFinding::Kind::kViolation);
  EXPECT_EQ(format_fault_plan(report.findings[0].plan), "enter/eintr:nth=" + std::to_string(kRounds));
  EXPECT_EQ(report.failed, 1u);
}

TEST(Sweep, ACrashIsOneFindingAndTheOthersGoOn) {
  const Scenario scenario{"crash", "It cannot bear interruptions.", [](ScenarioRun& run) {
                            nops(run, [](int) {
                              (void)!::write(STDERR_FILENO, "so it ends\n", 11);
                              ::raise(SIGTERM);
                            });
                          }};
  const ScenarioReport report = sweep_of(scenario);
  ASSERT_THAT(report.findings, SizeIs(1));
  EXPECT_EQ(report.findings[0].kind, SweepFinding::Kind::kCrash);
  EXPECT_THAT(report.findings[0].what, AllOf(HasSubstr("SIGTERM"), HasSubstr("so it ends")));
  EXPECT_EQ(report.findings[0].schedules, static_cast<std::uint64_t>(kRounds));
  EXPECT_EQ(report.singles, sweep_of(kSound).singles);
}

TEST(Sweep, MemoryWithoutEndIsAFinding) {
  const Scenario scenario{
      "hog", "It maps memory for ever once it was interrupted.", [](ScenarioRun& run) {
        nops(run, [](int) {
          constexpr std::size_t kBytes = std::size_t{64} << 20;
          while (::mmap(nullptr, kBytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED) {
          }
          ::raise(SIGTERM);
        });
      }};
  const ScenarioReport report = sweep_of(scenario);
  ASSERT_THAT(report.findings, SizeIs(1));
  EXPECT_EQ(report.findings[0].kind, SweepFinding::Kind::kCrash);
}

TEST(Sweep, AHangIsAFinding) {
  const Scenario scenario{"hang", "It waits for itself at the second interruption.", [](ScenarioRun& run) {
                            nops(run, [](int round) {
                              while (round == 2) ::pause();
                            });
                          }};
  const ScenarioReport report = sweep_of(scenario);
  ASSERT_THAT(report.findings, SizeIs(1));
  EXPECT_EQ(report.findings[0].kind, SweepFinding::Kind::kHang);
  EXPECT_EQ(format_fault_plan(report.findings[0].plan), "enter/eintr:nth=2");
}

TEST(Sweep, ALoopThatNeverMovesOnIsStuck) {
  const Scenario scenario{"spin", "It submits nothing any more once it was interrupted.", [](ScenarioRun& run) {
                            nops(run, [&](int) {
                              Result<Ring> other = Ring::create(run.kernel(), {.sq_entries = 2});
                              while (other) (void)other->get_events();
                            });
                          }};
  const ScenarioReport report = sweep_of(scenario);
  ASSERT_THAT(report.findings, SizeIs(1));
  EXPECT_EQ(report.findings[0].kind, SweepFinding::Kind::kStuck);
  EXPECT_THAT(report.findings[0].what, HasSubstr("it spins"));
}

TEST(Sweep, WhatTheLedgerMindsIsAFinding) {
  const Scenario scenario{"leak", "Its ring stays open when it is interrupted.", [](ScenarioRun& run) {
                            nops(run, [&](int) {
                              io_uring_params params{};
                              (void)run.kernel().setup(2, &params);
                            });
                          }};
  const ScenarioReport report = sweep_of(scenario);
  ASSERT_THAT(report.findings, SizeIs(1));
  EXPECT_THAT(report.findings[0].what, HasSubstr("a ring was never closed"));
}

TEST(Sweep, ADescriptorThatIsLeftOpenIsAFinding) {
  const Scenario scenario{"fd", "It leaves a descriptor open when it is interrupted.",
                          [](ScenarioRun& run) { nops(run, [](int) { (void)::dup(STDERR_FILENO); }); }};
  const ScenarioReport report = sweep_of(scenario);
  ASSERT_THAT(report.findings, SizeIs(1));
  EXPECT_THAT(report.findings[0].what, HasSubstr("descriptors were left open"));
}

TEST(Sweep, APairIsShrunkToWhatItTakes) {
  const Scenario scenario{"twice", "Two interruptions are too many.", [](ScenarioRun& run) {
                            int count = 0;
                            nops(run, [&](int) { run.expect(++count < 2, "interrupted twice"); });
                          }};
  EXPECT_THAT(sweep_of(scenario).findings, IsEmpty()) << "one at a time";
  SweepOptions with = options(100'000);
  const ScenarioReport report = sweep_of(scenario, with);
  ASSERT_THAT(report.findings, SizeIs(1));
  EXPECT_EQ(format_fault_plan(report.findings[0].plan), "enter/eintr:nth=1,enter/eintr:nth=2");
}

TEST(Sweep, AScenarioThatFailsWithoutFaultsIsRefused) {
  const Scenario scenario{"wrong", "Never right.", [](ScenarioRun& run) { run.violated("as ever"); }};
  const Result<SweepReport> report = sweep(std::span(&scenario, 1), options());
  ASSERT_FALSE(report);
  EXPECT_THAT(report.error().message(), HasSubstr("scenario wrong does not pass without faults: as ever"));
}

TEST(Sweep, BadOptionsAreToldInALine) {
  SweepOptions with = options();
  with.kernel = "sim:linux-9.99";
  EXPECT_FALSE(sweep(std::span(&kSound, 1), with));
  with = options();
  with.shard = 3;
  with.shards = 3;
  EXPECT_FALSE(sweep(std::span(&kSound, 1), with));
}

TEST(Sweep, ShardsAreAllOfIt) {
  const ScenarioReport whole = sweep_of(kSound, options(100));
  std::vector<SweepReport> shards;
  for (unsigned shard = 0; shard < 3; ++shard) {
    SweepOptions with = options(100);
    with.shard = shard;
    with.shards = 3;
    shards.push_back(*sweep(std::span(&kSound, 1), with));
  }
  std::vector<SweepReport> two = {shards[0], shards[2]};
  const Result<SweepReport> merged = merge_sweeps(shards);
  ASSERT_TRUE(merged) << merged.error().message();
  EXPECT_EQ(merged->scenarios.front().singles, whole.singles);
  EXPECT_EQ(merged->scenarios.front().pairs, whole.pairs);
  EXPECT_EQ(merged->scenarios.front().fired, whole.fired);
  EXPECT_FALSE(merge_sweeps(two)) << "one is missing";
  EXPECT_FALSE(merge_sweeps({shards[0], shards[0], shards[1]})) << "one is there twice";
}

TEST(Sweep, LeavesOutWhatTheKernelHasNoOpcodesFor) {
  Scenario needs_more = kSound;
  needs_more.name = "needs-more";
  needs_more.opcodes = {IORING_OP_NOP, IORING_OP_READ};
  const std::array scenarios = {needs_more, kSound};
  const Result<SweepReport> report = sweep(scenarios, {.kernel = "sim:linux-5.4,strict", .schedules = {.pairs = 0}});
  ASSERT_TRUE(report) << report.error().message();
  EXPECT_EQ(report->scenarios[0].lacks, "READ");
  EXPECT_EQ(report->scenarios[0].schedules(), 0u);
  EXPECT_EQ(report->scenarios[1].lacks, "");
  EXPECT_GT(report->scenarios[1].schedules(), 0u);
  std::ostringstream table;
  print_sweep(*report, table);
  EXPECT_THAT(table.str(), AllOf(HasSubstr("left out: the kernel has no READ"), HasSubstr("\n1 scenario, ")));
  std::ostringstream junit;
  write_sweep_junit(*report, junit);
  EXPECT_THAT(junit.str(), AllOf(HasSubstr("skipped=\"1\""), HasSubstr("<skipped message=\"needs READ\"/>")));
}

TEST(Sweep, RandomPlansAreTheSeeds) {
  const ScenarioKernel kernel = *ScenarioKernel::find("sim:linux-6.12.0,strict");
  const ScheduleResult plain = *run_schedule(kSound, kernel, {});
  const std::vector<FaultRule> singles = single_faults(plain, kernel);
  const auto plans = [&](std::uint64_t seed) {
    const ScheduleSpace space(singles, {.singles = false, .pairs = 0, .random = 50, .seed = seed});
    EXPECT_EQ(space.size(), 50u);
    std::string text;
    for (std::uint64_t number = 0; number < space.size(); ++number) {
      const FaultPlan plan = space.plan(number);
      const std::string words = format_fault_plan(plan);
      const Result<FaultPlan> read = parse_fault_plan(words);
      EXPECT_TRUE(read) << words;
      if (read) {
        EXPECT_EQ(*read, plan) << words;
      }
      text += words + "\n";
    }
    return text;
  };
  EXPECT_EQ(plans(1), plans(1));
  EXPECT_NE(plans(1), plans(2));
}

TEST(Sweep, PairsAreDistinct) {
  std::vector<FaultRule> singles;
  for (std::uint64_t nth = 1; nth <= 60; ++nth)
    singles.push_back({.point = FaultPointId::kEnterEintr, .when = {.nth = nth}});
  for (const std::uint64_t limit : {10u, 500u, 5000u}) {
    const ScheduleSpace space(singles, {.singles = false, .pairs = limit});
    EXPECT_EQ(space.pairs(), std::min<std::uint64_t>(limit, 60 * 59 / 2));
    std::set<std::string> plans;
    for (std::uint64_t number = 0; number < space.size(); ++number) plans.insert(format_fault_plan(space.plan(number)));
    EXPECT_EQ(plans.size(), space.size());
  }
}

TEST(Sweep, ReportsAreReadBackAsTheyWereWritten) {
  SweepReport report{.kernel = "sim:linux-6.12.0,strict", .seed = 4, .shard = 1, .shards = 3, .scenarios = {}};
  report.scenarios.push_back({.scenario = "echo",
                              .crossings = 7,
                              .singles = 5,
                              .pairs = 2,
                              .random = 1,
                              .fired = 6,
                              .failed = 1,
                              .seconds = 0.5,
                              .findings = {{.scenario = "echo",
                                            .kind = SweepFinding::Kind::kStuck,
                                            .what = "two\nlines",
                                            .plan = *parse_fault_plan("enter/take:nth=2:k=1"),
                                            .schedules = 3}}});
  std::ostringstream text;
  write_sweep_json(report, text);
  const Result<SweepReport> read = read_sweep_json(text.str());
  ASSERT_TRUE(read) << read.error().message();
  std::ostringstream again;
  write_sweep_json(*read, again);
  EXPECT_EQ(again.str(), text.str());
  EXPECT_EQ(replay_line(report, report.scenarios[0].findings[0]),
            "assay replay echo --kernel sim:linux-6.12.0,strict --plan 'enter/take:nth=2:k=1'");
  std::ostringstream table;
  print_sweep(report, table);
  EXPECT_THAT(table.str(), AllOf(HasSubstr("echo: stuck, in 3 schedules"), HasSubstr("1 failed, 1 finding")));
  std::ostringstream junit;
  write_sweep_junit(report, junit);
  EXPECT_THAT(junit.str(), AllOf(HasSubstr("failures=\"1\""), HasSubstr("two&#10;lines")));
}

TEST(Sweep, WhatIsNoReportIsToldByItsLine) {
  for (const char* text : {"", "{}", "{\"type\":\"sweep\"}", "nonsense", "{\"type\":\"finding\"}"}) {
    EXPECT_FALSE(read_sweep_json(text)) << text;
  }
}

TEST(Shrink, LeavesTheRulesThatMatter) {
  const FaultPlan plan = *parse_fault_plan(
      "enter/eintr:every=2,enter/take:nth=3:k=1,cqe/short:prob=0.5:bytes=1,cqe/later:from=2:to=9,seed=8");
  const FaultPlan least = internal::shrink(plan, [](const FaultPlan& tried) {
    return std::any_of(tried.rules.begin(), tried.rules.end(), [](const FaultRule& rule) {
      return rule.point == FaultPointId::kCqeLater && (rule.when.nth == 4 || rule.when.from != 0);
    });
  });
  EXPECT_EQ(format_fault_plan(least), "cqe/later:nth=4");
}

}  // namespace
}  // namespace assay
