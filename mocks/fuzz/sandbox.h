#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

/// Where the fuzzer's inputs do no harm.
///
/// SimKernel acts on real descriptors and the real file system, on behalf of whoever fills in its SQEs; here that is
/// nobody. So what it may ask of the running kernel goes through the wrappers of sandbox_calls.cc (the linker's
/// --wrap): user memory is the arena and nothing else, paths stay in a folder of the sandbox, sockets stay on this
/// machine.
namespace assay::fuzz {

/// The memory that programs have: at the same place in every process, with a hole in it, and nothing mapped around it
/// as far as SimKernel can tell.
class Arena {
 public:
  static constexpr std::size_t kPage = 4096;
  static constexpr std::size_t kPages = 96;
  static constexpr std::size_t kBytes = kPages * kPage;
  static constexpr std::size_t kHole = 40 * kPage;
  /// Rings of the user's own (IORING_SETUP_NO_MMAP) lie from here on, so many bytes for each.
  static constexpr std::size_t kRings = 48 * kPage;
  static constexpr std::size_t kRingBytes = 12 * kPage;

  static unsigned char* data() { return reinterpret_cast<unsigned char*>(std::uintptr_t{0x200000000000}); }
  /// Fresh zeros, whatever was done to it.
  static void reset();
  /// Whether all these bytes are there.
  static bool contains(const void* address, std::size_t bytes);
};

/// The descriptors that programs find when they begin. Made anew for each, closed with whatever the program opened.
class Descriptors {
 public:
  void open();
  /// Closes everything but the standard streams and the simulator's own. Dies if SimKernel has left any behind.
  void close_all();
  int at(std::size_t index) const { return fds_[index % fds_.size()]; }
  std::size_t size() const { return fds_.size(); }
  /// Does something from outside to one of them: sends, receives, shuts down, connects to the listener.
  void act(std::uint8_t what, std::size_t index, std::size_t bytes) const;

 private:
  void keep(int fd);

  std::vector<int> fds_;
};

/// Once a process: limits, an empty standard input, the folder. Dies where the machine does not allow it.
void enter_sandbox();
/// Makes the folder as it is for every program: two files and a folder.
void reset_folder();

/// Whether SimKernel may hand this path to the running kernel: it does not lead out of the folder.
bool is_safe_path(const char* path);
/// Whether what SimKernel calls is looked at; not while the sandbox is being made.
bool is_closed();
/// The port of the only address that may be connected to.
std::uint16_t listener_port();

}  // namespace assay::fuzz
