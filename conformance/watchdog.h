#pragma once

#include <string>

namespace assay::conformance {

/// Ends the process, naming the test, when a test takes absurdly long. A wait on the running kernel that nothing will
/// ever end cannot be told from a slow one in any other way; a simulated kernel says -EDEADLK.
///
/// Uses SIGALRM and alarm(2), which tests must leave alone.
class Watchdog {
 public:
  static constexpr unsigned kLimitSeconds = 60;

  static void start(const std::string& test);
  static void stop();
};

}  // namespace assay::conformance
