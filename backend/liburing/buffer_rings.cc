// Provided-buffer rings.

#include <sys/mman.h>

#include <cerrno>
#include <cstdint>

#include "assay/backend/liburing/exported.h"
#include "assay/backend/liburing/register.h"
#include "assay/backend/uapi.h"

namespace assay::liburing {

int register_buf_ring(io_uring* ring, io_uring_buf_reg* request, unsigned flags) noexcept {
  uapi::set_pbuf_flags(*request, static_cast<std::uint16_t>(uapi::pbuf_flags(*request) | flags));
  return register_on(*ring, IORING_REGISTER_PBUF_RING, request, 1);
}

int unregister_buf_ring(io_uring* ring, int group) noexcept {
  io_uring_buf_reg request{};
  request.bgid = static_cast<std::uint16_t>(group);
  return register_on(*ring, IORING_UNREGISTER_PBUF_RING, &request, 1);
}

int buf_ring_head(io_uring* ring, int group, std::uint16_t* head) noexcept {
  uapi::BufferStatus status{};
  status.buf_group = static_cast<std::uint32_t>(group);
  if (const int error = register_on(*ring, uapi::kRegisterPbufStatus, &status, 1); error != 0) return error;
  *head = static_cast<std::uint16_t>(status.head);
  return 0;
}

io_uring_buf_ring* setup_buf_ring(io_uring* ring, unsigned entries, int group, unsigned flags, int* error) noexcept {
  const std::size_t bytes = entries * sizeof(io_uring_buf);
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
  if (memory == MAP_FAILED) {
    *error = -errno;
    return nullptr;
  }
  io_uring_buf_reg request{};
  request.ring_addr = reinterpret_cast<std::uint64_t>(memory);
  request.ring_entries = entries;
  request.bgid = static_cast<std::uint16_t>(group);
  *error = register_buf_ring(ring, &request, flags);
  if (*error != 0) {
    ::munmap(memory, bytes);
    return nullptr;
  }
  auto* buffers = static_cast<io_uring_buf_ring*>(memory);
  io_uring_buf_ring_init(buffers);
  return buffers;
}

int free_buf_ring(io_uring* ring, io_uring_buf_ring* buffers, unsigned entries, int group) noexcept {
  if (const int error = unregister_buf_ring(ring, group); error != 0) return error;
  ::munmap(buffers, entries * sizeof(io_uring_buf));
  return 0;
}

}  // namespace assay::liburing
