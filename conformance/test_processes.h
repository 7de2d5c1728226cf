#pragma once

#include <functional>
#include <string>
#include <vector>

#include "assay/conformance/report.h"

namespace assay::conformance {

/// Runs the tests that are selected in this process, as GoogleTest's flags say. `count` is told how many of each suite
/// there will be, before the first; `ended` of each test as it ends. Returns GoogleTest's exit status.
int run_tests_here(const std::function<void(const std::string& suite, int tests)>& count,
                   const std::function<void(TestReport test)>& ended);

/// Runs them in `jobs` child processes, each of which takes its share, as GoogleTest's shards do. `ended` is called in
/// this process. One that takes its process down has failed, by its name. Returns what else went wrong, a line each: a
/// process that did not come to the end of its share.
///
/// For a process without threads.
std::vector<std::string> run_tests_in_processes(unsigned jobs, const std::function<void(TestReport test)>& ended);

}  // namespace assay::conformance
