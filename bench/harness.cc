#include "assay/bench/harness.h"

namespace assay::bench {

void add_harness(BenchList& list) {
  add_drop_in(list);
  add_kernels(list);
  add_fiu_point(list);
  add_hot_paths(list);
}

}  // namespace assay::bench
