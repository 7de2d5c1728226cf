#include "assay/mocks/probe_trial.h"

namespace assay::internal {

void probe_switches(Kernel& kernel, Profile& profile) {
  std::vector<SwitchTrial> trials = try_setup_switches(kernel, profile.version);
  for (const std::vector<SwitchTrial>& more :
       {try_submission_switches(kernel, profile.features), try_request_switches(kernel), try_file_switches(kernel),
        try_socket_switches(kernel), try_buffer_switches(kernel)}) {
    trials.insert(trials.end(), more.begin(), more.end());
  }
  const KernelVersion release = effective_version(profile);
  for (const Switch& entry : switch_table()) {
    Verdict verdict;
    // The kernel itself announces some of them.
    if (entry.feature != 0) verdict = ((profile.features & entry.feature) != 0) == entry.on_with_feature;
    for (const SwitchTrial& trial : trials) {
      if (trial.member == entry.member && trial.verdict) verdict = trial.verdict;
    }
    profile.semantics.*entry.member = verdict.value_or(entry.on_in(release));
    if (!verdict) profile.assumed.emplace_back(entry.name);
  }
}

}  // namespace assay::internal
