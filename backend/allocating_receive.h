#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "assay/backend/function_operation.h"
#include "assay/backend/kept_arguments.h"
#include "assay/backend/operation.h"
#include "assay/backend/receive_source.h"
#include "assay/backend/repeated_operation.h"
#include "assay/backend/unique_function.h"

namespace assay {

/// Gives the memory that is received into next, which must live until it was told of. An empty one ends the operation
/// with -ENOBUFS.
using AllocateCallback = UniqueFunction<std::span<std::byte>()>;
/// Gives the message that is received into next, as recvmsg(2) takes it; null ends the operation with -ENOBUFS.
using AllocateMessageCallback = UniqueFunction<msghdr*()>;

namespace internal {

/// Receives into memory that its user provides each time, until cancelled, at the end of file, or by an error.
///
/// One request after the other, each with memory of its own. Where the kernel would block a worker, or has no such
/// request, it polls first, and only what is ready is given memory.
class AllocatingReceive final : public Operation {
 public:
  AllocatingReceive(OperationPool<AllocatingReceive>& pool, Requests& requests) : pool_(pool), requests_(requests) {}

  OperationHandle start(const ReceiveSource& source, AllocateCallback allocate, RepeatedCallback callback);
  OperationHandle start_messages(const ReceiveSource& source, AllocateMessageCallback allocate,
                                 RepeatedCallback callback);

 private:
  enum class Step : std::uint8_t { kRequest, kReadiness };

  OperationHandle start(RepeatedCallback callback);
  void prepare(io_uring_sqe& sqe) override;
  bool prepare_request(io_uring_sqe& sqe);
  void complete(const Completion& completion) override;
  void cancelled(const Completion& completion) override;
  bool has_memory() const noexcept { return !memory_.empty() || message_ != nullptr; }
  void forget_memory() noexcept {
    memory_ = {};
    message_ = nullptr;
  }
  void end(int result);

  OperationPool<AllocatingReceive>& pool_;
  Requests& requests_;
  ReceiveSource source_;
  bool polls_first_ = false;
  bool out_of_memory_ = false;  // its user gave none
  Step step_ = Step::kRequest;
  std::span<std::byte> memory_;
  msghdr* message_ = nullptr;
  KeptArguments kept_;
  AllocateCallback allocate_;
  AllocateMessageCallback allocate_message_;
  LastingCallback<void(int res, bool more)> callback_;
};

}  // namespace internal
}  // namespace assay
