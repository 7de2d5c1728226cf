#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "assay/cli/command.h"

namespace assay::cli {
namespace {

namespace fs = std::filesystem;

/// The folder with the scripts: beside an installed program below share, or in the source tree of one that was built.
fs::path script_folder() {
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  const fs::path installed = program.parent_path() / ".." / ASSAY_SCRIPT_DIR;
  return fs::exists(installed / "matrix", error) ? installed.lexically_normal() : fs::path(ASSAY_SOURCE_SCRIPT_DIR);
}

/// Becomes the script, which gets everything that stands behind its name.
int run_script(const std::string& name, const std::vector<std::string>& arguments) {
  const std::string path = script_folder() / name;
  std::vector<char*> words{const_cast<char*>(path.c_str())};
  for (const std::string& argument : arguments) words.push_back(const_cast<char*>(argument.c_str()));
  words.push_back(nullptr);
  ::execv(path.c_str(), words.data());
  std::cerr << "assay: " << path << " cannot be run: " << std::strerror(errno)
            << "; it comes with Assay's sources and installation, and needs Python 3.11\n";
  return kExitFailed;
}

void add_script_command(CLI::App& program, Run& run, const std::string& name, const std::string& description) {
  CLI::App* command = program.add_subcommand(name, description);
  // Its options and its --help are the script's.
  command->set_help_flag("");
  command->prefix_command();
  command->callback([command, name, &run] {
    run = [name, arguments = command->remaining()] { return run_script(name, arguments); };
  });
}

}  // namespace

void add_matrix_command(CLI::App& program, Run& run) {
  add_script_command(program, run, "matrix", "Boot real kernels under QEMU, and run the suites or any program in each");
}

void add_report_command(CLI::App& program, Run& run) {
  add_script_command(program, run, "report", "Merge the results of many kernels, real and simulated, into one table");
}

}  // namespace assay::cli
