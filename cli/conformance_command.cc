#include <unistd.h>

#include <charconv>
#include <iostream>
#include <memory>

#include "assay/cli/command.h"
#include "assay/conformance/runner.h"

namespace assay::cli {
namespace {

/// CLI11 would take "-1" and "1e3" for numbers as well.
std::string check_seed(const std::string& text) {
  std::uint64_t seed = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seed);
  if (error == std::errc() && end == text.data() + text.size()) return {};
  return "takes a number from 0 to 2^64 - 1, not '" + text + "'";
}

}  // namespace

void add_conformance_command(CLI::App& program, Run& run) {
  const auto options = std::make_shared<conformance::ConformanceOptions>();
  CLI::App* command = program.add_subcommand("conformance", "Hold kernels, and the backend on them, to their promises");
  describe(*command,
           "Runs the suites on kernels real and simulated: `Ring*`, does this kernel do what io_uring promises, and\n"
           "`Backend*`, does the backend keep its promises on that kernel. Ends with a table of suites and kernels.");
  command->add_option("--kernel", options->kernels, "A kernel (repeatable); by default all that there are")
      ->type_name("KERNEL")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  command->add_option("--plan", options->plan, "Faults that the backend's suites are run under; see `assay faults`")
      ->type_name("PLAN");
  command->add_option("--seed", options->seed, "Seeds simulated kernels and plans")
      ->check(CLI::Validator(check_seed, ""))
      ->type_name("N");
  command->add_option("--trace", options->trace, "Write every call, SQE and CQE to a file; - is standard error")
      ->type_name("FILE");
  command->add_option("--junit", options->junit, "Write the results as JUnit XML")->type_name("FILE");
  command->add_option("--profile-json", options->profile_json, "Write the first kernel's profile, as found, as JSON")
      ->type_name("FILE");
  command->add_flag("--whole-machine", options->whole_machine,
                    "Run suites that change this machine too: sysctls, memory limits (for guests of the matrix)");
  command
      ->add_option("--moment-ms", options->moment_ms, "Real time that behaviours let pass; more on a slow machine (2)")
      ->check(CLI::Range(1, 10000))
      ->type_name("MS");
  command->add_option("--jobs", options->jobs, "Processes that run tests side by side; by default one a CPU")
      ->type_name("N");
  command
      ->add_option("--filter", options->filter,
                   "Tests to run, as a glob (repeatable): a suite, SUITE.BEHAVIOUR or SUITE.BEHAVIOUR/KERNEL")
      ->type_name("GLOB")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  command->add_flag("--list", options->list, "Print the tests' names and run nothing");
  command->footer(
      "Examples:\n"
      "  assay conformance                                        everything, on every kernel there is\n"
      "  assay conformance --kernel linux --kernel sim:linux-5.4  two columns of the table\n"
      "  assay conformance --filter 'RingOverflow.*'              one suite\n"
      "  assay conformance --kernel sim:linux-6.12.0 --plan 'enter/eintr:every=3' --seed 7\n"
      "                                                           the backend under faults\n"
      "\n"
      "Exit status: 0 when nothing failed and something ran; 1 when a test failed, a suite ran nothing or a named\n"
      "kernel is not available; 2 for bad input.");
  command->callback([options, &run] {
    run = [options] {
      options->color = ::isatty(STDOUT_FILENO) == 1;
      return conformance::run_conformance(*options, std::cout);
    };
  });
}

}  // namespace assay::cli
