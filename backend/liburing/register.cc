// Registrations that are about the ring itself.

#include "assay/backend/liburing/register.h"

#include <cerrno>

#include "assay/backend/liburing/exported.h"
#include "assay/backend/liburing/process_kernel.h"
#include "assay/backend/liburing/state.h"

namespace assay::liburing {

int register_on(const io_uring& ring, unsigned opcode, const void* arg, unsigned nr_args) {
  int fd = ring.ring_fd;
  if ((ring.int_flags & kRegisterByIndex) != 0) {
    opcode |= uapi::kRegisterUseRegisteredRing;
    fd = ring.enter_ring_fd;
  }
  return process_kernel().register_op(fd, opcode, const_cast<void*>(arg), nr_args);
}

int register_ring_fd(io_uring* ring) noexcept {
  if ((ring->int_flags & kRingRegistered) != 0) return -EEXIST;
  io_uring_rsrc_update update{};
  update.data = static_cast<std::uint64_t>(ring->ring_fd);
  update.offset = ~0u;  // any free index
  const int result = register_on(*ring, IORING_REGISTER_RING_FDS, &update, 1);
  if (result != 1) return result;
  ring->enter_ring_fd = static_cast<int>(update.offset);
  ring->int_flags |= kRingRegistered;
  if ((ring->features & uapi::kFeatRegRegRing) != 0) ring->int_flags |= kRegisterByIndex;
  return result;
}

int unregister_ring_fd(io_uring* ring) noexcept {
  if ((ring->int_flags & kRingRegistered) == 0) return -EINVAL;
  io_uring_rsrc_update update{};
  update.offset = static_cast<unsigned>(ring->enter_ring_fd);
  const int result = register_on(*ring, IORING_UNREGISTER_RING_FDS, &update, 1);
  if (result != 1) return result;
  ring->enter_ring_fd = ring->ring_fd;
  ring->int_flags &= static_cast<std::uint8_t>(~(kRingRegistered | kRegisterByIndex));
  return result;
}

int set_iowait(io_uring* ring, bool enable) noexcept {
  if ((ring->features & uapi::kFeatNoIowait) == 0) return -EOPNOTSUPP;
  if (enable) {
    ring->int_flags &= static_cast<std::uint8_t>(~kNoIowait);
  } else {
    ring->int_flags |= kNoIowait;
  }
  return 0;
}

int enable_rings(io_uring* ring) noexcept { return register_on(*ring, IORING_REGISTER_ENABLE_RINGS, nullptr, 0); }

int register_restrictions(io_uring* ring, io_uring_restriction* restrictions, unsigned count) noexcept {
  return register_on(*ring, IORING_REGISTER_RESTRICTIONS, restrictions, count);
}

int register_probe(io_uring* ring, io_uring_probe* probe, unsigned ops) noexcept {
  return register_on(*ring, IORING_REGISTER_PROBE, probe, ops);
}

int register_eventfd(io_uring* ring, int fd) noexcept { return register_on(*ring, IORING_REGISTER_EVENTFD, &fd, 1); }

int register_eventfd_async(io_uring* ring, int fd) noexcept {
  return register_on(*ring, IORING_REGISTER_EVENTFD_ASYNC, &fd, 1);
}

int unregister_eventfd(io_uring* ring) noexcept { return register_on(*ring, IORING_UNREGISTER_EVENTFD, nullptr, 0); }

int register_personality(io_uring* ring) noexcept {
  return register_on(*ring, IORING_REGISTER_PERSONALITY, nullptr, 0);
}

int unregister_personality(io_uring* ring, int id) noexcept {
  return register_on(*ring, IORING_UNREGISTER_PERSONALITY, nullptr, static_cast<unsigned>(id));
}

int register_iowq_aff(io_uring* ring, std::size_t bytes, const cpu_set_t* cpus) noexcept {
  if (bytes >= (std::size_t{1} << 31)) return -EINVAL;
  return register_on(*ring, IORING_REGISTER_IOWQ_AFF, cpus, static_cast<unsigned>(bytes));
}

int unregister_iowq_aff(io_uring* ring) noexcept { return register_on(*ring, IORING_UNREGISTER_IOWQ_AFF, nullptr, 0); }

int register_iowq_max_workers(io_uring* ring, unsigned* values) noexcept {
  return register_on(*ring, IORING_REGISTER_IOWQ_MAX_WORKERS, values, 2);
}

int register_sync_cancel(io_uring* ring, io_uring_sync_cancel_reg* request) noexcept {
  return register_on(*ring, IORING_REGISTER_SYNC_CANCEL, request, 1);
}

int register_napi(io_uring* ring, void* napi) noexcept { return register_on(*ring, uapi::kRegisterNapi, napi, 1); }

int unregister_napi(io_uring* ring, void* napi) noexcept { return register_on(*ring, uapi::kUnregisterNapi, napi, 1); }

int register_clock(io_uring* ring, void* clock) noexcept { return register_on(*ring, uapi::kRegisterClock, clock, 0); }

int register_region(io_uring* ring, void* region) noexcept {
  return register_on(*ring, uapi::kRegisterMemRegion, region, 1);
}

// What 2.9 did here became register_region; liburing refuses it since.
int register_wait_reg(io_uring*, void*, int) noexcept { return -EINVAL; }

int register_ifq(io_uring* ring, void* queue) noexcept { return register_on(*ring, uapi::kRegisterZcrxIfq, queue, 1); }

int register_zcrx_ctrl(io_uring* ring, void* control) noexcept {
  return register_on(*ring, uapi::kRegisterZcrxCtrl, control, 0);
}

int register_bpf_filter(io_uring* ring, void* filter) noexcept {
  return register_on(*ring, uapi::kRegisterBpfFilter, filter, 1);
}

// Without a ring: about the thread, or the kernel.

int register_bpf_filter_task(void* filter) noexcept {
  return process_kernel().register_op(-1, uapi::kRegisterBpfFilter, filter, 1);
}

int register_query(void* query) noexcept { return process_kernel().register_op(-1, uapi::kRegisterQuery, query, 0); }

int register_sync_msg(io_uring_sqe* sqe) noexcept {
  return process_kernel().register_op(-1, uapi::kRegisterSendMsgRing, sqe, 1);
}

}  // namespace assay::liburing
