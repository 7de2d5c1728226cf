#include "assay/bench/bench_list.h"

namespace assay::bench {

void add_harness(BenchList& /*list*/) {}

}  // namespace assay::bench
