#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace assay {

/// How many letters must be inserted, deleted, replaced or swapped with their neighbour to make `b` of `a` (the
/// distance of Damerau and Levenshtein, with each letter edited once). Case does not count.
std::size_t edit_distance(std::string_view a, std::string_view b);

/// The known name that `name` is most likely a misspelling of, or empty when none is near. Case does not count.
std::string_view nearest_name(std::string_view name, std::span<const std::string_view> known);
std::string_view nearest_name(std::string_view name, std::span<const std::string> known);

/// "; did you mean 'X'?", to be appended to an error line, or nothing when `nearest` is empty.
std::string did_you_mean(std::string_view nearest);

}  // namespace assay
