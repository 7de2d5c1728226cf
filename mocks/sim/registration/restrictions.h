#pragma once

#include <bitset>
#include <cstdint>

#include "assay/backend/uapi.h"

namespace assay {
struct Profile;
}

namespace assay::internal {

/// What a ring may be used for (IORING_REGISTER_RESTRICTIONS, 5.10). Registered while the ring is still disabled, in
/// force once it is enabled.
class Restrictions {
 public:
  /// Takes the caller's list, or nothing of it. 0 or a negative errno.
  int parse(const Profile& profile, const void* arg, unsigned count);
  bool registered() const { return registered_; }
  void enforce() { enforced_ = registered_; }

  bool forbids_registration(unsigned opcode) const { return enforced_ && !register_ops_[opcode & 0xff]; }
  bool forbids(const io_uring_sqe& sqe) const {
    if (!enforced_) return false;
    return !sqe_ops_[sqe.opcode] || (sqe.flags & required_) != required_ || (sqe.flags & ~(allowed_ | required_)) != 0;
  }

 private:
  bool registered_ = false;
  bool enforced_ = false;
  std::bitset<256> register_ops_;
  std::bitset<256> sqe_ops_;
  std::uint8_t allowed_ = 0;
  std::uint8_t required_ = 0;
};

}  // namespace assay::internal
