#include <chrono>
#include <iomanip>
#include <iostream>
#include <memory>
#include <set>
#include <sstream>

#include "assay/cli/command.h"
#include "assay/conformance/specimens/specimen.h"
#include "assay/conformance/specimens/specimen_verdict.h"
#include "assay/mocks/nearest_name.h"

namespace assay::cli {
namespace {

using conformance::Specimen;
using conformance::Trial;
using conformance::Verdict;

struct SpecimensArguments {
  conformance::VerdictOptions options;
  std::vector<std::string> names;
  bool list = false;
};

Result<std::vector<const Specimen*>> chosen_specimens(const std::vector<std::string>& names) {
  std::vector<const Specimen*> chosen;
  std::vector<std::string> known;
  for (const Specimen& specimen : conformance::specimens()) {
    known.push_back(specimen.name);
    if (names.empty()) chosen.push_back(&specimen);
  }
  for (const std::string& name : names) {
    chosen.push_back(conformance::find_specimen(name));
    if (chosen.back() != nullptr) continue;
    return Error::invalid("unknown specimen '" + name + "'" + did_you_mean(nearest_name(name, known)) +
                          " (assay specimens --list shows them all)");
  }
  return chosen;
}

std::string rows_of(const Specimen& specimen) {
  std::string text;
  for (const std::string& row : specimen.rows) text += (text.empty() ? "" : " ") + row;
  return text;
}

// What was found in one line: the plan, and how its telling begins.
std::string line_of(const SweepFinding& finding) {
  const std::string plan = format_fault_plan(finding.plan);
  std::string what = finding.what.substr(0, finding.what.find('\n'));
  return (plan.empty() ? "no fault" : plan) + ": " + std::string(finding_kind_name(finding.kind)) + ", " + what;
}

// What ran, and what of it did not hold.
struct Tally {
  unsigned all = 0;
  unsigned condemned = 0;
  unsigned healthy = 0;
  unsigned trials = 0;
  unsigned trials_held = 0;
  std::uint64_t schedules = 0;
  std::set<std::string> rows;

  bool all_hold() const { return condemned == all && healthy == all && trials_held == trials; }
};

void tell_found(const std::string& name, const std::string& kernel, const SweepFinding& finding) {
  std::cout << "  " << name << " on " << kernel << " --plan '" << format_fault_plan(finding.plan)
            << "': " << finding_kind_name(finding.kind) << "\n    ";
  for (const char c : finding.what) std::cout << c << (c == '\n' ? "    " : "");
  std::cout << '\n';
}

Result<void> judge_specimen(const Specimen& specimen, const conformance::VerdictOptions& options, Tally& tally) {
  const Result<Verdict> with = judge(specimen.make(true), specimen.kernel, options);
  if (!with) return with.error();
  const Result<Verdict> without = judge(specimen.make(false), specimen.kernel, options);
  if (!without) return without.error();
  ++tally.all;
  tally.schedules += with->schedules + without->schedules;
  tally.rows.insert(specimen.rows.begin(), specimen.rows.end());
  std::cout << specimen.name << " (" << rows_of(specimen) << ") ";
  if (with->finding) {
    ++tally.condemned;
    std::cout << "condemned by " << line_of(*with->finding) << '\n';
  } else {
    std::cout << "NOT CONDEMNED in " << with->schedules << " schedules\n";
  }
  if (!without->finding) {
    ++tally.healthy;
  } else {
    tell_found("its twin is condemned too:", specimen.kernel, *without->finding);
  }
  std::cout << std::flush;
  return {};
}

Result<void> judge_trial(const Trial& trial, const conformance::VerdictOptions& options, Tally& tally) {
  const Scenario scenario{trial.name, trial.tells, trial.on_reference_backend};
  const Result<Verdict> verdict = judge(scenario, trial.kernel, options);
  if (!verdict) return verdict.error();
  ++tally.trials;
  tally.schedules += verdict->schedules;
  if (!verdict->finding) {
    ++tally.trials_held;
    return {};
  }
  tell_found("the reference backend fails " + trial.name, trial.kernel, *verdict->finding);
  return {};
}

int run_specimens(const SpecimensArguments& arguments) {
  if (arguments.list) {
    for (const Specimen& specimen : conformance::specimens()) {
      std::cout << specimen.name << " (" << rows_of(specimen) << ", " << specimen.trial << "): " << specimen.defect
                << '\n';
    }
    return kExitOk;
  }
  const Result<std::vector<const Specimen*>> chosen = chosen_specimens(arguments.names);
  if (!chosen) return report_error(chosen.error());
  const auto begin = std::chrono::steady_clock::now();
  Tally tally;
  std::set<std::string> trials;
  for (const Specimen* specimen : *chosen) {
    if (Result<void> judged = judge_specimen(*specimen, arguments.options, tally); !judged) {
      return report_error(judged.error());
    }
    trials.insert(specimen->trial);
  }
  for (const Trial& trial : conformance::trials()) {
    if (!arguments.names.empty() && !trials.contains(trial.name)) continue;
    if (Result<void> judged = judge_trial(trial, arguments.options, tally); !judged) {
      return report_error(judged.error());
    }
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  std::cout << tally.condemned << " of " << tally.all << " condemned, " << tally.healthy << " of " << tally.all
            << " twins healthy, " << tally.trials_held << " of " << tally.trials
            << " trials hold on the reference backend; " << tally.rows.size() << " bugs, " << tally.schedules
            << " schedules in " << std::fixed << std::setprecision(1) << seconds.count() << " s\n";
  return tally.all_hold() ? kExitOk : kExitFailed;
}

}  // namespace

void add_specimens_command(CLI::App& program, Run& run) {
  const auto arguments = std::make_shared<SpecimensArguments>();
  CLI::App* command = program.add_subcommand("specimens", "Check that known defects are found, and only those");
  describe(
      *command,
      "Runs small loops that each have one defect of a real program under faults, and the same loops without it.\n"
      "Each defect has to be found; nothing may be found about the others, nor about the reference backend in the\n"
      "same trials. docs/bugs.md tells where the defects come from.");
  command->add_option("specimen", arguments->names, "Specimens; by default all")->type_name("SPECIMEN");
  command->add_option("--pairs", arguments->options.pairs, "Pairs of faults beside the single ones, at most (500)")
      ->type_name("N");
  command->add_option("--seed", arguments->options.seed, "Decides which pairs (1)")->type_name("N");
  command->add_option("--jobs", arguments->options.jobs, "Processes side by side; by default one a CPU")
      ->type_name("N");
  command->add_flag("--list", arguments->list, "Print the specimens and run nothing");
  command->footer(
      "Examples:\n"
      "  assay specimens                      all of them\n"
      "  assay specimens eintr-ends-the-loop  one of them, its twin, and its trial on the reference backend\n"
      "\n"
      "Exit status: 0 when each verdict is as it has to be, 1 when one is not, 2 for bad input.");
  command->callback([arguments, &run] { run = [arguments] { return run_specimens(*arguments); }; });
}

}  // namespace assay::cli
