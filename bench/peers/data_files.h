#pragma once

#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "assay/bench/peers/told_path.h"
#include "assay/bench/setup.h"
#include "assay/bench/socket_pairs.h"

namespace assay::bench {

/// What a descriptor has to be read, and the room that there is for it.
inline constexpr std::size_t kDataBytes = 8;
inline constexpr std::size_t kDataBufferBytes = 64;

/// Descriptors that have eight bytes to be read, and get as many again when that was done.
class DataEventfds {
 public:
  static constexpr bool kAreSockets = false;

  explicit DataEventfds(unsigned count) {
    for (unsigned i = 0; i < count; ++i) {
      fds_.push_back(::eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK));
      if (fds_.back() < 0) give_up("eventfd", errno);
    }
  }
  DataEventfds(const DataEventfds&) = delete;
  DataEventfds& operator=(const DataEventfds&) = delete;
  ~DataEventfds() {
    for (const int fd : fds_) ::close(fd);
  }
  int operator[](unsigned i) const noexcept { return fds_[i]; }
  void fill(unsigned i) {
    constexpr std::uint64_t kOne = 1;
    if (::write(fds_[i], &kOne, sizeof kOne) != sizeof kOne) give_up("write", errno);
  }
  static ssize_t read(int fd, void* memory, std::size_t bytes) { return ::read(fd, memory, bytes); }

 private:
  std::vector<int> fds_;
};

/// Ends of pairs of stream sockets, with the same to be received.
class DataSockets {
 public:
  static constexpr bool kAreSockets = true;

  explicit DataSockets(unsigned count) {
    for (unsigned i = 0; i < count; ++i) {
      std::array<int, 2> pair{};
      if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair.data()) != 0) {
        give_up("socketpair", errno);
      }
      near_.push_back(pair[0]);
      far_.push_back(pair[1]);
      fill(i);
    }
  }
  DataSockets(const DataSockets&) = delete;
  DataSockets& operator=(const DataSockets&) = delete;
  ~DataSockets() {
    for (const int fd : near_) ::close(fd);
    for (const int fd : far_) ::close(fd);
  }
  int operator[](unsigned i) const noexcept { return near_[i]; }
  void fill(unsigned i) {
    constexpr std::array<char, kDataBytes> kText{'m', 'e', 's', 's', 'a', 'g', 'e', '.'};
    if (::send(far_[i], kText.data(), kText.size(), 0) != kDataBytes) give_up("send", errno);
  }
  static ssize_t read(int fd, void* memory, std::size_t bytes) { return ::recv(fd, memory, bytes, 0); }

 private:
  std::vector<int> near_;
  std::vector<int> far_;
};

/// A path that is handed what such descriptors have to read.
template <typename Files>
class DataPath : public ToldPath {
 protected:
  explicit DataPath(unsigned fds) : ToldPath((raise_descriptor_limit(), fds)), files_(fds), told_(fds) {}

  int fd(unsigned i) const noexcept { return files_[i]; }
  /// What every path does with what it was handed. True when the loop may end.
  bool take(unsigned i, std::ptrdiff_t bytes) {
    if (bytes != static_cast<std::ptrdiff_t>(kDataBytes)) give_up("a read", bytes < 0 ? static_cast<int>(bytes) : EIO);
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
