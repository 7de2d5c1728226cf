#include "assay/backend/receive_source.h"

#include <poll.h>
#include <algorithm>

#include "assay/backend/operations.h"
#include "assay/backend/requests.h"

namespace assay::internal {

ReceiveSource::ReceiveSource(Call call, File file, int flags) : call_(call), flags_(flags), file_(file) {
  if (call == Call::kRead) return;
  int type = 0;
  socklen_t bytes = sizeof type;
  datagrams_ =
      ::getsockopt(file.fd(), SOL_SOCKET, SO_TYPE, &type, &bytes) == 0 && type != SOCK_STREAM && type != SOCK_SEQPACKET;
}

bool ReceiveSource::needs_plain_call(const Requests& requests) const {
  return call_ != Call::kRead && !requests.support().has(IORING_OP_RECVMSG) &&
         (call_ == Call::kRecvmsg || !requests.support().has(IORING_OP_RECV));
}

void ReceiveSource::prepare_readiness(io_uring_sqe& sqe) const {
  unsigned events = POLLIN;
  // The error queue is announced by POLLERR, for which every poll looks.
  if (call_ != Call::kRead && (flags_ & MSG_ERRQUEUE) != 0) events = POLLERR;
  if (call_ != Call::kRead && (flags_ & MSG_OOB) != 0) events = POLLPRI;
  io_uring_prep_poll_add(&sqe, file_->fd(), events);
  file_->give_to(sqe);
}

void ReceiveSource::prepare_into(io_uring_sqe& sqe, std::span<std::byte> memory, const Requests& requests) const {
  const auto bytes = static_cast<unsigned>(std::min<std::size_t>(memory.size(), 0x7fff'f000));
  if (call_ == Call::kRead) {
    io_uring_prep_read(&sqe, file_->fd(), memory.data(), bytes,
                       requests.transfer_ways(file_->fd(), kCurrentPosition).offset);
  } else {
    io_uring_prep_recv(&sqe, file_->fd(), memory.data(), bytes, flags_);
  }
  file_->give_to(sqe);
}

void ReceiveSource::prepare_message(io_uring_sqe& sqe, msghdr& message) const {
  io_uring_prep_recvmsg(&sqe, file_->fd(), &message, static_cast<unsigned>(flags_));
  file_->give_to(sqe);
}

}  // namespace assay::internal
