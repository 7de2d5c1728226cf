#pragma once

#include <sys/socket.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "assay/bench/eventfd.h"
#include "assay/bench/fd.h"
#include "assay/bench/peers/told_path.h"
#include "assay/bench/setup.h"
#include "assay/bench/socket_pairs.h"

namespace assay::bench {

/// What a descriptor has to be read, and the room that there is for it.
inline constexpr std::size_t kDataBytes = 8;
inline constexpr std::size_t kDataBufferBytes = 64;

/// What each descriptor has to be read: a byte that counts up, so that what a buffer had before is not taken for it.
class DataBytes {
 public:
  explicit DataBytes(unsigned count) : last_(count) {}

  /// Never 0, which makes no eventfd readable.
  std::uint8_t next(unsigned i) noexcept { return last_[i] = static_cast<std::uint8_t>(last_[i] % 0xff + 1); }
  std::uint8_t last(unsigned i) const noexcept { return last_[i]; }

 private:
  std::vector<std::uint8_t> last_;
};

/// Descriptors that have eight bytes to be read, and get as many again when that was done.
class DataEventfds {
 public:
  static constexpr bool kAreSockets = false;

  explicit DataEventfds(unsigned count) : bytes_(count) {
    for (unsigned i = 0; i < count; ++i) {
      fds_.emplace_back(0);
      fill(i);
    }
  }

  int operator[](unsigned i) const noexcept { return fds_[i].fd(); }
  void fill(unsigned i) {
    const std::uint64_t value = bytes_.next(i);
    if (::write(fds_[i].fd(), &value, sizeof value) != sizeof value) give_up("write", errno);
  }
  /// Whether that is what `fill` wrote the last time.
  bool is_right(unsigned i, const void* data) const noexcept {
    std::uint64_t value = 0;
    std::memcpy(&value, data, sizeof value);
    return value == bytes_.last(i);
  }
  static ssize_t read(int fd, void* memory, std::size_t bytes) { return ::read(fd, memory, bytes); }

 private:
  std::vector<Eventfd> fds_;
  DataBytes bytes_;
};

/// Ends of pairs of stream sockets, with the same to be received.
class DataSockets {
 public:
  static constexpr bool kAreSockets = true;

  explicit DataSockets(unsigned count) : bytes_(count) {
    for (unsigned i = 0; i < count; ++i) {
      std::array<int, 2> pair{};
      if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair.data()) != 0) {
        give_up("socketpair", errno);
      }
      near_.emplace_back(pair[0]);
      far_.emplace_back(pair[1]);
      fill(i);
    }
  }

  int operator[](unsigned i) const noexcept { return near_[i].get(); }
  void fill(unsigned i) {
    const std::array<std::uint8_t, kDataBytes> text{bytes_.next(i), 'm', 'e', 's', 's', 'a', 'g', 'e'};
    if (::send(far_[i].get(), text.data(), text.size(), 0) != kDataBytes) give_up("send", errno);
  }
  /// Whether that is what `fill` sent the last time.
  bool is_right(unsigned i, const void* data) const noexcept {
    return *static_cast<const std::uint8_t*>(data) == bytes_.last(i);
  }
  static ssize_t read(int fd, void* memory, std::size_t bytes) { return ::recv(fd, memory, bytes, 0); }

 private:
  std::vector<Fd> near_;
  std::vector<Fd> far_;
  DataBytes bytes_;
};

/// A path that is handed what such descriptors have to read.
template <typename Files>
class DataPath : public ToldPath {
 protected:
  explicit DataPath(unsigned fds) : ToldPath((raise_descriptor_limit(), fds)), files_(fds), told_(fds) {}

  int fd(unsigned i) const noexcept { return files_[i]; }
  /// What every path does with what it was handed. True when the loop may end.
  bool take(unsigned i, const void* data, std::ptrdiff_t bytes) {
    if (bytes != static_cast<std::ptrdiff_t>(kDataBytes)) give_up("a read", bytes < 0 ? static_cast<int>(bytes) : EIO);
    if (!files_.is_right(i, data)) give_up("what was read", EIO);
    files_.fill(i);
    ++told_[i];
    return count();
  }

 private:
  void check(std::uint64_t told) final {
    const auto [least, most] = std::minmax_element(told_.begin(), told_.end());
    if (told >= 4 * told_.size() && (*least == 0 || *most > 4 * *least)) give_up("a descriptor that was not read", EIO);
  }

  Files files_;
  std::vector<std::uint64_t> told_;
};

}  // namespace assay::bench
