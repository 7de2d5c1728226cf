// Restrictions of a ring. Follows io_uring/register.c.

#include "assay/mocks/sim/registration/restrictions.h"

#include <cerrno>

#include "assay/mocks/profile.h"
#include "assay/mocks/sim/user_memory.h"

namespace assay::internal {

namespace {

constexpr unsigned kRestrictionKinds = 4;  // IORING_RESTRICTION_LAST

/// One more than the last of them: IORING_OP_LAST and the like.
unsigned end_of(const std::bitset<256>& known) {
  unsigned end = 0;
  for (unsigned value = 0; value < known.size(); ++value) {
    if (known[value]) end = value + 1;
  }
  return end;
}

}  // namespace

int Restrictions::parse(const Profile& profile, const void* arg, unsigned count) {
  const unsigned opcodes = end_of(profile.opcodes);
  const unsigned register_ops = end_of(profile.register_ops);
  if (arg == nullptr || count > kRestrictionKinds + opcodes + register_ops) return -EINVAL;
  if (count > 0 && !is_user_memory(arg, count * sizeof(io_uring_restriction))) return -EFAULT;

  Restrictions parsed;
  const UserArray<io_uring_restriction> entries(arg);
  for (unsigned index = 0; index < count; ++index) {
    io_uring_restriction entry;
    if (!entries.read(index, &entry)) return -EFAULT;
    switch (entry.opcode) {
      case IORING_RESTRICTION_REGISTER_OP:
        if (entry.register_op >= register_ops) return -EINVAL;
        parsed.register_ops_.set(entry.register_op);
        break;
      case IORING_RESTRICTION_SQE_OP:
        if (entry.sqe_op >= opcodes) return -EINVAL;
        parsed.sqe_ops_.set(entry.sqe_op);
        break;
      case IORING_RESTRICTION_SQE_FLAGS_ALLOWED:
        parsed.allowed_ = entry.sqe_flags;
        break;
      case IORING_RESTRICTION_SQE_FLAGS_REQUIRED:
        parsed.required_ = entry.sqe_flags;
        break;
      default:
        return -EINVAL;
    }
  }
  parsed.registered_ = true;
  *this = parsed;
  return 0;
}

}  // namespace assay::internal
