#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "assay/faultinject/scenario.h"

namespace assay::conformance {

/// What backends do, as scenarios over the reference backend: `assay sweep` runs them under every fault.
std::span<const Scenario> backend_scenarios();

/// The one of that name, or null.
const Scenario* find_scenario(std::string_view name);

namespace internal {

void add_file_scenarios(std::vector<Scenario>& scenarios);
void add_socket_scenarios(std::vector<Scenario>& scenarios);
void add_event_scenarios(std::vector<Scenario>& scenarios);
void add_time_scenarios(std::vector<Scenario>& scenarios);
void add_cancel_scenarios(std::vector<Scenario>& scenarios);
void add_ring_scenarios(std::vector<Scenario>& scenarios);
void add_poller_scenarios(std::vector<Scenario>& scenarios);
void add_life_scenarios(std::vector<Scenario>& scenarios);

}  // namespace internal
}  // namespace assay::conformance
