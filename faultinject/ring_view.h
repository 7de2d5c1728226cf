#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "assay/backend/uapi.h"

namespace assay {

/// A ring's memory as seen by someone who stands between a program and its Kernel: known from what setup returned and
/// where map put it. Positions are the ABI's free-running 32-bit counters.
class RingView {
 public:
  RingView(int fd, const io_uring_params& params);

  int fd() const noexcept { return fd_; }
  unsigned setup_flags() const noexcept { return params_.flags; }
  unsigned features() const noexcept { return params_.features; }
  bool sqpoll() const noexcept { return (params_.flags & IORING_SETUP_SQPOLL) != 0; }

  /// True when SQEs can be read: they are mapped, and one position is one SQE at the place that the ABI says
  /// (not so with IORING_SETUP_SQE_MIXED and IORING_SETUP_SQ_REWIND).
  bool sq_visible() const noexcept;
  std::uint32_t sq_head() const noexcept;
  std::uint32_t sq_tail() const noexcept;
  /// Null when the index array points outside.
  io_uring_sqe* sqe_at(std::uint32_t position) const noexcept;

  bool cq_visible() const noexcept { return cq_ring_ != nullptr; }
  std::uint32_t cq_head() const noexcept;
  std::uint32_t cq_tail() const noexcept;
  std::uint32_t cq_entries() const noexcept { return params_.cq_entries; }
  io_uring_cqe* cqe_at(std::uint32_t position) const noexcept;

 private:
  friend class RingViews;

  template <typename T>
  T* at(void* ring, std::uint32_t offset) const noexcept {
    return reinterpret_cast<T*>(static_cast<std::byte*>(ring) + offset);
  }
  void mapped(std::uint64_t offset, void* address) noexcept;
  void unmapped(const void* address) noexcept;
  void resized(const io_uring_params& params) noexcept;
  void use_memory_of_user() noexcept;

  int fd_;
  io_uring_params params_;
  void* sq_ring_ = nullptr;
  void* cq_ring_ = nullptr;
  void* sqes_ = nullptr;
};

/// The rings of a Kernel, kept up to date by telling it of each call that succeeded. Safe for threads.
class RingViews {
 public:
  void was_set_up(int ring_fd, const io_uring_params& params);
  void was_mapped(int ring_fd, std::uint64_t offset, void* address);
  void was_unmapped(const void* address);
  /// `result` is what the call returned.
  void was_registered(int ring_fd, unsigned opcode, const void* arg, int result);
  void was_closed(int ring_fd);

  /// The ring, or null if it was not set up through this Kernel. `ring_fd` is an index of the calling thread's
  /// registered rings if `registered`.
  std::shared_ptr<RingView> find(int ring_fd, bool registered) const;

 private:
  mutable std::mutex mutex_;
  std::map<int, std::shared_ptr<RingView>> rings_;
  // Registered rings are per thread: (thread, index) to ring. With IORING_SETUP_REGISTERED_FD_ONLY there is no fd.
  std::map<std::pair<int, int>, std::shared_ptr<RingView>> registered_;
};

}  // namespace assay
