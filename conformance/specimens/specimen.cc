#include "assay/conformance/specimens/specimen.h"

#include <algorithm>

namespace assay::conformance {

std::span<const Specimen> specimens() {
  static const std::vector<Specimen> all = [] {
    std::vector<Specimen> specimens;
    internal::add_eintr_specimens(specimens);
    internal::add_refused_submission_specimens(specimens);
    internal::add_partial_submit_specimens(specimens);
    internal::add_cq_overflow_specimens(specimens);
    internal::add_short_transfer_specimens(specimens);
    internal::add_setup_specimens(specimens);
    internal::add_capability_specimens(specimens);
    internal::add_descriptor_specimens(specimens);
    internal::add_timeout_specimens(specimens);
    internal::add_multishot_specimens(specimens);
    internal::add_provided_buffer_specimens(specimens);
    internal::add_zero_copy_specimens(specimens);
    internal::add_cancel_specimens(specimens);
    internal::add_poll_thread_specimens(specimens);
    internal::add_link_specimens(specimens);
    return specimens;
  }();
  return all;
}

const Specimen* find_specimen(std::string_view name) {
  const std::span<const Specimen> all = specimens();
  const auto found = std::find_if(all.begin(), all.end(), [&](const Specimen& each) { return each.name == name; });
  return found != all.end() ? &*found : nullptr;
}

std::optional<Scenario> find_specimen_scenario(std::string_view name) {
  constexpr std::string_view kTwin = "-twin";
  if (const Specimen* specimen = find_specimen(name)) return specimen->make(true);
  if (const Trial* trial = find_trial(name)) return Scenario{trial->name, trial->tells, trial->on_reference_backend};
  if (!name.ends_with(kTwin)) return std::nullopt;
  name.remove_suffix(kTwin.size());
  const Specimen* const specimen = find_specimen(name);
  return specimen != nullptr ? std::optional(specimen->make(false)) : std::nullopt;
}

}  // namespace assay::conformance
