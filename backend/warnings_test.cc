// How often a user is warned, on virtual time.

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "assay/backend/backend.h"
#include "assay/faultinject/kernel_stack.h"

namespace assay {
namespace {

using namespace std::chrono_literals;

TEST(Warnings, OfAnOverflowComeAtMostOnceInTenSeconds) {
  const auto stack = open_kernel_stack({.kernel = "sim:linux-6.12.0"});
  ASSERT_TRUE(stack.has_value());
  std::vector<std::chrono::nanoseconds> warnings;
  Backend* target = nullptr;
  BackendOptions options{.capacity = 4, .sq_entries = 4};
  options.on_warning = [&](std::string_view text) {
    EXPECT_NE(text.find("CQ overflows"), std::string_view::npos) << text;
    warnings.push_back(target->now());
  };
  const auto backend = Backend::create((*stack)->top(), options);
  ASSERT_TRUE(backend.has_value());
  target = backend->get();

  const auto start = target->now();
  unsigned rounds = 0;
  unsigned told = 0;
  Timer timer(*target, [&] {
    for (int i = 0; i < 32; ++i) target->fsync(0, [&](int) { ++told; });
    if (++rounds == 25) (void)timer.stop();
  });
  // 25 seconds with an overflow in each.
  ASSERT_TRUE(timer.start_every(1s).has_value());
  ASSERT_TRUE(target->loop().has_value());
  EXPECT_EQ(told, 25 * 32u);
  EXPECT_GE(target->counters().overflows, 25u) << "each was counted";
  ASSERT_EQ(warnings.size(), 3u);
  EXPECT_EQ(warnings[0] - start, 1s);
  EXPECT_EQ(warnings[1] - warnings[0], 10s);
  EXPECT_EQ(warnings[2] - warnings[1], 10s);
}

}  // namespace
}  // namespace assay
