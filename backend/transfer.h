#pragma once

#include <cstddef>
#include <cstdint>

#include "assay/backend/file.h"
#include "assay/backend/function_operation.h"
#include "assay/backend/operation.h"
#include "assay/backend/unique_function.h"

namespace assay {

/// What a transfer of many steps came to.
struct TransferResult {
  /// Moved in all. Less than asked for, without an error, is the end of the file.
  std::size_t bytes = 0;
  /// 0, or the negative errno that ended it early.
  int error = 0;
};

using TransferCallback = UniqueFunction<void(TransferResult)>;

namespace internal {

/// A read or write that goes on until all is moved, the file ends, or an error that is not transient comes.
///
/// -EINTR is tried again at once, -EAGAIN once the descriptor is ready. A request of zero bytes moved ends a read (end
/// of file); a write that moves nothing ends with -EIO rather than go round for ever.
///
/// Under O_DIRECT offsets, lengths and addresses must be multiples of a block. A step that ends inside of a block is
/// followed by one that moves that block again from its start; when that gets no further a read has found the file's
/// end, and a write ends with -EIO. Whether the file is such a one is asked when a step ends short, once a transfer.
class Transfer final : public Operation {
 public:
  Transfer(OperationPool<Transfer>& pool, Requests& requests) : pool_(pool), requests_(requests) {}

  OperationHandle start_read(File file, std::byte* buffer, std::size_t bytes, std::uint64_t offset,
                             TransferCallback callback);
  OperationHandle start_write(File file, const std::byte* buffer, std::size_t bytes, std::uint64_t offset,
                              TransferCallback callback);

 private:
  OperationHandle start(File file, std::size_t bytes, std::uint64_t offset, TransferCallback callback);
  void prepare(io_uring_sqe& sqe) override;
  void complete(const Completion& completion) override;
  void cancelled(const Completion& completion) override;
  bool advance(int result);
  bool advance_by(std::size_t bytes);
  std::size_t block_bytes();
  void end(int error);

  OperationPool<Transfer>& pool_;
  Requests& requests_;
  HeldFile file_;
  bool writes_ = false;
  bool advances_ = true;      // the offset counts from the start; otherwise the file's own position does
  bool polls_first_ = false;  // this kernel needs a poll before every step
  bool polls_ = false;        // the step that is in flight is a poll
  int error_ = 0;
  std::byte* buffer_ = nullptr;
  std::size_t bytes_ = 0;
  std::size_t done_ = 0;
  std::size_t from_ = 0;   // where the step begins: `done_`, or the start of its block
  std::size_t block_ = 0;  // what a step must begin at a multiple of; 0 while nobody asked
  std::uint64_t offset_ = 0;
  iovec vector_{};
  TransferCallback callback_;
};

}  // namespace internal
}  // namespace assay
