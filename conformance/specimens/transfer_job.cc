#include "assay/conformance/specimens/transfer_job.h"

#include <algorithm>
#include <cerrno>

namespace assay::conformance {

int TransferJob::run() {
  if (loop_.error() != 0) return loop_.error();
  const std::size_t block_bytes = (buffer_.size() + kBlocks - 1) / kBlocks;
  for (std::size_t at = 0; at < buffer_.size(); at += block_bytes) {
    start({offset_ + at, buffer_.subspan(at, std::min(block_bytes, buffer_.size() - at))});
  }
  if (const int error = loop_.run(); error != 0) return error;
  return error_ != 0 ? error_ : static_cast<int>(bytes_);
}

void TransferJob::start(const Block& block) {
  loop_.start(
      [this, block](io_uring_sqe& sqe) {
        io_uring_prep_rw(opcode_, &sqe, fd_, block.rest.data(), static_cast<unsigned>(block.rest.size()), block.offset);
      },
      [this, block](const io_uring_cqe& cqe) { told(block, cqe.res); });
}

void TransferJob::told(const Block& block, int res) {
  // Neither was carried out.
  if (res == -EINTR || res == -EAGAIN) return start(block);
  if (res < 0) {
    if (error_ == 0) error_ = res;
    return;
  }
  const auto moved = static_cast<std::size_t>(res);
  bytes_ += moved;
  // Short, unless the file ends here.
  if (moved != 0 && moved < block.rest.size()) start({block.offset + moved, block.rest.subspan(moved)});
}

}  // namespace assay::conformance
