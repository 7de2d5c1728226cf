// That the tracepoints are in the program: their notes are what bpftrace and perf find them by.

#include "assay/backend/tracepoints.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <cstdio>
#include <string>

#include "assay/backend/backend.h"
#include "assay/backend/linux_kernel.h"

namespace assay {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

/// What `readelf -n` prints of this very program.
std::string own_notes() {
  std::array<char, PATH_MAX> path{};
  EXPECT_GT(::readlink("/proc/self/exe", path.data(), path.size() - 1), 0);
  FILE* out = ::popen(("readelf -n '" + std::string(path.data()) + "'").c_str(), "r");
  if (out == nullptr) return {};
  std::string text;
  std::array<char, 4096> piece;
  while (const std::size_t bytes = std::fread(piece.data(), 1, piece.size(), out)) text.append(piece.data(), bytes);
  EXPECT_EQ(::pclose(out), 0) << "readelf (binutils) is needed";
  return text;
}

TEST(Tracepoints, AreInTheProgram) {
  // So that the loop is linked, which has them.
  EXPECT_TRUE(Backend::create(LinuxKernel::instance(), {.capacity = 0x8000'0000}).has_value() || true);
  const std::string notes = own_notes();
#if __has_include(<sys/sdt.h>)
  EXPECT_THAT(notes, AllOf(HasSubstr("Provider: assay"), HasSubstr("Name: wait_begin"), HasSubstr("Name: wait_end"),
                           HasSubstr("Name: batch_begin"), HasSubstr("Name: batch_end")));
#else
  EXPECT_THAT(notes, Not(HasSubstr("Provider: assay")));
#endif
}

}  // namespace
}  // namespace assay
