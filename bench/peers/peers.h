#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "assay/bench/bench_list.h"

namespace assay::bench {

/// How a peer does one of the works that peers.cc lists.
struct PeerPath {
  std::string work;
  std::string setup;
  std::string path;
  /// For so many reads, descriptors, connections or timers. The error as that of Bench::make.
  std::function<Result<std::unique_ptr<Path>>(unsigned size)> make;
};

/// A path that cannot fail but by `give_up`, and takes the size first.
template <typename P, typename... Arguments>
auto path_of(Arguments... arguments) {
  return [arguments...](unsigned size) -> Result<std::unique_ptr<Path>> {
    return std::unique_ptr<Path>(new P(size, arguments...));
  };
}

/// Why the kernel has no such opcode, or no io_uring at all. `name` says what it is and since when.
Result<void> kernel_has(int opcode, const char* name);

// Each peer has a file, or two. The paths of a work are measured in the order in which peers.cc calls these.
std::vector<PeerPath> epoll_paths();
std::vector<PeerPath> liburing_paths();
std::vector<PeerPath> liburing_receive_paths();
std::vector<PeerPath> pread_paths();
std::vector<PeerPath> multimap_paths();
std::vector<PeerPath> backend_paths();
std::vector<PeerPath> backend_receive_paths();
std::vector<PeerPath> libevent_paths();
std::vector<PeerPath> libev_paths();
std::vector<PeerPath> libuv_paths();
std::vector<PeerPath> asio_epoll_paths();
std::vector<PeerPath> asio_io_uring_paths();

}  // namespace assay::bench
