#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>

#include "assay/backend/result.h"

/// The subcommands of `assay`. Each function adds one to the program, with its options and help, and sets `run` to what
/// does the work when it was chosen. `run` returns the exit status.
namespace assay::cli {

inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitBadInput = 2;

using Run = std::function<int()>;

void add_probe_command(CLI::App& program, Run& run);
void add_profiles_command(CLI::App& program, Run& run);
void add_faults_command(CLI::App& program, Run& run);
void add_conformance_command(CLI::App& program, Run& run);
void add_sweep_command(CLI::App& program, Run& run);
void add_merge_sweeps_command(CLI::App& program, Run& run);
void add_replay_command(CLI::App& program, Run& run);
void add_specimens_command(CLI::App& program, Run& run);
void add_matrix_command(CLI::App& program, Run& run);
void add_report_command(CLI::App& program, Run& run);
void add_bench_command(CLI::App& program, Run& run);

/// Gives a subcommand the description that its own --help shows; the program's --help keeps the short one.
void describe(CLI::App& command, const std::string& description);

/// Prints the one line that an error is told by, and returns the exit status: 2 when a person's input was wrong, 1 when
/// something failed.
int report_error(const Error& error);

/// Why `io_uring_setup` said no, as far as the errno tells, to follow its error line; else empty.
std::string unavailable_hint(const Error& error);

}  // namespace assay::cli
