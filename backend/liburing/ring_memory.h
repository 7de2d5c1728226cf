#pragma once

#include <sys/types.h>
#include <cstddef>

#include <liburing.h>

/// Where a ring's memory comes from: mapped from the kernel, or brought to it (IORING_SETUP_NO_MMAP, 6.5).
namespace assay::liburing {

/// Maps the rings and SQEs of the ring `fd` and fills `sq` and `cq`. 0 or a negative errno, with nothing left mapped.
int map_rings(int fd, const io_uring_params& params, io_uring_sq& sq, io_uring_cq& cq);

/// Gives back what map_rings or allocate_rings got.
void release_rings(io_uring_sq& sq, io_uring_cq& cq, bool mapped);

/// Lays the rings out in `memory`, or in memory that it allocates if that is null, and tells `params` where. The bytes
/// used of it, or a negative errno.
int allocate_rings(unsigned entries, io_uring_params& params, io_uring_sq& sq, io_uring_cq& cq, void* memory,
                   std::size_t bytes);

/// Fills the pointers of `sq` and `cq` once the kernel has said where things are.
void fill_ring_pointers(const io_uring_params& params, io_uring_sq& sq, io_uring_cq& cq);

/// SQEs are used in ring order, so the index array, where there is one, is the identity once and for all.
void fill_sq_array(const io_uring_params& params, io_uring_sq& sq);

/// The bytes of kernel memory that such a ring takes, in whole pages, or -EINVAL.
ssize_t ring_bytes(unsigned entries, const io_uring_params& params);

}  // namespace assay::liburing
