#include "assay/backend/transfer.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include "assay/backend/requests.h"

namespace assay::internal {
namespace {

// Where a kernel does not say how large the blocks of an O_DIRECT file are (before 6.1): those of most devices.
constexpr std::size_t kUsualBlock = 512;
// STATX_DIOALIGN (6.1), and where in the structure stx_dio_mem_align and stx_dio_offset_align are, which the C
// library's structure has no names for yet.
constexpr unsigned kStatxDirectAlignment = 0x2000;
constexpr std::size_t kDirectAlignments = 152;

// The kernel moves at most 2 GiB less a page in one request; this keeps the steps aligned, for O_DIRECT's sake.
constexpr std::size_t kStepBytes = std::size_t{1} << 30;

}  // namespace

OperationHandle Transfer::start_read(File file, std::byte* buffer, std::size_t bytes, std::uint64_t offset,
                                     TransferCallback callback) {
  writes_ = false;
  buffer_ = buffer;
  return start(file, bytes, offset, std::move(callback));
}

OperationHandle Transfer::start_write(File file, const std::byte* buffer, std::size_t bytes, std::uint64_t offset,
                                      TransferCallback callback) {
  writes_ = true;
  buffer_ = const_cast<std::byte*>(buffer);  // an SQE has one kind of address; a write only reads from it
  return start(file, bytes, offset, std::move(callback));
}

OperationHandle Transfer::start(File file, std::size_t bytes, std::uint64_t offset, TransferCallback callback) {
  file_ = file;
  bytes_ = bytes;
  done_ = from_ = 0;
  block_ = 0;
  error_ = 0;
  const TransferWays ways = requests_.transfer_ways(file.fd(), offset);
  polls_ = polls_first_ = ways.poll_first;
  offset_ = ways.offset;
  // A file without offsets is always at its own position, also where that is spelled 0.
  advances_ = offset != ~std::uint64_t{0};
  callback_ = std::move(callback);
  // Nothing to move is not worth a request, which a zero-length read of some files would wait in.
  if (bytes == 0) return requests_.queue_ended(*this, 0);
  if (auto queued = requests_.queue(*this)) return *queued;
  return requests_.queue_ended(*this, -ECANCELED);
}

void Transfer::prepare(io_uring_sqe& sqe) {
  if (polls_) {
    io_uring_prep_poll_add(&sqe, file_->fd(), writes_ ? POLLOUT : POLLIN);
    file_->give_to(sqe);
    return;
  }
  std::byte* address = buffer_ + from_;
  const auto step = static_cast<unsigned>(std::min(bytes_ - from_, kStepBytes));
  const std::uint64_t offset = advances_ ? offset_ + from_ : offset_;
  vector_ = {.iov_base = address, .iov_len = step};
  if (writes_) {
    if (requests_.support().has(IORING_OP_WRITE)) {
      io_uring_prep_write(&sqe, file_->fd(), address, step, offset);
    } else {
      io_uring_prep_writev(&sqe, file_->fd(), &vector_, 1, offset);
    }
  } else if (requests_.support().has(IORING_OP_READ)) {
    io_uring_prep_read(&sqe, file_->fd(), address, step, offset);
  } else {
    io_uring_prep_readv(&sqe, file_->fd(), &vector_, 1, offset);
  }
  file_->give_to(sqe);
}

// False when the transfer is over; `error_` says how then.
bool Transfer::advance(int result) {
  if (bytes_ == 0) return false;
  if (polls_) {
    if (result == -ECANCELED || result == -EBADR) {
      error_ = result;
      return false;
    }
    // Ready; or what is wrong with the file the transfer itself will say best.
    polls_ = result == -EINTR;
    return true;
  }
  if (result > 0) return advance_by(static_cast<std::size_t>(result));
  switch (-result) {
    case 0:
      error_ = writes_ ? -EIO : 0;
      return false;
    case EINTR:
      return true;
    case EAGAIN:
      polls_ = true;
      return true;
    default:
      error_ = result;
      return false;
  }
}

bool Transfer::advance_by(std::size_t bytes) {
  const std::size_t reached = from_ + bytes;
  if (reached <= done_) {
    error_ = writes_ ? -EIO : 0;
    return false;
  }
  done_ = from_ = reached;
  if (done_ == bytes_) return false;
  // A file at its own position has moved on, and cannot go back to a block's start.
  if (block_ == 0) block_ = advances_ ? block_bytes() : 1;
  from_ -= from_ % block_;
  polls_ = polls_first_;
  return true;
}

// What the steps on this file must begin at a multiple of, counted from the first, which the caller has aligned.
std::size_t Transfer::block_bytes() {
  const int saved_errno = errno;
  const int flags = ::fcntl(file_->fd(), F_GETFL);
  std::size_t block = 1;
  if (flags >= 0 && (flags & O_DIRECT) != 0) {
    block = kUsualBlock;
    struct statx status {};
    if (::statx(file_->fd(), "", AT_EMPTY_PATH, kStatxDirectAlignment, &status) == 0 &&
        (status.stx_mask & kStatxDirectAlignment) != 0) {
      std::array<std::uint32_t, 2> alignments;
      static_assert(kDirectAlignments + sizeof alignments <= sizeof status);
      std::memcpy(alignments.data(), reinterpret_cast<const std::byte*>(&status) + kDirectAlignments,
                  sizeof alignments);
      // Zero where the file system cannot go past the cache for this file, and does not.
      block = std::max({alignments[0], alignments[1], 1u});
    }
  }
  errno = saved_errno;
  return block;
}

void Transfer::complete(const Completion& completion) {
  if (!advance(completion.res)) {
    end(error_);
  } else if (!requests_.queue_next_step(*this)) {
    end(-ECANCELED);
  }
}

void Transfer::cancelled(const Completion& completion) { end(advance(completion.res) ? -ECANCELED : error_); }

void Transfer::end(int error) {
  file_ = File(-1);
  std::exchange(callback_, nullptr)({.bytes = done_, .error = error});
  pool_.give_back(*this);
}

}  // namespace assay::internal
