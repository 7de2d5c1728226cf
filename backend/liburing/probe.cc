// Which opcodes the kernel has: io_uring_get_probe(3).

#include <cstdlib>

#include "assay/backend/liburing/exported.h"

namespace assay::liburing {

io_uring_probe* get_probe_ring(io_uring* ring) noexcept {
  constexpr unsigned kOpcodes = 256;
  // It is freed by free_probe, which programs before 2.0 did by free(3).
  auto* probe =
      static_cast<io_uring_probe*>(std::calloc(1, sizeof(io_uring_probe) + kOpcodes * sizeof(io_uring_probe_op)));
  if (probe == nullptr) return nullptr;
  if (register_probe(ring, probe, kOpcodes) >= 0) return probe;
  std::free(probe);
  return nullptr;
}

io_uring_probe* get_probe() noexcept {
  io_uring ring;
  if (queue_init(2, &ring, 0) < 0) return nullptr;
  io_uring_probe* probe = get_probe_ring(&ring);
  queue_exit(&ring);
  return probe;
}

void free_probe(io_uring_probe* probe) noexcept { std::free(probe); }

}  // namespace assay::liburing
