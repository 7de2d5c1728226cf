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

/// A script, in the folder `ci` or `bench`.
struct Script {
  std::string folder;
  std::string name;
};

fs::path program_folder() {
  std::error_code error;
  return fs::read_symlink("/proc/self/exe", error).parent_path();
}

/// Beside an installed program below share, or in the source tree of one that was built.
fs::path path_of(const Script& script) {
  std::error_code error;
  const fs::path installed = program_folder() / ".." / ASSAY_SCRIPT_DIR / script.folder / script.name;
  if (fs::exists(installed, error)) return installed.lexically_normal();
  return fs::path(ASSAY_SOURCE_DIR) / script.folder / script.name;
}

/// The measuring program: installed beside this one, or in the same build tree. It may be missing, since it is built
/// only where Google Benchmark is; the script says so when it needs it.
fs::path measuring_program() {
  std::error_code error;
  const fs::path installed = program_folder() / "assay-bench";
  if (fs::exists(installed, error)) return installed;
  return (program_folder() / ".." / "bench" / "assay-bench").lexically_normal();
}

/// Becomes the script, which gets everything that stands behind its name.
int run_script(const Script& script, const std::vector<std::string>& arguments) {
  const std::string path = path_of(script);
  std::vector<char*> words{const_cast<char*>(path.c_str())};
  for (const std::string& argument : arguments) words.push_back(const_cast<char*>(argument.c_str()));
  words.push_back(nullptr);
  ::execv(path.c_str(), words.data());
  std::cerr << "assay: " << path << " cannot be run: " << std::strerror(errno)
            << "; it comes with Assay's sources and installation, and needs Python 3.11\n";
  return kExitFailed;
}

/// `first` are words that the script gets before those that were typed.
void add_script_command(CLI::App& program, Run& run, const Script& script, const std::string& description,
                        const std::vector<std::string>& first = {}) {
  CLI::App* command = program.add_subcommand(script.name, description);
  // Its options and its --help are the script's.
  command->set_help_flag("");
  command->prefix_command();
  command->callback([command, script, first, &run] {
    std::vector<std::string> arguments = first;
    for (const std::string& argument : command->remaining()) arguments.push_back(argument);
    run = [script, arguments = std::move(arguments)] { return run_script(script, arguments); };
  });
}

}  // namespace

void add_matrix_command(CLI::App& program, Run& run) {
  add_script_command(program, run, {"ci", "matrix"},
                     "Boot real kernels under QEMU, and run the suites or any program in each");
}

void add_report_command(CLI::App& program, Run& run) {
  add_script_command(program, run, {"ci", "report"},
                     "Merge the results of many kernels, real and simulated, into one table");
}

void add_bench_command(CLI::App& program, Run& run) {
  add_script_command(program, run, {"bench", "bench"},
                     "Measure submission paths, event loops and what Assay itself costs; compare runs",
                     {"--assay-bench", measuring_program()});
}

}  // namespace assay::cli
