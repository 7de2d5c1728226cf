#pragma once

#include <sys/mman.h>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "assay/bench/setup.h"

namespace assay::bench {

/// A ring of provided buffers, of group 0, that requests pick from. All are there at first.
class BufferRing {
 public:
  /// `R` is LiburingRing or AssayRing; `count` is a power of two.
  template <typename R>
  BufferRing(R& ring, unsigned count, std::size_t bytes)
      : count_(count), bytes_(bytes), memory_(map(all_bytes()), Unmap{all_bytes()}) {
    io_uring_buf_reg request{};
    request.ring_addr = reinterpret_cast<std::uintptr_t>(memory_.get());
    request.ring_entries = count;
    if (const int result = ring.register_buffer_ring(request); result < 0) give_up("registering a buffer ring", result);
    for (unsigned id = 0; id < count; ++id) give_back(id);
    publish();
  }

  static unsigned id_of(unsigned cqe_flags) noexcept { return cqe_flags >> IORING_CQE_BUFFER_SHIFT; }
  char* data(unsigned id) noexcept {
    return reinterpret_cast<char*>(memory_.get()) + count_ * sizeof(io_uring_buf) + id * bytes_;
  }
  void give_back(unsigned id) {
    io_uring_buf_ring_add(memory_.get(), data(id), static_cast<unsigned>(bytes_), static_cast<unsigned short>(id),
                          static_cast<int>(count_ - 1), given_back_++);
  }
  /// Shows the kernel those that were given back since.
  void publish() { io_uring_buf_ring_advance(memory_.get(), std::exchange(given_back_, 0)); }

 private:
  struct Unmap {
    std::size_t bytes;
    void operator()(io_uring_buf_ring* memory) const { ::munmap(memory, bytes); }
  };

  static io_uring_buf_ring* map(std::size_t bytes) {
    void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) give_up("mmap", errno);
    return static_cast<io_uring_buf_ring*>(memory);
  }
  std::size_t all_bytes() const noexcept { return count_ * (sizeof(io_uring_buf) + bytes_); }

  unsigned count_;
  std::size_t bytes_;
  std::unique_ptr<io_uring_buf_ring, Unmap> memory_;
  int given_back_ = 0;
};

}  // namespace assay::bench
