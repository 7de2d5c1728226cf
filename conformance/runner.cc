#include "assay/conformance/runner.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "assay/conformance/backend_case.h"
#include "assay/conformance/behaviour.h"
#include "assay/conformance/report.h"

namespace assay::conformance {
namespace {

using Outcome = TestReport::Outcome;

constexpr int kPassed = 0;
constexpr int kFailed = 1;
constexpr int kBadInput = 2;

bool glob_matches(std::string_view pattern, std::string_view text) {
  if (pattern.empty()) return text.empty();
  if (pattern.front() == '*') {
    return glob_matches(pattern.substr(1), text) || (!text.empty() && glob_matches(pattern, text.substr(1)));
  }
  return !text.empty() && (pattern.front() == '?' || pattern.front() == text.front()) &&
         glob_matches(pattern.substr(1), text.substr(1));
}

/// A pattern may spell a kernel as people do; in the names of tests it is spelled as GoogleTest can bear it.
std::string normalised(std::string_view pattern) {
  const std::size_t slash = pattern.find('/');
  if (slash == std::string_view::npos) return std::string(pattern);
  std::string kernel(pattern.substr(slash + 1));
  for (char& c : kernel) {
    if (c != '*' && c != '?') c = test_name_part(std::string_view(&c, 1)).front();
  }
  return std::string(pattern.substr(0, slash + 1)) + kernel;
}

bool selects(std::string_view pattern, const RegisteredTest& test) {
  const std::string full = test.suite + "." + test.name;
  const std::string behaviour = full.substr(0, full.rfind('/'));
  const std::string glob = normalised(pattern);
  return glob_matches(glob, test.suite) || glob_matches(glob, behaviour) || glob_matches(glob, full);
}

bool is_selected(const std::vector<std::string>& patterns, const RegisteredTest& test) {
  return patterns.empty() || std::any_of(patterns.begin(), patterns.end(),
                                         [&](const std::string& pattern) { return selects(pattern, test); });
}

/// Narrows GoogleTest's filter to the patterns. Returns the first pattern that selects nothing.
std::optional<std::string> apply_filter(const std::vector<std::string>& patterns) {
  if (patterns.empty()) return std::nullopt;
  const std::vector<RegisteredTest>& tests = registered_tests();
  for (const std::string& pattern : patterns) {
    if (std::none_of(tests.begin(), tests.end(), [&](const auto& test) { return selects(pattern, test); })) {
      return pattern;
    }
  }
  std::string filter;
  for (const RegisteredTest& test : tests) {
    if (is_selected(patterns, test)) filter += (filter.empty() ? "" : ":") + test.suite + "." + test.name;
  }
  testing::GTEST_FLAG(filter) = filter;
  return std::nullopt;
}

/// Shows a line a suite that grows by a character a test, what failed at once and in full, and keeps it all.
class ProgressListener final : public testing::EmptyTestEventListener {
 public:
  ProgressListener(ConformanceReport& report, bool color, std::ostream& out)
      : report_(report), color_(color), out_(out) {
    for (const RegisteredTest& test : registered_tests()) registered_[{test.suite, test.name}] = &test;
  }

  void OnTestSuiteStart(const testing::TestSuite& suite) override { out_ << suite.name() << ' ' << std::flush; }

  void OnTestStart(const testing::TestInfo& /*test*/) override { started_ = std::chrono::steady_clock::now(); }

  void OnTestEnd(const testing::TestInfo& test) override {
    const RegisteredTest& registered = *registered_.at({test.test_suite_name(), test.name()});
    TestReport entry{.suite = test.test_suite_name(),
                     .name = test.name(),
                     .kernel = registered.kernel,
                     .variant = registered.variant,
                     .outcome = Outcome::kPassed,
                     .message = {},
                     .duration = std::chrono::steady_clock::now() - started_};
    const testing::TestResult& result = *test.result();
    if (result.Failed()) {
      entry.outcome = Outcome::kFailed;
      entry.message = failures_of(result);
    } else if (result.Skipped()) {
      entry.outcome = Outcome::kSkipped;
      entry.message = skip_reason_of(result);
    }
    show(entry);
    report_.tests.push_back(std::move(entry));
  }

