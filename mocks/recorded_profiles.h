#pragma once

#include <string_view>
#include <vector>

namespace assay::internal {

/// The JSON of each file in mocks/profiles/, in the order of their kernels' versions. Its source is written by CMake.
const std::vector<std::string_view>& recorded_profiles();

}  // namespace assay::internal
