// Plans under which sweeps found bugs in the reference backend: each a scenario, a kernel, and what went wrong once.

#include <gtest/gtest.h>

#include <ostream>
#include <string>

#include "assay/conformance/scenarios/scenarios.h"
#include "assay/faultinject/schedule_runner.h"

namespace assay::conformance {
namespace {

struct KeptPlan {
  const char* name;
  const char* scenario;
  const char* kernel;
  const char* plan;
};

void PrintTo(const KeptPlan& kept, std::ostream* out) {
  *out << "assay replay " << kept.scenario << " --kernel " << kept.kernel << " --plan '" << kept.plan << "'";
}

// In the order in which they were found.
const KeptPlan kKept[] = {
    // Refused as a multishot receive, a message was received singly and laid out as one of many.
    {"RefusedMultishotMessage", "datagrams", "sim:linux-6.18,strict", "cqe/refused:nth=1:op=RECVMSG"},
    // A loop whose wake-up poll is refused asked for it again and again without sleeping.
    {"DeafLoop", "wake-and-post", "sim:linux-6.18,strict", "cqe/errno:op=POLL_ADD:errno=ECANCELED"},
    // Recovery took one -ENOENT for the end of a request that was still in flight.
    {"OverlookedInRecovery", "timers-beside-a-read", "sim:linux-6.18,strict",
     "enter/ebadr:nth=1,cqe/cancel-enoent:nth=1"},
    // Timeouts were asked of a kernel that has none.
    {"TimeoutsWithoutTimeout", "timeouts", "sim:linux-6.18,strict", "register/opcode-absent:op=TIMEOUT"},
    // Without limits for waits, a loop with SQPOLL spun until the poll thread had taken everything.
    {"SpunForThePollThread", "poller-asleep", "sim:linux-6.18,strict",
     "cqe/errno:prob=0.49:errno=ECANCELED,setup/feature-absent:bit=EXT_ARG,seed=736690"},
    // Recovery took a full SQ, which the poll thread had not come to yet, for the end of what it had to ask about. On a
    // busy machine, one time in a hundred.
    {"LatePollThreadInRecovery", "polled-tiny-sq", "linux", "enter/ebadr:nth=2"},
};

class KeptPlans : public testing::TestWithParam<KeptPlan> {};

TEST_P(KeptPlans, FindNothingAnyMore) {
  const KeptPlan& kept = GetParam();
  const Scenario* const scenario = find_scenario(kept.scenario);
  ASSERT_NE(scenario, nullptr) << kept.scenario;
  const Result<ScenarioKernel> kernel = ScenarioKernel::find(kept.kernel);
  ASSERT_TRUE(kernel) << kernel.error().message();
  const Result<FaultPlan> plan = parse_fault_plan(kept.plan);
  ASSERT_TRUE(plan) << plan.error().message();
  // In a child, since what went wrong may have been a loop without an end.
  assay::internal::ScheduleRunner runner(*scenario, *kernel, {.jobs = 1, .limit = std::chrono::seconds(20)});
  const assay::internal::ScheduleOutcome outcome = runner.run_one(*plan);
  EXPECT_FALSE(outcome.kind) << outcome.what;
}

INSTANTIATE_TEST_SUITE_P(Sweeps, KeptPlans, testing::ValuesIn(kKept), [](const auto& kept) { return kept.param.name; });

}  // namespace
}  // namespace assay::conformance
