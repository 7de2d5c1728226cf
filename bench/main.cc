// The program `assay-bench`, which `assay bench` runs: measures what was chosen and writes Google Benchmark's JSON.

#include <fnmatch.h>
#include <unistd.h>
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iostream>

#include <CLI/CLI.hpp>

#include "assay/bench/bench_list.h"
#include "assay/bench/instruction_counts.h"
#include "assay/bench/runner.h"

namespace assay::bench {
namespace {

struct Arguments {
  std::string preset = "quick";
  std::vector<std::string> filters;
  unsigned repetitions = 0;
  unsigned min_time_ms = 0;
  std::string json;
  bool no_call_counts = false;
  bool list = false;
  bool instructions = false;
  std::string only;
  std::uint64_t rounds = 0;
};

int fail(const std::string& line) {
  std::fprintf(stderr, "assay-bench: %s\n", line.c_str());
  return 2;
}

BenchList all_benches() {
  BenchList list;
  add_submission_paths(list);
  add_among_polls(list);
  add_peers(list);
  add_harness(list);
  return list;
}

bool matches(const Bench& bench, const std::vector<std::string>& filters) {
  return filters.empty() || std::any_of(filters.begin(), filters.end(), [&bench](const std::string& glob) {
           return ::fnmatch(glob.c_str(), bench.name.text().c_str(), 0) == 0;
         });
}

int run_only(const BenchList& list, const Arguments& arguments) {
  for (const Bench& bench : list.benches()) {
    if (bench.name.text() == arguments.only) return run_rounds(bench, std::max<std::uint64_t>(1, arguments.rounds));
  }
  return fail("there is no '" + arguments.only + "' (--list shows all)");
}

int run(const Arguments& arguments) {
  const BenchList list = all_benches();
  if (!arguments.only.empty()) return run_only(list, arguments);
  std::vector<const Bench*> chosen;
  for (const Bench& bench : list.benches()) {
    if ((bench.quick || arguments.preset == "full") && matches(bench, arguments.filters)) chosen.push_back(&bench);
  }
  if (chosen.empty()) {
    return fail("no bench of the preset '" + arguments.preset +
                "' has such a name (--list shows all; a glob is held to the whole name)");
  }
  if (arguments.list) {
    for (const Bench* bench : chosen) std::printf("%s\n", bench->name.text().c_str());
    return 0;
  }
  if (arguments.instructions) return count_instructions(chosen);
  if (!arguments.json.empty() && !std::ofstream(arguments.json, std::ios::app)) {
    return fail("cannot write '" + arguments.json + "'; --json takes the path of a file to write");
  }
  const bool full = arguments.preset == "full";
  std::string filters;
  for (const std::string& glob : arguments.filters) filters += (filters.empty() ? "" : "\n") + glob;
  Runner runner({.repetitions = arguments.repetitions != 0 ? arguments.repetitions
                                : full                     ? 9
                                                           : 5,
                 .min_time = std::chrono::milliseconds(arguments.min_time_ms != 0 ? arguments.min_time_ms
                                                       : full                     ? 40
                                                                                  : 10),
                 .json = arguments.json,
                 .count_calls = !arguments.no_call_counts,
                 .show_progress = ::isatty(STDERR_FILENO) == 1,
                 .preset = arguments.preset,
                 .filters = filters});
  return runner.run(chosen, list.left_out());
}

int run_program(int argc, char** argv) {
  Arguments arguments;
  CLI::App program(
      "Measures submission paths, event loops and what Assay itself costs. `assay bench` runs it and shows\n"
      "what came of it; this program only writes it down.",
      "assay-bench");
  program.set_version_flag("--version", "assay-bench " ASSAY_VERSION, "Print the version and exit");
  program.add_option("--preset", arguments.preset, "What is measured, and how long")
      ->check(CLI::IsMember({"quick", "full"}))
      ->type_name("quick|full");
  program.add_option("--filter", arguments.filters, "Only benches whose whole name matches, as a glob (repeatable)")
      ->type_name("GLOB")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  program.add_option("--repetitions", arguments.repetitions, "Repetitions of each (quick: 5, full: 9)")
      ->check(CLI::Range(1, 1000))
      ->type_name("N");
  program.add_option("--min-time-ms", arguments.min_time_ms, "How long each repetition takes (quick: 10, full: 40)")
      ->check(CLI::Range(1, 60'000))
      ->type_name("MS");
  program.add_option("--json", arguments.json, "Write the figures, as Google Benchmark does")->type_name("FILE");
  program.add_flag("--no-call-counts", arguments.no_call_counts, "Do not count system calls under ptrace");
  program.add_flag("--list", arguments.list, "Print the names of what would be measured, and measure nothing");
  program.add_flag("--instructions", arguments.instructions,
                   "Have callgrind count instructions, below valgrind only: what ci/instructions does");
  program.add_option("--only", arguments.only, "Do --rounds of one bench, without a clock: for profilers and strace")
      ->type_name("NAME");
  program.add_option("--rounds", arguments.rounds, "Rounds of --only, after as many to warm up")->type_name("N");
  try {
    program.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) return program.exit(error);
    return fail(std::string(error.what()) + " (see assay-bench --help)");
  }
  return run(arguments);
}

}  // namespace
}  // namespace assay::bench

int main(int argc, char** argv) { return assay::bench::run_program(argc, argv); }
