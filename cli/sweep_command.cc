#include <unistd.h>

#include <charconv>
#include <fstream>
#include <iostream>
#include <memory>
#include <sstream>

#include "assay/cli/command.h"
#include "assay/conformance/scenarios/scenarios.h"
#include "assay/conformance/specimens/specimen.h"
#include "assay/faultinject/sweep.h"
#include "assay/faultinject/sweep_report.h"
#include "assay/mocks/nearest_name.h"

namespace assay::cli {
namespace {

struct SweepArguments {
  SweepOptions options;
  std::vector<std::string> scenarios;
  std::string shard;
  std::string json;
  std::string junit;
  bool list = false;
};

Result<std::vector<Scenario>> chosen_scenarios(const std::vector<std::string>& names) {
  const std::span<const Scenario> all = conformance::backend_scenarios();
  if (names.empty()) return std::vector<Scenario>(all.begin(), all.end());
  std::vector<Scenario> chosen;
  for (const std::string& name : names) {
    const Scenario* scenario = conformance::find_scenario(name);
    if (scenario == nullptr) {
      std::vector<std::string> known;
      for (const Scenario& each : all) known.push_back(each.name);
      return Error::invalid("unknown scenario '" + name + "'" + did_you_mean(nearest_name(name, known)) +
                            " (assay sweep --list shows them all)");
    }
    chosen.push_back(*scenario);
  }
  return chosen;
}

// "2/8": the second of eight.
Result<void> set_shard(const std::string& text, SweepOptions& options) {
  if (text.empty()) return {};
  const std::size_t slash = text.find('/');
  const char* end = text.data() + text.size();
  unsigned number = 0;
  unsigned count = 0;
  if (slash != std::string::npos) {
    const auto first = std::from_chars(text.data(), text.data() + slash, number);
    const auto second = std::from_chars(text.data() + slash + 1, end, count);
    if (first.ptr == text.data() + slash && second.ptr == end && number >= 1 && number <= count) {
      options.shard = number - 1;
      options.shards = count;
      return {};
    }
  }
  return Error::invalid("--shard takes I/N, such as 1/4 for the first of four, not '" + text + "'");
}

// A line that is written over: scenario, bar, numbers.
void show_progress(const std::string& scenario, std::uint64_t done, std::uint64_t all, std::uint64_t findings) {
  constexpr std::uint64_t kWidth = 30;
  const std::uint64_t filled = all == 0 ? kWidth : done * kWidth / all;
  std::cerr << "\r\033[K" << scenario << " [" << std::string(filled, '#') << std::string(kWidth - filled, ' ') << "] "
            << done << '/' << all;
  if (findings != 0) std::cerr << ", " << findings << " failed";
  std::cerr << std::flush;
}

int run_sweep(SweepArguments& arguments) {
  if (arguments.list) {
    for (const Scenario& scenario : conformance::backend_scenarios())
      std::cout << scenario.name << ": " << scenario.tells << '\n';
    return kExitOk;
  }
  if (Result<void> set = set_shard(arguments.shard, arguments.options); !set) return report_error(set.error());
  const Result<std::vector<Scenario>> scenarios = chosen_scenarios(arguments.scenarios);
  if (!scenarios) return report_error(scenarios.error());
  std::ofstream json;
  std::ofstream junit;
  for (const auto& [path, file, option] :
       {std::tuple(&arguments.json, &json, "--json"), std::tuple(&arguments.junit, &junit, "--junit")}) {
    if (path->empty()) continue;
    file->open(*path);
    if (!*file) {
      return report_error(
          Error::invalid("cannot write '" + *path + "'; " + option + " takes the path of a file to write"));
    }
  }
  const bool shows = ::isatty(STDERR_FILENO) == 1;
  const Result<SweepReport> report =
      sweep(*scenarios, arguments.options, shows ? SweepProgress(show_progress) : SweepProgress());
  if (shows) std::cerr << "\r\033[K" << std::flush;
  if (!report) return report_error(report.error());
  print_sweep(*report, std::cout);
  if (json.is_open()) write_sweep_json(*report, json);
  if (junit.is_open()) write_sweep_junit(*report, junit);
  return report->found_nothing() ? kExitOk : kExitFailed;
}

int run_merge(const std::vector<std::string>& files) {
  std::vector<SweepReport> shards;
  for (const std::string& path : files) {
    std::ifstream file(path);
    if (!file) return report_error(Error::invalid("cannot read '" + path + "'"));
    std::stringstream text;
    text << file.rdbuf();
    Result<SweepReport> shard = read_sweep_json(text.str());
    if (!shard) return report_error(Error::invalid(path + ": " + shard.error().message()));
    shards.push_back(*std::move(shard));
  }
  const Result<SweepReport> merged = merge_sweeps(std::move(shards));
  if (!merged) return report_error(merged.error());
  print_sweep(*merged, std::cout);
  return merged->found_nothing() ? kExitOk : kExitFailed;
}

struct ReplayArguments {
  std::string scenario;
  std::string kernel = SweepOptions{}.kernel;
  std::string plan;
  std::string trace;
};

int run_replay(const ReplayArguments& arguments) {
  Result<std::vector<Scenario>> scenarios = std::vector<Scenario>();
  if (std::optional<Scenario> specimen = conformance::find_specimen_scenario(arguments.scenario)) {
    scenarios->push_back(*std::move(specimen));
  } else {
    scenarios = chosen_scenarios({arguments.scenario});
  }
  if (!scenarios) return report_error(scenarios.error());
  const Result<ScenarioKernel> kernel = ScenarioKernel::find(arguments.kernel);
  if (!kernel) return report_error(kernel.error());
  if (const std::string lacks = lacking_opcodes(scenarios->front(), *kernel); !lacks.empty()) {
    return report_error(Error::invalid("scenario " + scenarios->front().name + " needs " + lacks + ", which " +
                                       kernel->name() + " does not have"));
  }
  const Result<FaultPlan> plan = parse_fault_plan(arguments.plan);
  if (!plan) return report_error(plan.error());
  ScheduleOptions options;
  options.trace = arguments.trace;
  options.when_stuck = [](const std::string& why) {
    std::cout << "stuck: " << why << std::endl;
    std::_Exit(kExitFailed);
  };
  const Result<ScheduleResult> result = run_schedule(scenarios->front(), *kernel, *plan, options);
  if (!result) return report_error(result.error());
  std::cout << result->faults.text();
  for (const std::string& violation : result->violations) std::cout << "violation: " << violation << '\n';
  std::cout << scenarios->front().name << " on " << kernel->name() << ": " << result->crossings() << " crossings, "
            << result->ledger.requests << " requests, " << result->violations.size()
            << (result->violations.size() == 1 ? " violation\n" : " violations\n");
  return result->passed() ? kExitOk : kExitFailed;
}

}  // namespace

void add_sweep_command(CLI::App& program, Run& run) {
  const auto arguments = std::make_shared<SweepArguments>();
  CLI::App* command = program.add_subcommand("sweep", "Run what backends do under every fault, once each");
  describe(*command,
           "Runs scenarios of the reference backend once without faults, counts where a kernel could have done\n"
           "otherwise, and runs them again: with each fault at each of these places, then with pairs of faults, then\n"
           "with random plans. What breaks a promise is shrunk to the smallest plan, with the line that replays it.");
  command->add_option("scenario", arguments->scenarios, "Scenarios; by default all")->type_name("SCENARIO");
  command
      ->add_option("--kernel", arguments->options.kernel, "The kernel that they run on (" + SweepOptions{}.kernel + ")")
      ->type_name("KERNEL");
  command->add_option("--pairs", arguments->options.schedules.pairs, "Pairs of faults a scenario, at most (5000)")
      ->type_name("N");
  command->add_option("--random", arguments->options.schedules.random, "Random plans a scenario (0)")->type_name("N");
  command->add_option("--seed", arguments->options.schedules.seed, "Decides which pairs and random plans (1)")
      ->type_name("N");
  command->add_option("--jobs", arguments->options.jobs, "Processes side by side; by default one a CPU")
      ->type_name("N");
  command->add_option("--shard", arguments->shard, "Run a part of the schedules: I/N, from 1/N to N/N")
      ->type_name("I/N");
  command->add_option("--json", arguments->json, "Write the report as JSON lines, which shards merge by")
      ->type_name("FILE");
  command->add_option("--junit", arguments->junit, "Write the report as JUnit XML")->type_name("FILE");
  command->add_flag("--list", arguments->list, "Print the scenarios and run nothing");
  command->footer(
      "Examples:\n"
      "  assay sweep                               all scenarios: single faults, and pairs up to 5000 a scenario\n"
      "  assay sweep echo --pairs 0 --random 1000  one of them: single faults and a thousand random plans\n"
      "  assay sweep --shard 2/8 --json 2.jsonl    an eighth, on one of eight machines\n"
      "  assay merge-sweeps *.jsonl                all of it, put together\n"
      "\n"
      "Exit status: 0 when nothing was found, 1 when something was, 2 for bad input.");
  command->callback([arguments, &run] { run = [arguments] { return run_sweep(*arguments); }; });
}

void add_merge_sweeps_command(CLI::App& program, Run& run) {
  const auto files = std::make_shared<std::vector<std::string>>();
  CLI::App* command = program.add_subcommand("merge-sweeps", "Put the shards of a sweep together");
  describe(*command,
           "Reads the reports of all shards of one sweep (assay sweep --shard I/N --json FILE) and prints one.");
  command->add_option("file", *files, "The shards' reports")->type_name("FILE")->required();
  command->footer("Exit status: 0 when nothing was found, 1 when something was, 2 for bad input.");
  command->callback([files, &run] { run = [files] { return run_merge(*files); }; });
}

void add_replay_command(CLI::App& program, Run& run) {
  const auto arguments = std::make_shared<ReplayArguments>();
  CLI::App* command = program.add_subcommand("replay", "Run one schedule of a sweep again");
  describe(*command, "Runs a scenario once under one plan, and tells what fired and what does not hold.");
  command->add_option("scenario", arguments->scenario, "The scenario; assay sweep --list shows them all")
      ->type_name("SCENARIO")
      ->required();
  command->add_option("--kernel", arguments->kernel, "The kernel that it runs on (" + arguments->kernel + ")")
      ->type_name("KERNEL");
  command->add_option("--plan", arguments->plan, "The faults; see `assay faults`")->type_name("PLAN");
  command->add_option("--trace", arguments->trace, "Write every call, SQE and CQE to a file; - is standard error")
      ->type_name("FILE");
  command->footer(
      "Examples:\n"
      "  assay replay echo --plan 'enter/take:nth=2:k=1'             what a sweep printed\n"
      "  assay replay echo --plan 'enter/take:nth=2:k=1' --trace -   and what was asked of the kernel meanwhile\n"
      "\n"
      "Exit status: 0 when all holds, 1 when something does not, 2 for bad input.");
  command->callback([arguments, &run] { run = [arguments] { return run_replay(*arguments); }; });
}

}  // namespace assay::cli
