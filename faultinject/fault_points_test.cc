#include "assay/faultinject/fault_points.h"

#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <sstream>
#include <string>

namespace assay {
namespace {

TEST(FaultPoints, StandInTheOrderOfTheirIds) {
  ASSERT_EQ(fault_points().size(), kFaultPoints);
  for (std::size_t i = 0; i < kFaultPoints; ++i) {
    EXPECT_EQ(static_cast<std::size_t>(fault_points()[i].id), i);
    EXPECT_EQ(&fault_point(fault_points()[i].id), &fault_points()[i]);
  }
}

TEST(FaultPoints, AreNamedByCallAndEffect) {
  const std::set<std::string_view> calls = {"setup", "map", "register", "enter", "cqe", "poller"};
  std::set<std::string_view> names;
  for (const FaultPoint& point : fault_points()) {
    SCOPED_TRACE(point.name);
    EXPECT_TRUE(point.name.starts_with("assay/"));
    const std::string_view name = short_name(point);
    const std::size_t slash = name.find('/');
    ASSERT_NE(slash, std::string_view::npos);
    EXPECT_TRUE(calls.contains(name.substr(0, slash)));
    EXPECT_EQ(name.find('/', slash + 1), std::string_view::npos);
    EXPECT_EQ(name.find_first_of(":,="), std::string_view::npos) << "would not survive a plan's text";
    EXPECT_TRUE(names.insert(name).second) << "twice in the table";
  }
}

TEST(FaultPoints, AreExplainedInSentences) {
  for (const FaultPoint& point : fault_points()) {
    SCOPED_TRACE(point.name);
    EXPECT_TRUE(point.meaning.ends_with('.'));
    EXPECT_TRUE(point.cause.ends_with('.'));
    EXPECT_FALSE(point.crossing.empty());
    EXPECT_EQ(point.needs & ~point.takes, 0u) << "what is needed must be taken";
    EXPECT_FALSE(fault_reach_name(point.reach).empty());
  }
}

TEST(FaultPoints, AreFoundWithAndWithoutThePrefix) {
  for (const FaultPoint& point : fault_points()) {
    EXPECT_EQ(find_fault_point(point.name), &point);
    EXPECT_EQ(find_fault_point(short_name(point)), &point);
  }
  EXPECT_EQ(find_fault_point("enter/nothing"), nullptr);
  EXPECT_EQ(find_fault_point(""), nullptr);
}

TEST(FaultPoints, NearestIsWhatAMisspellingMeant) {
  EXPECT_EQ(short_name(nearest_fault_point("enter/eintrr")), "enter/eintr");
  EXPECT_EQ(short_name(nearest_fault_point("assay/enter/eagian")), "enter/eagain");
  EXPECT_EQ(short_name(nearest_fault_point("shrot")), "cqe/short");
  EXPECT_EQ(short_name(nearest_fault_point("eintr-masked")), "enter/eintr-masked");
}

// The table of docs/faults.md, as it has to be.
std::string table_for_the_manual() {
  std::string text =
      "| point | settings | on | what a program sees | why a kernel does it | one crossing is | users may see |\n";
  text += "| --- | --- | --- | --- | --- | --- | --- |\n";
  for (const FaultPoint& point : fault_points()) {
    const std::string settings = fault_settings(point);
    text += "| `" + std::string(short_name(point)) + "` | " + (settings.empty() ? "" : "`" + settings + "`") + " | " +
            std::string(fault_reach_name(point.reach)) + " | " + std::string(point.meaning) + " | " +
            std::string(point.cause) + " | " + std::string(point.crossing) + " | " + fault_tells_name(point) + " |\n";
  }
  return text;
}

TEST(FaultPoints, AreToldInTheManualAsTheyAre) {
  std::ifstream file(FAULTS_MANUAL);
  ASSERT_TRUE(file) << FAULTS_MANUAL;
  std::ostringstream text;
  text << file.rdbuf();
  const std::string begin = "<!-- points: checked by fault_points_test -->\n";
  const std::size_t first = text.str().find(begin);
  const std::size_t last = text.str().find("<!-- end of points -->");
  ASSERT_NE(first, std::string::npos);
  ASSERT_NE(last, std::string::npos);
  const std::string told = text.str().substr(first + begin.size(), last - first - begin.size());
  EXPECT_EQ(told, table_for_the_manual()) << "put this table into docs/faults.md:\n" << table_for_the_manual();
}

TEST(FaultPoints, SettingsAreSpelledAsAPersonTypesThem) {
  EXPECT_EQ(fault_settings(*find_fault_point("enter/eintr")), "");
  EXPECT_EQ(fault_settings(*find_fault_point("enter/take")), "[k=N]");
  EXPECT_EQ(fault_settings(*find_fault_point("cqe/errno")), "errno=NAME [op=NAME] [fd=N] [user_data=N]");
  EXPECT_EQ(fault_settings(*find_fault_point("setup/feature-absent")), "bit=NAME");
}

}  // namespace
}  // namespace assay
