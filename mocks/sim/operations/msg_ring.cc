// MSG_RING: a completion, or a registered file, for another ring. Follows io_uring/msg_ring.c.

#include "assay/mocks/sim/operations/msg_ring.h"

#include <fcntl.h>

#include <cerrno>

#include "assay/mocks/sim/operations/finish.h"
#include "assay/mocks/sim/operations/operation.h"
#include "assay/mocks/sim/ring.h"

namespace assay::internal {

namespace {

std::uint32_t message_flags(const io_uring_sqe& sqe) { return static_cast<std::uint32_t>(sqe.rw_flags); }

bool is_closed_to_messages(const SimRing& target, const SimWorld& world) {
  return target.disabled() && world.is_since(6, 3);
}

/// Puts a file of this ring's table into the other's. 0, the slot that was chosen there, or a negative errno.
int send_file(SimRing& ring, SimRing& target, const io_uring_sqe& sqe) {
  const SimWorld& world = ring.world();
  if ((sqe.len != 0 && world.is_since(6, 2)) || &target == &ring) return -EINVAL;
  if (is_closed_to_messages(target, world)) return -EBADFD;
  const int fd = ring.fixed_file(static_cast<unsigned>(sqe.addr3));
  if (fd < 0) return -EBADF;
  const int installed = target.install_direct_file(sqe.file_index, fd);
  if (installed < 0 || (message_flags(sqe) & uapi::kMsgRingCqeSkip) != 0) return installed;
  // The file stays where it is even if nobody can be told.
  return target.post_message({sqe.off, installed, 0, {0, 0}}) ? installed : -EOVERFLOW;
}

}  // namespace

int check_message(const SimWorld& world, const io_uring_sqe& sqe) {
  if (sqe.buf_index != 0 || sqe.personality != 0) return -EINVAL;
  if (!world.is_since(6, 0)) return sqe.addr != 0 || sqe.rw_flags != 0 || sqe.splice_fd_in != 0 ? -EINVAL : 0;
  const std::uint32_t known = uapi::kMsgRingCqeSkip | (world.is_since(6, 3) ? uapi::kMsgRingFlagsPass : 0);
  return (message_flags(sqe) & ~known) != 0 ? -EINVAL : 0;
}

int send_data(SimRing& target, const io_uring_sqe& sqe) {
  SimWorld& world = target.world();
  const bool passes_flags = (message_flags(sqe) & uapi::kMsgRingFlagsPass) != 0;
  if (world.is_since(6, 0)) {
    if (sqe.addr3 != 0 || (message_flags(sqe) & ~uapi::kMsgRingFlagsPass) != 0) return -EINVAL;
    if (!passes_flags && sqe.file_index != 0) return -EINVAL;
  }
  if (is_closed_to_messages(target, world)) return -EBADFD;
  const Completion message{sqe.off, static_cast<std::int32_t>(sqe.len), passes_flags ? sqe.file_index : 0, {0, 0}};
  if (target.has_flag(IORING_SETUP_DEFER_TASKRUN) && world.is_since(6, 11)) {
    // Only its own thread may post there, and that does it when it next asks for events.
    target.post_from_task_work(message);
    return 0;
  }
  return target.post_message(message) ? 0 : -EOVERFLOW;
}

namespace {

int prepare_msg_ring(SimRing& ring, Request& request) { return check_message(ring.world(), request.sqe()); }

// Its fd is the other ring's.
Outcome issue_msg_ring(SimRing& ring, Request& request) {
  const io_uring_sqe& sqe = request.sqe();
  SimRing* target = nullptr;
  if (sqe.flags & IOSQE_FIXED_FILE) {
    // No ring can be in a table of files.
    return finish(ring, request, ring.fixed_file(static_cast<unsigned>(sqe.fd)) < 0 ? -EBADF : -EBADFD);
  }
  target = ring.world().find(sqe.fd);
  if (target == nullptr) return finish(ring, request, ::fcntl(sqe.fd, F_GETFD) < 0 ? -EBADF : -EBADFD);
  switch (sqe.addr) {
    case uapi::kMsgData:
      return finish(ring, request, send_data(*target, sqe));
    case uapi::kMsgSendFd:
      return finish(ring, request, send_file(ring, *target, sqe));
    default:
      return finish(ring, request, -EINVAL);
  }
}

}  // namespace

extern const Operation kMsgRing = {.prepare = prepare_msg_ring, .issue = issue_msg_ring};

}  // namespace assay::internal
