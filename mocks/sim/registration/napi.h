#pragma once

#include <cstdint>

namespace assay::internal {

/// How waits of a ring poll network devices (IORING_REGISTER_NAPI, 6.9). Sockets are the running kernel's here, so this
/// is remembered and told again, and nothing else.
struct NapiSettings {
  static constexpr std::uint32_t kDynamic = 0;
  static constexpr std::uint32_t kStatic = 1;
  static constexpr std::uint32_t kInactive = 255;

  std::uint32_t busy_poll_us = 0;
  bool prefer_busy_poll = false;
  /// How devices are found: IO_URING_NAPI_TRACKING_* (6.13).
  std::uint32_t tracking = kInactive;
};

}  // namespace assay::internal
