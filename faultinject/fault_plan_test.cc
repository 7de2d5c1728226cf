#include "assay/faultinject/fault_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <random>

#include "assay/backend/uapi.h"
#include "assay/backend/uapi_names.h"

namespace assay {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

FaultPlan parsed(std::string_view text) {
  Result<FaultPlan> plan = parse_fault_plan(text);
  EXPECT_TRUE(plan) << text << ": " << (plan ? "" : plan.error().message());
  return plan ? *plan : FaultPlan{};
}

std::string refusal(std::string_view text) {
  const Result<FaultPlan> plan = parse_fault_plan(text);
  EXPECT_FALSE(plan) << text << " was taken as " << (plan ? format_fault_plan(*plan) : "");
  if (plan) return {};
  EXPECT_TRUE(plan.error() == std::errc::invalid_argument);
  EXPECT_EQ(plan.error().message().find('\n'), std::string::npos) << "an error is one line";
  return plan.error().message();
}

TEST(FaultPlanText, EmptyIsThePlanThatDoesNothing) {
  EXPECT_EQ(parsed(""), FaultPlan{});
  EXPECT_EQ(parsed("  "), FaultPlan{});
  EXPECT_TRUE(parsed("").empty());
  EXPECT_EQ(format_fault_plan({}), "");
}

TEST(FaultPlanText, ReadsARuleWithoutSettings) {
  const FaultPlan plan = parsed("enter/eintr");
  ASSERT_EQ(plan.rules.size(), 1u);
  EXPECT_EQ(plan.rules[0], FaultRule{.point = FaultPointId::kEnterEintr});
  EXPECT_EQ(parsed("assay/enter/eintr"), plan);
}

TEST(FaultPlanText, ReadsEverySetting) {
  const FaultPlan plan = parsed(
      "enter/eintr:nth=3, cqe/short:every=2:bytes=7,cqe/errno:from=2:to=9:prob=0.25:op=READ:fd=5:user_data=0x1f:errno=EIO,"
      "enter/take:k=1,setup/feature-absent:bit=EXT_ARG,register/opcode-absent:op=FTRUNCATE,"
      "register/errno:op=REGISTER_FILES:errno=ENOMEM,seed=42");
  ASSERT_EQ(plan.rules.size(), 7u);
  EXPECT_EQ(plan.seed, 42u);
  EXPECT_EQ(plan.rules[0], (FaultRule{.point = FaultPointId::kEnterEintr, .when = {.nth = 3}}));
  EXPECT_EQ(plan.rules[1], (FaultRule{.point = FaultPointId::kCqeShort, .when = {.every = 2}, .bytes = 7}));
  EXPECT_EQ(plan.rules[2], (FaultRule{.point = FaultPointId::kCqeErrno,
                                      .when = {.from = 2, .to = 9, .probability = 0.25},
                                      .op = IORING_OP_READ,
                                      .fd = 5,
                                      .user_data = 31,
                                      .error = EIO}));
  EXPECT_EQ(plan.rules[3], (FaultRule{.point = FaultPointId::kEnterTake, .k = 1}));
  EXPECT_EQ(plan.rules[4], (FaultRule{.point = FaultPointId::kSetupFeatureAbsent, .bit = IORING_FEAT_EXT_ARG}));
  EXPECT_EQ(plan.rules[5], (FaultRule{.point = FaultPointId::kRegisterOpcodeAbsent, .op = uapi::kOpFtruncate}));
  EXPECT_EQ(plan.rules[6],
            (FaultRule{.point = FaultPointId::kRegisterErrno, .op = IORING_REGISTER_FILES, .error = ENOMEM}));
}

TEST(FaultPlanText, IsWrittenAsAPersonWouldTypeIt) {
  const FaultPlan plan{
      .rules = {{.point = FaultPointId::kCqeErrno, .when = {.nth = 1}, .op = IORING_OP_READ, .error = EIO},
                {.point = FaultPointId::kEnterTake, .when = {.every = 2}, .k = 3}},
      .seed = 9};
  EXPECT_EQ(format_fault_plan(plan), "cqe/errno:nth=1:op=READ:errno=EIO,enter/take:every=2:k=3,seed=9");
}

// A rule with random settings, among those that its point takes.
FaultRule random_rule(std::mt19937_64& random) {
  const auto chance = [&random] { return random() % 2 == 0; };
  const FaultPoint& point = fault_points()[random() % kFaultPoints];
  FaultRule rule{.point = point.id};
  if (!is_standing(point)) {
    if (chance()) {
      rule.when.nth = 1 + random() % 1000;
    } else {
      if (chance()) rule.when.every = 1 + random();
      if (chance()) rule.when.from = 1 + random() % 10;
      if (chance()) rule.when.to = 10 + random() % 10;
      if (chance()) rule.when.probability = 1.0 / static_cast<double>(1 + random() % 1000);
    }
  }
  if ((point.takes & kTakesErrno) != 0) rule.error = static_cast<int>(1 + random() % 133);
  if ((point.takes & kTakesBytes) != 0 && chance()) rule.bytes = 1 + random();
  if ((point.takes & kTakesK) != 0 && chance()) rule.k = static_cast<std::uint32_t>(1 + random() % 100);
  if ((point.takes & kTakesBit) != 0) rule.bit = 1u << (random() % 18);
  if ((point.takes & (kTakesOpcode | kTakesRegisterFilter)) != 0 && (chance() || (point.takes & kTakesOpcode) != 0)) {
    rule.op = static_cast<std::uint32_t>(random() % 256);
  }
  if ((point.takes & kTakesSqeFilter) != 0) {
    if (chance()) rule.op = static_cast<std::uint32_t>(random() % 256);
    if (chance()) rule.fd = static_cast<std::int32_t>(random());
    if (chance()) rule.user_data = random();
  }
  return rule;
}

TEST(FaultPlanText, ParseAndFormatAreInverse) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 2000; ++round) {
    FaultPlan plan{.seed = random() % 3 == 0 ? 0 : random()};
    for (std::size_t i = random() % 4; i > 0; --i) plan.rules.push_back(random_rule(random));
    const std::string text = format_fault_plan(plan);
    SCOPED_TRACE(text);
    EXPECT_EQ(parsed(text), plan);
    EXPECT_EQ(format_fault_plan(parsed(text)), text);
  }
}

