#pragma once

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "assay/backend/allocating_receive.h"
#include "assay/backend/buffer_pool.h"
#include "assay/backend/file.h"
#include "assay/backend/function_operation.h"
#include "assay/backend/operation.h"
#include "assay/backend/received_message.h"
#include "assay/backend/repeated_operation.h"
#include "assay/backend/repeated_receive.h"
#include "assay/backend/timeout_operation.h"
#include "assay/backend/transfer.h"
#include "assay/backend/unique_function.h"

namespace assay {

class Backend;

/// The offset that means the file's own position, which then advances (5.6 for files that can seek).
inline constexpr std::uint64_t kCurrentPosition = ~std::uint64_t{0};

/// The operations of a Backend: system calls that its loop makes, and tells the result of.
///
/// The callback is called once, by the loop or the Backend's destructor and never by the call that starts an operation,
/// with what the kernel reports: a value >= 0 or a negative errno, short results included. A bad argument is such a
/// result too. The handle serves Backend::cancel, after which the result is -ECANCELED, or what came first.
///
/// Memory. What the caller wants read or written (buffers, a `struct statx`, the address that an accept tells) is the
/// caller's and must live until the callback. What only describes that (paths, addresses, iovec arrays, the msghdr and
/// control data of a message to be sent, open_how) is copied. Starting an operation allocates nothing in the long run.
///
/// Waiting. An operation on a socket or pipe waits until it can be done, O_NONBLOCK or not, unless its own flags say
/// otherwise (MSG_DONTWAIT, SPLICE_F_NONBLOCK): where a kernel answers -EAGAIN all the same (sockets before 5.18, pipes
/// before 5.13) the file is polled, and the operation tried again. -EINTR is tried again too. Operations that wait for
/// nothing are told both.
///
/// Older kernels. "Since" is the release that brought the request. Before, another request does it, or else the plain
/// system call: at once, inside the call that starts it, where it does not wait for a socket or pipe; after a poll
/// where it does. -ENOTSUP is told where there is no such call. Sources: io_uring_enter(2) and the man page of each
/// call.
class Operations {
 public:
  Operations(const Operations&) = delete;
  Operations& operator=(const Operations&) = delete;

  // Files.

  /// pread(2). Since 5.6; before, as readv.
  OperationHandle read(File file, std::span<std::byte> buffer, std::uint64_t offset, ResultCallback done);
  /// pwrite(2). Since 5.6; before, as writev.
  OperationHandle write(File file, std::span<const std::byte> buffer, std::uint64_t offset, ResultCallback done);
  /// preadv(2). Since 5.1.
  OperationHandle readv(File file, std::span<const iovec> buffers, std::uint64_t offset, ResultCallback done);
  /// pwritev(2). Since 5.1.
  OperationHandle writev(File file, std::span<const iovec> buffers, std::uint64_t offset, ResultCallback done);
  /// Reads until the buffer is full or the file ends, whatever short results come; transient errors are tried again.
  /// Under O_DIRECT each step begins at a block's start, so that a short result does not end it (see Transfer).
  OperationHandle read_all(File file, std::span<std::byte> buffer, std::uint64_t offset, TransferCallback done);
  /// Writes all of the buffer in the same manner.
  OperationHandle write_all(File file, std::span<const std::byte> buffer, std::uint64_t offset, TransferCallback done);
  /// fsync(2). Since 5.1.
  OperationHandle fsync(File file, ResultCallback done);
  /// fdatasync(2). Since 5.1.
  OperationHandle fdatasync(File file, ResultCallback done);
  /// fallocate(2): `mode` is FALLOC_FL_*. Since 5.6; before, the call.
  OperationHandle fallocate(File file, int mode, std::uint64_t offset, std::uint64_t bytes, ResultCallback done);
  /// ftruncate(2). Since 6.9; before, the call.
  OperationHandle ftruncate(File file, std::uint64_t bytes, ResultCallback done);
  /// splice(2): moves at most `bytes` between a pipe and another file, or two pipes. An offset is kCurrentPosition for
  /// a pipe. `flags` are SPLICE_F_*. Since 5.7; before, the call once the one side has data and the other room.
  OperationHandle splice(File from, std::uint64_t from_offset, File to, std::uint64_t to_offset, std::size_t bytes,
                         unsigned flags, ResultCallback done);

  // Names. `directory_fd` may be AT_FDCWD.