  void OnTestSuiteEnd(const testing::TestSuite& /*suite*/) override { out_ << std::endl; }

 private:
  static std::string failures_of(const testing::TestResult& result) {
    std::string text;
    for (int i = 0; i < result.total_part_count(); ++i) {
      const testing::TestPartResult& part = result.GetTestPartResult(i);
      if (!part.failed()) continue;
      const std::string_view file = part.file_name() == nullptr ? std::string_view() : part.file_name();
      text += std::string(file.substr(file.rfind('/') + 1));
      if (part.line_number() >= 0) text += ":" + std::to_string(part.line_number());
      text += std::string(": ") + part.message() + "\n";
    }
    return text;
  }

  static std::string skip_reason_of(const testing::TestResult& result) {
    for (int i = 0; i < result.total_part_count(); ++i) {
      const testing::TestPartResult& part = result.GetTestPartResult(i);
      if (!part.skipped()) continue;
      std::string reason = part.message();
      return reason.substr(0, reason.find('\n'));
    }
    return {};
  }

  void show(const TestReport& test) {
    switch (test.outcome) {
      case Outcome::kPassed:
        out_ << '.';
        break;
      case Outcome::kSkipped:
        out_ << '-';
        break;
      case Outcome::kFailed:
        out_ << (color_ ? "\033[31m!\033[0m" : "!") << "\n  " << test.suite << '.' << test.name << " failed on "
             << test.kernel << ":\n";
        for (std::size_t begin = 0; begin < test.message.size();) {
          const std::size_t end = std::min(test.message.find('\n', begin), test.message.size());
          out_ << "    " << test.message.substr(begin, end - begin) << '\n';
          begin = end + 1;
        }
        break;
    }
    out_ << std::flush;
  }

