#include "assay/conformance/report.h"

#include <algorithm>
#include <iomanip>
#include <map>
#include <sstream>
#include <string_view>
#include <utility>

#include "assay/faultinject/xml_text.h"

namespace assay::conformance {
namespace {

using assay::internal::xml_text;
using Outcome = TestReport::Outcome;

struct Cell {
  int passed = 0;
  int skipped = 0;
  int failed = 0;

  void add(Outcome outcome) {
    passed += outcome == Outcome::kPassed;
    skipped += outcome == Outcome::kSkipped;
    failed += outcome == Outcome::kFailed;
  }
  bool empty() const { return passed + skipped + failed == 0; }

  std::string text() const {
    if (empty()) return "";
    std::string text = std::to_string(passed);
    if (skipped > 0) text += " -" + std::to_string(skipped);
    if (failed > 0) text += " !" + std::to_string(failed);
    return text;
  }
};

std::vector<std::string> suites_of(const ConformanceReport& report) {
  std::vector<std::string> suites;
  for (const TestReport& test : report.tests) {
    if (std::find(suites.begin(), suites.end(), test.suite) == suites.end()) suites.push_back(test.suite);
  }
  return suites;
}

std::string milliseconds(std::chrono::nanoseconds duration) {
  return std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(duration).count()) + " ms";
}

std::string seconds(std::chrono::nanoseconds duration) {
  std::ostringstream text;
  text << std::fixed << std::setprecision(6) << std::chrono::duration<double>(duration).count();
  return text.str();
}

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

void print_rows(const std::vector<std::vector<std::string>>& rows, std::ostream& out) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      line += (i == 0 ? "" : "  ") + row[i] + std::string(widths[i] - row[i].size(), ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out << line << '\n';
  }
}

void print_skips(const ConformanceReport& report, std::ostream& out) {
  // By reason, then by kernel: a reason concerns the same tests on every kernel that lacks the thing.
  std::map<std::string, std::map<std::string, int>> skips;
  for (const TestReport& test : report.tests) {
    if (test.outcome == Outcome::kSkipped) ++skips[test.message][test.kernel];
  }
  if (skips.empty()) return;
  out << "\nSkipped:\n";
  for (const auto& [reason, kernels] : skips) {
    out << "  " << reason << ':';
    const char* separator = " ";
    for (const auto& [kernel, count] : kernels) {
      out << separator << count << " on " << kernel;
      separator = ", ";
    }
    out << '\n';
  }
}

}  // namespace

int ConformanceReport::count(TestReport::Outcome outcome) const {
  return static_cast<int>(
      std::count_if(tests.begin(), tests.end(), [&](const TestReport& test) { return test.outcome == outcome; }));
}

bool ConformanceReport::failed() const {
  return count(Outcome::kFailed) > 0 || count(Outcome::kPassed) == 0 || !problems.empty() ||
         std::any_of(unavailable.begin(), unavailable.end(), [](const auto& kernel) { return kernel.required; });
}

void print_table(const ConformanceReport& report, bool color, std::ostream& out) {
  std::map<std::pair<std::string, std::string>, Cell> cells;
  std::map<std::string, Cell> sums;
  std::map<std::string, std::chrono::nanoseconds> durations;
  for (const TestReport& test : report.tests) {
    cells[{test.suite, test.kernel}].add(test.outcome);
    sums[test.kernel].add(test.outcome);
    durations[test.kernel] += test.duration;
  }

  std::vector<std::vector<std::string>> rows;
  rows.push_back({"passed -skipped !failed"});
  rows.back().insert(rows.back().end(), report.kernels.begin(), report.kernels.end());
  for (const std::string& suite : suites_of(report)) {
    rows.push_back({suite});
    for (const std::string& kernel : report.kernels) rows.back().push_back(cells[{suite, kernel}].text());
  }
  rows.push_back({"all"});
  for (const std::string& kernel : report.kernels) rows.back().push_back(sums[kernel].text());
  rows.push_back({"time"});
  for (const std::string& kernel : report.kernels) rows.back().push_back(milliseconds(durations[kernel]));
  out << '\n';
  print_rows(rows, out);

  print_skips(report, out);
  for (const UnavailableKernel& kernel : report.unavailable) {
    out << '\n' << kernel.name << " is unavailable: " << kernel.reason << '\n';
  }
  if (report.count(Outcome::kFailed) > 0) out << "\nFailed:\n";
  for (const TestReport& test : report.tests) {
    if (test.outcome != Outcome::kFailed) continue;
    const std::string behaviour = test.suite + "." + test.name;
    out << "  " << behaviour << '\n'
        << "    replay: assay conformance --kernel " << test.kernel << " --filter '" << behaviour << "'"
        << (report.replay_options.empty() ? "" : " ") << report.replay_options << '\n';
  }
  for (const std::string& problem : report.problems) out << "\n" << problem << '\n';

  const bool failed = report.failed();
  out << '\n'
      << (color ? (failed ? "\033[31m" : "\033[32m") : "") << report.count(Outcome::kPassed) << " passed, "
      << report.count(Outcome::kFailed) << " failed, " << report.count(Outcome::kSkipped) << " skipped"
      << (color ? "\033[0m" : "") << '\n';
}

