#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "assay/backend/file.h"
#include "assay/backend/function_operation.h"
#include "assay/backend/operation.h"
#include "assay/backend/unique_function.h"

namespace assay {

/// Told each result of an operation that goes on, and `more`: whether it is going to be called again. The last call,
/// and only that one, has `more` false.
using RepeatedCallback = UniqueFunction<void(int res, bool more)>;

namespace internal {

/// An accept or a poll that tells of one thing after the other until it is cancelled or an error ends it.
///
/// Multishot where the kernel has that; a multishot request that the kernel ends for reasons of its own (the CQ was
/// full) is armed again. Otherwise one request after the other. As FunctionOperation does, it polls after -EAGAIN, or
/// first where the kernel would block or lacks the opcode.
class RepeatedOperation final : public Operation {
 public:
  RepeatedOperation(OperationPool<RepeatedOperation>& pool, Requests& requests) : pool_(pool), requests_(requests) {}

  OperationHandle start_accept(File socket, int flags, RepeatedCallback callback);
  OperationHandle start_poll(File file, unsigned events, RepeatedCallback callback);

 private:
  enum class Step : std::uint8_t { kRequest, kReadiness };
  enum class Outcome : std::uint8_t {
    /// Something to tell.
    kResult,
    /// Nothing to tell yet.
    kGoesOn,
    /// The last thing to tell.
    kOver,
  };

  OperationHandle start(RepeatedCallback callback);
  void prepare(io_uring_sqe& sqe) override;
  void complete(const Completion& completion) override;
  void cancelled(const Completion& completion) override;
  Outcome judge(int* result);
  void end(int result);

  OperationPool<RepeatedOperation>& pool_;
  Requests& requests_;
  HeldFile file_;
  unsigned events_ = 0;
  int accept_flags_ = 0;
  bool accepts_ = false;
  bool multishot_ = false;
  bool plain_ = false;
  bool polls_first_ = false;
  Step step_ = Step::kRequest;
  LastingCallback<void(int res, bool more)> callback_;
};

}  // namespace internal
}  // namespace assay
