#pragma once

#include <functional>
#include <string>
#include <vector>

#include "assay/conformance/behaviour.h"

/// The ring suites, one function a source file. They are called by name so that no linker can leave one out.
namespace assay::conformance {

std::vector<Behaviour> ring_enter_behaviours();
std::vector<Behaviour> ring_overflow_behaviours();
std::vector<Behaviour> ring_setup_behaviours();
std::vector<Behaviour> ring_submission_behaviours();

}  // namespace assay::conformance
