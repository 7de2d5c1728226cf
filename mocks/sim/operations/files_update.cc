// FILES_UPDATE: changes slots of the file table. Follows io_uring/rsrc.c.

#include <cerrno>

#include "assay/mocks/sim/operations/finish.h"
#include "assay/mocks/sim/operations/operation.h"
#include "assay/mocks/sim/user_memory.h"

namespace assay::internal {

namespace {

// Any slots that are free, rather than those from this one on (5.19).
constexpr std::uint64_t kAnySlot = 0xffffffff;  // IORING_FILE_INDEX_ALLOC

int prepare_files_update(SimRing& ring, Request& request) {
  const io_uring_sqe& sqe = request.sqe();
  if (sqe.flags & IOSQE_FIXED_FILE) return -EINVAL;
  if (sqe.rw_flags != 0 || has_second_descriptor(ring, sqe) || sqe.len == 0) return -EINVAL;
  return 0;
}

Outcome issue_files_update(SimRing& ring, Request& request) {
  const io_uring_sqe& sqe = request.sqe();
  const UserArray<std::int32_t> fds(sqe.addr);
  // The kernel, too, takes 32 bits of the offset.
  const auto offset = static_cast<std::uint32_t>(sqe.off);
  const bool any = offset == kAnySlot && ring.world().profile().semantics.direct_allocation;
  return finish(ring, request,
                any ? ring.update_files_where_free(fds, sqe.len) : ring.update_files(offset, fds, sqe.len, kNoTags));
}

}  // namespace

extern const Operation kFilesUpdate = {.prepare = prepare_files_update, .issue = issue_files_update};

}  // namespace assay::internal
