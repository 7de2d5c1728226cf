#include <cerrno>

#include "assay/mocks/sim/operations/families.h"
#include "assay/mocks/sim/ring.h"

namespace assay::internal {

namespace {
constexpr std::uint64_t kSendData = 0;  // IORING_MSG_DATA; IORING_MSG_SEND_FD is not modelled
}

int prepare_msg_ring(SimRing& ring, Request& request) {
  const io_uring_sqe& sqe = request.sqe();
  if (sqe.buf_index != 0 || sqe.personality != 0) return -EINVAL;
  if (!ring.world().is_since(6, 0) && (sqe.addr != 0 || sqe.rw_flags != 0 || sqe.splice_fd_in != 0)) return -EINVAL;
  return 0;
}

// Its fd is the other ring's. Passing the flags of the CQE on (6.3) is not modelled.
Outcome issue_msg_ring(SimRing& ring, Request& request) {
  const io_uring_sqe& sqe = request.sqe();
  SimRing* target = (sqe.flags & IOSQE_FIXED_FILE) ? nullptr : ring.world().find(sqe.fd);
  if (target == nullptr || (target->disabled() && ring.world().is_since(6, 3))) {
    request.result = -EBADFD;
  } else if (sqe.addr != kSendData || sqe.rw_flags != 0) {
    request.result = -EINVAL;
  } else {
    const Completion message{sqe.off, static_cast<std::int32_t>(sqe.len), 0, {0, 0}};
    request.result = target->post_message(message) ? 0 : -EOVERFLOW;
  }
  if (request.result < 0) ring.fail(request);
  return Outcome::kDone;
}

}  // namespace assay::internal
