#include "assay/conformance/runner.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "assay/conformance/backend_case.h"
#include "assay/conformance/behaviour.h"
#include "assay/conformance/report.h"
#include "assay/conformance/test_processes.h"

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

/// Shows a line a suite that grows by a character a test, and what failed at once and in full. Where several suites
/// run side by side, the lines of later ones wait for their turn.
class ProgressLines {
 public:
  ProgressLines(bool color, std::ostream& out) : color_(color), out_(out) {}

  /// So many tests of the suite will end, after those of the suites before.
  void expect(const std::string& suite, int tests) { suites_.push_back({suite, tests, {}, false}); }

  void ended(const TestReport& test) {
    std::size_t place = shown_;
    while (place < suites_.size() && suites_[place].name != test.suite) ++place;
    if (place == suites_.size()) return;
    suites_[place].waiting += text_of(test);
    --suites_[place].left;
    show();
  }

  /// The tests are over: shows what waits for those that never ended.
  void finish() {
    for (; shown_ < suites_.size(); ++shown_) {
      show_line(suites_[shown_]);
      if (suites_[shown_].begun) out_ << std::endl;
    }
  }

 private:
  struct Suite {
    std::string name;
    int left;
    std::string waiting;
    bool begun;
  };

  void show_line(Suite& suite) {
    if (suite.waiting.empty()) return;
    if (!std::exchange(suite.begun, true)) out_ << suite.name << ' ';
    out_ << std::exchange(suite.waiting, {}) << std::flush;
  }

  void show() {
    for (; shown_ < suites_.size(); ++shown_) {
      show_line(suites_[shown_]);
      if (suites_[shown_].left != 0) return;
      if (suites_[shown_].begun) out_ << std::endl;
    }
  }

  std::string text_of(const TestReport& test) const {
    switch (test.outcome) {
      case Outcome::kPassed:
        return ".";
      case Outcome::kSkipped:
        return "-";
      case Outcome::kFailed:
        break;
    }
    std::string text = (color_ ? "\033[31m!\033[0m" : "!") + std::string("\n  ") + test.suite + '.' + test.name +
                       " failed on " + test.kernel + ":\n";
    for (std::size_t begin = 0; begin < test.message.size();) {
      const std::size_t end = std::min(test.message.find('\n', begin), test.message.size());
      text += "    " + test.message.substr(begin, end - begin) + '\n';
      begin = end + 1;
    }
    return text;
  }

  bool color_;
  std::ostream& out_;
  std::vector<Suite> suites_;
  std::size_t shown_ = 0;  // suites whose line is complete
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

/// Whether GoogleTest was told, by its flags or its environment, which tests to run how often in which order, or to
/// write a file about all of them.
bool googletest_decides() {
  return std::getenv("GTEST_TOTAL_SHARDS") != nullptr || testing::GTEST_FLAG(filter) != "*" ||
         testing::GTEST_FLAG(repeat) != 1 || testing::GTEST_FLAG(shuffle) || testing::GTEST_FLAG(list_tests) ||
         !testing::GTEST_FLAG(output).empty() || testing::GTEST_FLAG(break_on_failure) ||
         testing::GTEST_FLAG(fail_fast);
}

unsigned jobs_of(const ConformanceOptions& options) {
  // One trace is written by one process, and a machine's suites want it to themselves.
  if (!options.trace.empty() || options.whole_machine) return 1;
  if (options.jobs != 0) return options.jobs;
  cpu_set_t cpus;
  return ::sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? static_cast<unsigned>(CPU_COUNT(&cpus)) : 1;
}

/// Runs what is selected in so many processes, and puts it into the report in the order in which it was registered.
void run_side_by_side(unsigned jobs, const std::vector<std::string>& filter, ProgressLines& lines,
                      ConformanceReport& report) {
  std::map<std::string, int> counts;
  std::vector<std::string> suites;
  std::map<std::pair<std::string, std::string>, std::size_t> places;
  for (const RegisteredTest& test : registered_tests()) {
    places.emplace(std::pair(test.suite, test.name), places.size());
    if (is_selected(filter, test) && counts[test.suite]++ == 0) suites.push_back(test.suite);
  }
  for (const std::string& suite : suites) lines.expect(suite, counts[suite]);
  std::vector<std::string> problems = run_tests_in_processes(jobs, [&](TestReport test) {
    lines.ended(test);
    report.tests.push_back(std::move(test));
  });
  std::move(problems.begin(), problems.end(), std::back_inserter(report.problems));
  std::sort(report.tests.begin(), report.tests.end(), [&](const TestReport& a, const TestReport& b) {
    return places.at({a.suite, a.name}) < places.at({b.suite, b.name});
  });
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
  const bool alone = googletest_decides();
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
  ProgressLines lines(options.color, out);
  int status = 0;
  if (const unsigned jobs = alone ? 1 : jobs_of(options); jobs > 1) {
    run_side_by_side(jobs, options.filter, lines, report);
  } else {
    status = run_tests_here([&](const std::string& suite, int tests) { lines.expect(suite, tests); },
                            [&](TestReport test) {
                              lines.ended(test);
                              report.tests.push_back(std::move(test));
                            });
  }
  lines.finish();

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
