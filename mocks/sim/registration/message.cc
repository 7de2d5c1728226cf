// A message to a ring from nowhere (IORING_REGISTER_SEND_MSG_RING, 6.13). Follows io_uring/register.c.

#include <fcntl.h>

#include <cerrno>

#include "assay/mocks/sim/operations/msg_ring.h"
#include "assay/mocks/sim/ring.h"
#include "assay/mocks/sim/user_memory.h"

namespace assay::internal {

int SimWorld::send_message(const void* arg, unsigned nr_args) {
  if (arg == nullptr || nr_args != 1) return -EINVAL;
  io_uring_sqe sqe;
  if (!copy_from_user(&sqe, arg, sizeof sqe)) return -EFAULT;
  if (sqe.flags != 0 || sqe.opcode != IORING_OP_MSG_RING) return -EINVAL;
  if (const int error = check_message(*this, sqe); error != 0) return error;
  // Files can only be sent from a ring that has some.
  if (sqe.addr != uapi::kMsgData) return -EINVAL;
  SimRing* target = find(sqe.fd);
  if (target == nullptr) return ::fcntl(sqe.fd, F_GETFD) < 0 ? -EBADF : -EBADFD;
  return send_data(*target, sqe);
}

}  // namespace assay::internal
