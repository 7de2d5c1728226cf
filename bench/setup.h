#pragma once

#include <cerrno>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include <liburing.h>

#include "assay/backend/backend.h"
#include "assay/backend/linux_kernel.h"

namespace assay::bench {

/// How the rings of one row are set up, whoever's they are.
struct RingChoice {
  /// IORING_SETUP_*.
  unsigned flags = 0;
  bool register_ring_fd = false;
};

/// Completions are posted as the kernel pleases.
inline constexpr RingChoice kPlainRing{};
/// The fastest that kernels from 6.1 offer: completions are processed when they are asked for.
inline constexpr RingChoice kDeferredRing{.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
                                          .register_ring_fd = true};

/// How long a poll thread spins before it sleeps: longer than a repetition lasts.
inline constexpr unsigned kSqThreadIdleMs = 2000;

/// A benchmark that measures something else than it says is worse than none: says so, keeps what was measured before
/// (the runner has set that up) and ends the program with status 1.
[[noreturn]] void give_up(const std::string& what, int error);
/// The same, for where instructions are counted: no string is made where nothing goes wrong, nor room for one.
[[noreturn, gnu::cold]] void give_up(const char* what, int error);

/// A ring of liburing's own.
class LiburingRing {
 public:
  /// Why this kernel has no such ring, or nothing. `what` names the ring in that line.
  static Result<std::unique_ptr<LiburingRing>> create(unsigned sq_entries, unsigned cq_entries,
                                                      const RingChoice& choice) {
    std::unique_ptr<LiburingRing> ring(new LiburingRing);
    io_uring_params params{};
    params.flags = choice.flags | IORING_SETUP_CQSIZE;
    params.cq_entries = cq_entries;
    if ((choice.flags & IORING_SETUP_SQPOLL) != 0) params.sq_thread_idle = kSqThreadIdleMs;
    const int result = io_uring_queue_init_params(sq_entries, &ring->ring_, &params);
    if (result < 0) return Error::from_errno(result, "io_uring_queue_init_params");
    ring->open_ = true;
    if (choice.register_ring_fd && io_uring_register_ring_fd(&ring->ring_) != 1) {
      return Error::from_errno(ENOTSUP, "io_uring_register_ring_fd");
    }
    return ring;
  }
  /// The same for those who know that there is io_uring.
  LiburingRing(unsigned sq_entries, unsigned cq_entries, const RingChoice& choice) {
    auto ring = create(sq_entries, cq_entries, choice);
    if (!ring) give_up(ring.error().detail, ring.error().code.value());
    ring_ = (*ring)->ring_;
    (*ring)->open_ = false;
    open_ = true;
  }
  LiburingRing(const LiburingRing&) = delete;
  LiburingRing& operator=(const LiburingRing&) = delete;
  ~LiburingRing() {
    if (open_) io_uring_queue_exit(&ring_);
  }

  io_uring* raw() noexcept { return &ring_; }
  int register_files(std::span<const int> fds) {
    return io_uring_register_files(&ring_, fds.data(), static_cast<unsigned>(fds.size()));
  }
  int register_buffers(std::span<const iovec> buffers) {
    return io_uring_register_buffers(&ring_, buffers.data(), static_cast<unsigned>(buffers.size()));
  }
  int register_buffer_ring(io_uring_buf_reg& request) { return io_uring_register_buf_ring(&ring_, &request, 0); }
  /// The next SQE. A poll thread gives those of a batch back when it has posted all of its completions, and so later
  /// than the next batch may ask for them: then this waits. Everywhere else there must be room.
  io_uring_sqe* sqe() {
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
    while (sqe == nullptr) {
      if ((ring_.flags & IORING_SETUP_SQPOLL) == 0) give_up("io_uring_get_sqe", EBUSY);
      if (const int result = io_uring_sqring_wait(&ring_); result < 0) give_up("io_uring_sqring_wait", result);
      sqe = io_uring_get_sqe(&ring_);
    }
    return sqe;
  }
  /// Submits, waits for `wait_nr` and calls `visit(const io_uring_cqe&)` for each that is there. Returns how many.
  template <typename Visit>
  unsigned turn(unsigned wait_nr, Visit visit) {
    const int result = io_uring_submit_and_wait(&ring_, wait_nr);
    if (result < 0) give_up("io_uring_submit_and_wait", result);
    return reap(visit);
  }
  void submit() {
    if (const int result = io_uring_submit(&ring_); result < 0) give_up("io_uring_submit", result);
  }
  /// Calls `visit` for each completion that is there, without a call. Returns how many.
  template <typename Visit>
  unsigned reap(Visit visit) {
    unsigned head = 0;
    unsigned seen = 0;
    io_uring_cqe* cqe = nullptr;
    io_uring_for_each_cqe(&ring_, head, cqe) {
      visit(std::as_const(*cqe));
      ++seen;
    }
    io_uring_cq_advance(&ring_, seen);
    return seen;
  }

 private:
  LiburingRing() = default;

  io_uring ring_{};
  bool open_ = false;
};

/// Options of a Backend whose ring is set up as the LiburingRing beside it.
inline BackendOptions backend_options(unsigned sq_entries, unsigned cq_entries, const RingChoice& choice) {
  return {.capacity = cq_entries,
          .sq_entries = sq_entries,
          .max_submit = sq_entries,
          .max_get = cq_entries,
          .defer_taskrun = (choice.flags & IORING_SETUP_DEFER_TASKRUN) != 0,
          .coop_taskrun = (choice.flags & IORING_SETUP_COOP_TASKRUN) != 0,
          .register_ring_fd = choice.register_ring_fd,
          .poll_sq = (choice.flags & IORING_SETUP_SQPOLL) != 0,
          .sq_idle = std::chrono::milliseconds(kSqThreadIdleMs)};
}
inline std::unique_ptr<Backend> create_backend(const BackendOptions& options,
                                               Kernel& kernel = LinuxKernel::instance()) {
  auto backend = Backend::create(kernel, options);
  if (!backend) give_up(backend.error().detail, backend.error().code.value());
  if (!(*backend)->unmet_options().empty()) give_up((*backend)->unmet_options().front(), ENOTSUP);
  return std::move(*backend);
}
inline std::unique_ptr<Backend> create_backend(unsigned sq_entries, unsigned cq_entries, const RingChoice& choice,
                                               Kernel& kernel = LinuxKernel::instance()) {
  return create_backend(backend_options(sq_entries, cq_entries, choice), kernel);
}

/// Its loop, until a callback breaks it off or nothing is left to do.
inline void run_until_done(Backend& backend) {
  if (auto status = backend.loop(); !status) give_up("Backend::loop", status.error().code.value());
}
/// A turn of its loop, which waits until something was told.
inline void turn_of(Backend& backend) {
  if (auto status = backend.loop(LoopMode::kOnce); !status) give_up("Backend::loop", status.error().code.value());
}

}  // namespace assay::bench
