// What it costs to destroy a Backend that has much in flight, counted in calls and requests.

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "assay/backend/backend.h"
#include "assay/faultinject/kernel_stack.h"

namespace assay {
namespace {

/// Another Kernel, whose enters are counted.
class CountingKernel final : public Kernel {
 public:
  explicit CountingKernel(Kernel& counted) : counted_(counted) {}

  int setup(unsigned entries, io_uring_params* params) override { return counted_.setup(entries, params); }
  int enter(int ring_fd, unsigned to_submit, unsigned min_complete, unsigned flags, const void* arg,
            std::size_t arg_bytes) override {
    const int taken = counted_.enter(ring_fd, to_submit, min_complete, flags, arg, arg_bytes);
    ++enters;
    requests += static_cast<unsigned>(std::max(taken, 0));
    return taken;
  }
  int register_op(int ring_fd, unsigned opcode, void* arg, unsigned nr_args) override {
    return counted_.register_op(ring_fd, opcode, arg, nr_args);
  }
  int map(int ring_fd, std::uint64_t offset, std::size_t bytes, void** address) override {
    return counted_.map(ring_fd, offset, bytes, address);
  }
  int unmap(void* address, std::size_t bytes) override { return counted_.unmap(address, bytes); }
  int close(int ring_fd) override { return counted_.close(ring_fd); }
  int now(clockid_t clock, timespec* time) override { return counted_.now(clock, time); }
  int wait_readable(int ring_fd, const timespec* timeout) override { return counted_.wait_readable(ring_fd, timeout); }
  void relax(int ring_fd) override { counted_.relax(ring_fd); }
  std::string name() const override { return counted_.name(); }

  unsigned enters = 0;
  unsigned requests = 0;

 private:
  Kernel& counted_;
};

struct Cost {
  unsigned enters = 0;
  unsigned requests = 0;
  /// Which timeouts were told that they were cancelled, in that order.
  std::vector<unsigned> told;
};

Cost destroy_with_timeouts(const std::string& name, unsigned count, const BackendOptions& options) {
  Cost cost;
  const auto stack = open_kernel_stack({.kernel = name});
  EXPECT_TRUE(stack.has_value());
  CountingKernel kernel((*stack)->top());
  {
    auto backend = Backend::create(kernel, options);
    EXPECT_TRUE(backend.has_value()) << backend.error().message();
    for (unsigned each = 0; each < count; ++each) {
      (*backend)->timeout(std::chrono::hours(1), [&cost, each](int res) {
        EXPECT_EQ(res, -ECANCELED);
        cost.told.push_back(each);
      });
    }
    EXPECT_TRUE((*backend)->loop(LoopMode::kNonblock).has_value());
    kernel.enters = kernel.requests = 0;
  }
  cost.enters = kernel.enters;
  cost.requests = kernel.requests;
  return cost;
}

class DestructionTest : public testing::TestWithParam<const char*> {};

TEST_P(DestructionTest, CostsInProportion) {
  for (const bool deferred : {false, true}) {
    const BackendOptions options{.defer_taskrun = deferred};
    const Cost some = destroy_with_timeouts(GetParam(), 1000, options);
    const Cost many = destroy_with_timeouts(GetParam(), 8000, options);
    EXPECT_EQ(some.told.size(), 1000u);
    EXPECT_EQ(many.told.size(), 8000u);
    EXPECT_LE(many.enters, 10 * some.enters);
    EXPECT_LE(many.requests, 8000u + 16) << "a cancelation each, and what the loop has for itself";
  }
}

// In the kernel's lists the newest is the first to be found.
TEST_P(DestructionTest, BeginsWithTheNewest) {
  const Cost cost = destroy_with_timeouts(GetParam(), 8000, {});
  ASSERT_EQ(cost.told.size(), 8000u);
  EXPECT_GE(*std::min_element(cost.told.begin(), cost.told.begin() + 100), 7000u);
}

INSTANTIATE_TEST_SUITE_P(Kernels, DestructionTest, testing::Values("sim:linux-5.6", "sim:linux-5.10", "sim:linux-6.12"),
                         [](const auto& param) {
                           std::string name = param.param;
                           std::replace_if(
                               name.begin(), name.end(), [](char c) { return c == ':' || c == '-' || c == '.'; }, '_');
                           return name;
                         });

}  // namespace
}  // namespace assay
