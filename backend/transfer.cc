#include "assay/backend/transfer.h"

#include <poll.h>
#include <algorithm>
#include <cerrno>

#include "assay/backend/requests.h"

namespace assay::internal {
namespace {

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
  done_ = 0;
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
    io_uring_prep_poll_add(&sqe, file_.fd(), writes_ ? POLLOUT : POLLIN);
    file_.give_to(sqe);
    return;
  }
  std::byte* address = buffer_ + done_;
  const auto step = static_cast<unsigned>(std::min(bytes_ - done_, kStepBytes));
  const std::uint64_t offset = advances_ ? offset_ + done_ : offset_;
  vector_ = {.iov_base = address, .iov_len = step};
  if (writes_) {
    if (requests_.support().has(IORING_OP_WRITE)) {
      io_uring_prep_write(&sqe, file_.fd(), address, step, offset);
    } else {
      io_uring_prep_writev(&sqe, file_.fd(), &vector_, 1, offset);
    }
  } else if (requests_.support().has(IORING_OP_READ)) {
    io_uring_prep_read(&sqe, file_.fd(), address, step, offset);
  } else {
    io_uring_prep_readv(&sqe, file_.fd(), &vector_, 1, offset);
  }
  file_.give_to(sqe);
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
  if (result > 0) {
    done_ += static_cast<std::size_t>(result);
    polls_ = polls_first_;
    return done_ < bytes_;
  }
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

void Transfer::complete(const Completion& completion) {
  if (!advance(completion.res)) {
    end(error_);
  } else if (!requests_.queue_next_step(*this)) {
    end(-ECANCELED);
  }
}

void Transfer::cancelled(const Completion& completion) { end(advance(completion.res) ? -ECANCELED : error_); }

void Transfer::end(int error) {
  std::exchange(callback_, nullptr)({.bytes = done_, .error = error});
  pool_.give_back(*this);
}

}  // namespace assay::internal
