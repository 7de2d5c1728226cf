#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "assay/cli/command.h"
#include "assay/cli/table.h"
#include "assay/faultinject/fault_points.h"

namespace assay::cli {
namespace {

void print_faults() {
  Table table({"POINT", "ON", "WHAT IT MEANS"});
  for (const FaultPoint& point : fault_points()) {
    const std::string settings = fault_settings(point);
    table.add_row({std::string(point.name), std::string(fault_reach_name(point.reach)), std::string(point.meaning)});
    table.add_row({"", "", "Cause: " + std::string(point.cause)});
    table.add_row({"", "", "Crossing: " + std::string(point.crossing)});
    table.add_row({"", "", "A backend's users may see: " + fault_tells_name(point)});
    if (!settings.empty()) table.add_row({"", "", "Settings: " + settings});
  }
  table.print(std::cout);
  std::cout << "\nA plan names points, with or without `assay/`: --plan 'enter/eintr:nth=2'.\n";
}

void print_json() {
  nlohmann::ordered_json points = nlohmann::ordered_json::array();
  for (const FaultPoint& point : fault_points()) {
    points.push_back({{"name", point.name},
                      {"meaning", point.meaning},
                      {"cause", point.cause},
                      {"crossing", point.crossing},
                      {"settings", fault_settings(point)},
                      {"tells", fault_tells_name(point)},
                      {"on", fault_reach_name(point.reach)}});
  }
  std::cout << points.dump(2) << '\n';
}

}  // namespace

void add_faults_command(CLI::App& program, Run& run) {
  const auto json = std::make_shared<bool>(false);
  CLI::App* command = program.add_subcommand("faults", "List the faults that can be injected, with what each means");
  describe(
      *command,
      "Lists the fault points: where a kernel may legally do what it almost never does. Each is told by what a program\n"
      "sees, what makes a real kernel do it, what counts as a crossing, and which settings a plan's rule takes.");
  command->add_flag("--json", *json, "Print JSON");
  command->footer(
      "Examples:\n"
      "  assay faults\n"
      "  assay faults --json\n"
      "  assay conformance --kernel sim:linux-6.12.0 --plan 'enter/eintr:nth=2'   put one to use\n"
      "\n"
      "Exit status: 0, or 2 for bad input.");
  command->callback([json, &run] {
    run = [json] {
      *json ? print_json() : print_faults();
      return kExitOk;
    };
  });
}

}  // namespace assay::cli
