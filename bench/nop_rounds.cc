// Runs one NOP path for a fixed number of rounds and prints nothing: the subject of ci/instructions, which counts its
// instructions under callgrind. Two counts with different numbers of rounds give the cost of a round exactly.

#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "assay/bench/nop_path.h"

namespace {

template <typename Path>
int run(unsigned batch, unsigned rounds) {
  Path path(assay::bench::TaskWork::kPlain);
  path.rounds(batch, rounds);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 4) {
    const std::string_view path = argv[1];
    const auto batch = static_cast<unsigned>(std::strtoul(argv[2], nullptr, 10));
    const auto rounds = static_cast<unsigned>(std::strtoul(argv[3], nullptr, 10));
    const bool batch_fits = batch >= 1 && batch <= assay::bench::kMaxBatch;
    if (batch_fits && path == "liburing") return run<assay::bench::LiburingNops>(batch, rounds);
    if (batch_fits && path == "ring") return run<assay::bench::RingNops>(batch, rounds);
    if (batch_fits && path == "backend") return run<assay::bench::BackendNops>(batch, rounds);
  }
  std::fprintf(stderr, "usage: nop_rounds liburing|ring|backend BATCH ROUNDS, with BATCH from 1 to %u\n",
               assay::bench::kMaxBatch);
  return 2;
}
