#pragma once

#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "assay/backend/result.h"
#include "assay/faultinject/sweep.h"

namespace assay {

/// The report as JSON lines: one for the sweep, one a scenario, one a finding.
void write_sweep_json(const SweepReport& report, std::ostream& out);

/// Reads what write_sweep_json wrote. EINVAL with one line that names the line that is wrong.
Result<SweepReport> read_sweep_json(std::string_view text);

/// The reports of the shards of one sweep as one. EINVAL where they are not: other kernels or seeds, a shard that is
/// missing or there twice.
Result<SweepReport> merge_sweeps(std::vector<SweepReport> shards);

/// The report as JUnit XML: a test case a scenario, which fails where something was found.
void write_sweep_junit(const SweepReport& report, std::ostream& out);

/// The report for people: a line a scenario, then the findings, each with the line that replays it, then the sums.
void print_sweep(const SweepReport& report, std::ostream& out);

/// The command that runs one schedule again: "assay replay echo --kernel … --plan '…'".
std::string replay_line(const SweepReport& report, const SweepFinding& finding);

}  // namespace assay
