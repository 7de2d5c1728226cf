// The operations that wait for something else than a transfer: readiness, time, another ring, a futex.

#include <utility>

#include "assay/backend/backend.h"
#include "assay/backend/operation_ways.h"
#include "assay/backend/operations.h"
#include "assay/backend/requests.h"

namespace assay {

OperationHandle Operations::poll(File file, unsigned events, ResultCallback done) {
  internal::FunctionOperation& operation = take_operation(file);
  io_uring_prep_poll_add(&operation.sqe(), file.fd(), events);
  return operation.start(std::move(done));
}

OperationHandle Operations::poll_each(File file, unsigned events, RepeatedCallback told) {
  return repeated_.take(requests_).start_poll(file, events, std::move(told));
}

OperationHandle Operations::timeout(std::chrono::nanoseconds duration, ResultCallback done) {
  return timeouts_.take(requests_).start(duration, timers_, std::move(done));
}

OperationHandle Operations::msg_ring(Backend& target, std::uint32_t message, ResultCallback done) {
  internal::FunctionOperation& operation = take_operation();
  internal::Requests& receiver = target.Operations::requests_;
  if (!requests_.support().has(IORING_OP_MSG_RING) || &receiver.ring().kernel() != &requests_.ring().kernel()) {
    target.post([&receiver, message] { receiver.take_message(message); });
    return operation.start_ended(0, std::move(done));
  }
  io_uring_prep_msg_ring(&operation.sqe(), receiver.ring().fd(), message, internal::InFlightTable::kMessage, 0);
  return operation.start(std::move(done));
}

void Operations::receive_messages(UniqueFunction<void(std::uint32_t message)> told) {
  requests_.receive_messages(std::move(told));
}

OperationHandle Operations::futex_wait(std::uint32_t* word, std::uint32_t expected, std::uint32_t mask, unsigned flags,
                                       ResultCallback done) {
  internal::FunctionOperation& operation = take_operation();
  io_uring_sqe& sqe = operation.sqe();
  const int size_and_flags = internal::kFutex2Size32 | static_cast<int>(flags);
  io_uring_prep_rw(uapi::kOpFutexWait, &sqe, size_and_flags, word, 0, expected);
  sqe.addr3 = mask;
  return operation.start(std::move(done));
}

OperationHandle Operations::futex_wake(std::uint32_t* word, unsigned count, std::uint32_t mask, unsigned flags,
                                       ResultCallback done) {
  internal::FunctionOperation& operation = take_operation();
  io_uring_sqe& sqe = operation.sqe();
  const int size_and_flags = internal::kFutex2Size32 | static_cast<int>(flags);
  io_uring_prep_rw(uapi::kOpFutexWake, &sqe, size_and_flags, word, 0, count);
  sqe.addr3 = mask;
  return operation.start(std::move(done));
}

}  // namespace assay
