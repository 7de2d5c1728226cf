#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "assay/backend/kernel.h"
#include "assay/backend/result.h"
#include "assay/mocks/chooser.h"
#include "assay/mocks/profile.h"

namespace assay {

/// How a SimKernel behaves.
struct SimOptions {
  /// Which kernel it acts as.
  Profile profile;
  /// Time is virtual unless set: it jumps to the next deadline as soon as nothing else can happen. With the real clock
  /// a waiting enter blocks on the armed files, so other threads, processes and timerfds may take part.
  bool real_clock = false;
  /// A service thread lets everything go on between calls, as in Linux; with the real clock. Runs are not reproducible
  /// then. For foreign loops that spin or poll on their own, for what can only block, and for programs that make no
  /// call for long, as under IORING_SETUP_SQPOLL.
  bool live = false;
  /// Scribbles over SQE and CQE slots as soon as they were consumed, so that use-after-seen shows, and watches the
  /// buffers of transfers that are in flight: see `watches_buffers`.
  bool strict = false;
  /// Part of strict mode. What a transfer in flight will write is poisoned, if AddressSanitizer is there; what it will
  /// read must not change before it is read. Whoever breaks that, by freeing a buffer or using it for something else,
  /// is told so in a line on standard error that names the request, and the process is aborted.
  bool watches_buffers = true;
  /// Seeds the default Chooser. 0 makes every choice the usual one.
  std::uint64_t seed = 0;
  /// Decides instead of the seed, if set. Must outlive the kernel.
  Chooser* chooser = nullptr;
  /// How the kernel is spelled in reports; made of the other options where empty.
  std::string name;
};

/// A second implementation of io_uring's kernel half, in process, that acts as one named kernel.
///
/// Stepped, unless SimOptions::live: it has no thread of its own, and makes progress only inside enter, register_op,
/// wait_readable and relax. The same seed and the same calls give the same run, byte for byte. Ring memory is laid out
/// as Linux lays it out; requests act on real descriptors by ordinary system calls. What is not modelled is refused as
/// a kernel without it refuses. Calls from several threads are serialised; a waiting enter lets others in.
///
/// Where nothing can ever happen any more (virtual clock, no deadline, no ready file), a waiting enter returns
/// -EDEADLK, which no Linux kernel does: the wait would have been for ever.
///
/// Known differences from Linux are listed in docs/divergences.md.
class SimKernel final : public Kernel {
 public:
  explicit SimKernel(SimOptions options);
  ~SimKernel() override;

  const Profile& profile() const noexcept;
  /// The requests that wait for something, a line each. For messages about a wait that ended with -EDEADLK.
  std::string describe_waiting() const;
  /// The simulator's own fds are numbered from here on; whoever counts a program's fds leaves them out.
  static int first_own_fd();

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
  std::string name() const override;

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace assay
