#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "assay/backend/buffer_pool.h"
#include "assay/backend/function_operation.h"
#include "assay/backend/kept_arguments.h"
#include "assay/backend/operation.h"
#include "assay/backend/receive_source.h"
#include "assay/backend/received_message.h"
#include "assay/backend/unique_function.h"

namespace assay {

/// Told what came, piece by piece. `res` is how many bytes `data` has; at the end of file it is 0, and for an error a
/// negative errno, without a buffer. The last call, and only that one, has `more` false.
using ReceiveCallback = UniqueFunction<void(int res, ProvidedBuffer data, bool more)>;
/// The same for messages; `res` is how many bytes of payload came, 0 for a datagram of none.
using MessageCallback = UniqueFunction<void(int res, ReceivedMessage message, bool more)>;

namespace internal {

/// Receives into buffers of a pool, one after the other, until cancelled, at the end of file, or by an error.
///
/// Where the kernel picks the buffers this is one multishot request, armed again when the kernel ends it for reasons of
/// its own (the CQ was full), and on hold while there is no buffer (-ENOBUFS). Otherwise it polls, takes a buffer, and
/// receives into that.
class RepeatedReceive final : public Operation {
 public:
  RepeatedReceive(OperationPool<RepeatedReceive>& pool, Requests& requests) : pool_(pool), requests_(requests) {}

  OperationHandle start(const ReceiveSource& source, std::shared_ptr<PooledBuffers> group, ReceiveCallback callback);
  OperationHandle start_messages(const ReceiveSource& source, std::shared_ptr<PooledBuffers> group,
                                 const MessageRoom& room, MessageCallback callback);
  /// A buffer may be free, for which it waited.
  void go_on();

 private:
  enum class Step : std::uint8_t {
    kRequest,
    kReadiness,
    /// Parked until a buffer is given back.
    kNoBuffer,
    /// The kernel says that there is none, and we know of one, which another request may have for a moment.
    kPause,
  };
  enum class Outcome : std::uint8_t {
    /// Something was received.
    kResult,
    /// Nothing to tell yet.
    kGoesOn,
    /// The last thing to tell.
    kOver,
  };

  OperationHandle start();
  void prepare(io_uring_sqe& sqe) override;
  void prepare_for_kernel_to_pick(io_uring_sqe& sqe);
  void prepare_into_buffer(io_uring_sqe& sqe);
  int lay_out_picked(const Completion& completion);
  void write_header(std::byte* buffer, int payload);
  void complete(const Completion& completion) override;
  void cancelled(const Completion& completion) override;

  Outcome judge(int* result);
  Outcome judge_readiness(int* result);
  Outcome judge_request(int* result);
  bool takes_buffer();
  bool next_step();
  bool is_empty_message(int result) const noexcept;
  /// What was received into, where the kernel does not pick the buffers.
  std::optional<ProvidedBuffer> filled_buffer(int result);
  /// Tells what lies in the buffers that the kernel picked.
  void tell_picked(int result, unsigned flags);
  /// Gives a buffer back that it picked for nothing.
  void drop_picked(unsigned flags);
  void tell(ProvidedBuffer buffer);
  void end(int result);

  static constexpr std::uint32_t kNone = ~std::uint32_t{0};

  OperationPool<RepeatedReceive>& pool_;
  Requests& requests_;
  ReceiveSource source_;
  std::shared_ptr<PooledBuffers> group_;
  bool multishot_ = false;
  bool bundles_ = false;
  bool refused_ = false;  // there was no buffer though we knew of one
  Step step_ = Step::kRequest;
  std::uint32_t buffer_ = kNone;  // that is received into, where the kernel does not pick them
  MessageRoom room_;
  msghdr message_{};
  iovec payload_{};
  std::vector<std::byte> before_payload_;  // of a message, where the kernel picks the buffer and puts nothing there
  KeptArguments kept_;
  __kernel_timespec pause_{};
  LastingCallback<void(int, ProvidedBuffer, bool)> callback_;
  LastingCallback<void(int, ReceivedMessage, bool)> message_callback_;
};

}  // namespace internal
}  // namespace assay
