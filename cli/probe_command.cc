#include <iostream>
#include <memory>

#include "assay/cli/command.h"
#include "assay/cli/profile_table.h"
#include "assay/faultinject/kernel_stack.h"
#include "assay/mocks/probe.h"

namespace assay::cli {
namespace {

struct ProbeOptions {
  std::string kernel = "linux";
  std::string name;
  bool json = false;
};

int run_probe(const ProbeOptions& options) {
  Result<std::unique_ptr<KernelStack>> stack = open_kernel_stack({.kernel = options.kernel});
  if (!stack) return report_error(stack.error());
  // A recording of the running kernel is what the profile of that name is.
  const std::string own_name = options.kernel == "linux" ? "linux-running" : (*stack)->name();
  const Result<Profile> profile = probe((*stack)->top(), options.name.empty() ? own_name : options.name);
  if (!profile) {
    std::cerr << "assay: io_uring is not available on " << options.kernel << ": " << profile.error().message()
              << unavailable_hint(profile.error()) << '\n';
    return kExitFailed;
  }
  if (options.json) {
    std::cout << profile_to_json(*profile);
  } else {
    print_profile(*profile, std::cout);
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
      "and how it behaves where kernels differ without a feature bit. What could not be tried says `assumed`.");
  command->add_option("--kernel", options->kernel, "The kernel: linux, or sim:PROFILE with its variations")
      ->type_name("KERNEL")
      ->capture_default_str();
  command->add_option("--name", options->name, "The recorded profile's name")->type_name("NAME");
  command->add_flag("--json", options->json, "Print the profile as JSON, which --kernel sim:FILE.json takes");
  command->footer(
      "Examples:\n"
      "  assay probe                                    what the running kernel has\n"
      "  assay probe --json > here.json                 record it ...\n"
      "  assay probe --kernel sim:./here.json           ... and ask a simulation of the recording\n"
      "  assay probe --kernel sim:linux-6.12.0-SEND_ZC  ask a simulated kernel without one opcode\n"
      "\n"
      "Exit status: 0 when it was found out, 1 where io_uring is not available, 2 for bad input.");
  command->callback([options, &run] { run = [options] { return run_probe(*options); }; });
}

}  // namespace assay::cli
