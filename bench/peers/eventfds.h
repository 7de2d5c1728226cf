#pragma once

#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <vector>

#include "assay/bench/eventfd.h"
#include "assay/bench/peers/told_path.h"
#include "assay/bench/setup.h"
#include "assay/bench/socket_pairs.h"

namespace assay::bench {

inline constexpr unsigned kMaxFds = 1024;
/// Every descriptor may tell of readiness twice, and there is room for as much again.
inline constexpr unsigned kFdsCqEntries = 4 * kMaxFds;

/// Readable eventfds, non-blocking since a kernel hands a read of others to a worker.
class Eventfds {
 public:
  explicit Eventfds(unsigned count) : told_(count) {
    raise_descriptor_limit();
    for (unsigned i = 0; i < count; ++i) fds_.emplace_back(1);
  }

  int operator[](unsigned i) const noexcept { return fds_[i].fd(); }

  /// What whoever is told that it is readable does: reads what it wrote the last time, and writes again.
  void ping(unsigned i) {
    std::uint64_t count = 0;
    const int fd = fds_[i].fd();
    if (::read(fd, &count, sizeof count) != sizeof count || count != 1) give_up("a ping", EIO);
    if (::write(fd, &count, sizeof count) != sizeof count) give_up("write", errno);
    ++told_[i];
  }
  /// Takes note only, so that it stays readable.
  void leave_readable(unsigned i) { ++told_[i]; }

  /// Ends the program if one was left out: a round tells each, though not in the same turn.
  void check(std::uint64_t told) const {
    const auto [least, most] = std::minmax_element(told_.begin(), told_.end());
    if (told >= 4 * told_.size() && (*least == 0 || *most > 4 * *least)) give_up("a descriptor that was not told", EIO);
  }

 private:
  std::vector<Eventfd> fds_;
  std::vector<std::uint64_t> told_;
};

/// What the callbacks of a path do.
enum class Callback { kPings, kDrainsNothing };

/// A path that is told that eventfds are readable, again and again.
class EventfdPath : public ToldPath {
 protected:
  EventfdPath(unsigned fds, Callback callback) : ToldPath(fds), fds_(fds), callback_(callback) {}

  int fd(unsigned i) const noexcept { return fds_[i]; }
  /// What a callback does. True when the loop may end.
  bool tell(unsigned i) {
    callback_ == Callback::kPings ? fds_.ping(i) : fds_.leave_readable(i);
    return count();
  }

 private:
  void check(std::uint64_t told) final { fds_.check(told); }

  Eventfds fds_;
  const Callback callback_;
};

}  // namespace assay::bench
