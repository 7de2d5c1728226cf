#pragma once

#include <cstdint>
#include <string>

#include "assay/backend/result.h"

namespace assay::bench {

/// What a path asked of the kernel while it did its rounds.
struct CallCounts {
  std::uint64_t operations = 0;
  std::uint64_t cqes = 0;
  /// System calls of all threads of the process.
  std::uint64_t calls = 0;
  /// Those of them that are io_uring_enter(2).
  std::uint64_t enters = 0;
};

/// Runs this program anew with `--rounds ROUNDS --only NAME` under ptrace(2), and counts the system calls that it makes
/// between begin_counted_part and end_counted_part. Nothing of it is timed. EPERM where this process may not trace.
Result<CallCounts> count_calls(const std::string& bench_name, std::uint64_t rounds);

/// In the program that is traced: what counts lies between these.
void begin_counted_part();
void end_counted_part(std::uint64_t operations, std::uint64_t cqes);

/// While it lives, nothing counts: a path does something that it does not measure. One system call at either end.
class Uncounted {
 public:
  Uncounted();
  Uncounted(const Uncounted&) = delete;
  Uncounted& operator=(const Uncounted&) = delete;
  ~Uncounted();
};

}  // namespace assay::bench
