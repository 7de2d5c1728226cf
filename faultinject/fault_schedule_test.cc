#include "assay/faultinject/fault_schedule.h"

#include <fiu-control.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <thread>
#include <vector>

namespace assay {
namespace {

FaultPlan plan_of(std::string_view text) {
  Result<FaultPlan> plan = parse_fault_plan(text);
  EXPECT_TRUE(plan) << (plan ? "" : plan.error().message());
  return plan ? *plan : FaultPlan{};
}

// Which of the first `crossings` crossings of a point fire, as 'x' and '.'.
std::string firings(FaultSchedule& schedule, FaultPointId point, int crossings) {
  std::string text;
  for (int i = 0; i < crossings; ++i) text += schedule.cross({.point = point}).has_value() ? 'x' : '.';
  return text;
}

std::string firings(std::string_view plan, FaultPointId point, int crossings) {
  FaultSchedule schedule(plan_of(plan));
  return firings(schedule, point, crossings);
}

TEST(FaultTiming, WithoutTimingARuleFiresAlways) {
  EXPECT_EQ(firings("enter/eintr", FaultPointId::kEnterEintr, 4), "xxxx");
}

TEST(FaultTiming, NthFiresOnce) { EXPECT_EQ(firings("enter/eintr:nth=3", FaultPointId::kEnterEintr, 6), "..x..."); }

TEST(FaultTiming, EveryFiresAtMultiples) {
  EXPECT_EQ(firings("enter/eintr:every=3", FaultPointId::kEnterEintr, 7), "..x..x.");
}

TEST(FaultTiming, FromAndToBoundTheRest) {
  EXPECT_EQ(firings("enter/eintr:from=2:to=4", FaultPointId::kEnterEintr, 6), ".xxx..");
  EXPECT_EQ(firings("enter/eintr:from=3:every=2", FaultPointId::kEnterEintr, 8), "...x.x.x");
  EXPECT_EQ(firings("enter/eintr:to=2", FaultPointId::kEnterEintr, 4), "xx..");
}

TEST(FaultTiming, ProbabilityIsDecidedByTheSeed) {
  const std::string once = firings("enter/eintr:prob=0.5,seed=7", FaultPointId::kEnterEintr, 64);
  EXPECT_EQ(firings("enter/eintr:prob=0.5,seed=7", FaultPointId::kEnterEintr, 64), once);
  EXPECT_NE(firings("enter/eintr:prob=0.5,seed=8", FaultPointId::kEnterEintr, 64), once);
  const auto hits = std::count(once.begin(), once.end(), 'x');
  EXPECT_GT(hits, 16);
  EXPECT_LT(hits, 48);
}

TEST(FaultTiming, AnotherRuleDoesNotShiftTheDiceOfThisOne) {
  const std::string alone = firings("enter/eintr:prob=0.5,seed=7", FaultPointId::kEnterEintr, 64);
  EXPECT_EQ(firings("enter/eintr:prob=0.5,enter/eagain:prob=0.5,seed=7", FaultPointId::kEnterEintr, 64), alone);
}

TEST(FaultSchedule, CountsOnlyWhatTheFiltersLetThrough) {
  FaultSchedule schedule(plan_of("cqe/errno:nth=2:op=READ:fd=3:errno=EIO"));
  io_uring_sqe sqe{};
  const auto fires = [&](int op, int fd) {
    sqe.opcode = static_cast<std::uint8_t>(op);
    sqe.fd = fd;
    return schedule.cross({.point = FaultPointId::kCqeErrno, .sqe = &sqe}).has_value();
  };
  EXPECT_FALSE(fires(IORING_OP_READ, 3));
  EXPECT_FALSE(fires(IORING_OP_WRITE, 3));
  EXPECT_FALSE(fires(IORING_OP_READ, 4));
  EXPECT_TRUE(fires(IORING_OP_READ, 3));
  const FaultReport report = schedule.report();
  ASSERT_EQ(report.rules.size(), 1u);
  EXPECT_EQ(report.rules[0].crossings, 2u);
  EXPECT_EQ(report.rules[0].firings, 1u);
  EXPECT_EQ(report.crossings_of(FaultPointId::kCqeErrno), 4u);
}

TEST(FaultSchedule, AnErrnoIsForRequestsOnFilesUnlessTheOpcodeIsNamed) {
  io_uring_sqe close{};
  close.opcode = IORING_OP_CLOSE;
  FaultSchedule any(plan_of("cqe/errno:errno=EIO"));
  EXPECT_FALSE(any.cross({.point = FaultPointId::kCqeErrno, .sqe = &close}).has_value());
  EXPECT_EQ(any.report().crossings_of(FaultPointId::kCqeErrno), 0u);
  FaultSchedule named(plan_of("cqe/errno:errno=EIO:op=CLOSE"));
  EXPECT_TRUE(named.cross({.point = FaultPointId::kCqeErrno, .sqe = &close}).has_value());
}

TEST(FaultSchedule, AShortTransferLeavesLessThanItWas) {
  FaultSchedule seven(plan_of("cqe/short:bytes=7"));
  io_uring_sqe sqe{};
  const auto amount = [&sqe](FaultSchedule& schedule, std::uint64_t limit) -> std::uint64_t {
    const auto firing = schedule.cross({.point = FaultPointId::kCqeShort, .sqe = &sqe, .limit = limit});
    return firing.has_value() ? firing->amount : 0;
  };
  EXPECT_EQ(amount(seven, 100), 7u);
  EXPECT_EQ(amount(seven, 8), 7u);
  EXPECT_EQ(amount(seven, 7), 0u) << "it would not be short";
  EXPECT_EQ(seven.report().rules[0].crossings, 2u);
  FaultSchedule half(plan_of("cqe/short"));
  EXPECT_EQ(amount(half, 100), 50u);
  EXPECT_EQ(amount(half, 2), 1u);
}

TEST(FaultSchedule, TheFirstRuleThatFiresWinsAndAllAreCounted) {
  FaultSchedule schedule(plan_of("setup/errno:errno=EMFILE:nth=2,setup/errno:errno=EINVAL"));
  EXPECT_EQ(schedule.cross({.point = FaultPointId::kSetupErrno})->error, EINVAL);
  EXPECT_EQ(schedule.cross({.point = FaultPointId::kSetupErrno})->error, EMFILE);
  const FaultReport report = schedule.report();
  EXPECT_EQ(report.rules[0].crossings, 2u);
  EXPECT_EQ(report.rules[1].crossings, 2u);
  EXPECT_EQ(report.rules[1].firings, 1u);
  EXPECT_EQ(report.firings_of(FaultPointId::kSetupErrno), 2u);
  EXPECT_EQ(report.fired(), 2u);
}

TEST(FaultSchedule, CrossingsAreCountedWithoutAnyRule) {
  FaultSchedule schedule({});
  EXPECT_EQ(firings(schedule, FaultPointId::kEnterEagain, 3), "...");
  EXPECT_EQ(schedule.report().crossings_of(FaultPointId::kEnterEagain), 3u);
  EXPECT_EQ(schedule.report().fired(), 0u);
}

TEST(FaultSchedule, AnAddedPlanHoldsUntilItIsRemoved) {
  FaultSchedule schedule({});
  const std::uint64_t added = schedule.add(plan_of("enter/eintr"));
  EXPECT_TRUE(schedule.has_rule(FaultPointId::kEnterEintr));
  EXPECT_EQ(firings(schedule, FaultPointId::kEnterEintr, 2), "xx");
  schedule.remove(added);
  EXPECT_FALSE(schedule.has_rule(FaultPointId::kEnterEintr));
  EXPECT_EQ(firings(schedule, FaultPointId::kEnterEintr, 2), "..");
  ASSERT_EQ(schedule.report().rules.size(), 1u) << "what it did stays told";
  EXPECT_EQ(schedule.report().rules[0].firings, 2u);
}

TEST(FaultReport, ProvesWhatFired) {
  FaultSchedule schedule(plan_of("enter/eintr:nth=2,enter/eagain:nth=5"));
  firings(schedule, FaultPointId::kEnterEintr, 7);
  firings(schedule, FaultPointId::kEnterEagain, 1);
  EXPECT_EQ(schedule.report().text(),
            "enter/eintr:nth=2 crossed 7 times, fired once\nenter/eagain:nth=5 crossed once, fired never\n");
  EXPECT_FALSE(schedule.report().every_rule_fired());
  firings(schedule, FaultPointId::kEnterEagain, 4);
  EXPECT_TRUE(schedule.report().every_rule_fired());
}

TEST(FaultSchedule, CountsEveryCrossingOfEveryThread) {
  FaultSchedule schedule(plan_of("enter/eintr:every=2"));
  constexpr int kThreads = 4;
  constexpr int kCrossings = 1000;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&schedule] { firings(schedule, FaultPointId::kEnterEintr, kCrossings); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(schedule.report().rules[0].crossings, std::uint64_t{kThreads * kCrossings});
  EXPECT_EQ(schedule.report().rules[0].firings, std::uint64_t{kThreads * kCrossings / 2});
}

TEST(LiveControl, IsNotAskedUnlessItIsOn) {
  FaultSchedule asking({}, true);  // makes libfiu ready
  FaultSchedule schedule({}, false);
  ASSERT_EQ(fiu_enable("assay/enter/eagain", 1, nullptr, 0), 0);
  EXPECT_EQ(firings(schedule, FaultPointId::kEnterEagain, 2), "..");
  EXPECT_EQ(fiu_disable("assay/enter/eagain"), 0);
}

TEST(LiveControl, FiresAPointThatLibfiuEnables) {
  FaultSchedule schedule({}, true);
  EXPECT_EQ(firings(schedule, FaultPointId::kEnterEagain, 2), "..");
  ASSERT_EQ(fiu_enable("assay/enter/eagain", 1, nullptr, 0), 0);
  EXPECT_EQ(firings(schedule, FaultPointId::kEnterEagain, 2), "xx");
  EXPECT_EQ(firings(schedule, FaultPointId::kEnterEintr, 2), "..") << "another point";
  EXPECT_EQ(fiu_disable("assay/enter/eagain"), 0);
  EXPECT_EQ(firings(schedule, FaultPointId::kEnterEagain, 2), "..");
  EXPECT_EQ(schedule.report().firings_of(FaultPointId::kEnterEagain), 2u);
}

TEST(LiveControl, TakesTheErrnoFromFailnumAndTheSizeFromFailinfo) {
  FaultSchedule schedule({}, true);
  ASSERT_EQ(fiu_enable("assay/setup/errno", EMFILE, nullptr, 0), 0);
  const auto failed = schedule.cross({.point = FaultPointId::kSetupErrno});
  ASSERT_TRUE(failed.has_value());
  EXPECT_EQ(failed->error, EMFILE);
  EXPECT_EQ(fiu_disable("assay/setup/errno"), 0);

  ASSERT_EQ(fiu_enable("assay/enter/take", 1, reinterpret_cast<void*>(3), 0), 0);
  const auto taken = schedule.cross({.point = FaultPointId::kEnterTake, .limit = 5});
  ASSERT_TRUE(taken.has_value());
  EXPECT_EQ(taken->amount, 3u);
  EXPECT_EQ(fiu_disable("assay/enter/take"), 0);
}

TEST(LiveControl, OnetimePointsFireOnce) {
  FaultSchedule schedule({}, true);
  ASSERT_EQ(fiu_enable("assay/enter/ebusy", 1, nullptr, FIU_ONETIME), 0);
  EXPECT_EQ(firings(schedule, FaultPointId::kEnterEbusy, 3), "x..");
  // A point that fired its one time is gone by itself.
}

}  // namespace
}  // namespace assay
