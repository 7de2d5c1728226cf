#include "assay/bench/ratio_reporter.h"

#include <unistd.h>
#include <algorithm>
#include <cstdio>
#include <iostream>

namespace assay::bench {
namespace {

// What ratios refer to: the first of these that a row has.
constexpr const char* kBaselines[] = {"liburing", "epoll", "multimap"};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 != 0 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

std::vector<double> values_of(const std::map<std::int64_t, double>& by_repetition) {
  std::vector<double> values;
  for (const auto& [repetition, value] : by_repetition) values.push_back(value);
  return values;
}

}  // namespace

bool RatioReporter::ReportContext(const Context& context) {
  PrintBasicContext(&std::cerr, context);
  return true;
}

void RatioReporter::ReportRuns(const std::vector<Run>& runs) {
  for (const Run& run : runs) {
    if (run.error_occurred) {
      std::fprintf(stderr, "%s: %s\n", run.benchmark_name().c_str(), run.error_message.c_str());
      continue;
    }
    if (run.run_type != Run::RT_Iteration) continue;
    const std::string& name = run.run_name.function_name;
    const std::size_t slash = name.rfind('/');
    const std::string path = name.substr(slash + 1);
    const auto items = run.counters.find("items_per_second");
    if (items == run.counters.end()) continue;
    const std::string work = name.substr(0, slash);
    Row& row = rows_[{work, run.per_family_instance_index}];
    row.family = std::min(row.family, run.family_index);
    row.name = work + " " + run.run_name.args;
    row.paths[path][run.repetition_index] = 1e9 / items->second.value;
    ++reported_;
  }
  if (::isatty(STDERR_FILENO) != 0) std::fprintf(stderr, "\r%zu repetitions done", reported_);
}

void RatioReporter::Finalize() {
  if (::isatty(STDERR_FILENO) != 0) std::fputc('\n', stderr);
  std::printf("%-32s %-16s %12s   %s\n", "", "path", "ns/operation",
              "speed beside the raw path, median (least to greatest)");
  std::vector<const Row*> order;
  for (const auto& [key, row] : rows_) order.push_back(&row);
  std::stable_sort(order.begin(), order.end(), [](const Row* a, const Row* b) { return a->family < b->family; });
  for (const Row* shown : order) {
    const Row& row = *shown;
    auto baseline = row.paths.end();
    for (const char* name : kBaselines) {
      if (baseline == row.paths.end()) baseline = row.paths.find(name);
    }
    for (const auto& [path, by_repetition] : row.paths) {
      std::printf("%-32s %-16s %12.1f", row.name.c_str(), path.c_str(), median(values_of(by_repetition)));
      std::vector<double> ratios;
      if (baseline != row.paths.end() && path != baseline->first) {
        for (const auto& [repetition, value] : by_repetition) {
          const auto peer = baseline->second.find(repetition);
          if (peer != baseline->second.end()) ratios.push_back(peer->second / value);
        }
      }
      if (!ratios.empty()) {
        const auto [least, greatest] = std::minmax_element(ratios.begin(), ratios.end());
        std::printf("   %.3f of %s (%.3f to %.3f)", median(ratios), baseline->first.c_str(), *least, *greatest);
      }
      std::printf("\n");
    }
  }
}

}  // namespace assay::bench
