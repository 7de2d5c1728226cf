// The file operations of Backend: which request each becomes, and what is done where the kernel has no such request.

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>
#include <cerrno>
#include <utility>

#include "assay/backend/backend.h"

namespace assay {
namespace {

// A plain system call in the kernel's form.
int result_of(int returned) { return returned < 0 ? -errno : returned; }

// A length in an SQE has 32 bits, and the kernel moves less than that at a time anyway.
unsigned sqe_length(std::size_t bytes) {
  constexpr std::size_t kMost = 0x7fff'f000;
  return static_cast<unsigned>(bytes < kMost ? bytes : kMost);
}

}  // namespace

internal::FunctionOperation& Backend::take_transfer_operation(int fd, unsigned poll_events, std::uint64_t* offset) {
  internal::FunctionOperation& operation = take_function_operation();
  const internal::TransferWays ways = requests_.transfer_ways(fd, *offset);
  operation.poll_first(ways.poll_first ? poll_events : 0);
  *offset = ways.offset;
  return operation;
}

OperationHandle Backend::read(int fd, std::span<std::byte> buffer, std::uint64_t offset, ResultCallback done) {
  if (!requests_.support().has(IORING_OP_READ)) {
    const iovec vector{.iov_base = buffer.data(), .iov_len = buffer.size()};
    return readv(fd, {&vector, 1}, offset, std::move(done));
  }
  internal::FunctionOperation& operation = take_transfer_operation(fd, POLLIN, &offset);
  io_uring_prep_read(&operation.sqe(), fd, buffer.data(), sqe_length(buffer.size()), offset);
  return operation.start(std::move(done));
}

OperationHandle Backend::write(int fd, std::span<const std::byte> buffer, std::uint64_t offset, ResultCallback done) {
  if (!requests_.support().has(IORING_OP_WRITE)) {
    const iovec vector{.iov_base = const_cast<std::byte*>(buffer.data()), .iov_len = buffer.size()};
    return writev(fd, {&vector, 1}, offset, std::move(done));
  }
  internal::FunctionOperation& operation = take_transfer_operation(fd, POLLOUT, &offset);
  io_uring_prep_write(&operation.sqe(), fd, buffer.data(), sqe_length(buffer.size()), offset);
  return operation.start(std::move(done));
}

OperationHandle Backend::readv(int fd, std::span<const iovec> buffers, std::uint64_t offset, ResultCallback done) {
  internal::FunctionOperation& operation = take_transfer_operation(fd, POLLIN, &offset);
  const iovec* kept = operation.keep(buffers.data(), buffers.size());
  io_uring_prep_readv(&operation.sqe(), fd, kept, static_cast<unsigned>(buffers.size()), offset);
  return operation.start(std::move(done));
}

OperationHandle Backend::writev(int fd, std::span<const iovec> buffers, std::uint64_t offset, ResultCallback done) {
  internal::FunctionOperation& operation = take_transfer_operation(fd, POLLOUT, &offset);
  const iovec* kept = operation.keep(buffers.data(), buffers.size());
  io_uring_prep_writev(&operation.sqe(), fd, kept, static_cast<unsigned>(buffers.size()), offset);
  return operation.start(std::move(done));
}

OperationHandle Backend::fsync(int fd, ResultCallback done) {
  internal::FunctionOperation& operation = take_function_operation();
  io_uring_prep_fsync(&operation.sqe(), fd, 0);
  return operation.start(std::move(done));
}

OperationHandle Backend::fdatasync(int fd, ResultCallback done) {
  internal::FunctionOperation& operation = take_function_operation();
  io_uring_prep_fsync(&operation.sqe(), fd, IORING_FSYNC_DATASYNC);
  return operation.start(std::move(done));
}

OperationHandle Backend::openat(int directory_fd, std::string path, int flags, mode_t mode, ResultCallback done) {
  internal::FunctionOperation& operation = take_function_operation();
  if (!requests_.support().has(IORING_OP_OPENAT)) {
    return operation.start_ended(result_of(::openat(directory_fd, path.c_str(), flags, mode)), std::move(done));
  }
  io_uring_prep_openat(&operation.sqe(), directory_fd, operation.keep(std::move(path)), flags, mode);
  return operation.start(std::move(done));
}

OperationHandle Backend::close(int fd, ResultCallback done) {
  internal::FunctionOperation& operation = take_function_operation();
  if (!requests_.support().has(IORING_OP_CLOSE)) {
    return operation.start_ended(result_of(::close(fd)), std::move(done));
  }
  io_uring_prep_close(&operation.sqe(), fd);
  return operation.start(std::move(done));
}

OperationHandle Backend::read_all(int fd, std::span<std::byte> buffer, std::uint64_t offset, TransferCallback done) {
  return transfers_.take(requests_).start_read(fd, buffer.data(), buffer.size(), offset, std::move(done));
}

OperationHandle Backend::write_all(int fd, std::span<const std::byte> buffer, std::uint64_t offset,
                                   TransferCallback done) {
  return transfers_.take(requests_).start_write(fd, buffer.data(), buffer.size(), offset, std::move(done));
}

}  // namespace assay
