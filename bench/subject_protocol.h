#pragma once

#include <cstdint>

namespace assay::bench {

/// What passes between assay-bench and the programs that it has beside it: a packet each way, of one machine, so these
/// are their bytes. A program is started as `NAME nop|read plain|deferred`, with the socket as its standard input and,
/// for reads, a BlockFile as descriptor kSubjectFile. It answers once when it is ready, and then each order; it ends
/// when the socket does.
struct SubjectOrder {
  std::uint32_t batch = 0;
  std::uint64_t rounds = 0;
};

struct SubjectAnswer {
  /// What others had of its CPU is taken off (interference.h).
  std::uint64_t nanoseconds = 0;
  std::uint64_t operations = 0;
  /// What went wrong, and its errno, which is otherwise 0. It ends after that.
  std::int32_t error = 0;
  char what[108] = {};
};

inline constexpr int kSubjectFile = 3;
inline constexpr std::uint32_t kSubjectMaxBatch = 128;

}  // namespace assay::bench
