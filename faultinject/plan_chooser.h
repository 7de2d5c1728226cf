#pragma once

#include <cstdint>
#include <memory>

#include "assay/faultinject/fault_schedule.h"
#include "assay/mocks/chooser.h"

namespace assay {

/// The completion faults of a plan, as the Chooser of a SimKernel. What no rule decides goes to a SeededChooser.
class PlanChooser final : public Chooser {
 public:
  PlanChooser(std::shared_ptr<FaultSchedule> schedule, std::uint64_t seed);

  std::uint64_t choose(const Choice& choice) override;

 private:
  std::shared_ptr<FaultSchedule> schedule_;
  SeededChooser rest_;
};

}  // namespace assay