  /// openat(2): told the descriptor. Since 5.6; before, the call.
  OperationHandle openat(int directory_fd, std::string_view path, int flags, mode_t mode, ResultCallback done);
  /// openat2(2). Since 5.6; before, the call, or openat(2) where `how.resolve` is 0 and the call is missing as well.
  OperationHandle openat2(int directory_fd, std::string_view path, const open_how& how, ResultCallback done);
  /// close(2). Since 5.6; before, the call.
  OperationHandle close(int fd, ResultCallback done);
  /// statx(2) into `status`. `mask` is STATX_*, `flags` are AT_*. Since 5.6; before, the call.
  OperationHandle statx(int directory_fd, std::string_view path, int flags, unsigned mask, struct statx* status,
                        ResultCallback done);
  /// renameat2(2): `flags` are RENAME_*. Since 5.11; before, the call.
  OperationHandle renameat(int old_directory_fd, std::string_view old_path, int new_directory_fd,
                           std::string_view new_path, unsigned flags, ResultCallback done);
  /// unlinkat(2): `flags` may be AT_REMOVEDIR. Since 5.11; before, the call.
  OperationHandle unlinkat(int directory_fd, std::string_view path, int flags, ResultCallback done);
  /// mkdirat(2). Since 5.15; before, the call.
  OperationHandle mkdirat(int directory_fd, std::string_view path, mode_t mode, ResultCallback done);

  // Sockets. `flags` of transfers are MSG_*.

  /// socket(2): told the descriptor; `type` may have SOCK_CLOEXEC and SOCK_NONBLOCK. Since 5.19; before, the call.
  OperationHandle socket(int domain, int type, int protocol, ResultCallback done);
  /// bind(2). Since 6.11; before, the call.
  OperationHandle bind(File socket, const sockaddr* address, socklen_t address_bytes, ResultCallback done);
  /// listen(2). Since 6.11; before, the call.
  OperationHandle listen(File socket, int backlog, ResultCallback done);
  /// connect(2). Since 5.5; before, the call, for whose time the socket is O_NONBLOCK, and a poll.
  OperationHandle connect(File socket, const sockaddr* address, socklen_t address_bytes, ResultCallback done);
  /// accept4(2): told the descriptor; `flags` are SOCK_CLOEXEC and SOCK_NONBLOCK. `address` and `address_bytes`, unless
  /// null, are told the peer's address. Since 5.5; before, a poll and the call, which waits for a further connection
  /// where somebody else accepts the first between the two and the socket is not O_NONBLOCK.
  OperationHandle accept(File socket, sockaddr* address, socklen_t* address_bytes, int flags, ResultCallback done);
  /// Accepts one connection after the other, until cancelled or an error of the socket or the process (EMFILE) ends it.
  /// One multishot request since 5.19; before, one `accept` after the other.
  OperationHandle accept_each(File socket, int flags, RepeatedCallback told);
  /// shutdown(2). Since 5.11; before, the call.
  OperationHandle shutdown(File socket, int how, ResultCallback done);
  /// send(2). Since 5.6; before, as sendmsg.
  OperationHandle send(File socket, std::span<const std::byte> buffer, int flags, ResultCallback done);
  /// recv(2). Since 5.6; before, as recvmsg.
  OperationHandle recv(File socket, std::span<std::byte> buffer, int flags, ResultCallback done);
  /// sendmsg(2). Since 5.3; before, a poll and the call.
  OperationHandle sendmsg(File socket, const msghdr& message, int flags, ResultCallback done);
  /// recvmsg(2). `message` must live until the callback, since its msg_namelen, msg_controllen and msg_flags are told
  /// what came; its iovec array is copied. Since 5.3; before, a poll and the call.
  OperationHandle recvmsg(File socket, msghdr& message, int flags, ResultCallback done);
  /// send(2) without a copy: told the result when the buffer may be used again, which may be when the peer has
  /// acknowledged all. Since 6.0; before, and on sockets without zero copy, as send.
  OperationHandle send_zc(File socket, std::span<const std::byte> buffer, int flags, ResultCallback done);
  /// The same for sendmsg. Since 6.1.
  OperationHandle sendmsg_zc(File socket, const msghdr& message, int flags, ResultCallback done);

  // Receiving on and on: the kernel reads or receives, and tells of what it has. Each goes on until cancelled, or until
  // the end of file (a `res` of 0 with `more` false) or an error ends it. Data may be told of after Backend::cancel,
  // before -ECANCELED: it is gone from the file. A datagram of no bytes is told as one, and ends nothing.

