#include "assay/bench/grid.h"

#include <algorithm>
#include <set>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace assay::bench {
namespace {

std::string name_of(const GridCell& cell) {
  return std::string(cell.work_name()) + "/" + cell.setup_name() + "/" + std::to_string(cell.batch);
}

TEST(Grid, NamesEachCellOnce) {
  std::set<std::string> names;
  for (const GridCell& cell : whole_grid()) EXPECT_TRUE(names.insert(name_of(cell)).second) << name_of(cell);
}

TEST(Grid, HasEveryWorkInEveryBatch) {
  std::set<std::string> kept;
  for (const GridCell& cell : grid()) kept.insert(name_of(cell));
  for (const GridCell& cell : whole_grid()) {
    if (cell.mode != Mode::kPlain || cell.with.count() != 0) continue;
    EXPECT_TRUE(kept.contains(name_of(cell))) << name_of(cell);
  }
}

TEST(Grid, PrunesByEachRuleWhatNoEarlierRuleDoes) {
  std::vector<unsigned> pruned(prunings().size());
  for (const GridCell& cell : whole_grid()) {
    const auto rule = std::find_if(prunings().begin(), prunings().end(),
                                   [&cell](const Pruning& pruning) { return pruning.applies(cell); });
    if (rule != prunings().end()) ++pruned[static_cast<std::size_t>(rule - prunings().begin())];
  }
  for (std::size_t i = 0; i < pruned.size(); ++i) EXPECT_GT(pruned[i], 0U) << prunings()[i].reason;
}

TEST(Grid, KeepsNothingThatAKernelRefuses) {
  for (const GridCell& cell : grid()) {
    EXPECT_FALSE(cell.with.buffer && cell.with.provided) << name_of(cell);
    EXPECT_FALSE(cell.with.file && cell.work == Work::kNop) << name_of(cell);
    EXPECT_FALSE(cell.with.provided && cell.work != Work::kSocketpair && cell.work != Work::kTcp) << name_of(cell);
    EXPECT_FALSE(cell.mode == Mode::kIopoll && cell.work != Work::kReadDirect) << name_of(cell);
  }
}

TEST(Grid, ShowsWhatEachConvenienceSavesByItself) {
  std::set<std::string> kept;
  for (const GridCell& cell : grid()) kept.insert(name_of(cell));
  for (const std::string& mode : {std::string("plain"), std::string("deferred")}) {
    for (const char* batch : {"1", "32"}) {
      for (const std::string& cell :
           {"nop/" + mode + "+ringfd/", "read/" + mode + "+ringfd/", "read/" + mode + "+file/",
            "read/" + mode + "+buffer/", "tcp/" + mode + "+provided/"}) {
        EXPECT_TRUE(kept.contains(cell + batch)) << cell + batch;
      }
    }
  }
}

TEST(Grid, MeasuresEveryWorkInAMinuteToo) {
  std::set<std::string_view> works;
  std::size_t quick = 0;
  for (const GridCell& cell : grid()) {
    if (!cell.quick()) continue;
    works.insert(cell.work_name());
    ++quick;
  }
  EXPECT_EQ(works.size(), 9U);
  EXPECT_LT(quick, 100U);
}

TEST(Grid, SpellsASetUpByItsModeAndConveniences) {
  EXPECT_EQ((GridCell{.work = Work::kRead, .mode = Mode::kDeferred, .with = {true, true, true, false}}.setup_name()),
            "deferred+ringfd+file+buffer");
  EXPECT_EQ((GridCell{.work = Work::kTcp, .mode = Mode::kSqpoll, .with = {false, false, false, true}}.setup_name()),
            "sqpoll+provided");
}

TEST(Grid, AsksForTheRingThatItNames) {
  EXPECT_EQ((GridCell{.mode = Mode::kSqpoll}.ring().flags), IORING_SETUP_SQPOLL);
  EXPECT_EQ((GridCell{.mode = Mode::kDeferred, .with = {.ring_fd = true}}.ring().flags),
            IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
  EXPECT_TRUE((GridCell{.mode = Mode::kDeferred, .with = {.ring_fd = true}}.ring().register_ring_fd));
}

}  // namespace
}  // namespace assay::bench
