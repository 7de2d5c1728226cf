#include <iostream>
#include <memory>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "assay/backend/backend.h"
#include "assay/cli/command.h"
#include "assay/cli/profile_table.h"
#include "assay/cli/table.h"
#include "assay/faultinject/kernel_stack.h"
#include "assay/mocks/probe.h"

namespace assay::cli {
namespace {

struct ProbeOptions {
  std::string kernel = "linux";
  std::string name;
  bool json = false;
  bool backend = false;
};

void print_ways(const std::vector<KernelWay>& ways, std::ostream& out) {
  Table table({"BACKEND", "SINCE", "WAY TAKEN, AND WHY"});
  for (const KernelWay& way : ways) {
    table.add_row({way.what, version_text(way.since), way.way + " (" + way.why + ")"});
  }
  table.print(out);
}

std::string ways_to_json(const std::vector<KernelWay>& ways) {
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const KernelWay& way : ways) {
    rows.push_back({{"what", way.what}, {"way", way.way}, {"why", way.why}, {"since", version_text(way.since)}});
  }
  return rows.dump(2) + "\n";
}

int report_unavailable(const ProbeOptions& options, const Error& error) {
  std::cerr << "assay: io_uring is not available on " << options.kernel << ": " << error.message()
            << unavailable_hint(error) << '\n';
  return kExitFailed;
}

int run_probe(const ProbeOptions& options) {
  Result<std::unique_ptr<KernelStack>> stack = open_kernel_stack({.kernel = options.kernel});
  if (!stack) return report_error(stack.error());
  if (options.backend) {
    const auto ways = Backend::ways((*stack)->top());
    if (!ways) return report_unavailable(options, ways.error());
    options.json ? void(std::cout << ways_to_json(*ways)) : print_ways(*ways, std::cout);
    return kExitOk;
  }
  // A recording of the running kernel is what the profile of that name is.
  const std::string own_name = options.kernel == "linux" ? "linux-running" : (*stack)->name();
  const Result<Profile> profile = probe((*stack)->top(), options.name.empty() ? own_name : options.name);
  if (!profile) return report_unavailable(options, profile.error());
  if (options.json) {
    std::cout << profile_to_json(*profile);
  } else {
    print_profile(*profile, std::cout);
    if (const auto ways = Backend::ways((*stack)->top())) {
      std::cout << '\n';
      print_ways(*ways, std::cout);
    }
  }
  return kExitOk;
}

}  // namespace

void add_probe_command(CLI::App& program, Run& run) {
  const auto options = std::make_shared<ProbeOptions>();
  CLI::App* command = program.add_subcommand("probe", "Find out what a kernel offers and how it behaves");
  describe(
      *command,
      "Finds out what a kernel offers (features, opcodes, flags, registrations) by asking it and by short trials,\n"
      "and how it behaves where kernels differ without a feature bit. What could not be tried says `assumed`.\n"
      "The last table shows which way Assay's backend takes there for what kernels have several ways for.");
  command->add_option("--kernel", options->kernel, "The kernel: linux, or sim:PROFILE with its variations")
      ->type_name("KERNEL")
      ->capture_default_str();
  command->add_option("--name", options->name, "The recorded profile's name")->type_name("NAME");
  command->add_flag("--json", options->json, "Print the profile as JSON, which --kernel sim:FILE.json takes");
  command->add_flag("--backend", options->backend, "Print only the ways of the backend; with --json as JSON");
  command->footer(
      "Examples:\n"
      "  assay probe                                    what the running kernel has\n"
      "  assay probe --json > here.json                 record it ...\n"
      "  assay probe --kernel sim:./here.json           ... and ask a simulation of the recording\n"
      "  assay probe --kernel sim:linux-6.12.0-SEND_ZC  ask a simulated kernel without one opcode\n"
      "  assay probe --backend --kernel sim:linux-5.4   how the backend does without what came later\n"
      "\n"
      "Exit status: 0 when it was found out, 1 where io_uring is not available, 2 for bad input.");
  command->callback([options, &run] { run = [options] { return run_probe(*options); }; });
}

}  // namespace assay::cli
