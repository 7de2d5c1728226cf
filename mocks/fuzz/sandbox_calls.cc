// The calls of SimKernel that could do harm, each in the place of the library's function of that name: the linker's
// --wrap sends SimKernel's calls to __wrap_NAME, and __real_NAME is the function itself.
//
// Addresses that programs give are either in the arena or wrong. What SimKernel has on its own stack is its own.

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

#include "assay/mocks/fuzz/sandbox.h"

namespace assay::fuzz {

namespace {

bool is_on_stack(const void* address, std::size_t bytes) {
  struct Stack {
    Stack() {
      pthread_attr_t attributes;
      ::pthread_getattr_np(::pthread_self(), &attributes);
      ::pthread_attr_getstack(&attributes, &start, &size);
      ::pthread_attr_destroy(&attributes);
    }
    void* start = nullptr;
    std::size_t size = 0;
  };
  static const Stack stack;
  const auto first = reinterpret_cast<std::uintptr_t>(address);
  const auto start = reinterpret_cast<std::uintptr_t>(stack.start);
  return first >= start && first - start <= stack.size && bytes <= stack.size - (first - start);
}

bool is_right(const void* address, std::size_t bytes) {
  return address == nullptr || bytes == 0 || Arena::contains(address, bytes) || is_on_stack(address, bytes);
}

bool are_right(const iovec* vector, std::size_t count) {
  for (std::size_t index = 0; index < count; ++index) {
    if (!is_right(vector[index].iov_base, vector[index].iov_len)) return false;
  }
  return true;
}

template <typename Result = int>
Result refuse(int error) {
  errno = error;
  return -1;
}

bool is_safe_address(const sockaddr* address, socklen_t bytes) {
  if (address == nullptr || bytes < sizeof(sa_family_t)) return true;
  switch (address->sa_family) {
    case AF_UNSPEC:
      return true;
    case AF_UNIX: {
      // Neither files elsewhere nor names that everybody shares, but for ours.
      if (bytes <= offsetof(sockaddr_un, sun_path)) return true;
      char path[sizeof(sockaddr_un::sun_path) + 1]{};
      const std::size_t length = bytes - offsetof(sockaddr_un, sun_path);
      if (length > sizeof path - 1) return false;
      std::memcpy(path, reinterpret_cast<const sockaddr_un*>(address)->sun_path, length);
      return path[0] != '\0' && is_safe_path(path);
    }
    case AF_INET: {
      sockaddr_in inet{};
      if (bytes < sizeof inet) return true;
      std::memcpy(&inet, address, sizeof inet);
      return ntohl(inet.sin_addr.s_addr) == INADDR_LOOPBACK &&
             (inet.sin_port == 0 || ntohs(inet.sin_port) == listener_port());
    }
    default:
      return false;
  }
}

}  // namespace

// NOLINTBEGIN(readability-identifier-naming): the linker's names
extern "C" {

#define ASSAY_WRAP(type, name, parameters) \
  type __real_##name parameters;           \
  type __wrap_##name parameters;           \
  type __wrap_##name parameters

// Memory.

ASSAY_WRAP(int, mincore, (void* address, std::size_t bytes, unsigned char* pages)) {
  return !is_closed() || Arena::contains(address, bytes) ? __real_mincore(address, bytes, pages) : refuse(ENOMEM);
}

ASSAY_WRAP(int, madvise, (void* address, std::size_t bytes, int advice)) {
  constexpr int kLastHarmless = 25;  // MADV_COLLAPSE; behind it some poison the machine's memory
  if (!is_closed()) return __real_madvise(address, bytes, advice);
  if (advice > kLastHarmless || !Arena::contains(address, bytes)) return refuse(EINVAL);
  return __real_madvise(address, bytes, advice);
}

ASSAY_WRAP(ssize_t, preadv2, (int fd, const iovec* vector, int count, off_t offset, int flags)) {
  if (!are_right(vector, static_cast<std::size_t>(count))) return refuse<ssize_t>(EFAULT);
  return __real_preadv2(fd, vector, count, offset, flags);
}

ASSAY_WRAP(ssize_t, pwritev2, (int fd, const iovec* vector, int count, off_t offset, int flags)) {
  if (!are_right(vector, static_cast<std::size_t>(count))) return refuse<ssize_t>(EFAULT);
  return __real_pwritev2(fd, vector, count, offset, flags);
}

ASSAY_WRAP(ssize_t, fgetxattr, (int fd, const char* name, void* value, std::size_t bytes)) {
  return is_right(value, bytes) ? __real_fgetxattr(fd, name, value, bytes) : refuse<ssize_t>(EFAULT);
}

ASSAY_WRAP(ssize_t, getxattr, (const char* path, const char* name, void* value, std::size_t bytes)) {
  if (!is_safe_path(path)) return refuse<ssize_t>(ENOENT);
  return is_right(value, bytes) ? __real_getxattr(path, name, value, bytes) : refuse<ssize_t>(EFAULT);
}

ASSAY_WRAP(int, epoll_wait, (int fd, epoll_event* events, int count, int timeout_ms)) {
  const std::size_t bytes = count > 0 ? static_cast<std::size_t>(count) * sizeof(epoll_event) : 0;
  return is_right(events, bytes) ? __real_epoll_wait(fd, events, count, timeout_ms) : refuse(EFAULT);
}

// Sockets.

ASSAY_WRAP(int, socket, (int domain, int type, int protocol)) {
  const int kind = type & 0xf;
  const bool ordinary = domain == AF_UNIX || domain == AF_INET || domain == AF_INET6;
  if (!ordinary || kind == SOCK_RAW || kind == SOCK_PACKET) return refuse(EAFNOSUPPORT);
  return __real_socket(domain, type, protocol);
}

ASSAY_WRAP(int, connect, (int fd, const sockaddr* address, socklen_t bytes)) {
  return is_safe_address(address, bytes) ? __real_connect(fd, address, bytes) : refuse(ECONNREFUSED);
}

ASSAY_WRAP(int, bind, (int fd, const sockaddr* address, socklen_t bytes)) {
  return is_safe_address(address, bytes) ? __real_bind(fd, address, bytes) : refuse(EADDRNOTAVAIL);
}

ASSAY_WRAP(int, accept4, (int fd, sockaddr* address, socklen_t* bytes, int flags)) {
  if (!is_right(bytes, sizeof *bytes)) return refuse(EFAULT);
  if (bytes != nullptr && !is_right(address, *bytes)) return refuse(EFAULT);
  return __real_accept4(fd, address, bytes, flags);
}

ASSAY_WRAP(ssize_t, sendmsg, (int fd, const msghdr* message, int flags)) {
  if (!are_right(message->msg_iov, message->msg_iovlen)) return refuse<ssize_t>(EFAULT);
  if (!is_right(message->msg_control, message->msg_controllen)) return refuse<ssize_t>(EFAULT);
  if (!is_safe_address(static_cast<const sockaddr*>(message->msg_name), message->msg_namelen)) {
    return refuse<ssize_t>(EHOSTUNREACH);
  }
  return __real_sendmsg(fd, message, flags);
}

ASSAY_WRAP(ssize_t, recvmsg, (int fd, msghdr* message, int flags)) {
  if (!are_right(message->msg_iov, message->msg_iovlen)) return refuse<ssize_t>(EFAULT);
  if (!is_right(message->msg_control, message->msg_controllen)) return refuse<ssize_t>(EFAULT);
  return __real_recvmsg(fd, message, flags);
}

ASSAY_WRAP(int, getsockopt, (int fd, int level, int name, void* value, socklen_t* bytes)) {
  return is_right(value, *bytes) ? __real_getsockopt(fd, level, name, value, bytes) : refuse(EFAULT);
}

ASSAY_WRAP(int, setsockopt, (int fd, int level, int name, const void* value, socklen_t bytes)) {
  // With SO_LINGER closing would take as long as it says.
  if (level == SOL_SOCKET && name == SO_LINGER) return refuse(EPERM);
  return is_right(value, bytes) ? __real_setsockopt(fd, level, name, value, bytes) : refuse(EFAULT);
}

// Files.

ASSAY_WRAP(int, close, (int fd)) { return fd > STDERR_FILENO ? __real_close(fd) : refuse(EBADF); }

int __real_openat(int folder, const char* path, int flags, mode_t mode);
int __wrap_openat(int folder, const char* path, int flags, mode_t mode);
int __wrap_openat(int folder, const char* path, int flags, mode_t mode) {
  return is_safe_path(path) ? __real_openat(folder, path, flags, mode) : refuse(ENOENT);
}

ASSAY_WRAP(int, unlinkat, (int folder, const char* path, int flags)) {
  return is_safe_path(path) ? __real_unlinkat(folder, path, flags) : refuse(ENOENT);
}

ASSAY_WRAP(int, mkdirat, (int folder, const char* path, mode_t mode)) {
  return is_safe_path(path) ? __real_mkdirat(folder, path, mode) : refuse(ENOENT);
}

ASSAY_WRAP(int, symlinkat, (const char* target, int folder, const char* path)) {
  return is_safe_path(target) && is_safe_path(path) ? __real_symlinkat(target, folder, path) : refuse(ENOENT);
}

ASSAY_WRAP(int, linkat, (int from, const char* path, int to, const char* new_path, int flags)) {
  if (!is_safe_path(path) || !is_safe_path(new_path)) return refuse(ENOENT);
  return __real_linkat(from, path, to, new_path, flags);
}

ASSAY_WRAP(int, setxattr, (const char* path, const char* name, const void* value, std::size_t bytes, int flags)) {
  return is_safe_path(path) ? __real_setxattr(path, name, value, bytes, flags) : refuse(ENOENT);
}

// What the library has no function for.

// As if it always had all six: what is not there is whatever the registers hold.
ASSAY_WRAP(long, syscall, (long number, long a0, long a1, long a2, long a3, long a4, long a5)) {
  const auto path = [](long address) { return is_safe_path(reinterpret_cast<const char*>(address)); };
  switch (number) {
    case SYS_openat2:
      if (!path(a1)) return refuse<long>(ENOENT);
      break;
    case SYS_renameat2:
      if (!path(a1) || !path(a3)) return refuse<long>(ENOENT);
      break;
    case SYS_statx: {
      constexpr std::size_t kStatxBytes = 256;
      if (!path(a1)) return refuse<long>(ENOENT);
      if (!is_right(reinterpret_cast<void*>(a4), kStatxBytes)) return refuse<long>(EFAULT);
      break;
    }
    default:
      break;
  }
  return __real_syscall(number, a0, a1, a2, a3, a4, a5);
}

}  // extern "C"
// NOLINTEND(readability-identifier-naming)

}  // namespace assay::fuzz
