#include "assay/mocks/switch_tables.h"

namespace assay {

// The releases are upstream's, read off the kernel's sources (fs/io_uring.c up to 5.19, io_uring/ since); distributions
// backport, which is why a recorded profile tries what can be tried.
const std::vector<Switch>& switch_table() {
  static const std::vector<Switch> table = [] {
    std::vector<Switch> all;
    for (const auto* part : {&internal::ring_switches(), &internal::request_switches(), &internal::socket_switches()}) {
      all.insert(all.end(), part->begin(), part->end());
    }
    return all;
  }();
  return table;
}

}  // namespace assay
