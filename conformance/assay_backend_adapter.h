#pragma once

#include <string>
#include <vector>

#include "assay/backend/backend.h"
#include "assay/conformance/backend_scenario.h"
#include "assay/conformance/backend_under_test.h"

namespace assay::conformance {

/// Sizes of the rings that a subject has whatever a case asks for; 0 leaves it to the case.
struct OwnSizes {
  unsigned sq = 0;
  unsigned cq = 0;
};

/// Assay's own backend as the suites see it. It claims everything. `options` are those that a case does not set itself
/// (the rings' sizes).
BackendSubject assay_backend_subject(std::string name = "assay", const BackendOptions& options = {},
                                     OwnSizes own_sizes = {});

/// The same backend under options that change its ways, combined so that each pair of them that can go together does in
/// one of these. Each claims what it can keep: a ring of two entries takes no chain of three.
std::vector<BackendSubject> assay_option_sets();

/// The backend of a scenario whose subject is Assay's own, for behaviours that go beyond what every loop has: they need
/// Capability::kReference. Made at the first use, as BackendScenario::backend does.
Backend& reference_backend(BackendScenario& scenario, const BackendSettings& settings = {});

}  // namespace assay::conformance
