// Reads into provided buffers, and READ_MULTISHOT. Follows io_uring/rw.c.

#include <sys/epoll.h>

#include <cerrno>

#include "assay/mocks/sim/operations/finish.h"
#include "assay/mocks/sim/operations/read_write.h"
#include "assay/mocks/sim/user_memory.h"

namespace assay::internal {

namespace {

/// How much is wanted: 0 is all of the buffer.
int wanted_bytes(const Request& request, std::size_t* wanted) {
  const io_uring_sqe& sqe = request.sqe();
  *wanted = sqe.len;
  if (request.opcode() != IORING_OP_READV) return 0;
  iovec vector;
  if (!copy_from_user(&vector, sqe.addr, sizeof vector)) return -EFAULT;
  *wanted = vector.iov_len;
  return 0;
}

}  // namespace

Outcome read_into_provided(SimRing& ring, Request& request, Outcome (*read)(SimRing& ring, Request& request)) {
  ProvidedBuffers& groups = ring.provided_buffers();
  if (request.selected.kind == SelectedBuffer::Kind::kNone) {
    std::size_t wanted = 0;
    if (const int error = wanted_bytes(request, &wanted); error != 0) return finish(ring, request, error);
    if (ring.finds_buffers_gone(request)) return finish(ring, request, -ENOBUFS);
    // A file that cannot be polled is not waited for, so the buffer is taken for good.
    const bool at_once = request.in_worker || file_kind(request.fd) == FileKind::kRegular;
    const int error = groups.select(request.selected, request.sqe().buf_group, wanted, at_once);
    if (error != 0) return finish(ring, request, error);
  }
  const SelectedBuffer& selected = request.selected;
  request.buffers.assign(1, {reinterpret_cast<void*>(selected.address), selected.bytes});
  request.total_bytes = selected.bytes;
  const Outcome outcome = read(ring, request);
  if (outcome == Outcome::kDone) {
    // A read uses its buffer up, whatever came of it.
    request.cqe_flags = groups.use(request.selected, request.result);
  } else if (!ring.world().semantics().waiting_keeps_buffer) {
    groups.give_back(request.selected);
  }
  return outcome;
}

namespace {

int prepare_read_multishot(SimRing&, Request& request) {
  const io_uring_sqe& sqe = request.sqe();
  if ((sqe.flags & IOSQE_BUFFER_SELECT) == 0) return -EINVAL;
  if (sqe.addr != 0 || sqe.len != 0) return -EINVAL;
  request.multishot = true;
  return 0;
}

Outcome issue_read_multishot(SimRing& ring, Request& request) {
  if (file_kind(request.fd) == FileKind::kRegular) return finish(ring, request, -EBADFD);
  const Outcome outcome = issue_read(ring, request);
  if (outcome != Outcome::kDone || request.result <= 0) {
    // The end and errors tell of no buffer.
    if (outcome == Outcome::kDone) request.cqe_flags = 0;
    return outcome;
  }
  if (!ring.post_multishot(request, request.result, request.cqe_flags)) return outcome;
  request.cqe_flags = 0;
  request.failed = false;
  return Outcome::kWouldBlock;
}

}  // namespace

extern const Operation kReadMultishot = {.prepare = prepare_read_multishot,
                                         .issue = issue_read_multishot,
                                         .needs_file = true,
                                         .uses_ioprio = true,
                                         .ready_events = EPOLLIN,
                                         .wakes_others = true,
                                         .selects_buffers_since = {6, 7}};

}  // namespace assay::internal
