#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "assay/backend/file.h"
#include "assay/backend/kept_arguments.h"
#include "assay/backend/operation.h"
#include "assay/backend/unique_function.h"

namespace assay {

/// Told an operation's result: >= 0, or a negative errno.
using ResultCallback = UniqueFunction<void(int res)>;

namespace internal {

class Requests;

/// Operations of one kind that are used over and over, so that starting one allocates nothing in the long run.
template <typename T>
class OperationPool {
 public:
  T& take(Requests& requests) {
    if (free_.empty()) return make(requests);
    T* operation = free_.back();
    free_.pop_back();
    return *operation;
  }
  void give_back(T& operation) noexcept { free_.push_back(&operation); }

 private:
  [[gnu::noinline]] T& make(Requests& requests) {
    all_.push_back(std::make_unique<T>(*this, requests));
    free_.reserve(all_.capacity());
    return *all_.back();
  }

  std::vector<std::unique_ptr<T>> all_;
  std::vector<T*> free_;
};

/// One operation whose SQE is known when it is started, and whose result goes to a function: the request of that SQE,
/// or what does the same on this kernel.
///
/// It goes from step to step until there is a result to tell. A step is the request; or a poll for the readiness that
/// the operation waits for. It polls first where the request would block a worker of the kernel (before 5.7), so that
/// it can be cancelled while it waits, and where the kernel lacks the opcode, so that the plain system call that takes
/// its place does not wait. It polls after -EAGAIN, which kernels give for O_NONBLOCK sockets and pipes (before 5.18):
/// whoever starts an operation of the loop wants it to wait.
class FunctionOperation final : public Operation {
 public:
  FunctionOperation(OperationPool<FunctionOperation>& pool, Requests& requests) : pool_(pool), requests_(requests) {}

  /// To be filled by io_uring_prep_*() with plain descriptors; copied to the ring when its turn comes.
  io_uring_sqe& sqe() noexcept { return *reinterpret_cast<io_uring_sqe*>(sqe_.data()); }
  /// The file that the SQE's `fd` is, where that may be a registered one.
  void act_on(File file) noexcept { file_ = file; }
  /// The file that a splice reads from.
  void read_from(File file) noexcept { source_ = file; }
  /// Where what the SQE points to is kept until it is over.
  KeptArguments& kept() {
    if (!kept_) kept_ = std::make_unique<KeptArguments>();
    return *kept_;
  }
  /// Receives into this message, to which the lengths and flags are told before the callback runs.
  void receive_into(msghdr& message) noexcept { told_message_ = &message; }
  /// Polls first.
  void poll_first() noexcept { step_ = Step::kReadiness; }

  /// Queues it. The callback is called exactly once, from `Requests::dispatch`.
  OperationHandle start(ResultCallback&& callback);
  /// The same for what was done already, in another way.
  OperationHandle start_ended(int result, ResultCallback&& callback);

 private:
  enum class Step : std::uint8_t {
    kRequest,
    /// Polls `source_` for a splice, else `file_`.
    kReadiness,
    /// Polls the file that a splice writes to.
    kRoom,
  };

  void prepare(io_uring_sqe& sqe) override;
  void complete(const Completion& completion) override;
  void cancelled(const Completion& completion) override;
  /// What the completions came to in all, or nothing when more is to come.
  std::optional<int> result_of(const Completion& completion);
  /// What is to be told, or nothing when there is a next step.
  std::optional<int> advance(int result);
  std::optional<int> after_request(int result);
  /// What it waits for, where it waits.
  unsigned readiness() const noexcept;
  bool tries_again() noexcept;
  void end(int result);

  OperationPool<FunctionOperation>& pool_;
  Requests& requests_;
  // Bytes, because the structure ends in an array without a size, which C++ has no members of.
  alignas(io_uring_sqe) std::array<std::byte, sizeof(io_uring_sqe)> sqe_{};
  HeldFile file_;
  HeldFile source_;
  Step step_ = Step::kRequest;
  bool plain_ = false;         // this kernel has no such request
  bool polled_first_ = false;  // a transfer of a message that this kernel would leave to a worker
  std::uint16_t tries_ = 0;
  int first_result_ = 0;  // of a zero-copy send, told when its notification is in
  std::unique_ptr<KeptArguments> kept_;
  msghdr* told_message_ = nullptr;
  ResultCallback callback_;
};

}  // namespace internal
}  // namespace assay
