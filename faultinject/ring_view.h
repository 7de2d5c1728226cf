#pragma once

#include <unistd.h>
#include <concepts>
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
  RingView(int fd, const io_uring_params& params) noexcept;

  int fd() const noexcept { return fd_; }
  unsigned setup_flags() const noexcept { return params_.flags; }
  /// As the Kernel announced them.
  unsigned features() const noexcept { return params_.features; }
  bool sqpoll() const noexcept { return (params_.flags & IORING_SETUP_SQPOLL) != 0; }

  /// True when SQEs can be read: they are mapped, and one position is one SQE at the place that the ABI says
  /// (not so with IORING_SETUP_SQE_MIXED and IORING_SETUP_SQ_REWIND).
  bool sq_visible() const noexcept;
  std::uint32_t sq_head() const noexcept;
  std::uint32_t sq_tail() const noexcept;
  /// IORING_SQ_*.
  std::uint32_t sq_flags() const noexcept;
  /// Null when the index array points outside.
  io_uring_sqe* sqe_at(std::uint32_t position) const noexcept;

  bool cq_visible() const noexcept { return cq_ring_ != nullptr; }
  std::uint32_t cq_head() const noexcept;
  std::uint32_t cq_tail() const noexcept;
  std::uint32_t sq_entries() const noexcept { return params_.sq_entries; }
  std::uint32_t cq_entries() const noexcept { return params_.cq_entries; }
  /// Completions that the kernel dropped.
  std::uint32_t cq_overflow() const noexcept;
  /// Completions that the program has not yet given back.
  std::uint32_t cq_ready() const noexcept { return cq_tail() - cq_head(); }
  const io_uring_cqe* cqe_at(std::uint32_t position) const noexcept;

  /// Whether its rings were mapped there.
  bool lies_in(const void* address) const noexcept { return address == sq_ring_ || address == cq_ring_; }

  // Told by RingViews.
  void mapped(std::uint64_t offset, void* address) noexcept;
  void unmapped(const void* address) noexcept;
  void resized(const io_uring_params& params) noexcept;

 private:
  std::uint32_t load(void* ring, std::uint32_t offset) const noexcept;

  int fd_;
  io_uring_params params_;
  void* sq_ring_ = nullptr;
  void* cq_ring_ = nullptr;
  void* sqes_ = nullptr;
};

/// The rings of a Kernel, kept up to date by telling it of each call that succeeded. `View` is a RingView with what
/// else its user wants to keep for each ring. Safe for threads.
template <std::derived_from<RingView> View = RingView>
class RingViews {
 public:
  std::shared_ptr<View> was_set_up(int ring_fd, const io_uring_params& params) {
    auto view = std::make_shared<View>(ring_fd, params);
    const std::lock_guard lock(mutex_);
    // What setup returns with REGISTERED_FD_ONLY is an index, and there is no fd.
    const bool index_only = (params.flags & uapi::kSetupRegisteredFdOnly) != 0;
    if (index_only) {
      registered_[{::gettid(), ring_fd}] = view;
    } else {
      rings_[ring_fd] = view;
    }
    return view;
  }

  void was_mapped(int ring_fd, std::uint64_t offset, void* address) {
    const std::lock_guard lock(mutex_);
    if (const auto ring = rings_.find(ring_fd); ring != rings_.end()) ring->second->mapped(offset, address);
  }

  void was_unmapped(const void* address) {
    const std::lock_guard lock(mutex_);
    for (auto& [fd, ring] : rings_) ring->unmapped(address);
    // A registration keeps a ring alive beyond its fd.
    for (auto& [index, ring] : registered_) ring->unmapped(address);
  }

  void was_closed(int ring_fd) {
    const std::lock_guard lock(mutex_);
    rings_.erase(ring_fd);
  }

  /// `result` is what the call returned.
  void was_registered(int ring_fd, unsigned opcode, const void* arg, unsigned nr_args, int result) {
    if (result < 0 || arg == nullptr) return;
    const bool by_index = (opcode & uapi::kRegisterUseRegisteredRing) != 0;
    switch (opcode & ~uapi::kRegisterUseRegisteredRing) {
      case IORING_REGISTER_RING_FDS: {
        const auto* updates = static_cast<const io_uring_rsrc_update*>(arg);
        const std::lock_guard lock(mutex_);
        for (int i = 0; i < result; ++i) {
          const auto ring = rings_.find(static_cast<int>(updates[i].data));
          if (ring == rings_.end()) continue;
          registered_[{::gettid(), static_cast<int>(updates[i].offset)}] = ring->second;
        }
        break;
      }
      case IORING_UNREGISTER_RING_FDS: {
        const auto* updates = static_cast<const io_uring_rsrc_update*>(arg);
        const std::lock_guard lock(mutex_);
        for (unsigned i = 0; i < nr_args && static_cast<int>(i) < result; ++i) {
          registered_.erase({::gettid(), static_cast<int>(updates[i].offset)});
        }
        break;
      }
      case uapi::kRegisterResizeRings: {
        if (const auto ring = find(ring_fd, by_index)) ring->resized(*static_cast<const io_uring_params*>(arg));
        break;
      }
      default:
        break;
    }
  }

  /// The ring, or null if it was not set up through this Kernel. `ring_fd` is an index of the calling thread's
  /// registered rings if `registered`.
  std::shared_ptr<View> find(int ring_fd, bool registered) const {
    const std::lock_guard lock(mutex_);
    if (registered) {
      const auto ring = registered_.find({::gettid(), ring_fd});
      return ring != registered_.end() ? ring->second : nullptr;
    }
    const auto ring = rings_.find(ring_fd);
    return ring != rings_.end() ? ring->second : nullptr;
  }

 private:
  mutable std::mutex mutex_;
  std::map<int, std::shared_ptr<View>> rings_;
  // Registered rings are per thread: (thread, index) to ring.
  std::map<std::pair<int, int>, std::shared_ptr<View>> registered_;
};

}  // namespace assay
