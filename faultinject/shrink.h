#pragma once

#include <functional>

#include "assay/faultinject/fault_plan.h"

namespace assay::internal {

/// The smallest plan that is found to do what `plan` does, as `does` tells of a plan: fewer rules, then simpler ones.
/// Asks some dozen times at most.
FaultPlan shrink(FaultPlan plan, const std::function<bool(const FaultPlan&)>& does);

}  // namespace assay::internal
