// Rings come and go: io_uring_queue_init(3) and what belongs to it.

#include <sys/mman.h>

#include <cerrno>
#include <cstring>

#include "assay/backend/liburing/exported.h"
#include "assay/backend/liburing/process_kernel.h"
#include "assay/backend/liburing/ring_memory.h"
#include "assay/backend/liburing/state.h"

namespace assay::liburing {
namespace {

// One attempt, in memory of the caller's unless `memory` is null. The bytes used of it, 0, or a negative errno.
int init_ring(unsigned entries, io_uring& ring, io_uring_params& params, void* memory, std::size_t bytes) {
  ring = {};
  const bool brings_memory = (params.flags & uapi::kSetupNoMmap) != 0;
  const bool registered_only = (params.flags & uapi::kSetupRegisteredFdOnly) != 0;
  if (registered_only && !brings_memory) return -EINVAL;

  int used = 0;
  if (brings_memory) {
    used = allocate_rings(entries, params, ring.sq, ring.cq, memory, bytes);
    if (used < 0) return used;
  }
  const int fd = set_up_ring(entries, &params);
  if (fd < 0) {
    if (brings_memory && memory == nullptr) release_rings(ring.sq, ring.cq, false);
    return fd;
  }
  if (brings_memory) {
    fill_ring_pointers(params, ring.sq, ring.cq);
  } else if (const int error = map_rings(fd, params, ring.sq, ring.cq); error != 0) {
    close_ring(fd);
    return error;
  }
  fill_sq_array(params, ring.sq);
  ring.features = params.features;
  ring.flags = params.flags;
  ring.enter_ring_fd = fd;
  ring.ring_fd = registered_only ? -1 : fd;
  if (registered_only) ring.int_flags |= kRingRegistered | kRegisterByIndex;
  if (memory != nullptr) ring.int_flags |= kCallersMemory;
  if ((params.flags & (IORING_SETUP_IOPOLL | IORING_SETUP_SQPOLL)) == IORING_SETUP_IOPOLL) {
    ring.int_flags |= kPollsByEntering;
  }
  return used;
}

// Since 2.6 a ring goes without the index array where the kernel (6.6) can do without.
int init_ring_without_array(unsigned entries, io_uring& ring, io_uring_params& params, void* memory,
                            std::size_t bytes) {
  const std::uint32_t asked = params.flags;
  params.flags |= uapi::kSetupNoSqarray;
  const int result = init_ring(entries, ring, params, memory, bytes);
  if (result != -EINVAL || (asked & uapi::kSetupNoSqarray) != 0) return result;
  params.flags = asked;
  return init_ring(entries, ring, params, memory, bytes);
}

int keep_from_children(void* address, std::size_t bytes) {
  return ::madvise(address, bytes, MADV_DONTFORK) == 0 ? 0 : -errno;
}

}  // namespace

int queue_init(unsigned entries, io_uring* ring, unsigned flags) noexcept {
  io_uring_params params{};
  params.flags = flags;
  return queue_init_params(entries, ring, &params);
}

int queue_init_params(unsigned entries, io_uring* ring, io_uring_params* params) noexcept {
  const int result = init_ring_without_array(entries, *ring, *params, nullptr, 0);
  return result < 0 ? result : 0;
}

int queue_init_mem(unsigned entries, io_uring* ring, io_uring_params* params, void* memory,
                   std::size_t bytes) noexcept {
  params->flags |= uapi::kSetupNoMmap;
  return init_ring_without_array(entries, *ring, *params, memory, bytes);
}

int queue_mmap(int fd, io_uring_params* params, io_uring* ring) noexcept {
  *ring = {};
  if (const int error = map_rings(fd, *params, ring->sq, ring->cq); error != 0) return error;
  ring->flags = params->flags;
  ring->features = params->features;
  ring->ring_fd = ring->enter_ring_fd = fd;
  return 0;
}

void queue_exit(io_uring* ring) noexcept {
  if ((ring->int_flags & kCallersMemory) == 0) {
    release_rings(ring->sq, ring->cq, (ring->flags & uapi::kSetupNoMmap) == 0);
  }
  // The thread's table of registered rings would hold the ring until the thread ends.
  if ((ring->int_flags & kRingRegistered) != 0) unregister_ring_fd(ring);
  if (ring->ring_fd != -1) close_ring(ring->ring_fd);
}

int ring_dontfork(io_uring* ring) noexcept {
  const io_uring_sq& sq = ring->sq;
  const io_uring_cq& cq = ring->cq;
  if (sq.ring_ptr == nullptr || sq.sqes == nullptr || cq.ring_ptr == nullptr) return -EINVAL;
  const std::size_t sqes_bytes = (std::size_t{sq.ring_entries} << sqe_shift_of(ring->flags)) * sizeof(io_uring_sqe);
  int error = keep_from_children(sq.sqes, sqes_bytes);
  if (error == 0) error = keep_from_children(sq.ring_ptr, sq.ring_sz);
  if (error == 0 && cq.ring_ptr != sq.ring_ptr) error = keep_from_children(cq.ring_ptr, cq.ring_sz);
  return error;
}

int close_ring_fd(io_uring* ring) noexcept {
  if ((ring->features & uapi::kFeatRegRegRing) == 0) return -EOPNOTSUPP;
  if ((ring->int_flags & kRingRegistered) == 0) return -EINVAL;
  if (ring->ring_fd == -1) return -EBADF;
  close_ring(ring->ring_fd);
  ring->ring_fd = -1;
  return 1;
}

int resize_rings(io_uring* ring, io_uring_params* params) noexcept {
  if ((ring->flags & uapi::kSetupNoMmap) != 0) return -EINVAL;
  std::memset(&params->sq_off, 0, sizeof params->sq_off);
  std::memset(&params->cq_off, 0, sizeof params->cq_off);
  int result = process_kernel().register_op(ring->ring_fd, uapi::kRegisterResizeRings, params, 1);
  io_uring_sq sq{};
  io_uring_cq cq{};
  if (result >= 0) result = map_rings(ring->ring_fd, *params, sq, cq);
  if (result >= 0) {
    // The kernel carried over what was in the rings; the indices go on where they were.
    sq.sqe_head = ring->sq.sqe_head;
    sq.sqe_tail = ring->sq.sqe_tail;
    release_rings(ring->sq, ring->cq, true);
    ring->sq = sq;
    ring->cq = cq;
    fill_sq_array(*params, ring->sq);
  }
  params->flags = 0;
  return result;
}

ssize_t memory_size_params(unsigned entries, io_uring_params* params) noexcept { return ring_bytes(entries, *params); }

ssize_t memory_size(unsigned entries, unsigned flags) noexcept {
  io_uring_params params{};
  params.flags = flags;
  return ring_bytes(entries, params);
}

ssize_t mlock_size_params(unsigned entries, io_uring_params* params) noexcept {
  // Only the kernel knows whether it counts ring memory as locked; it no longer does since 5.12.
  io_uring_params plain{};
  io_uring ring;
  if (queue_init_params(entries, &ring, &plain) == 0) queue_exit(&ring);
  if ((plain.features & IORING_FEAT_NATIVE_WORKERS) != 0) return 0;
  return ring_bytes(entries, *params);
}

ssize_t mlock_size(unsigned entries, unsigned flags) noexcept {
  io_uring_params params{};
  params.flags = flags;
  return mlock_size_params(entries, &params);
}

}  // namespace assay::liburing
