#include "assay/faultinject/kernel_stack.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <fstream>
#include <sstream>

#include "assay/backend/linux_kernel.h"
#include "assay/backend/ring.h"
#include "assay/mocks/profile.h"
#include "assay/mocks/sim_kernel.h"

namespace assay {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

KernelSpec parsed(std::string_view text) {
  Result<KernelSpec> spec = parse_kernel_spec(text);
  EXPECT_TRUE(spec) << text << ": " << (spec ? "" : spec.error().message());
  return spec ? *spec : KernelSpec{};
}

template <typename T>
std::string message_of(const Result<T>& result) {
  EXPECT_FALSE(result);
  if (result) return {};
  EXPECT_TRUE(result.error() == std::errc::invalid_argument) << result.error().message();
  EXPECT_EQ(result.error().message().find('\n'), std::string::npos) << "an error is one line";
  return result.error().message();
}

std::string refusal(std::string_view text) { return message_of(parse_kernel_spec(text)); }
std::string refusal(const KernelStackOptions& options) { return message_of(open_kernel_stack(options)); }

TEST(KernelSpec, LinuxIsTheRunningKernel) {
  EXPECT_EQ(parsed("linux"), KernelSpec{});
  EXPECT_EQ(format_kernel_spec({}), "linux");
}

TEST(KernelSpec, AProfileStandsAfterSim) {
  EXPECT_EQ(parsed("sim:linux-6.12.0"), (KernelSpec{.simulated = true, .profile = "linux-6.12.0"}));
}

TEST(KernelSpec, BitsAreGivenAndTakenAfterTheProfile) {
  EXPECT_EQ(parsed("sim:linux-6.12.0-SENDMSG_ZC+FEAT_NODROP"),
            (KernelSpec{.simulated = true,
                        .profile = "linux-6.12.0",
                        .bits = {{.bit = "SENDMSG_ZC", .on = false}, {.bit = "FEAT_NODROP", .on = true}}}));
}

TEST(KernelSpec, OptionsFollowAfterCommas) {
  EXPECT_EQ(parsed("sim:linux-5.4-NOP,real-clock,strict,seed=7"), (KernelSpec{.simulated = true,
                                                                              .profile = "linux-5.4",
                                                                              .bits = {{.bit = "NOP", .on = false}},
                                                                              .real_clock = true,
                                                                              .strict = true,
                                                                              .seed = 7}));
}

TEST(KernelSpec, EveryProfileIsFoundByItsOwnName) {
  for (const std::string& name : profile_names()) {
    const KernelSpec spec = parsed("sim:" + name + "-NOP,strict");
    EXPECT_EQ(spec.profile, name) << "not a shorter one and a bit";
    EXPECT_EQ(spec.bits.size(), 1u);
  }
}

TEST(KernelSpec, AProfileFileIsNamedByItsEnding) {
  const KernelSpec spec = parsed("sim:./some-kernel-6.1.json-NOP,strict");
  EXPECT_EQ(spec.profile, "./some-kernel-6.1.json");
  ASSERT_EQ(spec.bits.size(), 1u);
  EXPECT_EQ(spec.bits[0].bit, "NOP");
}

TEST(KernelSpec, ParseAndFormatAreInverse) {
  for (const char* text : {"linux", "sim:linux-5.4", "sim:linux-6.12.0-SENDMSG_ZC+FEAT_NODROP", "sim:linux-5.4,live",
                           "sim:linux-5.10.0,real-clock,strict,seed=18446744073709551615", "sim:a/b.json-NOP,seed=1"}) {
    EXPECT_EQ(format_kernel_spec(parsed(text)), text);
  }
  EXPECT_EQ(format_kernel_spec(parsed("sim:linux-5.4,seed=3,strict")), "sim:linux-5.4,strict,seed=3") << "canonical";
}

TEST(KernelSpec, ErrorsNameThePartAndWhatWouldBeRight) {
  EXPECT_EQ(refusal("windows"), "kernel: 'windows': 'linux' or 'sim:PROFILE' is wanted, such as 'sim:linux-6.12.0'");
  EXPECT_EQ(refusal("linux-6.12.0,strict"),
            "kernel: 'linux-6.12.0,strict': a profile is spelled 'sim:linux-6.12.0,strict'");
  EXPECT_THAT(refusal("sim:linux-6.12.1"),
              AllOf(HasSubstr("unknown profile 'linux-6.12.1'"), HasSubstr("linux-6.12.0")));
  EXPECT_THAT(refusal("sim:"), HasSubstr("unknown profile ''"));
  EXPECT_THAT(refusal("sim:linux-5.4,fast"),
              HasSubstr("unknown option 'fast'; there are live, real-clock, strict and seed=N"));
  EXPECT_THAT(refusal("sim:linux-5.4,"), HasSubstr("unknown option ''"));
  EXPECT_THAT(refusal("sim:linux-5.4,seed=x"), HasSubstr("'seed=x': a whole number is wanted"));
  EXPECT_THAT(refusal("sim:linux-5.4-"), HasSubstr("a bit's name is wanted after the sign"));
}

TEST(KernelStack, WithoutLayersItIsTheKernelItself) {
  const auto stack = open_kernel_stack({.kernel = "linux"});
  ASSERT_TRUE(stack) << stack.error().message();
  EXPECT_EQ(&(*stack)->top(), &LinuxKernel::instance());
  EXPECT_EQ((*stack)->name(), "linux");
  EXPECT_EQ((*stack)->sim(), nullptr);
  EXPECT_EQ((*stack)->faults(), nullptr);
  EXPECT_EQ((*stack)->report().fired(), 0u);
  EXPECT_EQ((*stack)->replay_options(), "--kernel linux");
}

TEST(KernelStack, BitsChangeTheProfile) {
  const auto stack = open_kernel_stack({.kernel = "sim:linux-6.12.0-SENDMSG_ZC-FEAT_EXT_ARG"});
  ASSERT_TRUE(stack) << stack.error().message();
  const Profile& profile = (*stack)->sim()->profile();
  EXPECT_FALSE(profile.opcodes.test(IORING_OP_SENDMSG_ZC));
  EXPECT_TRUE(profile.opcodes.test(IORING_OP_SEND_ZC));
  EXPECT_EQ(profile.features & IORING_FEAT_EXT_ARG, 0u);
  EXPECT_EQ((*stack)->top().name(), "sim:linux-6.12.0-SENDMSG_ZC-FEAT_EXT_ARG");
}

TEST(KernelStack, OneSeedServesWhateverSaidNone) {
  const auto one = open_kernel_stack({.kernel = "sim:linux-6.12.0", .plan = "enter/eintr:prob=0.5", .seed = 9});
  ASSERT_TRUE(one) << one.error().message();
  EXPECT_EQ((*one)->name(), "sim:linux-6.12.0,seed=9");
  EXPECT_EQ((*one)->plan().seed, 9u);
  EXPECT_EQ((*one)->replay_options(), "--kernel sim:linux-6.12.0,seed=9 --plan enter/eintr:prob=0.5,seed=9");
  const auto own = open_kernel_stack({.kernel = "sim:linux-6.12.0,seed=1", .plan = "enter/eintr,seed=2", .seed = 9});
  ASSERT_TRUE(own) << own.error().message();
  EXPECT_EQ((*own)->spec().seed, 1u);
  EXPECT_EQ((*own)->plan().seed, 2u);
}

TEST(KernelStack, APlanBendsTheKernelAndSaysWhatFired) {
  const auto stack = open_kernel_stack({.kernel = "sim:linux-6.12.0", .plan = "setup/enosys:nth=1"});
  ASSERT_TRUE(stack) << stack.error().message();
  const Result<Ring> first = Ring::create((*stack)->top());
  ASSERT_FALSE(first);
  EXPECT_TRUE(first.error() == std::errc::function_not_supported);
  EXPECT_TRUE(Ring::create((*stack)->top()));
  EXPECT_TRUE((*stack)->report().every_rule_fired());
}

TEST(KernelStack, CompletionFaultsReachASimulatedKernel) {
  const auto stack = open_kernel_stack({.kernel = "sim:linux-6.12.0", .plan = "cqe/full:nth=1"});
  ASSERT_TRUE(stack) << stack.error().message();
  Result<Ring> ring = Ring::create((*stack)->top());
  ASSERT_TRUE(ring);
  io_uring_prep_nop(ring->get_sqe());
  EXPECT_EQ(ring->submit(), 1);
  EXPECT_EQ(ring->cq_ready(), 0u);
  EXPECT_TRUE(ring->cq_has_overflow());
  EXPECT_EQ(ring->get_events(), 0);
  EXPECT_EQ(ring->cq_ready(), 1u);
  EXPECT_TRUE((*stack)->report().every_rule_fired());
}

TEST(KernelStack, ErrorsOfEveryPartAreOneLine) {
  EXPECT_THAT(refusal({.kernel = "sim:linux-6.12.0-NOSUCHBIT"}), HasSubstr("NOSUCHBIT"));
  EXPECT_THAT(refusal({.kernel = "linux", .plan = "enter/eintrr"}), HasSubstr("did you mean 'enter/eintr'?"));
  EXPECT_THAT(refusal({.kernel = "linux", .plan = "cqe/full"}),
              HasSubstr("linux cannot carry 'cqe/full': only a simulated kernel"));
  EXPECT_THAT(refusal({.kernel = "sim:linux-5.4", .plan = "enter/ebadr"}), HasSubstr("this kernel never says -EBADR"));
  EXPECT_THAT(refusal({.kernel = "sim:linux-6.12.0", .plan = "setup/feature-absent:bit=NODROP"}),
              HasSubstr("bit=NODROP"));
}

TEST(KernelStack, ATraceThatCannotBeWrittenIsSaidSo) {
  const auto stack = open_kernel_stack({.kernel = "linux", .trace = "/nonexistent-folder/trace"});
  ASSERT_FALSE(stack);
  EXPECT_TRUE(stack.error() == std::errc::no_such_file_or_directory);
  EXPECT_EQ(stack.error().message(), "trace: cannot write '/nonexistent-folder/trace': No such file or directory");
}

TEST(KernelStack, NothingIsHalfDoneWhenItCannotBeOpened) {
  const std::string path = testing::TempDir() + "kernel_stack_test_trace." + std::to_string(::getpid());
  refusal({.kernel = "linux", .plan = "cqe/full", .trace = path});
  EXPECT_NE(::access(path.c_str(), F_OK), 0) << "a trace was begun";
}

TEST(KernelStack, ATraceHoldsWhatTheProgramSaw) {
  const std::string path = testing::TempDir() + "kernel_stack_test_trace." + std::to_string(::getpid());
  {
    const auto stack = open_kernel_stack({.kernel = "sim:linux-6.12.0", .plan = "enter/eagain:nth=1", .trace = path});
    ASSERT_TRUE(stack) << stack.error().message();
    Result<Ring> ring = Ring::create((*stack)->top(), {.sq_entries = 4});
    ASSERT_TRUE(ring);
    io_uring_prep_nop(ring->get_sqe());
    EXPECT_EQ(ring->submit(), -EAGAIN);
    EXPECT_EQ(ring->submit(), 1);
  }
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  std::remove(path.c_str());
  EXPECT_THAT(text.str(), StartsWith("setup entries=4"));
  EXPECT_THAT(text.str(), HasSubstr("  sqe 0 NOP user_data=0\n  = -EAGAIN\n"));
  EXPECT_THAT(text.str(), HasSubstr("  sqe 0 NOP user_data=0\n  = 1\n  cqe 0 user_data=0 res=0\n"));
}

}  // namespace
}  // namespace assay
