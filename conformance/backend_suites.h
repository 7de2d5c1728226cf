#pragma once

#include <vector>

#include "assay/conformance/backend_case.h"

// The behaviours, a function a suite; each is defined in the file of the same name.
namespace assay::conformance::internal {

using BackendBehaviours = std::vector<BackendBehaviour>;

void add_backend_loop(BackendBehaviours& behaviours);
void add_backend_fd_events(BackendBehaviours& behaviours);
void add_backend_level_triggered(BackendBehaviours& behaviours);
void add_backend_timers(BackendBehaviours& behaviours);
void add_backend_signals(BackendBehaviours& behaviours);
void add_backend_files(BackendBehaviours& behaviours);
void add_backend_operations(BackendBehaviours& behaviours);
void add_backend_chains(BackendBehaviours& behaviours);
void add_backend_wake(BackendBehaviours& behaviours);
void add_backend_life(BackendBehaviours& behaviours);
void add_backend_faults(BackendBehaviours& behaviours);
void add_reference_files(BackendBehaviours& behaviours);
void add_reference_sockets(BackendBehaviours& behaviours);
void add_reference_messages(BackendBehaviours& behaviours);
void add_reference_accept(BackendBehaviours& behaviours);
void add_reference_poll_thread(BackendBehaviours& behaviours);
void add_reference_registered_files(BackendBehaviours& behaviours);
void add_reference_waits(BackendBehaviours& behaviours);
void add_reference_life(BackendBehaviours& behaviours);
void add_reference_receives(BackendBehaviours& behaviours);
void add_reference_received_messages(BackendBehaviours& behaviours);
void add_reference_own_memory(BackendBehaviours& behaviours);
void add_reference_recovery(BackendBehaviours& behaviours);
void add_reference_nesting(BackendBehaviours& behaviours);
void add_reference_destruction(BackendBehaviours& behaviours);
void add_reference_turns(BackendBehaviours& behaviours);

}  // namespace assay::conformance::internal
