#pragma once

#include <cstdint>
#include <functional>
#include <ostream>
#include <span>
#include <string>
#include <vector>

#include "assay/conformance/kernel_case.h"

namespace assay::conformance {

/// What `assay conformance` and the program `assay-conformance` are asked to do.
struct ConformanceOptions {
  /// The kernels, in the spelling that all of Assay uses. Empty: default_kernel_names(), of which "linux" may be
  /// missing where io_uring is forbidden; a kernel that is named here must be there.
  std::vector<std::string> kernels;
  /// Which tests, any of them: globs (`*`, `?`) over a suite ("RingOverflow"), a behaviour ("RingOverflow.Keeps*") or a
  /// test ("RingOverflow.Keeps*/linux"). Empty: all.
  std::vector<std::string> filter;
  /// A fault plan that the backend's suites are run under. The rings' suites are left out then: they hold the kernel
  /// itself to its word, and under a plan it would rightly break it.
  std::string plan;
  std::uint64_t seed = 0;
  /// Where every call, SQE and CQE is written.
  std::string trace;
  /// Where the results are written as JUnit XML.
  std::string junit;
  /// Where the profile of the first kernel is written as JSON: for "linux", what the probe found.
  std::string profile_json;
  /// Run the machine's suites too, on the running kernel. They limit memory, set sysctls and forbid io_uring, so they
  /// are for a machine that nobody else needs: a guest of the matrix.
  bool whole_machine = false;
  /// The time that the backend's behaviours let pass where it is real. A slow machine, such as one that is emulated,
  /// gets too little done in the usual 2 ms.
  unsigned moment_ms = 2;
  /// Processes that run tests side by side; 0 is one a CPU. Always one with a trace, with --whole-machine, and where
  /// GoogleTest's own flags say which tests are run.
  unsigned jobs = 0;
  /// Print the tests' names and run nothing.
  bool list = false;
  /// Colour the output.
  bool color = false;
};

/// A set of suites that belong together. `register_suites` registers them on each kernel, with register_test; one that
/// registers nothing fails the run.
struct SuiteSet {
  std::string name;
  std::function<void(std::span<const KernelCase>)> register_suites;
};

/// Runs all of Assay's suites. Returns the exit status: 0 when nothing failed and something ran, 1 when a test failed,
/// a suite ran nothing, or a kernel that was named is not available, 2 for bad input, of which one line on standard
/// error tells. Runs once a process: GoogleTest keeps what was registered.
int run_conformance(const ConformanceOptions& options, std::ostream& out);

/// The same for any suites.
int run_suites(const ConformanceOptions& options, std::span<const SuiteSet> sets, std::ostream& out);

}  // namespace assay::conformance
