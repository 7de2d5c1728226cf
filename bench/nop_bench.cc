// What it costs to submit, wait for and reap NOPs, in batches: raw liburing and Ring side by side in one binary. Run
// with randomly interleaved repetitions (the default of this program), since on a shared machine only ratios within one
// run mean anything.

#include <benchmark/benchmark.h>

#include "assay/bench/nop_path.h"

namespace assay::bench {
namespace {

template <typename Path, TaskWork task_work>
void submit_nops(benchmark::State& state) {
  const auto batch = static_cast<unsigned>(state.range(0));
  Path path(task_work);
  for (auto _ : state) path.round(batch);
  state.SetItemsProcessed(state.iterations() * batch);
}

#define ASSAY_NOP_BENCH(path, task_work, name) \
  BENCHMARK_TEMPLATE(submit_nops, path, task_work)->Name(name)->ArgName("batch")->Arg(1)->Arg(8)->Arg(32)->Arg(128)

ASSAY_NOP_BENCH(LiburingNops, TaskWork::kPlain, "nop/plain/liburing");
ASSAY_NOP_BENCH(RingNops, TaskWork::kPlain, "nop/plain/Ring");
ASSAY_NOP_BENCH(LiburingNops, TaskWork::kDeferred, "nop/deferred/liburing");
ASSAY_NOP_BENCH(RingNops, TaskWork::kDeferred, "nop/deferred/Ring");

}  // namespace
}  // namespace assay::bench
