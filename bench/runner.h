#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <benchmark/benchmark.h>

#include "assay/bench/bench_list.h"
#include "assay/bench/interference.h"
#include "assay/bench/perf_counters.h"

namespace assay::bench {

struct RunnerOptions {
  unsigned repetitions = 9;
  /// How long a repetition takes, at least.
  std::chrono::milliseconds min_time{50};
  /// Where Google Benchmark's JSON goes; empty for nowhere.
  std::string json;
  /// Count system calls, in a run of their own for each bench.
  bool count_calls = true;
  bool show_progress = false;
  /// What was chosen, for the record.
  std::string preset = "full";
  /// Globs, a line each.
  std::string filters;
};

/// Sets the bench's path up and does so many rounds to warm up. The error says why that cannot be done here, also where
/// the path would give up.
Result<std::unique_ptr<Path>> set_up(const Bench& bench, std::uint64_t rounds);

/// Measures benches by Google Benchmark, work by work: first each path once, which tells how often it must run to take
/// min_time, then all of the work's rows and paths in turn, A B C A B C …, so that repetitions with the same number ran
/// near each other, those of a row next to each other, and their ratio survives a noisy machine.
class Runner {
 public:
  explicit Runner(const RunnerOptions& options) : options_(options) {}

  /// Runs what there is and writes the JSON. Returns the program's exit status: 0, also where some benches cannot run
  /// here, which is said in a line each on standard error and in the JSON; 1 when the JSON cannot be written. SIGINT
  /// ends it after the current row's repetition, with what there is.
  int run(const std::vector<const Bench*>& benches, std::span<const std::string> left_out);

 private:
  struct Measured {
    const Bench* bench = nullptr;
    benchmark::IterationCount iterations = 0;
    std::int64_t family = 0;
    std::chrono::nanoseconds round_time{0};
    std::map<std::string, double> counters;
  };
  class Collector;

  /// For what reason benches are not measured here.
  struct LeftOut {
    std::set<std::string> names;
    std::string first;
    std::size_t note = 0;
  };

  void note(const std::string& line);
  void leave_out(const Bench& bench, const Error& error);
  bool prepare(Measured& measured);
  void count_system_calls(Measured& measured);
  void register_row(const std::vector<Measured>& row);
  void measure_row(std::vector<Measured>& row, unsigned repetition);
  void measure(const Bench& bench, benchmark::State& state);
  void show(const std::string& row);
  bool write_json() const;
  void add_context() const;

  RunnerOptions options_;
  PerfCounters perf_;
  Interference interference_;
  std::vector<std::string> notes_;
  std::map<std::string, LeftOut> left_out_;
  std::optional<Error> io_uring_;  // why there is none
  std::vector<benchmark::BenchmarkReporter::Run> runs_;
  std::size_t done_ = 0;
  std::size_t all_ = 0;
  std::chrono::steady_clock::time_point started_;
  std::chrono::steady_clock::time_point shown_;
};

/// Does so many rounds of one bench after a warm-up, without a clock in sight: for counting what it asks for, and for
/// profilers. Returns the exit status.
int run_rounds(const Bench& bench, std::uint64_t rounds);

}  // namespace assay::bench
