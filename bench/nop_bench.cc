// What it costs to submit, wait for and reap NOPs, in batches: raw liburing, Ring and Backend side by side in one
// binary. Run with randomly interleaved repetitions (the default of this program), since on a shared machine only
// ratios within one run mean anything.

#include <benchmark/benchmark.h>

#include "assay/bench/nop_path.h"
#include "assay/mocks/profile.h"
#include "assay/mocks/sim_kernel.h"

namespace assay::bench {
namespace {

template <typename Path, TaskWork task_work>
void submit_nops(benchmark::State& state) {
  const auto batch = static_cast<unsigned>(state.range(0));
  Path path(task_work);
  while (state.KeepRunningBatch(kRounds)) path.rounds(batch, kRounds);
  state.SetItemsProcessed(state.iterations() * batch);
}

/// The same Ring over a simulated kernel: what a test of one's own pays a request.
class SimNops {
 public:
  explicit SimNops(TaskWork task_work) : nops_(task_work, kernel_) {}
  void rounds(unsigned batch, unsigned count) { nops_.rounds(batch, count); }

 private:
  SimKernel kernel_{{.profile = *find_profile("linux-6.12.0")}};
  RingNops nops_;
};

#define ASSAY_NOP_BENCH(path, task_work, name) \
  BENCHMARK_TEMPLATE(submit_nops, path, task_work)->Name(name)->ArgName("batch")->Arg(1)->Arg(8)->Arg(32)->Arg(128)

ASSAY_NOP_BENCH(LiburingNops, TaskWork::kPlain, "nop/plain/liburing");
ASSAY_NOP_BENCH(RingNops, TaskWork::kPlain, "nop/plain/Ring");
ASSAY_NOP_BENCH(BackendNops, TaskWork::kPlain, "nop/plain/Backend");
ASSAY_NOP_BENCH(SimNops, TaskWork::kPlain, "nop/plain/SimKernel");
ASSAY_NOP_BENCH(LiburingNops, TaskWork::kDeferred, "nop/deferred/liburing");
ASSAY_NOP_BENCH(RingNops, TaskWork::kDeferred, "nop/deferred/Ring");
ASSAY_NOP_BENCH(BackendNops, TaskWork::kDeferred, "nop/deferred/Backend");

}  // namespace
}  // namespace assay::bench
