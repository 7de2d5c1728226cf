// FSYNC and SYNC_FILE_RANGE. Follows io_uring/sync.c.

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "assay/mocks/sim/operations/finish.h"
#include "assay/mocks/sim/operations/operation.h"

namespace assay::internal {

namespace {

bool has_clean_fields(SimRing& ring, const io_uring_sqe& sqe) {
  return sqe.addr == 0 && sqe.buf_index == 0 && !has_second_descriptor(ring, sqe);
}

int prepare_fsync(SimRing& ring, Request& request) {
  const io_uring_sqe& sqe = request.sqe();
  if (!has_clean_fields(ring, sqe)) return -EINVAL;
  return sqe.fsync_flags & ~IORING_FSYNC_DATASYNC ? -EINVAL : 0;
}

// The kernel syncs the range [off, off + len) of files that know ranges; ours syncs all of it, which is more.
Outcome issue_fsync(SimRing& ring, Request& request) {
  const bool data_only = (request.sqe().fsync_flags & IORING_FSYNC_DATASYNC) != 0;
  const int result = data_only ? ::fdatasync(request.fd) : ::fsync(request.fd);
  return finish_without_cutting(ring, request, result < 0 ? -errno : 0);
}

int prepare_sync_file_range(SimRing& ring, Request& request) {
  return has_clean_fields(ring, request.sqe()) ? 0 : -EINVAL;
}

Outcome issue_sync_file_range(SimRing& ring, Request& request) {
  const io_uring_sqe& sqe = request.sqe();
  const int result = ::sync_file_range(request.fd, static_cast<off64_t>(sqe.off), sqe.len, sqe.sync_range_flags);
  return finish_without_cutting(ring, request, result < 0 ? -errno : 0);
}

}  // namespace

extern const Operation kFsync = {
    .prepare = prepare_fsync, .issue = issue_fsync, .needs_file = true, .always_in_worker = true};
extern const Operation kSyncFileRange = {
    .prepare = prepare_sync_file_range, .issue = issue_sync_file_range, .needs_file = true, .always_in_worker = true};

}  // namespace assay::internal
