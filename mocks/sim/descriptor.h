#pragma once

#include <utility>

namespace assay::internal {

/// The simulator's own fds are numbered from here on, so that whoever counts a program's fds can leave them out.
int fd_floor();

/// An fd that the simulator owns, numbered from the floor on.
class Descriptor {
 public:
  Descriptor() = default;
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept;
  ~Descriptor() { reset(); }

  /// A new reference to the open file behind `fd`; empty, with errno set, if there is none or no number is left.
  static Descriptor duplicate(int fd);
  /// Takes over `fd` (a fresh one, below the floor), or stays empty if it is negative.
  static Descriptor adopt(int fd);

  explicit operator bool() const { return fd_ >= 0; }
  int get() const { return fd_; }
  void reset();

 private:
  explicit Descriptor(int fd) : fd_(fd) {}

  int fd_ = -1;
};

/// How operations on a file may have to wait.
enum class FileKind {
  kBad,      ///< No open file.
  kRegular,  ///< Regular files, directories, block devices: never waited for, they have positions.
  kPipe,     ///< A pipe or FIFO.
  kSocket,   ///< Any socket.
  kOther,    ///< Eventfds, timerfds, character devices and the like.
};

FileKind file_kind(int fd);

/// Whether two fds refer to the same open file description.
bool same_file(int left, int right);

/// What poll(2) says of `fd` at this moment, for these events.
short poll_now(int fd, short events);

}  // namespace assay::internal
