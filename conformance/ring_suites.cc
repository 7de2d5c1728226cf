#include "assay/conformance/ring_suites.h"

namespace assay::conformance {

void register_ring_suites(std::span<const KernelCase> kernels) {
  using Source = std::vector<Behaviour> (*)();
  for (const Source behaviours :
       {ring_setup_behaviours, ring_submission_behaviours, ring_overflow_behaviours, ring_enter_behaviours}) {
    register_behaviours(behaviours(), kernels);
  }
}

}  // namespace assay::conformance
