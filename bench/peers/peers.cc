#include "assay/bench/bench_list.h"

namespace assay::bench {

void add_peers(BenchList& /*list*/) {}

}  // namespace assay::bench
