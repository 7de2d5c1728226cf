// The system calls under liburing's names, and its version.

#include "assay/backend/liburing/exported.h"
#include "assay/backend/liburing/process_kernel.h"

namespace assay::liburing {

constexpr std::size_t kKernelSigsetBytes = 8;

int setup(unsigned entries, io_uring_params* params) noexcept { return set_up_ring(entries, params); }

int enter(unsigned fd, unsigned to_submit, unsigned min_complete, unsigned flags, sigset_t* sigmask) noexcept {
  return enter2(fd, to_submit, min_complete, flags, sigmask, kKernelSigsetBytes);
}

int enter2(unsigned fd, unsigned to_submit, unsigned min_complete, unsigned flags, void* arg,
           std::size_t arg_bytes) noexcept {
  return process_kernel().enter(static_cast<int>(fd), to_submit, min_complete, flags, arg, arg_bytes);
}

int register_op(unsigned fd, unsigned opcode, const void* arg, unsigned nr_args) noexcept {
  return process_kernel().register_op(static_cast<int>(fd), opcode, const_cast<void*>(arg), nr_args);
}

int major_version() noexcept { return kMajorVersion; }
int minor_version() noexcept { return kMinorVersion; }

bool check_version(int major, int minor) noexcept {
  return major > kMajorVersion || (major == kMajorVersion && minor > kMinorVersion);
}

}  // namespace assay::liburing
