#pragma once

#include <chrono>
#include <ostream>
#include <string>
#include <vector>

namespace assay::conformance {

/// How one test went.
struct TestReport {
  enum class Outcome { kPassed, kSkipped, kFailed };

  std::string suite;
  std::string name;
  std::string kernel;
  std::string variant;
  Outcome outcome = Outcome::kPassed;
  /// Why it was skipped, or what failed.
  std::string message;
  std::chrono::nanoseconds duration{0};
};

/// A kernel that the table has no column for, since it is not available here.
struct UnavailableKernel {
  std::string name;
  std::string reason;
  /// It was asked for by name, so its absence fails the run.
  bool required = false;
};

/// All that a run found.
struct ConformanceReport {
  std::vector<std::string> kernels;
  std::vector<UnavailableKernel> unavailable;
  std::vector<TestReport> tests;
  /// Options, beside kernel and filter, that the run was given and a replay needs: "--seed 3".
  std::string replay_options;
  /// What is wrong with the run as a whole: a suite that ran nothing.
  std::vector<std::string> problems;

  int count(TestReport::Outcome outcome) const;
  bool failed() const;
};

/// The suites, each with how many tests were passed, skipped and failed on each kernel; then why tests were skipped;
/// then what failed, each with the line that replays it; and the sums in one last line.
void print_table(const ConformanceReport& report, bool color, std::ostream& out);

/// The same as JUnit XML. Characters that XML cannot carry become '?'.
void write_junit(const ConformanceReport& report, std::ostream& out);

}  // namespace assay::conformance
