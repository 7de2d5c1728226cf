#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

#include "assay/backend/linux_kernel.h"

namespace assay::bench {

/// The running kernel with a clock that stands still until it is moved: what depends on the time of day, such as which
/// slot of a wheel a timer is in, is the same in every run.
class StoppedClock final : public Kernel {
 public:
  void advance(std::chrono::nanoseconds by) noexcept { now_ += by; }

  int setup(unsigned entries, io_uring_params* params) override { return linux_.setup(entries, params); }
  int enter(int ring_fd, unsigned to_submit, unsigned min_complete, unsigned flags, const void* arg,
            std::size_t arg_bytes) override {
    return linux_.enter(ring_fd, to_submit, min_complete, flags, arg, arg_bytes);
  }
  int register_op(int ring_fd, unsigned opcode, void* arg, unsigned nr_args) override {
    return linux_.register_op(ring_fd, opcode, arg, nr_args);
  }
  int map(int ring_fd, std::uint64_t offset, std::size_t bytes, void** address) override {
    return linux_.map(ring_fd, offset, bytes, address);
  }
  int unmap(void* address, std::size_t bytes) override { return linux_.unmap(address, bytes); }
  int close(int ring_fd) override { return linux_.close(ring_fd); }
  int now(clockid_t /*clock*/, timespec* time) override {
    using std::chrono::seconds;
    *time = {.tv_sec = now_ / seconds(1), .tv_nsec = (now_ % seconds(1)).count()};
    return 0;
  }
  int wait_readable(int ring_fd, const timespec* timeout) override { return linux_.wait_readable(ring_fd, timeout); }
  void relax(int ring_fd) override { linux_.relax(ring_fd); }
  std::string name() const override { return "linux"; }

 private:
  LinuxKernel& linux_ = LinuxKernel::instance();
  std::chrono::nanoseconds now_ = std::chrono::seconds(1'000'000);
};

}  // namespace assay::bench
