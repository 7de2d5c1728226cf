#include "assay/faultinject/live_control.h"

#include <cstdlib>
#include <string_view>

#define FIU_ENABLE  // without it the header turns every question into 0
#include <fiu.h>

namespace assay {

bool live_control_is_on() {
  static const bool on = [] {
    const char* value = std::getenv("ASSAY_FIU");
    return value != nullptr && std::string_view(value) == "1";
  }();
  return on;
}

void live_control_start() {
  static const int started = fiu_init(0);
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
