#include "assay/conformance/machine_suites.h"

namespace assay::conformance {

void register_machine_suites(std::span<const KernelCase> kernels) {
  using Source = std::vector<Behaviour> (*)();
  constexpr Source kSources[] = {machine_forbidden_behaviours, machine_memory_behaviours, machine_signals_behaviours};
  for (const Source behaviours : kSources) {
    for (const Behaviour& behaviour : behaviours()) {
      for (const KernelCase& kernel_case : kernels) {
        if (!kernel_case.simulated) register_test(behaviour, kernel_case);
      }
    }
  }
}

}  // namespace assay::conformance
