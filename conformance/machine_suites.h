#pragma once

#include <vector>

#include "assay/conformance/behaviour.h"

/// The machine's suites, one function a source file.
namespace assay::conformance {

std::vector<Behaviour> machine_forbidden_behaviours();
std::vector<Behaviour> machine_memory_behaviours();
std::vector<Behaviour> machine_signals_behaviours();

}  // namespace assay::conformance
