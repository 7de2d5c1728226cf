// A program of tiny suites, one set for each way in which a run may go, for framework_test to look at from outside.
// What it runs is chosen by its first argument; the others are those of ConformanceOptions that the test is about.

#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "assay/backend/uapi.h"
#include "assay/conformance/behaviour.h"
#include "assay/conformance/runner.h"

namespace {

using namespace assay::conformance;

void add(std::vector<Behaviour>& behaviours, std::string name, Needs needs, void (*body)(KernelUnderTest&)) {
  behaviours.push_back({"Specimen", std::move(name), std::move(needs), body});
}

std::vector<Behaviour> specimen(std::string_view which) {
  std::vector<Behaviour> behaviours;
  const auto nothing = [](KernelUnderTest&) {};
  if (which == "tracing") {
    for (const char* name : {"First", "Second"}) {
      add(behaviours, name, {}, [](KernelUnderTest& kernel) {
        io_uring_params params{};
        kernel.kernel().close(kernel.kernel().setup(4, &params));
      });
    }
  } else if (which == "passing") {
    add(behaviours, "DoesWhatItShould", {}, nothing);
    add(behaviours, "SkipsWhatIsNotThere", {.features = IORING_FEAT_EXT_ARG}, nothing);
  } else if (which == "failing") {
    add(behaviours, "Fails", {}, [](KernelUnderTest&) { EXPECT_EQ(1, 2) << "<&\"'> and \x01 \xff"; });
    add(behaviours, "Passes", {}, nothing);
  } else if (which == "skipping") {
    add(behaviours, "SkipsItself", {}, [](KernelUnderTest&) { GTEST_SKIP() << "does not feel like it"; });
    add(behaviours, "Passes", {}, nothing);
  } else if (which == "idle") {
    add(behaviours, "NeedsTheImpossible", {.since = {99, 0}}, nothing);
  } else if (which == "leaking") {
    add(behaviours, "LeavesAFdOpen", {}, [](KernelUnderTest&) { EXPECT_GE(::dup(0), 0); });
  } else if (which == "crashing") {
    for (const char* name : {"First", "Second"}) add(behaviours, name, {}, nothing);
    add(behaviours, "TakesItsProcessDown", {}, [](KernelUnderTest&) { std::abort(); });
    for (const char* name : {"Fourth", "Fifth", "Sixth"}) add(behaviours, name, {}, nothing);
  } else if (which == "throwing") {
    add(behaviours, "EndsSilently", {}, [](KernelUnderTest&) { throw BodyEnded(); });
  }
  return behaviours;
}

/// A kernel whose profile denies what it has: a skip for that would be wrong.
KernelCase modest_kernel() {
  KernelCase kernel = *find_kernel_case("sim:linux-6.12.0");
  kernel.name = "modest";
  kernel.profile.features &= ~IORING_FEAT_EXT_ARG;
  return kernel;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string which = argc > 1 ? argv[1] : "";
  ConformanceOptions options;
  for (int i = 2; i + 1 < argc; i += 2) {
    const std::string_view name = argv[i];
    if (name == "--kernel") options.kernels.emplace_back(argv[i + 1]);
    if (name == "--filter") options.filter.emplace_back(argv[i + 1]);
    if (name == "--junit") options.junit = argv[i + 1];
    if (name == "--plan") options.plan = argv[i + 1];
    if (name == "--trace") options.trace = argv[i + 1];
    if (name == "--seed") options.seed = std::stoull(argv[i + 1]);
    if (name == "--jobs") options.jobs = static_cast<unsigned>(std::stoul(argv[i + 1]));
    if (name == "--list") options.list = true;
  }
  const SuiteSet set{
      "specimen", [&](std::span<const KernelCase> kernels) {
        if (which == "contradicting") {
          register_test({"Specimen", "IsSkippedByMistake", {.features = IORING_FEAT_EXT_ARG}, [](KernelUnderTest&) {}},
                        modest_kernel());
        }
        register_behaviours(specimen(which), kernels);
      }};
  return run_suites(options, {&set, 1}, std::cout);
}
