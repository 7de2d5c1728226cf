#pragma once

#include <cstdint>
#include <vector>

#include "assay/backend/uapi.h"

namespace assay {

/// Changes of an SQE on its way into a kernel that make it end as a fault would have ended it. Each is truthful:
/// result, buffer and file position agree, since the kernel itself carries the changed request out.

/// How many bytes the request would transfer at most, if it may legally transfer fewer; 0 if it may not, or if it
/// cannot be told. It may not where a successor or another agreement depends on the whole: linked to either side,
/// CQE_SKIP_SUCCESS, MSG_WAITALL, provided buffers, RWF_ATOMIC, datagrams, writes to a pipe of up to PIPE_BUF, devices
/// that transfer whole records. `linked_before` tells that the SQE before it links to this one.
std::uint64_t shortenable_bytes(const io_uring_sqe& sqe, bool linked_before);

/// Makes the request transfer `bytes` at most, 1 … shortenable_bytes - 1; under O_DIRECT the nearest length below that
/// the device can take, at least one page. `iovecs` must outlive the submission: the vector that a READV or WRITEV then
/// points to.
void shorten(io_uring_sqe& sqe, std::uint64_t bytes, std::vector<iovec>& iovecs);

/// READV and WRITEV.
bool is_vectored(const io_uring_sqe& sqe);

/// Whether a request of this opcode can be replaced by one that fails: all but LINK_TIMEOUT, which is part of another.
bool can_fail(const io_uring_sqe& sqe);
/// Turns the request into a NOP that ends with -error. Since Linux 6.10 (IORING_NOP_INJECT_RESULT).
void fail_with(io_uring_sqe& sqe, int error);

/// Turns the request into one whose opcode no kernel knows, so that it ends with -EINVAL as an unknown one does.
void make_unknown(io_uring_sqe& sqe);

}  // namespace assay
