#pragma once

#include <cstdint>

#include "assay/faultinject/fault_points.h"

namespace assay {

/// libfiu as the live control: each fault point is a libfiu point of the same name, so that a running process can be
/// driven from outside (fiu-run(1), fiu-ctrl(1)) or by fiu_enable(3) in it. The points are the process's, not a
/// FaultKernel's, and which crossing fires is libfiu's own decision: sweeps use plans.
///
///     ASSAY_FIU=1 ./my-server &
///     fiu-ctrl -c 'enable_random name=assay/enter/eagain,probability=0.01' $!
///     fiu-ctrl -c 'enable name=assay/setup/errno,failnum=24' $!

/// Whether the environment turned it on: ASSAY_FIU=1, read once.
bool live_control_is_on();

/// Makes libfiu ready to be asked. May be called often. Where the environment turned it on, the process also opens the
/// named pipes by which fiu-ctrl finds it (unless fiu-run did so already).
void live_control_start();

/// Asks libfiu: 0 does not fire. Otherwise the errno or the size that the point wants: failinfo where it is set, else
/// failnum (which is 1 unless it was given).
std::uint64_t live_control_asks(const FaultPoint& point);

}  // namespace assay
