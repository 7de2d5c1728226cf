#include "assay/faultinject/live_control.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#define FIU_ENABLE  // without it the header turns every question into 0
#include <fiu.h>

#include <fiu-control.h>

namespace assay {

bool live_control_is_on() {
  static const bool on = [] {
    const char* value = std::getenv("ASSAY_FIU");
    return value != nullptr && std::string_view(value) == "1";
  }();
  return on;
}

void live_control_start() {
  static const bool started = [] {
    if (fiu_init(0) != 0) return false;
    // fiu-run's own pipes have the same name, and say so in the environment.
    if (!live_control_is_on() || std::getenv("FIU_CTRL_FIFO") != nullptr) return true;
    const char* folder = std::getenv("TMPDIR");
    const std::string path = std::string(folder != nullptr ? folder : "/tmp") + "/fiu-ctrl";
    if (fiu_rc_fifo(path.c_str()) != 0) {
      // Who set ASSAY_FIU=1 waits for this in vain, and the program below has no way to say it.
      std::fprintf(stderr, "assay: ASSAY_FIU=1, but the named pipes %s-%d.* cannot be opened\n", path.c_str(),
                   ::getpid());
    }
    return true;
  }();
  static_cast<void>(started);
}

std::uint64_t live_control_asks(const FaultPoint& point) {
  // The names are string literals, so they end with the null that C wants.
  const int failnum = fiu_fail(point.name.data());
  if (failnum == 0) return 0;
  // fiu_failinfo answers for the last point of this thread that failed.
  const auto failinfo = reinterpret_cast<std::uint64_t>(fiu_failinfo());
  return failinfo != 0 ? failinfo : static_cast<std::uint64_t>(failnum);
}

}  // namespace assay
