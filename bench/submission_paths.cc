#include "assay/bench/bench_list.h"

namespace assay::bench {

void add_submission_paths(BenchList& /*list*/) {}

}  // namespace assay::bench
