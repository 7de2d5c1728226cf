#pragma once

#include <cstdint>

namespace assay::internal {

struct Request;

/// What FUTEX_WAKE looks for.
struct FutexWake {
  std::uint64_t address;
  /// Private and shared futexes of one address are two.
  bool is_private;
  std::uint32_t mask;
  int count;
};

/// Which of its futexes `wake` wakes this request by, or -1.
int find_waiter(const Request& request, const FutexWake& wake);

}  // namespace assay::internal
