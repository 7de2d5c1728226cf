// mmap(2), close(2) and syscall(2) on rings, as programs make them past liburing: to map buffer rings that the kernel
// allocates, to close a ring's fd by hand, to call what a library did not have yet. They reach the process's kernel
// where the linker was told to --wrap them, which assay::liburing and its pkg-config file do.

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdint>

#include "assay/backend/liburing/process_kernel.h"

// The linker's names: a call of X goes to __wrap_X, and __real_X is X. Without --wrap there is no __real_X, nor a call
// of __wrap_X that could need it.
#define ASSAY_WRAPPED(name) __asm__("__wrap_" #name)
#define ASSAY_REAL(name) __asm__("__real_" #name) __attribute__((weak))

namespace assay::liburing {
namespace {

int as_libc(int result) {
  if (result >= 0) return result;
  errno = -result;
  return -1;
}

}  // namespace

extern "C" {

void* real_mmap(void* address, std::size_t bytes, int protection, int flags, int fd, off_t offset) ASSAY_REAL(mmap);
int real_close(int fd) ASSAY_REAL(close);
void* wrapped_mmap(void* address, std::size_t bytes, int protection, int flags, int fd, off_t offset)
    ASSAY_WRAPPED(mmap);
void* wrapped_mmap64(void* address, std::size_t bytes, int protection, int flags, int fd, off_t offset)
    ASSAY_WRAPPED(mmap64);
int wrapped_close(int fd) ASSAY_WRAPPED(close);

void* wrapped_mmap(void* address, std::size_t bytes, int protection, int flags, int fd, off_t offset) {
  if (fd < 0 || !is_open_ring(fd)) {
    return real_mmap != nullptr ? real_mmap(address, bytes, protection, flags, fd, offset)
                                : ::mmap(address, bytes, protection, flags, fd, offset);
  }
  // A Kernel chooses the address itself.
  void* mapped = nullptr;
  const int error =
      (flags & MAP_FIXED) != 0 ? -EINVAL : process_kernel().map(fd, static_cast<std::uint64_t>(offset), bytes, &mapped);
  if (error != 0) {
    errno = -error;
    return MAP_FAILED;
  }
  if (protection != (PROT_READ | PROT_WRITE)) ::mprotect(mapped, bytes, protection);
  return mapped;
}

void* wrapped_mmap64(void* address, std::size_t bytes, int protection, int flags, int fd, off_t offset) {
  return wrapped_mmap(address, bytes, protection, flags, fd, offset);
}

int wrapped_close(int fd) {
  if (is_open_ring(fd)) return as_libc(close_ring(fd));
  return real_close != nullptr ? real_close(fd) : ::close(fd);
}

// LinuxKernel makes its calls without the C library on x86-64 alone; elsewhere they would come back here.
#if defined(__x86_64__)
long real_syscall(long number, ...) ASSAY_REAL(syscall);
long wrapped_syscall(long number, ...) ASSAY_WRAPPED(syscall);

// Like the C library's own, it reads six arguments, however many were passed; AddressSanitizer must not mind that.
__attribute__((no_sanitize("address"))) long wrapped_syscall(long number, ...) {
  va_list arguments;
  va_start(arguments, number);
  long a[6];
  for (long& argument : a) argument = va_arg(arguments, long);
  va_end(arguments);
  switch (number) {
    case SYS_io_uring_setup:
      return as_libc(set_up_ring(static_cast<unsigned>(a[0]), reinterpret_cast<io_uring_params*>(a[1])));
    case SYS_io_uring_enter:
      return as_libc(process_kernel().enter(static_cast<int>(a[0]), static_cast<unsigned>(a[1]),
                                            static_cast<unsigned>(a[2]), static_cast<unsigned>(a[3]),
                                            reinterpret_cast<const void*>(a[4]), static_cast<std::size_t>(a[5])));
    case SYS_io_uring_register:
      return as_libc(process_kernel().register_op(static_cast<int>(a[0]), static_cast<unsigned>(a[1]),
                                                  reinterpret_cast<void*>(a[2]), static_cast<unsigned>(a[3])));
    default:
      return real_syscall != nullptr ? real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5])
                                     : ::syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
  }
}
#endif

}  // extern "C"

}  // namespace assay::liburing
