#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <benchmark/benchmark.h>

namespace assay::bench {

/// Prints, once all have run, what each path cost and how fast it was beside the raw one: medians of the repetitions in
/// nanoseconds an operation, and the median, least and greatest ratio of the speeds of two repetitions with the same
/// number, which ran close to each other. A benchmark's name is "<work>/<setup>/<path>/batch:<N>"; the raw path is
/// "liburing", or else "epoll", or else "multimap".
class RatioReporter final : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context& context) override;
  void ReportRuns(const std::vector<Run>& runs) override;
  void Finalize() override;

 private:
  struct Row {
    // The place of its first path among all benchmarks, since repetitions are reported in any order.
    std::int64_t family = INT64_MAX;
    std::string name;
    // Nanoseconds an operation, by path and repetition.
    std::map<std::string, std::map<std::int64_t, double>> paths;
  };

  std::size_t reported_ = 0;
  // By work and set-up, and by the number of the batch size among those.
  std::map<std::pair<std::string, std::int64_t>, Row> rows_;
};

}  // namespace assay::bench