TEST(FaultPlanErrors, NameTheNearestPoint) {
  EXPECT_EQ(refusal("enter/eintrr:nth=1"),
            "fault plan: unknown point 'enter/eintrr'; did you mean 'enter/eintr'? (`assay faults` lists all)");
  EXPECT_THAT(refusal("cqe/short,enter/egain"), HasSubstr("did you mean 'enter/eagain'?"));
}

TEST(FaultPlanErrors, NameTheSettingAndWhatWouldBeRight) {
  EXPECT_EQ(refusal("enter/eintr:nth=0"),
            "fault plan: 'nth=0' in 'enter/eintr:nth=0': a whole number from 1 is wanted");
  EXPECT_THAT(refusal("enter/eintr:nth=x"), HasSubstr("a whole number from 1 is wanted"));
  EXPECT_THAT(refusal("enter/eintr:nth=3x"), HasSubstr("'nth=3x'"));
  EXPECT_THAT(refusal("enter/eintr:often=3"), AllOf(HasSubstr("unknown setting 'often'"), HasSubstr("nth, every")));
  EXPECT_THAT(refusal("enter/eintr:nth"), HasSubstr("'nth' in 'enter/eintr:nth' is no setting; KEY=VALUE is wanted"));
  EXPECT_THAT(refusal("enter/eintr:"), HasSubstr("ends with ':'"));
  EXPECT_THAT(refusal("enter/eintr:prob=0"), HasSubstr("a probability above 0 and up to 1"));
  EXPECT_THAT(refusal("enter/eintr:prob=1.5"), HasSubstr("a probability above 0 and up to 1"));
  EXPECT_THAT(refusal("enter/eintr:nth=1:nth=2"), HasSubstr("'nth' is set twice"));
  EXPECT_THAT(refusal("cqe/errno:errno=EOI"), HasSubstr("an errno is wanted, such as EIO or 5"));
  EXPECT_THAT(refusal("cqe/errno:errno=EIO:op=RAED"), HasSubstr("an opcode without IORING_OP_ is wanted"));
  EXPECT_THAT(refusal("register/errno:errno=EIO:op=FILES"), HasSubstr("a register opcode without IORING_ is wanted"));
  EXPECT_THAT(refusal("setup/feature-absent:bit=EXTARG"), HasSubstr("a feature without IORING_FEAT_ is wanted"));
  EXPECT_THAT(refusal("enter/take:k=0"), HasSubstr("the point is enter/eagain"));
  EXPECT_THAT(refusal("cqe/short:fd=x"), HasSubstr("a file descriptor's number is wanted"));
  EXPECT_THAT(refusal("cqe/short:user_data=x"), HasSubstr("such as 7 or 0x1f"));
  EXPECT_THAT(refusal("seed=x"), HasSubstr("'seed=x': a whole number is wanted"));
  EXPECT_THAT(refusal("enter/eintr,,seed=1"), HasSubstr("an empty item"));
  EXPECT_THAT(refusal("enter/eintr,"), HasSubstr("an empty item"));
}

