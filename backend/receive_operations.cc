// The operations that go on receiving: which request each is.

#include <utility>

#include "assay/backend/operations.h"
#include "assay/backend/requests.h"

namespace assay {

using internal::ReceiveSource;

OperationHandle Operations::read_each(File file, const BufferPool& pool, ReceiveCallback told) {
  return receives_.take(requests_).start({ReceiveSource::Call::kRead, file, 0}, pool.group_, std::move(told));
}

OperationHandle Operations::read_each(File file, AllocateCallback allocate, RepeatedCallback told) {
  return allocating_receives_.take(requests_).start({ReceiveSource::Call::kRead, file, 0}, std::move(allocate),
                                                    std::move(told));
}

OperationHandle Operations::recv_each(File socket, const BufferPool& pool, int flags, ReceiveCallback told) {
  return receives_.take(requests_).start({ReceiveSource::Call::kRecv, socket, flags}, pool.group_, std::move(told));
}

OperationHandle Operations::recv_each(File socket, AllocateCallback allocate, int flags, RepeatedCallback told) {
  return allocating_receives_.take(requests_).start({ReceiveSource::Call::kRecv, socket, flags}, std::move(allocate),
                                                    std::move(told));
}

OperationHandle Operations::recvmsg_each(File socket, const BufferPool& pool, const MessageRoom& room, int flags,
                                         MessageCallback told) {
  return receives_.take(requests_).start_messages({ReceiveSource::Call::kRecvmsg, socket, flags}, pool.group_, room,
                                                  std::move(told));
}

OperationHandle Operations::recvmsg_each(File socket, AllocateMessageCallback allocate, int flags,
                                         RepeatedCallback told) {
  return allocating_receives_.take(requests_).start_messages({ReceiveSource::Call::kRecvmsg, socket, flags},
                                                             std::move(allocate), std::move(told));
}

}  // namespace assay
