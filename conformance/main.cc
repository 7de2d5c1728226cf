// The program `assay-conformance`: every suite, for CTest and for those who want GoogleTest's own flags too.

#include <gtest/gtest.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>

#include "assay/conformance/runner.h"

namespace {

constexpr std::string_view kUsage =
    "Usage: assay-conformance [--kernel NAME]... [--filter GLOB]... [--plan PLAN] [--seed N] [--trace FILE]\n"
    "                         [--junit FILE] [--profile-json FILE] [--whole-machine]\n"
    "                         [--moment-ms MS] [--jobs N] [--list]\n"
    "\n"
    "Holds kernels, real and simulated, and the backend on them to what io_uring promises.\n"
    "\n"
    "  --kernel NAME        linux, or sim:PROFILE; every kernel there is by default\n"
    "  --filter GLOB        a suite (RingOverflow), a behaviour (RingOverflow.Keeps*) or a test (RingNop.*/linux)\n"
    "  --plan PLAN          faults that the backend's suites are run under\n"
    "  --seed N             seeds simulated kernels and plans\n"
    "  --trace FILE         writes every call, SQE and CQE\n"
    "  --junit FILE         writes the results as JUnit XML\n"
    "  --profile-json FILE  writes the first kernel's profile, as found\n"
    "  --whole-machine      runs suites that change this machine too: for guests of the matrix\n"
    "  --moment-ms MS       the real time that behaviours let pass (2); more on a slow machine\n"
    "  --jobs N             processes that run tests side by side; by default one a CPU\n"
    "  --list               prints the tests' names and runs nothing\n"
    "\n"
    "GoogleTest's flags (--gtest_filter, --gtest_repeat ...) work as well.\n";

[[noreturn]] void reject(const std::string& line) {
  std::cerr << "assay-conformance: " << line << '\n';
  std::exit(2);
}

std::uint64_t number(std::string_view option, std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) {
    reject(std::string(option) + " takes a number, not '" + std::string(text) + "'");
  }
  return value;
}

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  assay::conformance::ConformanceOptions options;
  options.color = ::isatty(STDOUT_FILENO) == 1;
  for (int i = 1; i < argc; ++i) {
    std::string_view name = argv[i];
    if (name == "--help" || name == "-h") {
      std::cout << kUsage;
      return 0;
    }
    if (name == "--list") {
      options.list = true;
      continue;
    }
    if (name == "--whole-machine") {
      options.whole_machine = true;
      continue;
    }
    std::string_view value;
    if (const std::size_t equals = name.find('='); equals != std::string_view::npos) {
      value = name.substr(equals + 1);
      name = name.substr(0, equals);
    } else if (i + 1 < argc) {
      value = argv[++i];
    } else {
      reject("'" + std::string(name) + "' is no option, or lacks its value; --help shows them all");
    }
    if (name == "--kernel") {
      options.kernels.emplace_back(value);
    } else if (name == "--filter") {
      options.filter.emplace_back(value);
    } else if (name == "--plan") {
      options.plan = value;
    } else if (name == "--seed") {
      options.seed = number(name, value);
    } else if (name == "--moment-ms") {
      options.moment_ms = static_cast<unsigned>(number(name, value));
    } else if (name == "--jobs") {
      options.jobs = static_cast<unsigned>(number(name, value));
    } else if (name == "--trace") {
      options.trace = value;
    } else if (name == "--junit") {
      options.junit = value;
    } else if (name == "--profile-json") {
      options.profile_json = value;
    } else {
      reject("unknown option '" + std::string(name) + "'; --help shows them all");
    }
  }
  return assay::conformance::run_conformance(options, std::cout);
}
