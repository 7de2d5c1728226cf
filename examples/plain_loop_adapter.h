#pragma once

#include "assay/conformance/backend_under_test.h"

namespace assay::examples {

/// PlainLoop as the conformance suites see it, with what it claims.
conformance::BackendSubject plain_loop_subject();

}  // namespace assay::examples
