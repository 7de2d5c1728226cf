#include "assay/backend/operation_ways.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cerrno>

namespace assay::internal {
namespace {

template <typename T = void>
T* pointer(std::uint64_t address) {
  return reinterpret_cast<T*>(static_cast<std::uintptr_t>(address));
}

// A plain system call in the kernel's form.
int result_of(long returned) { return returned < 0 ? -errno : static_cast<int>(returned); }

int connect_plainly(const io_uring_sqe& sqe) {
  const int flags = ::fcntl(sqe.fd, F_GETFL);
  if (flags < 0) return -errno;
  const bool waits = (flags & O_NONBLOCK) == 0;
  if (waits) ::fcntl(sqe.fd, F_SETFL, flags | O_NONBLOCK);
  const int result = result_of(::connect(sqe.fd, pointer<sockaddr>(sqe.addr), static_cast<socklen_t>(sqe.off)));
  if (waits) ::fcntl(sqe.fd, F_SETFL, flags);
  return result;
}

int accept_plainly(const io_uring_sqe& sqe) {
  pollfd ready{.fd = sqe.fd, .events = POLLIN, .revents = 0};
  if (::poll(&ready, 1, 0) == 0) return -EAGAIN;
  return result_of(::accept4(sqe.fd, pointer<sockaddr>(sqe.addr), pointer<socklen_t>(sqe.addr2),
                             static_cast<int>(sqe.accept_flags)));
}

int splice_plainly(const io_uring_sqe& sqe) {
  auto from = static_cast<off64_t>(sqe.splice_off_in);
  auto to = static_cast<off64_t>(sqe.off);
  return result_of(::splice(sqe.splice_fd_in, from == -1 ? nullptr : &from, sqe.fd, to == -1 ? nullptr : &to, sqe.len,
                            sqe.splice_flags | SPLICE_F_NONBLOCK));
}

// openat2(2) came with its opcode (5.6); where nothing but what openat(2) has is asked for, that does.
int openat2_plainly(const io_uring_sqe& sqe) {
  const int result = result_of(
      ::syscall(SYS_openat2, sqe.fd, pointer(sqe.addr), pointer(sqe.addr2), static_cast<std::size_t>(sqe.len)));
  const auto& how = *pointer<const open_how>(sqe.addr2);
  if (result != -ENOSYS || how.resolve != 0) return result;
  return result_of(
      ::openat(sqe.fd, pointer<const char>(sqe.addr), static_cast<int>(how.flags), static_cast<mode_t>(how.mode)));
}

int futex_wake_plainly(const io_uring_sqe& sqe) {
  const int operation = FUTEX_WAKE_BITSET | ((sqe.fd & kFutex2Private) != 0 ? FUTEX_PRIVATE_FLAG : 0);
  return result_of(::syscall(SYS_futex, pointer(sqe.addr), operation, static_cast<int>(sqe.off), nullptr, nullptr,
                             static_cast<std::uint32_t>(sqe.addr3)));
}

}  // namespace

bool take_older_opcode(io_uring_sqe& sqe, const KernelSupport& support, KeptArguments& kept) {
  while (!support.has(sqe.opcode)) {
    switch (sqe.opcode) {
      case IORING_OP_READ:
      case IORING_OP_WRITE: {
        const iovec vector{.iov_base = pointer(sqe.addr), .iov_len = sqe.len};
        sqe.addr = reinterpret_cast<std::uintptr_t>(kept.vectors(&vector, 1));
        sqe.len = 1;
        sqe.opcode = sqe.opcode == IORING_OP_READ ? IORING_OP_READV : IORING_OP_WRITEV;
        break;
      }
      case IORING_OP_SEND:
      case IORING_OP_RECV: {
        const std::uint8_t opcode = sqe.opcode == IORING_OP_SEND ? IORING_OP_SENDMSG : IORING_OP_RECVMSG;
        if (!support.has(opcode)) return false;
        sqe.addr = reinterpret_cast<std::uintptr_t>(kept.message_of(pointer(sqe.addr), sqe.len));
        sqe.len = 1;
        sqe.opcode = opcode;
        break;
      }
      case IORING_OP_SEND_ZC:
        sqe.opcode = IORING_OP_SEND;
        break;
      case IORING_OP_SENDMSG_ZC:
        sqe.opcode = IORING_OP_SENDMSG;
        break;
      default:
        return false;
    }
  }
  return true;
}

unsigned readiness_of(const io_uring_sqe& sqe) {
  switch (sqe.opcode) {
    case IORING_OP_READ:
    case IORING_OP_READV:
    case IORING_OP_ACCEPT:
      return POLLIN;
    case IORING_OP_WRITE:
    case IORING_OP_WRITEV:
    case IORING_OP_CONNECT:
      return POLLOUT;
    case IORING_OP_RECV:
    case IORING_OP_RECVMSG:
      if ((sqe.msg_flags & MSG_DONTWAIT) != 0) return 0;
      // The error queue is announced by POLLERR, for which every poll looks.
      if ((sqe.msg_flags & MSG_ERRQUEUE) != 0) return POLLERR;
      return (sqe.msg_flags & MSG_OOB) != 0 ? POLLPRI : POLLIN;
    case IORING_OP_SEND:
    case IORING_OP_SENDMSG:
    case IORING_OP_SEND_ZC:
    case IORING_OP_SENDMSG_ZC:
      return (sqe.msg_flags & MSG_DONTWAIT) != 0 ? 0 : POLLOUT;
    case IORING_OP_SPLICE:
      return (sqe.splice_flags & SPLICE_F_NONBLOCK) != 0 ? 0 : POLLIN;
    default:
      return 0;
  }
}

bool can_wait_for_readiness(int fd) {
  struct stat status {};
  const int saved_errno = errno;
  const bool known = ::fstat(fd, &status) == 0;
  errno = saved_errno;
  if (!known) return false;
  switch (status.st_mode & S_IFMT) {
    case S_IFIFO:
    case S_IFSOCK:
    case S_IFCHR:
    case 0:  // anonymous: eventfd, timerfd, signalfd, epoll
      return true;
    default:
      return false;
  }
}

int call_plainly(const io_uring_sqe& sqe) {
  const int fd = sqe.fd;
  const auto* path = pointer<const char>(sqe.addr);
  const int message_flags = static_cast<int>(sqe.msg_flags) | MSG_DONTWAIT;
  switch (sqe.opcode) {
    case IORING_OP_OPENAT:
      return result_of(::openat(fd, path, static_cast<int>(sqe.open_flags), sqe.len));
    case IORING_OP_OPENAT2:
      return openat2_plainly(sqe);
    case IORING_OP_CLOSE:
      return result_of(::close(fd));
    case IORING_OP_STATX:
      return result_of(::statx(fd, path, static_cast<int>(sqe.statx_flags), sqe.len, pointer<struct statx>(sqe.addr2)));
    case IORING_OP_FALLOCATE:
      return result_of(
          ::fallocate64(fd, static_cast<int>(sqe.len), static_cast<off64_t>(sqe.off), static_cast<off64_t>(sqe.addr)));
    case uapi::kOpFtruncate:
      return result_of(::ftruncate64(fd, static_cast<off64_t>(sqe.off)));
    case IORING_OP_RENAMEAT:
      return result_of(
          ::renameat2(fd, path, static_cast<int>(sqe.len), pointer<const char>(sqe.addr2), sqe.rename_flags));
    case IORING_OP_UNLINKAT:
      return result_of(::unlinkat(fd, path, static_cast<int>(sqe.unlink_flags)));
    case IORING_OP_MKDIRAT:
      return result_of(::mkdirat(fd, path, sqe.len));
    case IORING_OP_SPLICE:
      return splice_plainly(sqe);
    case IORING_OP_SENDMSG:
      return result_of(::sendmsg(fd, pointer<const msghdr>(sqe.addr), message_flags));
    case IORING_OP_RECVMSG:
      return result_of(::recvmsg(fd, pointer<msghdr>(sqe.addr), message_flags));
    case IORING_OP_SEND:
      return result_of(::send(fd, pointer(sqe.addr), sqe.len, message_flags));
    case IORING_OP_RECV:
      return result_of(::recv(fd, pointer(sqe.addr), sqe.len, message_flags));
    case IORING_OP_ACCEPT:
      return accept_plainly(sqe);
    case IORING_OP_CONNECT:
      return connect_plainly(sqe);
    case IORING_OP_SHUTDOWN:
      return result_of(::shutdown(fd, static_cast<int>(sqe.len)));
    case IORING_OP_SOCKET:
      return result_of(::socket(fd, static_cast<int>(sqe.off), static_cast<int>(sqe.len)));
    case uapi::kOpBind:
      return result_of(::bind(fd, pointer<const sockaddr>(sqe.addr), static_cast<socklen_t>(sqe.addr2)));
    case uapi::kOpListen:
      return result_of(::listen(fd, static_cast<int>(sqe.len)));
    case uapi::kOpFutexWake:
      return futex_wake_plainly(sqe);
    default:
      return -ENOTSUP;
  }
}

bool has_plain_call(std::uint8_t opcode) {
  switch (opcode) {
    case IORING_OP_OPENAT:
    case IORING_OP_OPENAT2:
    case IORING_OP_CLOSE:
    case IORING_OP_STATX:
    case IORING_OP_FALLOCATE:
    case uapi::kOpFtruncate:
    case IORING_OP_RENAMEAT:
    case IORING_OP_UNLINKAT:
    case IORING_OP_MKDIRAT:
    case IORING_OP_SPLICE:
    case IORING_OP_SENDMSG:
    case IORING_OP_RECVMSG:
    case IORING_OP_SEND:
    case IORING_OP_RECV:
    case IORING_OP_ACCEPT:
    case IORING_OP_CONNECT:
    case IORING_OP_SHUTDOWN:
    case IORING_OP_SOCKET:
    case uapi::kOpBind:
    case uapi::kOpListen:
    case uapi::kOpFutexWake:
      return true;
    default:
      return false;
  }
}

int connect_result(int fd) {
  int error = 0;
  socklen_t bytes = sizeof error;
  if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &bytes) < 0) return -errno;
  if (error != 0) return -error;
  sockaddr_storage peer{};
  bytes = sizeof peer;
  return result_of(::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &bytes));
}

}  // namespace assay::internal
