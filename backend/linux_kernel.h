#pragma once

#include "assay/backend/kernel.h"

namespace assay {

/// The running kernel. Issues the system calls itself (liburing's exported functions are never linked) and keeps no
/// state: one instance serves every thread and may be used from a signal handler.
class LinuxKernel final : public Kernel {
 public:
  /// The one instance that everybody may share.
  static LinuxKernel& instance();

  int setup(unsigned entries, io_uring_params* params) override;
  int enter(int ring_fd, unsigned to_submit, unsigned min_complete, unsigned flags, const void* arg,
            std::size_t arg_bytes) override;
  int register_op(int ring_fd, unsigned opcode, void* arg, unsigned nr_args) override;
  int map(int ring_fd, std::uint64_t offset, std::size_t bytes, void** address) override;
  int unmap(void* address, std::size_t bytes) override;
  int close(int ring_fd) override;
  int now(clockid_t clock, timespec* time) override;
  int wait_readable(int ring_fd, const timespec* timeout) override;
  void relax(int ring_fd) override;
  std::string name() const override { return "linux"; }
};

}  // namespace assay
