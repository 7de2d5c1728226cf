#include "assay/conformance/specimens/specimen.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <sstream>

#include "assay/conformance/specimens/specimen_verdict.h"

namespace assay::conformance {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::SizeIs;

// What docs/bugs.md says of each bug: the rest of its row.
std::map<std::string, std::string> bugs() {
  std::ifstream manual(ASSAY_BUGS_MANUAL);
  std::map<std::string, std::string> bugs;
  for (std::string line; std::getline(manual, line);) {
    std::istringstream words(line);
    std::string bar;
    std::string id;
    if (!(words >> bar >> id) || bar != "|" || id.size() != 3 || id[0] != 'B') continue;
    EXPECT_TRUE(bugs.emplace(id, line).second) << id << " is there twice";
  }
  return bugs;
}

TEST(Bugs, AreAllInTheManual) {
  const std::map<std::string, std::string> all = bugs();
  constexpr std::size_t kBugs = 95;
  EXPECT_THAT(all, SizeIs(kBugs));
  EXPECT_EQ(all.begin()->first, "B01");
  EXPECT_EQ(all.rbegin()->first, "B95");
}

TEST(Bugs, OfSpecimensAreSaidToHaveThem) {
  std::map<std::string, std::string> all = bugs();
  for (const Specimen& specimen : specimens()) {
    for (const std::string& row : specimen.rows) {
      ASSERT_THAT(all, Contains(testing::Key(row))) << specimen.name;
      EXPECT_THAT(all[row], HasSubstr("| `" + specimen.name + "` | `" + specimen.trial + "` |"));
      all.erase(row);
    }
  }
  // The rest has none.
  for (const auto& [id, line] : all) EXPECT_EQ(line.find("` | `"), std::string::npos) << line;
}

TEST(Specimens, HaveNamesOfTheirOwnAndTrials) {
  std::set<std::string> names;
  for (const Specimen& specimen : specimens()) {
    EXPECT_TRUE(names.insert(specimen.name).second) << specimen.name << " is there twice";
    EXPECT_NE(find_trial(specimen.trial), nullptr) << specimen.name << ": " << specimen.trial;
    EXPECT_FALSE(specimen.rows.empty()) << specimen.name;
    EXPECT_EQ(specimen.make(false).name, specimen.name + "-twin");
  }
  for (const Trial& trial : trials()) {
    const auto uses = [&](const Specimen& specimen) { return specimen.trial == trial.name; };
    EXPECT_TRUE(std::any_of(specimens().begin(), specimens().end(), uses)) << trial.name << " is put to no specimen";
  }
}

TEST(Specimens, AndTheirTwinsAreFoundByName) {
  EXPECT_TRUE(find_specimen_scenario("short-read-is-whole"));
  EXPECT_TRUE(find_specimen_scenario("short-read-is-whole-twin"));
  EXPECT_TRUE(find_specimen_scenario("reads-whole"));
  EXPECT_FALSE(find_specimen_scenario("short-read-is-whole-twins"));
  EXPECT_FALSE(find_specimen_scenario("-twin"));
}

TEST(Verdict, NamesTheSmallestPlanAndStopsThere) {
  const Specimen* const specimen = find_specimen("short-read-is-whole");
  ASSERT_NE(specimen, nullptr);
  const Result<Verdict> with = judge(specimen->make(true), specimen->kernel);
  ASSERT_TRUE(with);
  ASSERT_TRUE(with->finding);
  EXPECT_EQ(format_fault_plan(with->finding->plan), "cqe/short:nth=1");
  const Result<Verdict> without = judge(specimen->make(false), specimen->kernel, {.pairs = 20});
  ASSERT_TRUE(without);
  EXPECT_FALSE(without->finding) << without->finding->what;
  EXPECT_LT(with->schedules, without->schedules);
}

TEST(Verdict, RefusesAKernelThatIsMisspelled) {
  const Result<Verdict> verdict = judge(specimens().front().make(false), "sim:linux-6.81");
  ASSERT_FALSE(verdict);
  EXPECT_EQ(verdict.error(), std::errc::invalid_argument);
}

// Before 5.11 a wait with a limit is a request, of which the program hears nothing: that its completion is left in the
// CQ is not the program's doing.
TEST(Ledger, AsksNobodyToReapTheTimeoutOfAWait) {
  const std::optional<Scenario> twin = find_specimen_scenario("seen-without-a-completion-twin");
  ASSERT_TRUE(twin);
  const Result<ScenarioKernel> kernel = ScenarioKernel::find("sim:linux-6.18,strict");
  ASSERT_TRUE(kernel);
  const Result<FaultPlan> plan = parse_fault_plan("enter/errno:nth=2:errno=EEXIST,setup/feature-absent:bit=EXT_ARG");
  ASSERT_TRUE(plan);
  const Result<ScheduleResult> result = run_schedule(*twin, *kernel, *plan);
  ASSERT_TRUE(result);
  EXPECT_TRUE(result->faults.every_rule_fired());
  EXPECT_THAT(result->violations, testing::IsEmpty());
}

}  // namespace
}  // namespace assay::conformance
