#pragma once

#include <vector>

#include "assay/mocks/profile.h"

/// The parts of `switch_table`, a file each: profile_ring_switches.cc and so on.
namespace assay::internal {

const std::vector<Switch>& ring_switches();
const std::vector<Switch>& request_switches();
const std::vector<Switch>& socket_switches();

}  // namespace assay::internal
