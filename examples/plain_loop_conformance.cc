// Holds PlainLoop to the conformance suites, as anybody may hold a loop of their own.

#include <gtest/gtest.h>

#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "assay/conformance/backend_case.h"
#include "plain_loop_adapter.h"

namespace {

constexpr std::string_view kUsage =
    "Usage: plain_loop_conformance [--all] [--kernel NAME]... [--plan PLAN] [GoogleTest's flags]\n"
    "\n"
    "Holds the plain loop of this folder to the promises of event loops.\n"
    "\n"
    "  --all          also to those promises that it does not make, and must be seen to break\n"
    "  --kernel NAME  linux, or sim:PROFILE; linux and two simulated kernels by default\n"
    "  --plan PLAN    faults to bend the kernel with; the usual ones, one after the other, by default\n";

int bad_input(const std::string& line) {
  std::cerr << "plain_loop_conformance: " << line << '\n';
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace assay::conformance;
  testing::InitGoogleTest(&argc, argv);
  BackendSuiteOptions options;
  std::vector<std::string> names;
  std::string plan;
  for (int i = 1; i < argc; ++i) {
    const std::string_view option = argv[i];
    if (option == "--help") {
      std::cout << kUsage;
      return 0;
    } else if (option == "--all") {
      options.ignore_claims = true;
    } else if (option == "--kernel" && i + 1 < argc) {
      names.emplace_back(argv[++i]);
    } else if (option == "--plan" && i + 1 < argc) {
      plan = argv[++i];
    } else {
      return bad_input("'" + std::string(option) + "' is no option, or lacks its value; --help shows them all");
    }
  }

  const bool chosen = !names.empty();
  if (!chosen) names = {"linux", "sim:linux-5.4", "sim:linux-6.12.0"};
  std::vector<KernelCase> kernels;
  for (const std::string& name : names) {
    auto kernel = find_kernel_case(name, {.plan = plan});
    if (kernel) {
      kernels.push_back(std::move(*kernel));
    } else if (chosen || kernel.error() == std::errc::invalid_argument) {
      return bad_input(kernel.error().message());
    } else {
      // Where io_uring is forbidden, the simulated kernels will do.
      std::cerr << name << " is unavailable: " << kernel.error().message() << '\n';
    }
  }
  register_backend_suites(standard_backend_cases(assay::examples::plain_loop_subject(), kernels), options);
  return RUN_ALL_TESTS();
}