TEST(FaultPlanErrors, SayWhatAPointTakesAndNeeds) {
  EXPECT_EQ(refusal("enter/eintr:errno=EIO"),
            "fault plan: 'enter/eintr' does not take errno=; it takes no setting but the timing");
  EXPECT_THAT(refusal("enter/take:bytes=1"), HasSubstr("it takes [k=N]"));
  EXPECT_THAT(refusal("map/enomem:op=READ"), HasSubstr("does not take op="));
  EXPECT_THAT(refusal("enter/eintr:fd=1"), HasSubstr("does not take fd="));
  EXPECT_THAT(refusal("cqe/errno:nth=1"), HasSubstr("'cqe/errno' needs errno=, such as errno=EIO"));
  EXPECT_THAT(refusal("setup/feature-absent"), HasSubstr("needs bit="));
  EXPECT_THAT(refusal("register/opcode-absent"), HasSubstr("needs op="));
  EXPECT_THAT(refusal("register/opcode-absent:op=READ:nth=2"), HasSubstr("holds always"));
  EXPECT_THAT(refusal("enter/eintr:nth=1:every=2"), HasSubstr("names one crossing"));
  EXPECT_THAT(refusal("enter/eintr:from=5:to=2"), HasSubstr("from=5 comes after to=2"));
}

TEST(FaultPlanErrors, RulesMadeInCodeAreHeldToTheSame) {
  EXPECT_FALSE(check_fault_rule({.point = FaultPointId::kCqeErrno}));
  EXPECT_FALSE(check_fault_rule({.point = FaultPointId::kEnterEintr, .when = {.probability = 2}}));
  EXPECT_TRUE(check_fault_rule({.point = FaultPointId::kCqeErrno, .error = EIO}));
}

TEST(ErrnoNames, AreThoseOfLinux) {
  EXPECT_EQ(errno_name(EIO), "EIO");
  EXPECT_EQ(errno_name(-EBADR), "EBADR");
  EXPECT_EQ(errno_name(9999), "9999");
  EXPECT_EQ(errno_from_name("EBADR"), EBADR);
  EXPECT_EQ(errno_from_name("EWOULDBLOCK"), EAGAIN);
  EXPECT_EQ(errno_from_name("5"), EIO);
  EXPECT_EQ(errno_from_name("0"), std::nullopt);
  EXPECT_EQ(errno_from_name("-5"), std::nullopt);
  EXPECT_EQ(errno_from_name("512"), std::nullopt) << "not an errno that programs see";
  for (int error = 1; error <= 133; ++error) EXPECT_EQ(errno_from_name(errno_name(error)), error);
}

TEST(FaultPlanJson, HoldsWhatTheTextHolds) {
  const char* const json =
      R"({"seed":7,"rules":[{"point":"enter/take","nth":2,"k":1},{"point":"cqe/errno","prob":0.25,"op":"READ","errno":"EIO"}]})";
  const Result<FaultPlan> plan = parse_fault_plan(json);
  ASSERT_TRUE(plan) << plan.error().message();
  EXPECT_EQ(format_fault_plan(*plan), "enter/take:nth=2:k=1,cqe/errno:prob=0.25:op=READ:errno=EIO,seed=7");
  EXPECT_EQ(format_fault_plan_json(*plan), json);
  EXPECT_EQ(format_fault_plan_json({}), R"({"rules":[]})");
}

TEST(FaultPlanJson, EveryRandomPlanReadsBackEqual) {
  std::mt19937_64 random(5);
  for (int i = 0; i < 500; ++i) {
    FaultPlan plan{.rules = {}, .seed = random() % 3};
    for (unsigned rules = random() % 4; rules > 0; --rules) plan.rules.push_back(random_rule(random));
    const Result<FaultPlan> read = parse_fault_plan(format_fault_plan_json(plan));
    ASSERT_TRUE(read) << format_fault_plan_json(plan) << ": " << read.error().message();
    EXPECT_EQ(*read, plan) << format_fault_plan_json(plan);
  }
}

TEST(FaultPlanJson, WhatIsWrongIsToldInOneLine) {
  for (const char* json : {"{", "{\"rules\": 3}", "{\"rules\": [7]}", "{\"rules\": [{\"nth\": 1}]}",
                           "{\"seed\": \"x\"}", "{\"rules\": [{\"point\": \"enter/eintr\", \"nth\": [1]}]}",
                           "{\"plan\": []}", "{\"rules\": [{\"point\": \"enter/eintr,enter/take\"}]}"}) {
    const Result<FaultPlan> plan = parse_fault_plan(json);
    ASSERT_FALSE(plan) << json;
    EXPECT_EQ(plan.error().message().find('\n'), std::string::npos);
    EXPECT_TRUE(plan.error().message().starts_with("fault plan: ")) << plan.error().message();
  }
}

}  // namespace
}  // namespace assay
