#include "assay/mocks/sim/registration/file_table.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>

namespace assay::internal {
namespace {

Descriptor some_file() { return Descriptor::adopt(::open("/", O_RDONLY | O_CLOEXEC)); }

void fill(FileTable& table, std::size_t first, std::size_t end) {
  for (std::size_t slot = first; slot < end; ++slot) table.put(slot, some_file());
}

TEST(FileTable, HasNoSlotToChooseBeforeItExists) {
  const FileTable table;
  EXPECT_FALSE(table.exists());
  EXPECT_EQ(table.choose_slot(), -ENFILE);
  EXPECT_EQ(table.fd(0), -1);
}

TEST(FileTable, ChoosesTheFirstSlotThatIsEmptyAfterTheLastChange) {
  FileTable table;
  table.create(4);
  EXPECT_EQ(table.choose_slot(), 0);
  table.put(1, some_file());
  EXPECT_EQ(table.choose_slot(), 2);
  table.put(3, some_file());
  EXPECT_EQ(table.choose_slot(), 0) << "from the beginning again";
  fill(table, 0, 4);
  EXPECT_EQ(table.choose_slot(), -ENFILE);
  EXPECT_TRUE(table.remove(2));
  EXPECT_EQ(table.choose_slot(), 2);
}

TEST(FileTable, ChoosesWithinTheRangeWhateverChangedOutsideOfIt) {
  FileTable table;
  table.create(8);
  table.set_alloc_range(4, 2);
  table.put(6, some_file());
  EXPECT_EQ(table.choose_slot(), 4);
  table.put(0, some_file());
  EXPECT_EQ(table.choose_slot(), 4);
  fill(table, 4, 6);
  EXPECT_EQ(table.choose_slot(), -ENFILE) << "although there are empty slots";
  table.set_alloc_range(0, 0);
  EXPECT_EQ(table.choose_slot(), -ENFILE) << "a range of nothing";
}

TEST(FileTable, KeepsAFileAsLongAsSomebodyUsesIt) {
  FileTable table;
  table.create(1);
  table.put(0, some_file());
  const int fd = table.fd(0);
  auto use = table.at(0);
  EXPECT_TRUE(table.remove(0));
  EXPECT_EQ(table.fd(0), -1);
  EXPECT_GE(::fcntl(fd, F_GETFD), 0) << "still open";
  use.reset();
  EXPECT_EQ(::fcntl(fd, F_GETFD), -1);
  EXPECT_FALSE(table.remove(0)) << "there is nothing left to remove";
}

TEST(FileTable, KnowsNoSlotBeyondItsEnd) {
  FileTable table;
  table.create(2);
  fill(table, 0, 2);
  EXPECT_EQ(table.at(2), nullptr);
  EXPECT_EQ(table.fd(~std::size_t{0}), -1);
}

}  // namespace
}  // namespace assay::internal
