#include "assay/bench/ring_paths.h"

#include <sched.h>

#include "assay/bench/assay_ring.h"
#include "assay/bench/ring_works.h"

namespace assay::bench {
namespace {

/// A file on a device without queues to poll refuses the first request, after the ring was set up.
template <typename R>
Result<void> device_can_be_polled(R& ring, int fd) {
  Blocks blocks(1);
  io_uring_prep_read(ring.sqe(), fd, blocks.buffer(0), kBlock, 0);
  int result = 0;
  while (ring.turn(1, [&result](const io_uring_cqe& cqe) { result = cqe.res; }) == 0) {
  }
  if (result == -EOPNOTSUPP) {
    return Error::from_errno(result,
                             "IORING_SETUP_IOPOLL on the working directory's device, which has no queues to poll");
  }
  if (result < 0) return Error::from_errno(result, "IORING_SETUP_IOPOLL: a read");
  return {};
}

Result<unsigned> features_of_kernel() {
  const auto ring = LiburingRing::create(1, 2, kPlainRing);
  if (!ring) return ring.error();
  return (*ring)->raw()->features;
}

template <typename R, template <typename> typename W>
Result<std::unique_ptr<Path>> make(const GridCell& cell) {
  if (const auto possible = mode_is_possible(cell); !possible) return possible.error();
  if (const auto possible = W<R>::possible(cell); !possible) return possible.error();
  auto ring = R::create(kMostRequests, 2 * kMostRequests, cell.ring());
  if (!ring) return ring.error();
  if (cell.mode == Mode::kIopoll) {
    const Result<void> can = device_can_be_polled(**ring, *block_file_for(cell.work));
    if (!can) return can.error();
  }
  return std::unique_ptr<Path>(new RingPath<R, W<R>>(std::move(*ring), cell));
}

template <typename R>
Result<std::unique_ptr<Path>> make_path_by(const GridCell& cell) {
  switch (cell.work) {
    case Work::kNop:
      return make<R, NopWork>(cell);
    case Work::kRead:
    case Work::kReadDirect:
      return make<R, ReadWork>(cell);
    case Work::kWrite:
      return make<R, WriteWork>(cell);
    case Work::kSocketpair:
    case Work::kTcp:
      return make<R, MessageWork>(cell);
    case Work::kPoll:
      return make<R, PollWork>(cell);
    case Work::kTimeout:
      return make<R, TimeoutWork>(cell);
    case Work::kCancel:
      return make<R, CancelWork>(cell);
  }
  return Error::invalid("no such work");
}

}  // namespace

Result<void> mode_is_possible(const GridCell& cell) {
  if (!cell.has_poll_thread()) return {};
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  if (::sched_getaffinity(0, sizeof cpus, &cpus) == 0 && CPU_COUNT(&cpus) < 2) {
    return Error::invalid("one CPU, on which a poll thread and the program would only take turns");
  }
  static const Result<unsigned> features = features_of_kernel();
  if (features && (*features & IORING_FEAT_SQPOLL_NONFIXED) == 0) {
    return Error::from_errno(ENOTSUP,
                             "IORING_FEAT_SQPOLL_NONFIXED (Linux 5.11), without which a poll thread takes "
                             "registered files only");
  }
  return {};
}

Result<std::unique_ptr<Path>> make_liburing_path(const GridCell& cell) { return make_path_by<LiburingRing>(cell); }
Result<std::unique_ptr<Path>> make_ring_path(const GridCell& cell) { return make_path_by<AssayRing>(cell); }

}  // namespace assay::bench
