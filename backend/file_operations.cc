// The operations on files and names: which request each is.

#include <fcntl.h>
#include <algorithm>
#include <utility>

#include "assay/backend/operations.h"
#include "assay/backend/requests.h"

namespace assay {
namespace {

// A length in an SQE has 32 bits, and the kernel moves less than that at a time anyway.
unsigned sqe_length(std::size_t bytes) { return static_cast<unsigned>(std::min<std::size_t>(bytes, 0x7fff'f000)); }

}  // namespace

internal::FunctionOperation& Operations::take_transfer(File file, std::uint64_t* offset) {
  internal::FunctionOperation& operation = take_operation(file);
  const internal::TransferWays ways = requests_.transfer_ways(file.fd(), *offset);
  if (ways.poll_first) operation.poll_first();
  *offset = ways.offset;
  return operation;
}

OperationHandle Operations::read(File file, std::span<std::byte> buffer, std::uint64_t offset, ResultCallback done) {
  internal::FunctionOperation& operation = take_transfer(file, &offset);
  io_uring_prep_read(&operation.sqe(), file.fd(), buffer.data(), sqe_length(buffer.size()), offset);
  return operation.start(std::move(done));
}

OperationHandle Operations::write(File file, std::span<const std::byte> buffer, std::uint64_t offset,
                                  ResultCallback done) {
  internal::FunctionOperation& operation = take_transfer(file, &offset);
  io_uring_prep_write(&operation.sqe(), file.fd(), buffer.data(), sqe_length(buffer.size()), offset);
  return operation.start(std::move(done));
}

OperationHandle Operations::readv(File file, std::span<const iovec> buffers, std::uint64_t offset,
                                  ResultCallback done) {
  internal::FunctionOperation& operation = take_transfer(file, &offset);
  const iovec* vectors = operation.kept().vectors(buffers.data(), buffers.size());
  io_uring_prep_readv(&operation.sqe(), file.fd(), vectors, static_cast<unsigned>(buffers.size()), offset);
  return operation.start(std::move(done));
}

OperationHandle Operations::writev(File file, std::span<const iovec> buffers, std::uint64_t offset,
                                   ResultCallback done) {
  internal::FunctionOperation& operation = take_transfer(file, &offset);
  const iovec* vectors = operation.kept().vectors(buffers.data(), buffers.size());
  io_uring_prep_writev(&operation.sqe(), file.fd(), vectors, static_cast<unsigned>(buffers.size()), offset);
  return operation.start(std::move(done));
}

OperationHandle Operations::read_all(File file, std::span<std::byte> buffer, std::uint64_t offset,
                                     TransferCallback done) {
  return transfers_.take(requests_).start_read(file, buffer.data(), buffer.size(), offset, std::move(done));
}

OperationHandle Operations::write_all(File file, std::span<const std::byte> buffer, std::uint64_t offset,
                                      TransferCallback done) {
  return transfers_.take(requests_).start_write(file, buffer.data(), buffer.size(), offset, std::move(done));
}

OperationHandle Operations::fsync(File file, ResultCallback done) {
  internal::FunctionOperation& operation = take_operation(file);
  io_uring_prep_fsync(&operation.sqe(), file.fd(), 0);
  return operation.start(std::move(done));
}

OperationHandle Operations::fdatasync(File file, ResultCallback done) {
  internal::FunctionOperation& operation = take_operation(file);
  io_uring_prep_fsync(&operation.sqe(), file.fd(), IORING_FSYNC_DATASYNC);
  return operation.start(std::move(done));
}

OperationHandle Operations::fallocate(File file, int mode, std::uint64_t offset, std::uint64_t bytes,
                                      ResultCallback done) {
  internal::FunctionOperation& operation = take_operation(file);
  io_uring_sqe& sqe = operation.sqe();
  // Written out, since what liburing 2.3 has here takes lengths of the C library's off_t.
  io_uring_prep_rw(IORING_OP_FALLOCATE, &sqe, file.fd(), nullptr, static_cast<unsigned>(mode), offset);
  sqe.addr = bytes;
  return operation.start(std::move(done));
}

OperationHandle Operations::ftruncate(File file, std::uint64_t bytes, ResultCallback done) {
  internal::FunctionOperation& operation = take_operation(file);
  io_uring_prep_rw(uapi::kOpFtruncate, &operation.sqe(), file.fd(), nullptr, 0, bytes);
  return operation.start(std::move(done));
}

OperationHandle Operations::splice(File from, std::uint64_t from_offset, File to, std::uint64_t to_offset,
                                   std::size_t bytes, unsigned flags, ResultCallback done) {
  internal::FunctionOperation& operation = take_operation(to);
  operation.read_from(from);
  io_uring_prep_splice(&operation.sqe(), from.fd(), static_cast<std::int64_t>(from_offset), to.fd(),
                       static_cast<std::int64_t>(to_offset), sqe_length(bytes), flags);
  return operation.start(std::move(done));
}

OperationHandle Operations::openat(int directory_fd, std::string_view path, int flags, mode_t mode,
                                   ResultCallback done) {
  internal::FunctionOperation& operation = take_operation();
  io_uring_prep_openat(&operation.sqe(), directory_fd, operation.kept().path(path), flags, mode);
  return operation.start(std::move(done));
}

OperationHandle Operations::openat2(int directory_fd, std::string_view path, const open_how& how, ResultCallback done) {
  internal::FunctionOperation& operation = take_operation();
  internal::KeptArguments& kept = operation.kept();
  io_uring_prep_rw(IORING_OP_OPENAT2, &operation.sqe(), directory_fd, kept.path(path), sizeof how,
                   reinterpret_cast<std::uintptr_t>(kept.how(how)));
  return operation.start(std::move(done));
}

OperationHandle Operations::close(int fd, ResultCallback done) {
  internal::FunctionOperation& operation = take_operation();
  io_uring_prep_close(&operation.sqe(), fd);
  return operation.start(std::move(done));
}

OperationHandle Operations::statx(int directory_fd, std::string_view path, int flags, unsigned mask,
                                  struct statx* status, ResultCallback done) {
  internal::FunctionOperation& operation = take_operation();
  io_uring_prep_statx(&operation.sqe(), directory_fd, operation.kept().path(path), flags, mask, status);
  return operation.start(std::move(done));
}

OperationHandle Operations::renameat(int old_directory_fd, std::string_view old_path, int new_directory_fd,
                                     std::string_view new_path, unsigned flags, ResultCallback done) {
  internal::FunctionOperation& operation = take_operation();
  internal::KeptArguments& kept = operation.kept();
  io_uring_prep_renameat(&operation.sqe(), old_directory_fd, kept.path(old_path), new_directory_fd,
                         kept.second_path(new_path), static_cast<int>(flags));
  return operation.start(std::move(done));
}

OperationHandle Operations::unlinkat(int directory_fd, std::string_view path, int flags, ResultCallback done) {
  internal::FunctionOperation& operation = take_operation();
  io_uring_prep_unlinkat(&operation.sqe(), directory_fd, operation.kept().path(path), flags);
  return operation.start(std::move(done));
}

OperationHandle Operations::mkdirat(int directory_fd, std::string_view path, mode_t mode, ResultCallback done) {
  internal::FunctionOperation& operation = take_operation();
  io_uring_prep_mkdirat(&operation.sqe(), directory_fd, operation.kept().path(path), mode);
  return operation.start(std::move(done));
}

}  // namespace assay
