#pragma once

#include <cstdint>

#include <liburing.h>

#include "assay/backend/uapi.h"

/// What the drop-in keeps in `io_uring::int_flags`, the only place it has: the structure is the caller's, who may copy
/// it, and nothing else is kept about a ring. Two of the bits are flags of enter, so that they can be passed on.
namespace assay::liburing {

/// `enter_ring_fd` is an index from IORING_REGISTER_RING_FDS.
inline constexpr std::uint8_t kRingRegistered = IORING_ENTER_REGISTERED_RING;
/// The kernel is told that waits are no I/O waits.
inline constexpr std::uint8_t kNoIowait = uapi::kEnterNoIowait;
/// io_uring_register takes that index too.
inline constexpr std::uint8_t kRegisterByIndex = 1;
/// The rings are in memory of the caller's.
inline constexpr std::uint8_t kCallersMemory = 2;
/// Completions are found by entering only: IOPOLL without a poll thread.
inline constexpr std::uint8_t kPollsByEntering = 4;

inline unsigned enter_flags_of(const io_uring& ring) { return ring.int_flags & (kRingRegistered | kNoIowait); }

inline unsigned sqe_shift_of(std::uint32_t setup_flags) { return (setup_flags & IORING_SETUP_SQE128) != 0 ? 1 : 0; }
inline unsigned cqe_shift_of(std::uint32_t setup_flags) { return (setup_flags & IORING_SETUP_CQE32) != 0 ? 1 : 0; }

/// How many bytes of SQEs are mapped: io_uring_sq::sqes_sz since 2.14, and padding before.
inline void set_sqes_bytes(io_uring_sq& sq, std::uint32_t bytes) {
  __builtin_memcpy(reinterpret_cast<char*>(&sq) + sizeof(sq) - 8, &bytes, sizeof bytes);
}
inline std::uint32_t sqes_bytes_of(const io_uring_sq& sq) {
  std::uint32_t bytes;
  __builtin_memcpy(&bytes, reinterpret_cast<const char*>(&sq) + sizeof(sq) - 8, sizeof bytes);
  return bytes;
}

}  // namespace assay::liburing
