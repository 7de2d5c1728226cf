// The program `assay`: a thin front for the libraries.

#include <exception>
#include <iostream>
#include <string_view>
#include <vector>

#include "assay/cli/command.h"
#include "assay/mocks/nearest_name.h"

namespace assay::cli {

int report_error(const Error& error) {
  std::cerr << "assay: " << error.message() << unavailable_hint(error) << '\n';
  return error == std::errc::invalid_argument ? kExitBadInput : kExitFailed;
}

void describe(CLI::App& command, const std::string& description) {
  // The subcommand is parsed, its --help too, only when it was chosen.
  command.preparse_callback([&command, description](std::size_t) { command.description(description); });
}

std::string unavailable_hint(const Error& error) {
  if (error == std::errc::function_not_supported) {
    return " (the kernel is older than 5.1, was built without io_uring, or a seccomp filter hides it)";
  }
  if (error == std::errc::operation_not_permitted || error == std::errc::permission_denied) {
    return " (a container's seccomp filter, or the sysctl kernel.io_uring_disabled, forbids it)";
  }
  if (error == std::errc::not_enough_memory) return " (before 5.12, ring memory counts against `ulimit -l`)";
  return {};
}

namespace {

/// The subcommand that was chosen, innermost first.
const CLI::App& chosen(const CLI::App& program) {
  const CLI::App* app = &program;
  while (!app->get_subcommands().empty()) app = app->get_subcommands().front();
  return *app;
}

std::string known_command_line(const CLI::App& app) {
  const CLI::App* parent = app.get_parent();
  return parent == nullptr ? app.get_name() : known_command_line(*parent).append(" ").append(app.get_name());
}

/// What was typed and is neither an option nor a subcommand here, with what was probably meant.
std::string unknown_argument(const CLI::App& app, const std::string& argument) {
  std::vector<std::string> known;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) known.push_back("--" + name);
  }
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    known.push_back(command->get_name());
  }
  const std::string typed = argument.substr(0, argument.find('='));
  std::string line = argument.starts_with("-") ? "unknown option '" : "unexpected '";
  if (!argument.starts_with("-") && !app.get_subcommands([](const CLI::App*) { return true; }).empty()) {
    line = "unknown command '";
  }
  line += typed + "'" + did_you_mean(nearest_name(typed, known));
  return line + " (see " + known_command_line(app) + " --help)";
}

/// One line that names the offending part. CLI11's own words where they do.
std::string explain(const CLI::App& program, const CLI::ParseError& error) {
  const CLI::App& app = chosen(program);
  // Whatever CLI11 minds first: what it could not place is the reason, where there is any.
  const std::vector<std::string> remaining = program.remaining(true);
  if (!remaining.empty()) return unknown_argument(app, remaining.front());
  const std::string_view text = error.what();
  if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr && text.starts_with("--")) {
    return std::string(text.substr(0, text.find(':'))) + " needs a value (see " + known_command_line(app) + " --help)";
  }
  if (dynamic_cast<const CLI::RequiredError*>(&error) != nullptr) {
    if (app.get_parent() == nullptr) return "a command is missing (see assay --help)";
    return std::string(text) + " (see " + known_command_line(app) + " --help)";
  }
  return std::string(text);
}

int run_program(int argc, char** argv) {
  CLI::App program(
      "Tests and fault-injects io_uring backends: on the kernel that is running, on simulated ones of other versions,\n"
      "and under what a kernel may legally do and almost never does.",
      "assay");
  program.set_version_flag("--version", "assay " ASSAY_VERSION, "Print the version and exit");
  program.require_subcommand(1);
  program.footer(
      "Examples:\n"
      "  assay probe                                     what does this kernel offer?\n"
      "  assay profiles                                  which kernels can be simulated?\n"
      "  assay conformance --kernel linux                does this kernel, and the backend on it, behave?\n"
      "  assay faults                                    what can be made to go wrong?\n"
      "  assay matrix 5.10 newest --run ./my_test        how does my program do on other kernels?\n"
      "  assay bench                                     what does a submission path cost here?\n"
      "\n"
      "Each command has its own --help. Exit status: 0 for success, 1 for a failure, 2 for bad input.");
  Run run;
  add_probe_command(program, run);
  add_profiles_command(program, run);
  add_conformance_command(program, run);
  add_faults_command(program, run);
  add_sweep_command(program, run);
  add_merge_sweeps_command(program, run);
  add_replay_command(program, run);
  add_specimens_command(program, run);
  add_matrix_command(program, run);
  add_report_command(program, run);
  add_bench_command(program, run);
  try {
    program.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) return program.exit(error);
    std::cerr << "assay: " << explain(program, error) << '\n';
    return kExitBadInput;
  }
  const int status = run();
  if (!std::cout.flush()) {
    std::cerr << "assay: standard output cannot be written\n";
    return kExitFailed;
  }
  return status;
}

}  // namespace
}  // namespace assay::cli

int main(int argc, char** argv) { return assay::cli::run_program(argc, argv); }
