// Reads and writes, by ordinary system calls. Follows io_uring/rw.c.

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>

#include "assay/mocks/sim/operations/priority.h"
#include "assay/mocks/sim/operations/read_write.h"
#include "assay/mocks/sim/operations/registered_buffers.h"
#include "assay/mocks/sim/ring.h"
#include "assay/mocks/sim/user_memory.h"

namespace assay::internal {

namespace {

constexpr std::uint64_t kCurrentPosition = ~std::uint64_t{0};

/// What preadv2 and pwritev2 take the place of, file by file: ssize_t or -errno.
struct Transfer {
  int fd;
  const iovec* buffers;
  int count;
  off_t offset;  // -1: the current position, or none
  int flags;     // RWF_*
  bool writes;
};

ssize_t transfer_vectored(const Transfer& transfer, int flags) {
  const ssize_t moved = transfer.writes
                            ? ::pwritev2(transfer.fd, transfer.buffers, transfer.count, transfer.offset, flags)
                            : ::preadv2(transfer.fd, transfer.buffers, transfer.count, transfer.offset, flags);
  return moved < 0 ? -errno : moved;
}

ssize_t transfer_socket(const Transfer& transfer) {
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(transfer.buffers);
  message.msg_iovlen = static_cast<std::size_t>(transfer.count);
  const ssize_t moved =
      transfer.writes ? ::sendmsg(transfer.fd, &message, MSG_DONTWAIT) : ::recvmsg(transfer.fd, &message, MSG_DONTWAIT);
  return moved < 0 ? -errno : moved;
}

/// Pipes and the rest, in a worker: not before the file is ready, so that the worker never hangs.
ssize_t transfer_when_ready(const Transfer& transfer) {
  if (poll_now(transfer.fd, transfer.writes ? POLLOUT : POLLIN) == 0) return -EAGAIN;
  if (!transfer.writes) return transfer_vectored(transfer, transfer.flags);
  // Readiness promises room for PIPE_BUF bytes and no more.
  iovec first = transfer.buffers[0];
  first.iov_len = std::min<std::size_t>(first.iov_len, PIPE_BUF);
  Transfer part = transfer;
  part.buffers = &first;
  part.count = 1;
  return transfer_vectored(part, transfer.flags);
}

bool is_stream_socket(int fd) {
  int type = 0;
  socklen_t bytes = sizeof type;
  return ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &bytes) == 0 && type == SOCK_STREAM;
}

/// Whether a transfer of this file may legally be short without losing anything.
bool can_be_short(int fd, FileKind kind) {
  return kind == FileKind::kRegular || kind == FileKind::kPipe || (kind == FileKind::kSocket && is_stream_socket(fd));
}

/// What of a chosen length the file can do: past the page cache it moves whole blocks, and no common device's is larger
/// than a page.
std::size_t possible_length(int fd, std::size_t chosen, std::size_t total) {
  constexpr std::size_t kDirectBlock = 4096;
  chosen = std::max<std::size_t>(chosen, 1);
  if (chosen >= total || (::fcntl(fd, F_GETFL) & O_DIRECT) == 0) return chosen;
  return std::min(std::max(chosen - chosen % kDirectBlock, kDirectBlock), total);
}

int import_vector(Request& request) {
  const std::size_t count = request.sqe().len;
  if (count > IOV_MAX) return -EINVAL;
  request.buffers.resize(count);
  if (!copy_from_user(request.buffers.data(), request.sqe().addr, count * sizeof(iovec))) return -EFAULT;
  request.total_bytes = 0;
  for (const iovec& buffer : request.buffers) {
    if (static_cast<ssize_t>(buffer.iov_len) < 0) return -EINVAL;
    request.total_bytes += buffer.iov_len;
  }
  return 0;
}

/// Leaves only the first `bytes` bytes of the buffers.
void truncate(std::vector<iovec>& buffers, std::size_t bytes) {
  for (std::size_t index = 0; index < buffers.size(); ++index) {
    if (buffers[index].iov_len >= bytes) {
      buffers[index].iov_len = bytes;
      buffers.resize(index + 1);
      return;
    }
    bytes -= buffers[index].iov_len;
  }
}

Outcome finish(SimRing& ring, Request& request, ssize_t moved) {
  request.result = static_cast<std::int32_t>(moved);
  // A short transfer severs a chain as an error does.
  if (moved < 0 || static_cast<std::size_t>(moved) != request.total_bytes) ring.fail(request);
  return Outcome::kDone;
}

Outcome issue(SimRing& ring, Request& request, bool writes) {
  const SimWorld& world = ring.world();
  const io_uring_sqe& sqe = request.sqe();
  const FileKind kind = file_kind(request.fd);
  if (kind == FileKind::kBad) return finish(ring, request, -EBADF);

  // Kernels without SUBMIT_STABLE read the vector when they carry the request out, so the user must keep it.
  const bool vectored = request.opcode() == IORING_OP_READV || request.opcode() == IORING_OP_WRITEV;
  if (vectored && !world.has_feature(IORING_FEAT_SUBMIT_STABLE)) {
    if (const int error = import_vector(request); error != 0) return finish(ring, request, error);
  }

  if (uses_registered_buffer(request)) {
    if (const int error = use_registered_buffer(ring, request); error != 0) return finish(ring, request, error);
  }

  const bool positioned = kind == FileKind::kRegular;
  if (sqe.off == kCurrentPosition && !world.has_feature(IORING_FEAT_RW_CUR_POS)) {
    return finish(ring, request, -EINVAL);
  }
  if (positioned && sqe.off != kCurrentPosition && static_cast<std::int64_t>(sqe.off) < 0) {
    return finish(ring, request, -EINVAL);
  }

  std::vector<iovec> shortened;
  const std::vector<iovec>* buffers = &request.buffers;
  if (world.has_chooser() && request.total_bytes > 1 && can_be_short(request.fd, kind)) {
    if (request.chosen_bytes == 0) {
      const auto bytes = ring.world().choose(ChoicePoint::kTransferLength, request.total_bytes, &sqe);
      request.chosen_bytes = possible_length(request.fd, bytes, request.total_bytes);
    }
    if (request.chosen_bytes < request.total_bytes) {
      shortened = request.buffers;
      truncate(shortened, request.chosen_bytes);
      buffers = &shortened;
    }
  }

  const Transfer transfer{request.fd,
                          buffers->data(),
                          static_cast<int>(buffers->size()),
                          positioned && sqe.off != kCurrentPosition ? static_cast<off_t>(sqe.off) : off_t{-1},
                          sqe.rw_flags,
                          writes};
  if (positioned) return finish(ring, request, transfer_vectored(transfer, sqe.rw_flags));

  ssize_t moved = 0;
  if (kind == FileKind::kSocket) {
    // A read of nothing from a socket is nothing, without waiting.
    if (writes || request.total_bytes != 0) moved = transfer_socket(transfer);
  } else {
    moved = transfer_vectored(transfer, transfer.flags | RWF_NOWAIT);
    if (moved == -EOPNOTSUPP) {
      // A file that does not know how not to wait is a worker's business, unless it is marked O_NONBLOCK anyway.
      if (!request.in_worker && (::fcntl(request.fd, F_GETFL) & O_NONBLOCK) == 0) {
        ring.queue_worker(request);
        return Outcome::kParked;
      }
      moved = transfer_when_ready(transfer);
    }
  }
  if (moved != -EAGAIN) return finish(ring, request, moved);
  const bool never_waits = (sqe.rw_flags & RWF_NOWAIT) != 0 || (!world.semantics().nonblocking_files_wait &&
                                                                (::fcntl(request.fd, F_GETFL) & O_NONBLOCK) != 0);
  return never_waits ? finish(ring, request, -EAGAIN) : Outcome::kWouldBlock;
}

int prepare_single_buffer(SimRing&, Request& request) {
  request.buffers.assign(1, {reinterpret_cast<void*>(request.sqe().addr), request.sqe().len});
  request.total_bytes = request.sqe().len;
  return 0;
}

int prepare_vectored(SimRing& ring, Request& request) {
  // The vector then says how much is wanted, and nothing else.
  if ((request.sqe().flags & IOSQE_BUFFER_SELECT) != 0 && request.sqe().len != 1) return -EINVAL;
  if (ring.world().has_feature(IORING_FEAT_SUBMIT_STABLE)) return import_vector(request);
  request.total_bytes = 0;
  return 0;
}

int prepare_registered_vector(SimRing&, Request& request) { return import_vector(request); }

Outcome issue_write(SimRing& ring, Request& request) { return issue(ring, request, true); }

/// What all of them check first.
template <int (*prepare)(SimRing&, Request&)>
int prepare_prioritised(SimRing& ring, Request& request) {
  const int error = check_priority(ring.world(), request.sqe().ioprio);
  return error != 0 ? error : prepare(ring, request);
}

constexpr Operation reads(int (*prepare)(SimRing&, Request&), KernelVersion selects_buffers_since = {}) {
  return {.prepare = prepare,
          .issue = issue_read,
          .needs_file = true,
          .uses_ioprio = true,
          .ready_events = EPOLLIN,
          .wakes_others = true,
          .may_be_in_worker = true,
          .selects_buffers_since = selects_buffers_since};
}

constexpr Operation writes(int (*prepare)(SimRing&, Request&)) {
  return {.prepare = prepare,
          .issue = issue_write,
          .needs_file = true,
          .uses_ioprio = true,
          .ready_events = EPOLLOUT,
          .wakes_others = true,
          .may_be_in_worker = true};
}

}  // namespace

Outcome issue_read(SimRing& ring, Request& request) {
  const auto read = [](SimRing& on, Request& what) { return issue(on, what, false); };
  if (request.sqe().flags & IOSQE_BUFFER_SELECT) return read_into_provided(ring, request, read);
  return read(ring, request);
}

extern const Operation kReadv = reads(prepare_prioritised<prepare_vectored>, {5, 7});
extern const Operation kWritev = writes(prepare_prioritised<prepare_vectored>);
extern const Operation kReadFixed = reads(prepare_prioritised<prepare_registered_buffer>);
extern const Operation kWriteFixed = writes(prepare_prioritised<prepare_registered_buffer>);
extern const Operation kRead = reads(prepare_prioritised<prepare_single_buffer>, {5, 7});
extern const Operation kWrite = writes(prepare_prioritised<prepare_single_buffer>);
extern const Operation kReadvFixed = reads(prepare_prioritised<prepare_registered_vector>);
extern const Operation kWritevFixed = writes(prepare_prioritised<prepare_registered_vector>);

}  // namespace assay::internal
