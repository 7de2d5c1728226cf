// The grid of submission paths, each by liburing, by Ring and by the Backend.

#include "assay/bench/bench_list.h"
#include "assay/bench/grid.h"
#include "assay/bench/ring_paths.h"

namespace assay::bench {

void add_submission_paths(BenchList& list) {
  struct By {
    const char* path;
    Result<std::unique_ptr<Path>> (*make)(const GridCell& cell);
  };
  for (const GridCell& cell : grid()) {
    for (const By& by :
         {By{"liburing", make_liburing_path}, By{"Ring", make_ring_path}, By{"Backend", make_backend_path}}) {
      // It waits for all kinds of completions at once, and so has no rings that only poll a device.
      if (cell.mode == Mode::kIopoll && by.make == make_backend_path) continue;
      list.add({.name = {.chapter = "paths",
                         .work = std::string(cell.work_name()),
                         .setup = cell.setup_name(),
                         .path = by.path,
                         .size_name = "batch",
                         .size = cell.batch},
                .quick = cell.quick(),
                .make = [cell, make = by.make] { return make(cell); }});
    }
  }
}

}  // namespace assay::bench
