#pragma once

#include <string>

#include "assay/backend/backend.h"
#include "assay/conformance/backend_scenario.h"
#include "assay/conformance/backend_under_test.h"

namespace assay::conformance {

/// Assay's own backend as the suites see it. It claims everything. `options` are those that a case does not set itself
/// (the rings' sizes).
BackendSubject assay_backend_subject(std::string name = "assay", const BackendOptions& options = {});

/// The backend of a scenario whose subject is Assay's own, for behaviours that go beyond what every loop has: they need
/// Capability::kReference. Made at the first use, as BackendScenario::backend does.
Backend& reference_backend(BackendScenario& scenario, const BackendSettings& settings = {});

}  // namespace assay::conformance
