// Trees are copied over every kernel and under every fault that a copy has to survive, and compared byte for byte; the
// faults that may end a copy end it with an error and leave no file that is not whole.

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <random>
#include <string>

#include "assay/backend/backend.h"
#include "assay/examples/copy/tree_copy.h"
#include "assay/faultinject/kernel_stack.h"

namespace assay::examples {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kChunk = 4096;

std::string contents_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// Everything below a folder: a line for what it is and its mode, and the contents or the link's target.
std::map<std::string, std::string> describe(const fs::path& top) {
  std::map<std::string, std::string> entries;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(top)) {
    const fs::file_status status = entry.symlink_status();
    std::string& text = entries[fs::relative(entry.path(), top).string()];
    text = std::to_string(static_cast<int>(status.type())) + " ";
    if (fs::is_symlink(status)) {
      text += fs::read_symlink(entry.path()).string();
      continue;
    }
    text += std::to_string(static_cast<unsigned>(status.permissions())) + " ";
    if (fs::is_regular_file(status)) text += contents_of(entry.path());
  }
  return entries;
}

struct Attempt {
  Result<TreeCopyTotals> totals;
  FaultReport report;
};

class CopyTest : public testing::TestWithParam<const char*> {
 protected:
  CopyTest() {
    std::string pattern = (fs::temp_directory_path() / "assay-copy-XXXXXX").string();
    work_ = ::mkdtemp(pattern.data());
    source_ = work_ / "source";
    fs::create_directories(source_ / "deep" / "deeper" / "empty");
    std::mt19937 random(7);
    const auto write = [&](const fs::path& name, std::size_t bytes) {
      std::ofstream file(source_ / name, std::ios::binary);
      for (std::size_t i = 0; i < bytes; ++i) file.put(static_cast<char>(random()));
    };
    for (const std::size_t bytes : {std::size_t{0}, std::size_t{1}, kChunk - 1, kChunk, kChunk + 1, 5 * kChunk + 77}) {
      write("of-" + std::to_string(bytes), bytes);
    }
    for (int i = 0; i < 40; ++i) write(fs::path("deep") / ("file-" + std::to_string(i)), 100 + 13 * i);
    fs::create_symlink("../of-1", source_ / "deep" / "link");
    fs::create_symlink("nowhere", source_ / "deep" / "deeper" / "dangling");
    fs::permissions(source_ / "of-1", fs::perms::owner_read);
    fs::permissions(source_ / "deep" / "deeper", fs::perms::owner_all | fs::perms::group_exec);
  }
  ~CopyTest() override { fs::remove_all(work_); }

  Attempt copy(const std::string& plan, bool sync = false, unsigned files_in_flight = 8) {
    auto kernel = open_kernel_stack({.kernel = GetParam(), .plan = plan});
    if (!kernel) return {kernel.error(), {}};
    auto backend = Backend::create((*kernel)->top());
    if (!backend) return {backend.error(), (*kernel)->report()};
    TreeCopy copy(**backend, {.files_in_flight = files_in_flight, .chunk_bytes = kChunk, .sync = sync});
    auto totals = copy.run(source_, destination());
    backend->reset();
    return {totals, (*kernel)->report()};
  }

  fs::path destination() const { return work_ / "destination"; }

  void expect_identical_under(const std::string& plan) {
    const Attempt attempt = copy(plan);
    ASSERT_TRUE(attempt.totals) << plan << ": " << attempt.totals.error().message();
    EXPECT_EQ(describe(source_), describe(destination())) << plan;
    EXPECT_TRUE(attempt.report.every_rule_fired()) << attempt.report.text();
    fs::remove_all(destination());
  }

  // The copy says what ended it, and whatever has its name is whole.
  void expect_ended_under(const std::string& plan, std::errc reason, unsigned files_in_flight = 8) {
    const Attempt attempt = copy(plan, true, files_in_flight);
    ASSERT_FALSE(attempt.totals) << plan;
    EXPECT_EQ(attempt.totals.error().code, reason) << plan << ": " << attempt.totals.error().message();
    EXPECT_FALSE(attempt.totals.error().detail.empty());
    EXPECT_TRUE(attempt.report.every_rule_fired()) << attempt.report.text();
    if (fs::exists(destination())) {
      for (const fs::directory_entry& entry : fs::recursive_directory_iterator(destination())) {
        EXPECT_NE(entry.path().extension(), ".partial") << plan << " left " << entry.path();
        if (!entry.is_regular_file()) continue;
        EXPECT_EQ(contents_of(entry.path()), contents_of(source_ / fs::relative(entry.path(), destination()))) << plan;
      }
    }
    fs::remove_all(destination());
  }

 private:
  fs::path work_;
  fs::path source_;
};

TEST_P(CopyTest, IsByteIdentical) { expect_identical_under(""); }

TEST_P(CopyTest, IsByteIdenticalWhateverIsTransient) {
  for (const char* plan :
       {"enter/eintr:every=2", "enter/eintr-masked:every=2", "enter/eagain:every=3", "enter/ebusy:every=3",
        "enter/take:every=1:k=1", "cqe/short:every=2", "cqe/short:every=1:bytes=1000"}) {
    expect_identical_under(plan);
  }
}

TEST_P(CopyTest, IsByteIdenticalUnderAllOfItTogether) {
  expect_identical_under(
      "enter/eintr:prob=0.2,enter/eintr-masked:prob=0.2,enter/eagain:prob=0.1,enter/take:prob=0.3:k=1,"
      "cqe/short:prob=0.3,seed=11");
}

TEST_P(CopyTest, EndsWithoutARing) {
  expect_ended_under("setup/enomem:nth=1", std::errc::not_enough_memory);
  expect_ended_under("setup/eperm:nth=1", std::errc::operation_not_permitted);
  expect_ended_under("setup/enosys:nth=1", std::errc::function_not_supported);
}

TEST_P(CopyTest, EndsWhenAResultIsAnError) {
  expect_ended_under("cqe/errno:errno=EIO:op=FSYNC:nth=2", std::errc::io_error);
}

TEST_P(CopyTest, EndsWhenCompletionsWereDropped) {
  const std::string kernel = GetParam();
  if (kernel.find("linux-5.") != std::string::npos) {
    // A kernel from before 5.19 never says so, and the plan is refused rather than made to lie.
    const Attempt attempt = copy("enter/ebadr:nth=1");
    ASSERT_FALSE(attempt.totals);
    EXPECT_EQ(attempt.totals.error(), std::errc::invalid_argument);
    EXPECT_NE(attempt.totals.error().detail.find("enter/ebadr"), std::string::npos) << attempt.totals.error().detail;
    return;
  }
  if (!kernel.starts_with("sim:")) {
    // Over the running kernel only the answer can be had. Nothing was lost, so the copy goes on.
    const Attempt attempt = copy("enter/ebadr:nth=3");
    ASSERT_TRUE(attempt.totals) << attempt.totals.error().message();
    return;
  }
  expect_ended_under("cqe/full:nth=20,cqe/drop:nth=1", static_cast<std::errc>(EBADR), 8);
}

INSTANTIATE_TEST_SUITE_P(Kernels, CopyTest,
                         testing::Values("linux", "sim:linux-5.4,strict", "sim:linux-5.10.0,strict",
                                         "sim:linux-6.12.0,strict"),
                         [](const testing::TestParamInfo<const char*>& kernel) {
                           std::string name = kernel.param;
                           for (char& letter : name) {
                             if (std::isalnum(static_cast<unsigned char>(letter)) == 0) letter = '_';
                           }
                           return name;
                         });

}  // namespace
}  // namespace assay::examples
