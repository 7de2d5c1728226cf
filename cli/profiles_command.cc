#include <algorithm>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "assay/cli/command.h"
#include "assay/cli/profile_table.h"
#include "assay/cli/table.h"
#include "assay/mocks/profile.h"

namespace assay::cli {
namespace {

struct ProfilesOptions {
  std::string name;
  std::string other;
  bool json = false;
};

int run_list() {
  Table table({"PROFILE", "ORIGIN", "UPSTREAM", "OPCODES", "REGISTRATIONS", "RELEASE"});
  for (const std::string& name : profile_names()) {
    const Result<Profile> profile = find_profile(name);
    if (!profile) {
      table.add_row({name, "unavailable", "", "", "", profile.error().message()});
      continue;
    }
    const bool recorded = profile->origin == ProfileOrigin::kRecorded;
    table.add_row({name, recorded ? "recorded" : "documented", version_text(profile->version),
                   std::to_string(profile->opcodes.count()), std::to_string(profile->register_ops.count()),
                   profile->release});
  }
  table.print(std::cout);
  return kExitOk;
}

int run_show(const ProfilesOptions& options) {
  const Result<Profile> profile = find_profile(options.name);
  if (!profile) return report_error(profile.error());
  if (options.json) {
    std::cout << profile_to_json(*profile);
  } else {
    print_profile(*profile, std::cout);
  }
  return kExitOk;
}

int run_diff(const ProfilesOptions& options) {
  const Result<Profile> left = find_profile(options.name);
  if (!left) return report_error(left.error());
  const Result<Profile> right = find_profile(options.other);
  if (!right) return report_error(right.error());
  const std::vector<ClassDifference> difference = compare_profiles(*left, *right);
  if (options.json) {
    nlohmann::ordered_json object = {{"a", left->name}, {"b", right->name}};
    for (const ClassDifference& each : difference) {
      object[std::string(each.key)] = {{"more", each.more}, {"less", each.less}};
    }
    std::cout << object.dump(2) << '\n';
  } else {
    print_difference(difference, std::cout);
  }
  const auto is_empty = [](const ClassDifference& each) { return each.more.empty() && each.less.empty(); };
  return std::all_of(difference.begin(), difference.end(), is_empty) ? kExitOk : kExitFailed;
}

}  // namespace

void add_profiles_command(CLI::App& program, Run& run) {
  const auto options = std::make_shared<ProfilesOptions>();
  CLI::App* command = program.add_subcommand("profiles", "List the kernels that can be simulated, and what each has");
  describe(*command, "Lists the profiles: the kernels that `--kernel sim:PROFILE` can simulate.");
  command->require_subcommand(0, 1);
  command->footer(
      "Examples:\n"
      "  assay profiles                              list them\n"
      "  assay profiles show linux-5.4               what one has, and how it behaves\n"
      "  assay profiles show linux-5.4 --json        the same in the schema of `assay probe --json`\n"
      "  assay profiles diff linux-5.10.0 ./my.json  what the second has (+) and lacks (-)\n"
      "\n"
      "Exit status: 0; 1 when `diff` found differences or a profile is not available; 2 for bad input.");
  command->callback([command, &run] {
    if (command->get_subcommands().empty()) run = run_list;
  });

  CLI::App* show = command->add_subcommand("show", "What one profile has");
  show->add_option("NAME", options->name, "A profile's name, or the path of a JSON file")->required();
  show->add_flag("--json", options->json, "Print JSON");
  show->footer("Example: assay profiles show linux-6.12.0 --json");
  show->callback([options, &run] { run = [options] { return run_show(*options); }; });

  CLI::App* diff = command->add_subcommand("diff", "What B has more (+) and less (-) than A");
  diff->add_option("A", options->name, "A profile's name, or the path of a JSON file")->required();
  diff->add_option("B", options->other, "Another")->required();
  diff->add_flag("--json", options->json, "Print JSON: of each class of bits, what B has more and less than A");
  diff->footer(
      "A line a bit, by class: features, flags, opcodes, registrations, switches.\n"
      "\n"
      "Example: assay profiles diff linux-6.12.0 linux-running");
  diff->callback([options, &run] { run = [options] { return run_diff(*options); }; });
}

}  // namespace assay::cli
