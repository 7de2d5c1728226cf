// Google Benchmark's main with Assay's defaults put before the caller's options, which win.

#include <sys/prctl.h>
#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

#include <benchmark/benchmark.h>

#include "assay/backend/linux_kernel.h"
#include "assay/backend/ring.h"
#include "assay/bench/ratio_reporter.h"

int main(int argc, char** argv) {
  // A machine without io_uring has nothing to measure; that is said once, not by every benchmark.
  if (auto ring = assay::Ring::create(assay::LinuxKernel::instance()); !ring) {
    std::fprintf(stderr, "assay_bench: io_uring is not available here: %s\n", ring.error().message().c_str());
    return 1;
  }
  static char interleave[] = "--benchmark_enable_random_interleaving=true";
  static char repetitions[] = "--benchmark_repetitions=15";
  static char minimum[] = "--benchmark_min_time=0.1";
  std::vector<char*> arguments{argv[0], interleave, repetitions, minimum};
  arguments.insert(arguments.end(), argv + 1, argv + argc);
  int count = static_cast<int>(arguments.size());
  arguments.push_back(nullptr);
  benchmark::Initialize(&count, arguments.data());
  if (benchmark::ReportUnrecognizedArguments(count, arguments.data())) return 2;
  assay::bench::RatioReporter reporter;
  benchmark::RunSpecifiedBenchmarks(&reporter);
  benchmark::Shutdown();
  return 0;
}
