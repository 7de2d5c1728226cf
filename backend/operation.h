#pragma once

#include <cstdint>

#include "assay/backend/uapi.h"

namespace assay {

namespace internal {
class Requests;
}

/// What the kernel said about an operation: a copy of its CQE.
struct Completion {
  /// The result: >= 0, or a negative errno.
  std::int32_t res = 0;
  /// IORING_CQE_F_*.
  std::uint32_t flags = 0;

  /// True when further completions of the same operation will follow (multishot, zero-copy send).
  bool more() const noexcept { return (flags & IORING_CQE_F_MORE) != 0; }
};

/// Names an operation while it is queued or in flight, and nothing afterwards: using it late is harmless.
struct OperationHandle {
  std::uint32_t index = ~std::uint32_t{0};
  std::uint32_t generation = 0;

  friend bool operator==(const OperationHandle&, const OperationHandle&) = default;
};

/// A request that its user defines: how its SQE is filled and what is done with its completions.
///
/// An Operation is queued by Backend::submit and is in flight until its last CQE is in. It may be submitted again then,
/// from inside `complete` too, and only then. Everything that its SQE points to must live as long. It belongs to the
/// loop's thread. Destroying one that is in flight is allowed: it is cancelled and nobody is told; what the SQE points
/// to must live until the backend has seen the end of it all the same.
class Operation {
 public:
  Operation() = default;
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;

  /// True from a successful submit until the last completion is handed over.
  bool in_flight() const noexcept { return requests_ != nullptr; }

 protected:
  virtual ~Operation();

  /// Fills the SQE, as by io_uring_prep_*(), which sets every field. Called once a submission, when the SQ has room,
  /// which is not always inside submit. `user_data` is the backend's and is overwritten; IOSQE_CQE_SKIP_SUCCESS is
  /// taken out, since an operation ends by its CQE; links are made by Backend::submit_chain. Must not call the backend.
  virtual void prepare(io_uring_sqe& sqe) = 0;
  /// A completion. The operation is over unless `completion.more()`, and may then be submitted again or destroyed.
  virtual void complete(const Completion& completion) = 0;
  /// Called instead of `complete` once Backend::cancel was asked for, or the backend ends. `completion.res` is what the
  /// kernel said: -ECANCELED, or what came of the operation because the cancelation was too late.
  virtual void cancelled(const Completion& completion) { complete(completion); }

 private:
  friend class internal::Requests;

  internal::Requests* requests_ = nullptr;
  std::uint32_t slot_ = ~std::uint32_t{0};
};

}  // namespace assay
