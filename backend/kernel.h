#pragma once

#include <cstddef>
#include <cstdint>
#include <ctime>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

struct io_uring_params;

namespace assay {

/// The seam: what a program that uses io_uring asks of its kernel, and nothing else.
///
/// Every call has the kernel's own form: it returns a value >= 0, or a negative errno, and leaves `errno` alone.
/// Ring memory itself is shared and is no call. Unless an implementation says otherwise a Kernel may be used by any
/// number of rings and threads at once, and must outlive every ring that was set up on it.
///
/// Implementations: LinuxKernel (the running kernel), SimKernel (a simulated one), FaultKernel and TraceKernel (which
/// wrap any other), MockKernel (GoogleMock). A C vtable with the same calls is in kernel_c.h.
class Kernel {
 public:
  Kernel() = default;
  Kernel(const Kernel&) = delete;
  Kernel& operator=(const Kernel&) = delete;
  virtual ~Kernel() = default;

  /// io_uring_setup(2). Returns the ring's fd, which the caller gives back with `close`. Since Linux 5.1.
  virtual int setup(unsigned entries, io_uring_params* params) = 0;

  /// io_uring_enter(2). `arg` and `arg_bytes` are a sigset_t and its size in the kernel (8), or, with
  /// IORING_ENTER_EXT_ARG (5.11), an io_uring_getevents_arg. With IORING_ENTER_REGISTERED_RING (5.18) `ring_fd` is an
  /// index from IORING_REGISTER_RING_FDS. Returns the number of SQEs consumed.
  virtual int enter(int ring_fd, unsigned to_submit, unsigned min_complete, unsigned flags, const void* arg,
                    std::size_t arg_bytes) = 0;

  /// io_uring_register(2). (`register` is a word of C++.)
  virtual int register_op(int ring_fd, unsigned opcode, void* arg, unsigned nr_args) = 0;

  /// mmap(2) of ring memory, shared and populated, readable and writable. `offset` is one of IORING_OFF_*. On success
  /// stores the address and returns 0; the caller gives the memory back with `unmap`.
  virtual int map(int ring_fd, std::uint64_t offset, std::size_t bytes, void** address) = 0;

  /// munmap(2) of memory that came from `map`.
  virtual int unmap(void* address, std::size_t bytes) = 0;

  /// close(2) of a ring's fd.
  virtual int close(int ring_fd) = 0;

  /// clock_gettime(2) on the clock that this kernel's timeouts run on: CLOCK_MONOTONIC, CLOCK_BOOTTIME or
  /// CLOCK_REALTIME. A simulated kernel may answer with virtual time.
  virtual int now(clockid_t clock, timespec* time) = 0;

  /// ppoll(2) for POLLIN on a ring's fd: 1 when completions wait, 0 when `timeout` (relative, null is for ever) ran
  /// out, -EINTR. It is a call of the seam because a kernel without timeouts of its own (before 5.4) leaves no other
  /// way to wait for so long, and because on virtual time only the simulator can know when that is over.
  virtual int wait_readable(int ring_fd, const timespec* timeout) = 0;

  /// Called on each turn of any loop that spins on ring memory: a CPU pause on Linux, one step on the simulator.
  virtual void relax(int ring_fd) = 0;

  /// How this kernel is spelled in options and reports: "linux", "sim:linux-6.12.0,strict".
  virtual std::string name() const = 0;

  /// Room for what a user of this Kernel found out about it by asking, so that it is asked once: Backend keeps there
  /// which ways it takes. Null until something is kept; goes with the Kernel. From any thread.
  std::shared_ptr<const void> remembered() const {
    const std::lock_guard lock(memory_mutex_);
    return memory_;
  }
  void remember(std::shared_ptr<const void> found) {
    const std::lock_guard lock(memory_mutex_);
    memory_ = std::move(found);
  }

 private:
  mutable std::mutex memory_mutex_;
  std::shared_ptr<const void> memory_;
};

}  // namespace assay
