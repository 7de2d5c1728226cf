#pragma once

#include <string>

#include "assay/backend/backend_options.h"
#include "assay/conformance/backend_under_test.h"

namespace assay::conformance {

/// Assay's own backend as the suites see it. It claims everything. `options` are those that a case does not set itself
/// (the rings' sizes).
BackendSubject assay_backend_subject(std::string name = "assay", const BackendOptions& options = {});

}  // namespace assay::conformance
