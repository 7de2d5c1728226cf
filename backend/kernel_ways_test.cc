#include "assay/backend/kernel_ways.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "assay/backend/backend.h"
#include "assay/backend/operation_ways.h"
#include "assay/faultinject/kernel_stack.h"
#include "assay/mocks/profile.h"

namespace assay {
namespace {

using testing::HasSubstr;

std::unique_ptr<KernelStack> open_kernel(const std::string& kernel, const std::string& plan = "") {
  auto stack = open_kernel_stack({.kernel = kernel, .plan = plan});
  EXPECT_TRUE(stack.has_value()) << stack.error().message();
  return stack ? std::move(*stack) : nullptr;
}

std::map<std::string, std::string> ways_on(const std::string& kernel) {
  std::map<std::string, std::string> found;
  const auto stack = open_kernel(kernel);
  const auto ways = Backend::ways(stack->top());
  EXPECT_TRUE(ways.has_value()) << ways.error().message();
  for (const KernelWay& way : *ways) {
    EXPECT_FALSE(way.way.empty()) << way.what;
    EXPECT_FALSE(way.why.empty()) << way.what;
    EXPECT_TRUE(found.emplace(way.what, way.way).second) << way.what << " stands there twice";
  }
  return found;
}

TEST(KernelWays, TheOldestKernelIsDoneWithoutWhatCameLater) {
  auto ways = ways_on("sim:linux-5.1");
  EXPECT_EQ(ways["persistent events"], "oneshot poll");
  EXPECT_EQ(ways["timers"], "poll(2) of the ring after submitting");
  EXPECT_EQ(ways["cancelation"], "POLL_REMOVE; ENOTSUP for all but polls");
  EXPECT_EQ(ways["nesting in another loop"], "refused: ENOTSUP");
  EXPECT_EQ(ways["operation read"], "as READV");
  EXPECT_EQ(ways["operation send"], "a poll, and the system call");
  EXPECT_EQ(ways["operation openat"], "the system call");
  EXPECT_EQ(ways["operation msg_ring"], "posted to the other loop");
  EXPECT_EQ(ways["operation futex_wait"], "refused: ENOTSUP");
}

TEST(KernelWays, ANewKernelIsUsedAsItIs) {
  auto ways = ways_on("sim:linux-6.12.0");
  EXPECT_EQ(ways["persistent events"], "multishot poll");
  EXPECT_EQ(ways["timers"], "the wait's own timeout");
  EXPECT_EQ(ways["waits for batches"], "one wait with deferred task work, else two");
  EXPECT_EQ(ways["cancelation"], "ASYNC_CANCEL by user_data, without a reply");
  EXPECT_EQ(ways["operation read"], "READ");
  EXPECT_EQ(ways["operation futex_wait"], "FUTEX_WAIT");
  for (const auto& [what, way] : ways) EXPECT_THAT(way, testing::Not(HasSubstr("refused"))) << what;
}

TEST(KernelWays, WhatIsTakenAwayIsDoneInAnotherWay) {
  EXPECT_EQ(ways_on("sim:linux-6.12.0-FEAT_EXT_ARG-FEAT_MIN_TIMEOUT")["waits for batches"],
            "none: a wait ends at the first completion");
  EXPECT_EQ(ways_on("sim:linux-6.12.0-FEAT_MIN_TIMEOUT")["waits for batches"], "two waits");
  EXPECT_EQ(ways_on("sim:linux-6.12.0-SEND_ZC")["operation send_zc"], "as SEND");
  EXPECT_EQ(ways_on("sim:linux-6.12.0-FEAT_CQE_SKIP")["cancelation"], "ASYNC_CANCEL by user_data");
}

// The first way of a row came last, so a documented kernel of that release takes it and one of before does not.
TEST(KernelWays, NoKernelTakesAWayThatCameLater) {
  for (const std::string& name : profile_names()) {
    if (name == "linux-running") continue;
    const auto profile = find_profile(name);
    ASSERT_TRUE(profile.has_value()) << name;
    if (profile->origin != ProfileOrigin::kDocumented) continue;
    const auto stack = open_kernel("sim:" + name);
    const auto ways = Backend::ways(stack->top());
    ASSERT_TRUE(ways.has_value());
    for (const KernelWay& way : *ways) EXPECT_LE(way.since, profile->version) << name << ": " << way.what;
  }
}

TEST(KernelWays, SaysOfEachOperationWhetherThereIsACall) {
  constexpr char kNoPath[] = "";
  for (unsigned opcode = 0; opcode < 256; ++opcode) {
    alignas(64) std::byte memory[512]{};
    io_uring_sqe sqe{};
    sqe.opcode = static_cast<std::uint8_t>(opcode);
    sqe.fd = -1;
    sqe.addr = reinterpret_cast<std::uintptr_t>(kNoPath);
    sqe.addr2 = reinterpret_cast<std::uintptr_t>(&memory);
    EXPECT_EQ(internal::call_plainly(sqe) != -ENOTSUP, internal::has_plain_call(sqe.opcode)) << "opcode " << opcode;
  }
}

TEST(KernelWays, TheKernelIsAskedOnce) {
  const auto stack = open_kernel("sim:linux-6.12.0", "register/errno:op=REGISTER_PROBE:errno=EINVAL:nth=1000");
  for (int time = 0; time < 3; ++time) {
    ASSERT_TRUE(Backend::available(stack->top()).has_value());
    ASSERT_TRUE(Backend::create(stack->top()).has_value());
  }
  EXPECT_EQ(stack->faults()->report().rules[0].crossings, 1u);
}

TEST(KernelWays, ARefusalOfTheMomentIsNotRemembered) {
  const auto stack = open_kernel("sim:linux-6.12.0", "register/errno:op=REGISTER_PROBE:errno=ENOMEM:nth=1");
  ASSERT_TRUE(Backend::available(stack->top()).has_value());
  ASSERT_TRUE(Backend::available(stack->top()).has_value());
  EXPECT_EQ(stack->faults()->report().rules[0].firings, 1u);
  EXPECT_EQ(stack->faults()->report().rules[0].crossings, 2u);
}

TEST(KernelWays, AvailableSaysWhyNot) {
  const auto stack = open_kernel("sim:linux-6.12.0", "setup/eperm");
  const Result<void> available = Backend::available(stack->top());
  ASSERT_FALSE(available.has_value());
  EXPECT_TRUE(Backend::is_unavailable(available.error()));
  EXPECT_THAT(available.error().message(), HasSubstr("io_uring_setup"));
}

}  // namespace
}  // namespace assay