void write_junit(const ConformanceReport& report, std::ostream& out) {
  out << "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"assay conformance\" tests=\""
      << report.tests.size() << "\" failures=\"" << report.count(Outcome::kFailed) << "\" skipped=\""
      << report.count(Outcome::kSkipped) << "\">\n";
  for (const std::string& suite : suites_of(report)) {
    Cell sum;
    std::chrono::nanoseconds duration{0};
    for (const TestReport& test : report.tests) {
      if (test.suite != suite) continue;
      sum.add(test.outcome);
      duration += test.duration;
    }
    out << "  <testsuite name=\"" << xml_text(suite) << "\" tests=\"" << sum.passed + sum.skipped + sum.failed
        << "\" failures=\"" << sum.failed << "\" errors=\"0\" skipped=\"" << sum.skipped << "\" time=\""
        << seconds(duration) << "\">\n";
    for (const TestReport& test : report.tests) {
      if (test.suite != suite) continue;
      out << "    <testcase name=\"" << xml_text(test.name) << "\" classname=\"" << xml_text(suite) << "\" time=\""
          << seconds(test.duration) << "\"><properties><property name=\"kernel\" value=\"" << xml_text(test.kernel)
          << "\"/><property name=\"variant\" value=\"" << xml_text(test.variant) << "\"/></properties>";
      switch (test.outcome) {
        case Outcome::kPassed:
          break;
        case Outcome::kSkipped:
          out << "<skipped message=\"" << xml_text(test.message) << "\"/>";
          break;
        case Outcome::kFailed:
          out << "<failure message=\"" << xml_text(first_line(test.message)) << "\">" << xml_text(test.message)
              << "</failure>";
          break;
      }
      out << "</testcase>\n";
    }
    out << "  </testsuite>\n";
  }
  // What concerns no single test: kernels that were not there, suites that ran nothing.
  const std::size_t others = report.unavailable.size() + report.problems.size();
  if (others > 0) {
    const auto required = std::count_if(report.unavailable.begin(), report.unavailable.end(),
                                        [](const UnavailableKernel& kernel) { return kernel.required; });
    out << "  <testsuite name=\"run\" tests=\"" << others << "\" failures=\""
        << report.problems.size() + static_cast<std::size_t>(required) << "\" errors=\"0\" skipped=\""
        << report.unavailable.size() - static_cast<std::size_t>(required) << "\" time=\"0\">\n";
    for (const UnavailableKernel& kernel : report.unavailable) {
      out << "    <testcase name=\"" << xml_text(kernel.name) << " is available\" classname=\"run\" time=\"0\"><"
          << (kernel.required ? "failure" : "skipped") << " message=\"" << xml_text(kernel.reason)
          << "\"/></testcase>\n";
    }
    for (const std::string& problem : report.problems) {
      out << "    <testcase name=\"every suite runs\" classname=\"run\" time=\"0\"><failure message=\""
          << xml_text(problem) << "\"/></testcase>\n";
    }
    out << "  </testsuite>\n";
  }
  out << "</testsuites>\n";
}

}  // namespace assay::conformance
