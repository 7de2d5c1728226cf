#pragma once

#include <vector>

#include "assay/bench/bench_list.h"

namespace assay::bench {

/// Has callgrind count the instructions of each bench, for `ci/instructions`, which runs this program below
/// `valgrind --tool=callgrind --instr-atstart=no`. One process counts all: a start of valgrind costs more than a count.
///
/// Of each bench some rounds are run and then twice as many, and callgrind writes down each count under a name of its
/// own, "NUMBER once" and "NUMBER twice": the difference is what the rounds cost, without what a call of Path::run
/// costs whatever it does. Prints a line of JSON each: {"number": 3, "name": "paths/nop/...", "operations": 512}, where
/// `operations` are those of the difference, or {"name": ..., "left_out": WHY}. The first line says what was built:
/// {"compiler": "g++ 12.2.0", "machine": "x86_64", "liburing": "2.3"}.
///
/// What is done by other processes, or by a Path that measures only a part of what it does, is not counted.
///
/// Returns the exit status: 2, and one line, where there is no callgrind to count.
int count_instructions(const std::vector<const Bench*>& benches);

}  // namespace assay::bench