  ConformanceReport& report_;
  bool color_;
  std::ostream& out_;
  std::map<std::pair<std::string, std::string>, const RegisteredTest*> registered_;
  std::chrono::steady_clock::time_point started_;
};

int bad_input(const std::string& line) {
  std::cerr << "assay conformance: " << line << std::endl;
  return kBadInput;
}

/// Kernels that were named must be there; of the default table, "linux" and what was recorded from it may be missing.
/// Nothing is returned for bad input, which was reported.
std::optional<std::vector<KernelCase>> find_kernels(const ConformanceOptions& options, ConformanceReport& report) {
  const bool required = !options.kernels.empty();
  const KernelCaseOptions case_options{.plan = options.plan,
                                       .seed = options.seed,
                                       .trace = options.trace,
                                       .moment = std::chrono::milliseconds(options.moment_ms)};
  std::vector<KernelCase> kernels;
  for (const std::string& name : required ? options.kernels : default_kernel_names()) {
    Result<KernelCase> kernel = find_kernel_case(name, case_options);
    if (kernel) {
      report.kernels.push_back(kernel->name);
      kernels.push_back(std::move(*kernel));
    } else if (kernel.error() == std::errc::invalid_argument) {
      bad_input(kernel.error().message());
      return std::nullopt;
    } else {
      report.unavailable.push_back({name, kernel.error().message(), required});
    }
  }
  return kernels;
}

/// Suites that had tests on every kernel of the table and were skipped on all of them. Over a part of the table that is
/// nothing to wonder at: an old kernel lacks what a whole suite is about.
void find_idle_suites(ConformanceReport& report) {
  std::map<std::string, bool> ran;
  for (const TestReport& test : report.tests) ran[test.suite] |= test.outcome != Outcome::kSkipped;
  for (const auto& [suite, any] : ran) {
    if (!any) report.problems.push_back("suite " + suite + " ran nothing: every test was skipped on every kernel");
  }
}

/// GoogleTest's flags, given to the program, have been read by then; a second initialisation changes nothing.
void initialise_googletest() {
  int argc = 1;
  char name[] = "assay-conformance";
  char* argv[] = {name, nullptr};
  testing::InitGoogleTest(&argc, argv);
}

}  // namespace

int run_suites(const ConformanceOptions& options, std::span<const SuiteSet> sets, std::ostream& out) {
  initialise_googletest();
  ConformanceReport report;
  const std::optional<std::vector<KernelCase>> kernels = find_kernels(options, report);
  if (!kernels) return kBadInput;
  for (const SuiteSet& set : sets) {
    const std::size_t before = registered_tests().size();
    set.register_suites(*kernels);
    if (registered_tests().size() == before) report.problems.push_back("the " + set.name + " suites have no tests");
  }
  if (const std::optional<std::string> idle = apply_filter(options.filter)) {
    return bad_input("filter '" + *idle + "' matches no test; --list shows them all, and '*' stands for anything");
  }
  if (options.list) {
    for (const RegisteredTest& test : registered_tests()) {
      if (is_selected(options.filter, test)) out << test.suite << '.' << test.name << '\n';
    }
    return kPassed;
  }
  std::ofstream junit;
  if (!options.junit.empty()) {
    junit.open(options.junit);
    if (!junit) return bad_input("cannot write '" + options.junit + "'; --junit takes the path of a file to write");
  }
  // Written before anything runs, so that it is there even if a test takes the program down.
  if (!options.profile_json.empty() && !kernels->empty() &&
      !(std::ofstream(options.profile_json) << profile_to_json(kernels->front().profile) << std::flush)) {
    return bad_input("cannot write '" + options.profile_json + "'; --profile-json takes the path of a file to write");
  }

  if (!options.trace.empty() && options.trace != "-" && !std::ofstream(options.trace)) {
    return bad_input("cannot write '" + options.trace + "'; --trace takes the path of a file to write, or -");
  }
  if (options.seed != 0) report.replay_options = "--seed " + std::to_string(options.seed);
  if (!options.plan.empty()) {
    report.replay_options += (report.replay_options.empty() ? "" : " ") + ("--plan '" + options.plan + "'");
  }

  for (const UnavailableKernel& kernel : report.unavailable) {
    out << kernel.name << " is unavailable: " << kernel.reason << '\n';
  }
  testing::TestEventListeners& listeners = testing::UnitTest::GetInstance()->listeners();
  delete listeners.Release(listeners.default_result_printer());
  // This XML is ours to write, and GoogleTest in a guest of the matrix is told to write it too.
  if (junit.is_open()) delete listeners.Release(listeners.default_xml_generator());
  auto* progress = new ProgressListener(report, options.color, out);
  listeners.Append(progress);
  const int status = RUN_ALL_TESTS();
  delete listeners.Release(progress);

  if (options.kernels.empty() && options.filter.empty()) find_idle_suites(report);
  if (status != 0 && report.count(Outcome::kFailed) == 0) {
    report.problems.push_back("GoogleTest failed outside of every test");
  }
  if (report.tests.empty() || report.count(Outcome::kPassed) + report.count(Outcome::kFailed) == 0) {
    report.problems.push_back("nothing ran");
  }
  print_table(report, options.color, out);
  if (junit.is_open()) write_junit(report, junit);
  return report.failed() ? kFailed : kPassed;
}

int run_conformance(const ConformanceOptions& options, std::ostream& out) {
  const std::vector<std::string>& kernels = options.kernels;
  if (options.whole_machine && !kernels.empty() &&
      std::find(kernels.begin(), kernels.end(), "linux") == kernels.end()) {
    return bad_input("--whole-machine is about the running kernel; add --kernel linux");
  }
  std::vector<SuiteSet> sets;
  if (options.plan.empty()) sets.push_back({"ring", register_ring_suites});
  sets.push_back({"backend", register_assay_backend_suites});
  if (options.whole_machine) sets.push_back({"machine", register_machine_suites});
  return run_suites(options, sets, out);
}

}  // namespace assay::conformance
