// Reads and writes whose memory is a registered buffer: READ_FIXED, WRITE_FIXED, and with a vector READV_FIXED and
// WRITEV_FIXED (6.15). Follows io_uring/rw.c and io_import_fixed in io_uring/rsrc.c.
//
// An index that names no buffer, and memory that does not lie in the buffer, are -EFAULT. Kernels differ in when they
// look: before 5.19 and since 6.15 when the request runs; in between at submission for the index, and since 6.10 for
// the range too. What is refused at submission also ends the batch.

#include <cerrno>
#include <climits>

#include "assay/mocks/sim/operations/registered_buffers.h"
#include "assay/mocks/sim/ring.h"
#include "assay/mocks/sim/user_memory.h"

namespace assay::internal {

namespace {

int find_buffer(SimRing& ring, Request& request) {
  if (!request.registered_buffer) request.registered_buffer = ring.registered_buffer(request.sqe().buf_index);
  return request.registered_buffer ? 0 : -EFAULT;
}

int check_range(const Request& request) {
  for (const iovec& part : request.buffers) {
    // A vector with an empty part is refused; a single buffer may be empty.
    if (part.iov_len == 0 && is_registered_vector(request)) return -EFAULT;
    if (!request.registered_buffer->contains(reinterpret_cast<std::uint64_t>(part.iov_base), part.iov_len)) {
      return -EFAULT;
    }
  }
  return 0;
}

}  // namespace

bool is_registered_vector(const Request& request) {
  return request.opcode() == uapi::kOpReadvFixed || request.opcode() == uapi::kOpWritevFixed;
}

bool uses_registered_buffer(const Request& request) {
  return request.opcode() == IORING_OP_READ_FIXED || request.opcode() == IORING_OP_WRITE_FIXED ||
         is_registered_vector(request);
}

int prepare_registered_buffer(SimRing& ring, Request& request) {
  const io_uring_sqe& sqe = request.sqe();
  request.buffers.assign(1, {reinterpret_cast<void*>(sqe.addr), sqe.len});
  request.total_bytes = sqe.len;
  SimWorld& world = ring.world();
  if (!world.is_since(5, 19) || world.is_since(6, 15)) return 0;
  if (sqe.buf_index >= ring.registered_buffers()) return -EFAULT;
  request.registered_buffer = ring.registered_buffer(sqe.buf_index);
  if (!world.is_since(6, 10)) return 0;
  return request.registered_buffer ? check_range(request) : -EFAULT;
}

int use_registered_buffer(SimRing& ring, Request& request) {
  const int error = find_buffer(ring, request);
  return error != 0 ? error : check_range(request);
}

}  // namespace assay::internal
