#pragma once

#include <sys/uio.h>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

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
    if (free_.empty()) {
      all_.push_back(std::make_unique<T>(*this, requests));
      free_.reserve(all_.size());
      return *all_.back();
    }
    T* operation = free_.back();
    free_.pop_back();
    return *operation;
  }
  void give_back(T& operation) noexcept { free_.push_back(&operation); }

 private:
  std::vector<std::unique_ptr<T>> all_;
  std::vector<T*> free_;
};

/// One request whose SQE is known when it is made, and whose result goes to a function.
///
/// Where the kernel blocks a worker in a read or write that is not ready (before 5.7), such a request polls first, so
/// that it can be cancelled while it waits.
class FunctionOperation final : public Operation {
 public:
  FunctionOperation(OperationPool<FunctionOperation>& pool, Requests& requests) : pool_(pool), requests_(requests) {}

  /// To be filled by io_uring_prep_*(); copied to the ring when its turn comes.
  io_uring_sqe& sqe() noexcept { return *reinterpret_cast<io_uring_sqe*>(sqe_.data()); }
  /// Copies of what the SQE points to, kept until it is over.
  const iovec* keep(const iovec* first, std::size_t count) {
    iovecs_.assign(first, first + count);
    return iovecs_.data();
  }
  const char* keep(std::string path) {
    path_ = std::move(path);
    return path_.c_str();
  }
  /// Poll for these first; 0 does not.
  void poll_first(unsigned events) noexcept { poll_events_ = events; }

  /// Queues it. The callback is called exactly once, from `Requests::dispatch`.
  OperationHandle start(ResultCallback callback);
  /// The same for what was done already, in another way.
  OperationHandle start_ended(int result, ResultCallback callback);

 private:
  void prepare(io_uring_sqe& sqe) override;
  void complete(const Completion& completion) override;
  void cancelled(const Completion& completion) override;
  void end(int result);

  OperationPool<FunctionOperation>& pool_;
  Requests& requests_;
  // Bytes, because the structure ends in an array without a size, which C++ has no members of.
  alignas(io_uring_sqe) std::array<std::byte, sizeof(io_uring_sqe)> sqe_{};
  unsigned poll_events_ = 0;
  std::vector<iovec> iovecs_;
  std::string path_;
  ResultCallback callback_;
};

}  // namespace internal
}  // namespace assay
