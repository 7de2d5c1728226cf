#include "assay/conformance/behaviour.h"

#include <gtest/gtest.h>

#include <cctype>
#include <optional>
#include <sstream>
#include <utility>

#include "assay/conformance/resources.h"
#include "assay/conformance/watchdog.h"

namespace assay::conformance {
namespace {

std::vector<RegisteredTest>& mutable_registered_tests() {
  static std::vector<RegisteredTest> tests;
  return tests;
}

/// The words of `text` but for one: "assay linux enter/take:k=1" without "linux" is "assay enter/take:k=1".
std::string without(const std::string& text, const std::string& word) {
  std::istringstream words(text);
  std::string rest;
  for (std::string each; words >> each;) {
    if (each != word) rest += (rest.empty() ? "" : " ") + each;
  }
  return rest;
}

/// Opens the kernel around a body, decides and checks the skip, and counts what is left over.
class ConformanceTest : public testing::Test {
 public:
  ConformanceTest(Behaviour behaviour, KernelCase kernel_case)
      : behaviour_(std::move(behaviour)), case_(std::move(kernel_case)) {}

 protected:
  void SetUp() override {
    Watchdog::start(behaviour_.suite + "." + behaviour_.name + " on " + case_.name);
    before_ = held_resources();
    Result<OpenedKernel> opened = case_.open(behaviour_.needs.real_clock);
    if (!opened) FAIL() << case_.name << " cannot be opened: " << opened.error().message();
    subject_.emplace(case_, std::move(*opened));
    if (!behaviour_.skip_reason.empty()) {
      skip_is_expected_ = true;
      GTEST_SKIP() << behaviour_.skip_reason;
    }
    const std::string missing = missing_needs(behaviour_.needs, case_.profile);
    if (missing.empty()) return;
    const std::string contradiction = contradicted_needs(behaviour_.needs, case_.profile, subject_->kernel());
    if (!contradiction.empty()) FAIL() << "skipped as it " << missing << ", but " << contradiction;
    skip_is_expected_ = true;
    GTEST_SKIP() << missing;
  }

  void TestBody() override {
    try {
      behaviour_.body(*subject_);
    } catch (const BodyEnded&) {
      EXPECT_TRUE(HasFailure()) << "the body ended early and told nobody why";
    }
  }

  void TearDown() override {
    subject_.reset();
    collect_trace(case_.options, behaviour_.suite + "." + behaviour_.name + " on " + case_.name);
    const std::string difference = resource_difference(before_, held_resources());
    EXPECT_TRUE(difference.empty()) << difference;
    if (IsSkipped() && !skip_is_expected_) ADD_FAILURE() << "was skipped although the kernel has all that it needs";
    Watchdog::stop();
  }

 private:
  Behaviour behaviour_;
  KernelCase case_;
  std::optional<KernelUnderTest> subject_;
  Resources before_;
  bool skip_is_expected_ = false;
};

}  // namespace

std::string test_name_part(std::string_view case_name) {
  std::string part(case_name);
  for (char& c : part) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '.' && c != '_') c = '_';
  }
  return part;
}

void register_test(const Behaviour& behaviour, const KernelCase& kernel_case, std::string_view case_name) {
  const std::string parameter(case_name.empty() ? std::string_view(kernel_case.name) : case_name);
  const std::string name = behaviour.name + "/" + test_name_part(parameter);
  mutable_registered_tests().push_back({behaviour.suite, name, kernel_case.name, without(parameter, kernel_case.name)});
  testing::RegisterTest(
      behaviour.suite.c_str(), name.c_str(), nullptr, parameter.c_str(), behaviour.file, behaviour.line,
      [behaviour, kernel_case]() -> ConformanceTest* { return new ConformanceTest(behaviour, kernel_case); });
}

void register_behaviours(std::span<const Behaviour> behaviours, std::span<const KernelCase> kernels) {
  for (const Behaviour& behaviour : behaviours) {
    for (const KernelCase& kernel_case : kernels) register_test(behaviour, kernel_case);
  }
}

const std::vector<RegisteredTest>& registered_tests() { return mutable_registered_tests(); }

}  // namespace assay::conformance