  /// Reads a pipe, a device, an eventfd, or a file from its position on (5.6), into buffers of the pool. One multishot
  /// request since 6.7 where the file can be polled; before, one read after the other.
  OperationHandle read_each(File file, const BufferPool& pool, ReceiveCallback told);
  /// The same into memory that `allocate` gives, one read after the other. `allocate` is called whenever a read is
  /// made, also inside this call, and must not call the backend; before 5.7, only when there is something to read.
  OperationHandle read_each(File file, AllocateCallback allocate, RepeatedCallback told);
  /// Receives from a socket into buffers of the pool, and waits while the pool has none. One multishot request since
  /// 6.0, which since 6.10 may fill several buffers for one completion; before, a poll and a recv(2) each time. `flags`
  /// are MSG_*, but MSG_WAITALL.
  OperationHandle recv_each(File socket, const BufferPool& pool, int flags, ReceiveCallback told);
  /// The same into memory that `allocate` gives, as with read_each.
  OperationHandle recv_each(File socket, AllocateCallback allocate, int flags, RepeatedCallback told);
  /// Receives messages with their sender and control data, each into a buffer of the pool, which `room` is taken from;
  /// -EMSGSIZE when that leaves no room for the payload. As recv_each otherwise.
  OperationHandle recvmsg_each(File socket, const BufferPool& pool, const MessageRoom& room, int flags,
                               MessageCallback told);
  /// The same into messages that `allocate` gives, whose msg_namelen, msg_controllen and msg_flags are told what came.
  OperationHandle recvmsg_each(File socket, AllocateMessageCallback allocate, int flags, RepeatedCallback told);

  // What waits for something else.

  /// poll(2) of one file: told the events that are there, as soon as some of `events` are, or POLLERR or POLLHUP. Since
  /// 5.1.
  OperationHandle poll(File file, unsigned events, ResultCallback done);
  /// The same again and again, until cancelled. One multishot request since 5.13, which tells of readiness when it
  /// comes up; before, one poll after the other, which tell of it while it lasts.
  OperationHandle poll_each(File file, unsigned events, RepeatedCallback told);
  /// Told -ETIME when the time is over. For a timer that is moved or repeated see Timer. TIMEOUT, since 5.5; before, a
  /// timer of the loop.
  OperationHandle timeout(std::chrono::nanoseconds duration, ResultCallback done);
  /// Sends `message` to another Backend, which must live until the callback and is told by receive_messages; 0 when it
  /// was sent. MSG_RING, since 5.18; before, and to rings of another Kernel, by Backend::post. -EBADFD while the other
  /// one has defer_taskrun and its loop did not run yet.
  OperationHandle msg_ring(Backend& target, std::uint32_t message, ResultCallback done);
  /// From now on the loop waits for messages of others, and tells them; nullptr ends that. From the loop's thread.
  void receive_messages(UniqueFunction<void(std::uint32_t message)> told);
  /// Waits until the word is woken, if it is `expected`: 0, or -EAGAIN if it is not. Of the waiter's and the waker's
  /// masks a bit must be common. `flags` are those of futex2(2) beside the size, which is 32 bits: FUTEX2_PRIVATE.
  /// Since 6.7; before, -ENOTSUP, since there is nothing to poll.
  OperationHandle futex_wait(std::uint32_t* word, std::uint32_t expected, std::uint32_t mask, unsigned flags,
                             ResultCallback done);
  /// Wakes at most `count` who wait for the word: told how many. Since 6.7; before, futex(2).
  OperationHandle futex_wake(std::uint32_t* word, unsigned count, std::uint32_t mask, unsigned flags,
                             ResultCallback done);

 protected:
  /// Both are the Backend's and need not be there yet.
  Operations(internal::Requests& requests, internal::TimerQueue& timers) : requests_(requests), timers_(timers) {}
  ~Operations() = default;

  internal::FunctionOperation& take_operation() { return functions_.take(requests_); }
  internal::FunctionOperation& take_operation(File file) {
    internal::FunctionOperation& operation = take_operation();
    operation.act_on(file);
    return operation;
  }

 private:
  internal::FunctionOperation& take_transfer(File file, std::uint64_t* offset);

  internal::Requests& requests_;
  internal::TimerQueue& timers_;
  internal::OperationPool<internal::FunctionOperation> functions_;
  internal::OperationPool<internal::RepeatedOperation> repeated_;
  internal::OperationPool<internal::RepeatedReceive> receives_;
  internal::OperationPool<internal::AllocatingReceive> allocating_receives_;
  internal::OperationPool<internal::TimeoutOperation> timeouts_;
  internal::OperationPool<internal::Transfer> transfers_;
};

}  // namespace assay
