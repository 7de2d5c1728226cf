#include "assay/conformance/scenarios/scenarios.h"

#include <algorithm>

namespace assay::conformance {

std::span<const Scenario> backend_scenarios() {
  static const std::vector<Scenario> all = [] {
    std::vector<Scenario> scenarios;
    internal::add_file_scenarios(scenarios);
    internal::add_socket_scenarios(scenarios);
    internal::add_event_scenarios(scenarios);
    internal::add_time_scenarios(scenarios);
    internal::add_cancel_scenarios(scenarios);
    internal::add_ring_scenarios(scenarios);
    internal::add_poller_scenarios(scenarios);
    internal::add_life_scenarios(scenarios);
    return scenarios;
  }();
  return all;
}

const Scenario* find_scenario(std::string_view name) {
  const std::span<const Scenario> scenarios = backend_scenarios();
  const auto found =
      std::find_if(scenarios.begin(), scenarios.end(), [&](const Scenario& scenario) { return scenario.name == name; });
  return found != scenarios.end() ? &*found : nullptr;
}

}  // namespace assay::conformance
