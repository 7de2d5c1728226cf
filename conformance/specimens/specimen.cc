#include "assay/conformance/specimens/specimen.h"

#include <algorithm>

namespace assay::conformance {

std::span<const Specimen> specimens() {
  static const std::vector<Specimen> kSpecimens = [] {
    std::vector<Specimen> specimens;
    internal::add_eintr_specimens(specimens);
    internal::add_refused_submission_specimens(specimens);
    internal::add_partial_submit_specimens(specimens);
    internal::add_cq_overflow_specimens(specimens);
    internal::add_short_transfer_specimens(specimens);
    return specimens;
  }();
  return kSpecimens;
}

const Specimen* find_specimen(std::string_view name) {
  const std::span<const Specimen> all = specimens();
  const auto found = std::find_if(all.begin(), all.end(), [&](const Specimen& each) { return each.name == name; });
  return found != all.end() ? &*found : nullptr;
}

}  // namespace assay::conformance
