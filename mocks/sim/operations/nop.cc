// NOP, and NOP128 (6.19), which takes an entry of double size. Follows io_uring/nop.c.

#include <fcntl.h>

#include <cerrno>

#include "assay/mocks/sim/operations/operation.h"
#include "assay/mocks/sim/ring.h"

namespace assay::internal {

namespace {

std::uint32_t flags_of(const Request& request) { return static_cast<std::uint32_t>(request.sqe().rw_flags); }

std::uint32_t known_flags(const SimWorld& world) {
  std::uint32_t known = 0;
  if (world.is_since(6, 10)) known |= uapi::kNopInjectResult;
  if (world.is_since(6, 13)) known |= uapi::kNopFile | uapi::kNopFixedFile | uapi::kNopFixedBuffer;
  if (world.is_since(6, 17)) known |= uapi::kNopTaskWork;
  if (world.is_since(6, 18)) known |= uapi::kNopCqe32;
  return known;
}

/// Finds the file or the buffer that it is told to find, and does nothing with them. 0 or a negative errno.
int find_resources(SimRing& ring, Request& request, std::uint32_t flags) {
  const io_uring_sqe& sqe = request.sqe();
  if (flags & uapi::kNopFile) {
    const bool found = (flags & uapi::kNopFixedFile) ? ring.fixed_file(static_cast<unsigned>(sqe.fd)) >= 0
                                                     : ::fcntl(sqe.fd, F_GETFD) >= 0;
    if (!found) return -EBADF;
  }
  if ((flags & uapi::kNopFixedBuffer) && !ring.registered_buffer(sqe.buf_index)) return -EFAULT;
  return 0;
}

int prepare_nop(SimRing& ring, Request& request) {
  const SimWorld& world = ring.world();
  if (!world.profile().semantics.nop_checks_flags) return 0;  // such a kernel does not look at any field
  const std::uint32_t flags = flags_of(request);
  if (flags & ~known_flags(world)) return -EINVAL;
  if (flags & uapi::kNopCqe32) {
    if (!ring.has_flag(IORING_SETUP_CQE32) && !ring.has_flag(uapi::kSetupCqeMixed)) return -EINVAL;
    request.extra[0] = request.sqe().off;
    request.extra[1] = request.sqe().addr;
    if (ring.has_flag(uapi::kSetupCqeMixed)) request.cqe_flags |= uapi::kCqeF32;
  }
  return 0;
}

Outcome issue_nop(SimRing& ring, Request& request) {
  request.result = 0;
  const SimWorld& world = ring.world();
  const std::uint32_t flags = world.is_since(6, 10) ? flags_of(request) : 0;
  if (flags == 0) return Outcome::kDone;
  if (flags & uapi::kNopInjectResult) request.result = static_cast<std::int32_t>(request.sqe().len);
  const int error = find_resources(ring, request, flags);
  if (error != 0 || request.result < 0) ring.fail(request);
  if (error != 0 && world.profile().semantics.nop_tells_failure) request.result = error;
  if (flags & uapi::kNopTaskWork) {
    ring.complete_from_task_work(request);
    return Outcome::kTaken;
  }
  return Outcome::kDone;
}

}  // namespace

extern const Operation kNop = {.prepare = prepare_nop, .issue = issue_nop};
extern const Operation kNop128 = {.prepare = prepare_nop, .issue = issue_nop, .large_entry = true};

}  // namespace assay::internal
