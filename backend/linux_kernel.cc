#include "assay/backend/linux_kernel.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cerrno>

namespace assay {
namespace {

// The kernel's size of a signal set, which is not the C library's.
constexpr std::size_t kKernelSigsetBytes = 8;

#if defined(__x86_64__)
// On x86-64 the call is one instruction and the error comes back in the result, so the C library's detour through
// errno (a thread-local store on every failure) is left out: this is the path whose cost every user pays.
inline long system_call(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0) {
  long result;
  register long r10 asm("r10") = d;
  register long r8 asm("r8") = e;
  register long r9 asm("r9") = f;
  asm volatile("syscall"
               : "=a"(result)
               : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
               : "rcx", "r11", "memory");
  return result;
}
#else
inline long system_call(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0) {
  const int saved_errno = errno;
  const long result = ::syscall(number, a, b, c, d, e, f);
  if (result != -1) return result;
  const int error = errno;
  errno = saved_errno;
  return -error;
}
#endif

inline long as_long(const void* pointer) { return reinterpret_cast<long>(pointer); }

}  // namespace

LinuxKernel& LinuxKernel::instance() {
  static LinuxKernel kernel;
  return kernel;
}

int LinuxKernel::setup(unsigned entries, io_uring_params* params) {
  return static_cast<int>(system_call(SYS_io_uring_setup, entries, as_long(params)));
}

int LinuxKernel::enter(int ring_fd, unsigned to_submit, unsigned min_complete, unsigned flags, const void* arg,
                       std::size_t arg_bytes) {
  return static_cast<int>(system_call(SYS_io_uring_enter, ring_fd, to_submit, min_complete, flags, as_long(arg),
                                      static_cast<long>(arg_bytes)));
}

int LinuxKernel::register_op(int ring_fd, unsigned opcode, void* arg, unsigned nr_args) {
  return static_cast<int>(system_call(SYS_io_uring_register, ring_fd, opcode, as_long(arg), nr_args));
}

int LinuxKernel::map(int ring_fd, std::uint64_t offset, std::size_t bytes, void** address) {
  const long result = system_call(SYS_mmap, 0, static_cast<long>(bytes), PROT_READ | PROT_WRITE,
                                  MAP_SHARED | MAP_POPULATE, ring_fd, static_cast<long>(offset));
  if (result < 0 && result >= -4095) return static_cast<int>(result);
  *address = reinterpret_cast<void*>(result);
  return 0;
}

int LinuxKernel::unmap(void* address, std::size_t bytes) {
  return static_cast<int>(system_call(SYS_munmap, as_long(address), static_cast<long>(bytes)));
}

int LinuxKernel::close(int ring_fd) { return static_cast<int>(system_call(SYS_close, ring_fd)); }

int LinuxKernel::now(clockid_t clock, timespec* time) {
  // Through the C library: its vDSO reading needs no system call.
  const int saved_errno = errno;
  if (::clock_gettime(clock, time) == 0) return 0;
  const int error = errno;
  errno = saved_errno;
  return -error;
}

int LinuxKernel::wait_readable(int ring_fd, const timespec* timeout) {
  // The kernel writes the time that is left into the timespec it is given, and the caller's is const.
  timespec left{};
  if (timeout != nullptr) left = *timeout;
  pollfd entry{.fd = ring_fd, .events = POLLIN, .revents = 0};
  return static_cast<int>(system_call(SYS_ppoll, as_long(&entry), 1, as_long(timeout != nullptr ? &left : nullptr), 0,
                                      static_cast<long>(kKernelSigsetBytes)));
}

void LinuxKernel::relax(int /*ring_fd*/) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield" ::: "memory");
#else
  asm volatile("" ::: "memory");
#endif
}

}  // namespace assay
