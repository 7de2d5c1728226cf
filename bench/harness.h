#pragma once

#include "assay/bench/bench_list.h"

namespace assay::bench {

/// The parts of chapter "harness", in the order in which they are reported.

/// One source that uses liburing, linked with liburing and with assay::liburing.
void add_drop_in(BenchList& list);
/// What the layers between Ring and the running kernel cost, and those above a simulated one.
void add_kernels(BenchList& list);
/// What it costs to pass a fault point.
void add_fiu_point(BenchList& list);
/// The parts of a request's way, each by itself.
void add_hot_paths(BenchList& list);

}  // namespace assay::bench
