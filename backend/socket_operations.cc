// The operations on sockets: which request each is.

#include <sys/socket.h>
#include <algorithm>
#include <utility>

#include "assay/backend/operations.h"
#include "assay/backend/requests.h"

namespace assay {
namespace {

std::size_t sqe_length(std::size_t bytes) { return std::min<std::size_t>(bytes, 0x7fff'f000); }

}  // namespace

OperationHandle Operations::socket(int domain, int type, int protocol, ResultCallback done) {
  internal::FunctionOperation& operation = take_operation();
  io_uring_prep_socket(&operation.sqe(), domain, type, protocol, 0);
  return operation.start(std::move(done));
}

OperationHandle Operations::bind(File socket, const sockaddr* address, socklen_t address_bytes, ResultCallback done) {
  internal::FunctionOperation& operation = take_operation(socket);
  io_uring_prep_rw(uapi::kOpBind, &operation.sqe(), socket.fd(), operation.kept().address(address, address_bytes), 0,
                   address_bytes);
  return operation.start(std::move(done));
}

OperationHandle Operations::listen(File socket, int backlog, ResultCallback done) {
  internal::FunctionOperation& operation = take_operation(socket);
  io_uring_prep_rw(uapi::kOpListen, &operation.sqe(), socket.fd(), nullptr, static_cast<unsigned>(backlog), 0);
  return operation.start(std::move(done));
}

OperationHandle Operations::connect(File socket, const sockaddr* address, socklen_t address_bytes,
                                    ResultCallback done) {
  internal::FunctionOperation& operation = take_operation(socket);
  io_uring_prep_connect(&operation.sqe(), socket.fd(), operation.kept().address(address, address_bytes), address_bytes);
  return operation.start(std::move(done));
}

OperationHandle Operations::accept(File socket, sockaddr* address, socklen_t* address_bytes, int flags,
                                   ResultCallback done) {
  internal::FunctionOperation& operation = take_operation(socket);
  io_uring_prep_accept(&operation.sqe(), socket.fd(), address, address_bytes, flags);
  return operation.start(std::move(done));
}

OperationHandle Operations::accept_each(File socket, int flags, RepeatedCallback told) {
  return repeated_.take(requests_).start_accept(socket, flags, std::move(told));
}

OperationHandle Operations::shutdown(File socket, int how, ResultCallback done) {
  internal::FunctionOperation& operation = take_operation(socket);
  io_uring_prep_shutdown(&operation.sqe(), socket.fd(), how);
  return operation.start(std::move(done));
}

OperationHandle Operations::send(File socket, std::span<const std::byte> buffer, int flags, ResultCallback done) {
  internal::FunctionOperation& operation = take_operation(socket);
  io_uring_prep_send(&operation.sqe(), socket.fd(), buffer.data(), sqe_length(buffer.size()), flags);
  return operation.start(std::move(done));
}

OperationHandle Operations::recv(File socket, std::span<std::byte> buffer, int flags, ResultCallback done) {
  internal::FunctionOperation& operation = take_operation(socket);
  io_uring_prep_recv(&operation.sqe(), socket.fd(), buffer.data(), sqe_length(buffer.size()), flags);
  return operation.start(std::move(done));
}

OperationHandle Operations::sendmsg(File socket, const msghdr& message, int flags, ResultCallback done) {
  internal::FunctionOperation& operation = take_operation(socket);
  io_uring_prep_sendmsg(&operation.sqe(), socket.fd(), operation.kept().message_to_send(message),
                        static_cast<unsigned>(flags));
  return operation.start(std::move(done));
}

OperationHandle Operations::recvmsg(File socket, msghdr& message, int flags, ResultCallback done) {
  internal::FunctionOperation& operation = take_operation(socket);
  operation.receive_into(message);
  io_uring_prep_recvmsg(&operation.sqe(), socket.fd(), operation.kept().message_to_receive(message),
                        static_cast<unsigned>(flags));
  return operation.start(std::move(done));
}

OperationHandle Operations::send_zc(File socket, std::span<const std::byte> buffer, int flags, ResultCallback done) {
  internal::FunctionOperation& operation = take_operation(socket);
  io_uring_prep_send_zc(&operation.sqe(), socket.fd(), buffer.data(), sqe_length(buffer.size()), flags, 0);
  return operation.start(std::move(done));
}

OperationHandle Operations::sendmsg_zc(File socket, const msghdr& message, int flags, ResultCallback done) {
  internal::FunctionOperation& operation = take_operation(socket);
  io_uring_prep_sendmsg(&operation.sqe(), socket.fd(), operation.kept().message_to_send(message),
                        static_cast<unsigned>(flags));
  operation.sqe().opcode = IORING_OP_SENDMSG_ZC;
  return operation.start(std::move(done));
}

}  // namespace assay
