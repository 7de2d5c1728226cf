// FADVISE and MADVISE. Follows io_uring/advise.c.

#include <fcntl.h>
#include <sys/mman.h>

#include <cerrno>

#include "assay/mocks/sim/operations/finish.h"
#include "assay/mocks/sim/operations/operation.h"

namespace assay::internal {

namespace {

// Lengths of 64 bits (6.11) stand where nothing stood before: in `addr` of FADVISE and in `off` of MADVISE. `len` is
// then what is meant where that is 0.
bool has_wide_lengths(SimRing& ring) { return ring.world().is_since(6, 11); }

int prepare_fadvise(SimRing& ring, Request& request) {
  const io_uring_sqe& sqe = request.sqe();
  if (sqe.buf_index != 0 || has_second_descriptor(ring, sqe)) return -EINVAL;
  if (sqe.addr != 0 && !has_wide_lengths(ring)) return -EINVAL;
  // What only sets how to read ahead is done at once; what touches pages is a worker's business.
  const bool at_once = sqe.fadvise_advice == POSIX_FADV_NORMAL || sqe.fadvise_advice == POSIX_FADV_RANDOM ||
                       sqe.fadvise_advice == POSIX_FADV_SEQUENTIAL;
  if (!at_once) request.force_worker = true;
  return 0;
}

Outcome issue_fadvise(SimRing& ring, Request& request) {
  const io_uring_sqe& sqe = request.sqe();
  const std::uint64_t bytes = sqe.addr != 0 ? sqe.addr : sqe.len;
  return finish(ring, request,
                -::posix_fadvise(request.fd, static_cast<off_t>(sqe.off), static_cast<off_t>(bytes),
                                 static_cast<int>(sqe.fadvise_advice)));
}

int prepare_madvise(SimRing& ring, Request& request) {
  const io_uring_sqe& sqe = request.sqe();
  if (sqe.buf_index != 0 || has_second_descriptor(ring, sqe)) return -EINVAL;
  return sqe.off != 0 && !has_wide_lengths(ring) ? -EINVAL : 0;
}

Outcome issue_madvise(SimRing& ring, Request& request) {
  const io_uring_sqe& sqe = request.sqe();
  const std::uint64_t bytes = sqe.off != 0 ? sqe.off : sqe.len;
  const int result = ::madvise(reinterpret_cast<void*>(sqe.addr), bytes, static_cast<int>(sqe.fadvise_advice));
  return finish_without_cutting(ring, request, result < 0 ? -errno : 0);
}

}  // namespace

extern const Operation kFadvise = {
    .prepare = prepare_fadvise, .issue = issue_fadvise, .needs_file = true, .may_be_in_worker = true};
extern const Operation kMadvise = {.prepare = prepare_madvise, .issue = issue_madvise, .always_in_worker = true};

}  // namespace assay::internal
