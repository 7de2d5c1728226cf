// Whole pieces of work by Assay's Backend and by other event loops: which there are, how large, and who does them.

#include "assay/bench/peers/peers.h"

#include <array>
#include <cerrno>
#include <cstddef>

#include "assay/bench/setup.h"

namespace assay::bench {

Result<void> kernel_has(int opcode, const char* name) {
  const auto ring = LiburingRing::create(1, 2, kPlainRing);
  if (!ring) return ring.error();
  io_uring_probe* probe = io_uring_get_probe_ring((*ring)->raw());
  const bool is_there = probe != nullptr && io_uring_opcode_supported(probe, opcode) != 0;
  io_uring_free_probe(probe);
  return is_there ? Result<void>() : Error::from_errno(EOPNOTSUPP, name);
}

namespace {

struct Work {
  std::string work;
  std::string setup;
  std::string size_name;
  std::vector<unsigned> sizes;
  /// The size that belongs to the preset `quick`; 0 for none.
  unsigned quick_size = 0;
  /// What the others' ratios refer to.
  std::string baseline;
  bool times_itself = false;
  /// At all sizes but 1, where the runner's own choice would be a single round; 0 for none.
  unsigned least_rounds = 0;
};

const std::vector<Work>& works() {
  static const std::vector<Work> all{
      // A run begins and ends without reads in flight, which many rounds make up for.
      {.work = "file_reads",
       .setup = "page_cache",
       .size_name = "depth",
       .sizes = {1, 32, 128},
       .quick_size = 32,
       .baseline = "liburing",
       .least_rounds = 64},
      {.work = "events",
       .setup = "self_ping",
       .size_name = "fds",
       .sizes = {1, 64, 1024},
       .quick_size = 64,
       .baseline = "epoll",
       .least_rounds = 8},
      {.work = "events",
       .setup = "undrained",
       .size_name = "fds",
       .sizes = {64},
       .quick_size = 64,
       .baseline = "epoll",
       .least_rounds = 64},
      {.work = "data",
       .setup = "eventfd",
       .size_name = "fds",
       .sizes = {1, 64, 1024},
       .quick_size = 64,
       .baseline = "epoll",
       .least_rounds = 8},
      {.work = "data",
       .setup = "socketpair",
       .size_name = "fds",
       .sizes = {1, 64, 1024},
       .quick_size = 64,
       .baseline = "epoll",
       .least_rounds = 8},
      {.work = "echo",
       .setup = "tcp",
       .size_name = "connections",
       .sizes = {1, 64, 512},
       .quick_size = 64,
       .baseline = "epoll",
       .times_itself = true},
      {.work = "timer_move",
       .setup = "random",
       .size_name = "armed",
       .sizes = {1000, 100'000, 1'000'000},
       .quick_size = 100'000,
       .baseline = "multimap"},
      {.work = "timer_fire",
       .setup = "random",
       .size_name = "armed",
       .sizes = {1000, 100'000, 1'000'000},
       .quick_size = 100'000,
       .baseline = "multimap",
       .times_itself = true},
  };
  return all;
}

/// Every path of every peer that was built; what was not is told to the list.
std::vector<PeerPath> all_paths(BenchList& list) {
  std::vector<PeerPath> all;
  const auto append = [&all](std::vector<PeerPath> paths) {
    for (PeerPath& path : paths) all.push_back(std::move(path));
  };
  append(epoll_paths());
  append(liburing_paths());
  append(liburing_receive_paths());
  append(pread_paths());
  append(multimap_paths());
  append(backend_paths());
  append(backend_receive_paths());
#ifdef ASSAY_PEER_LIBEVENT
  append(libevent_paths());
#endif
#ifdef ASSAY_PEER_LIBEV
  append(libev_paths());
#endif
#ifdef ASSAY_PEER_LIBUV
  append(libuv_paths());
#endif
#ifdef ASSAY_PEER_ASIO
  append(asio_epoll_paths());
  append(asio_io_uring_paths());
#endif
  // Ends with an empty line, so that there may be none.
  for (const char* line : {ASSAY_PEERS_LEFT_OUT ""}) {
    if (*line != '\0') list.leave_out(line);
  }
  return all;
}

void add_work(BenchList& list, const Work& work, const std::vector<PeerPath>& paths) {
  std::vector<const PeerPath*> row;
  for (const PeerPath& path : paths) {
    if (path.work != work.work || path.setup != work.setup) continue;
    row.insert(path.path == work.baseline ? row.begin() : row.end(), &path);
  }
  for (const unsigned size : work.sizes) {
    const unsigned rounds = size > 1 ? work.least_rounds : 0;
    for (const PeerPath* path : row) {
      list.add({.name = {.chapter = "peers",
                         .work = work.work,
                         .setup = work.setup,
                         .path = path->path,
                         .size_name = work.size_name,
                         .size = size},
                .quick = size == work.quick_size,
                .times_itself = work.times_itself,
                .rounds_at_a_time = rounds,
                .make = [make = path->make, size] { return make(size); }});
    }
  }
}

}  // namespace

void add_peers(BenchList& list) {
  const std::vector<PeerPath> paths = all_paths(list);
  for (const Work& work : works()) add_work(list, work, paths);
}

}  // namespace assay::bench
