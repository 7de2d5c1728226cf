#include "assay/conformance/buffer_table_actions.h"

#include "assay/conformance/ring_actions.h"

namespace assay::conformance {

iovec part_of(char* from, std::size_t bytes) { return {.iov_base = from, .iov_len = bytes}; }

void register_buffer(Ring& ring, char* memory, std::size_t bytes) {
  const iovec buffer = part_of(memory, bytes);
  if (const int error = ring.register_buffers({&buffer, 1}); error != 0) {
    ADD_FAILURE() << "registering a buffer gave " << error;
    throw BodyEnded();
  }
}

int read_fixed(Ring& ring, int fd, char* to, unsigned bytes, int index) {
  io_uring_prep_read_fixed(&next_sqe(ring), fd, to, bytes, 0, index);
  return run_one(ring).res;
}

int register_tagged(Ring& ring, const std::vector<iovec>& buffers, const std::vector<std::uint64_t>& tags) {
  io_uring_rsrc_register request{};
  request.nr = static_cast<std::uint32_t>(buffers.size());
  request.data = reinterpret_cast<std::uint64_t>(buffers.data());
  request.tags = reinterpret_cast<std::uint64_t>(tags.data());
  return ring.register_op(IORING_REGISTER_BUFFERS2, &request, sizeof request);
}

int update_buffers(Ring& ring, std::uint32_t offset, const std::vector<iovec>& buffers,
                   const std::vector<std::uint64_t>& tags) {
  io_uring_rsrc_update2 request{};
  request.offset = offset;
  request.nr = static_cast<std::uint32_t>(buffers.size());
  request.data = reinterpret_cast<std::uint64_t>(buffers.data());
  if (!tags.empty()) request.tags = reinterpret_cast<std::uint64_t>(tags.data());
  return ring.register_op(IORING_REGISTER_BUFFERS_UPDATE, &request, sizeof request);
}

}  // namespace assay::conformance
