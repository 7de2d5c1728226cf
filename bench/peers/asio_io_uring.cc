// Boost.Asio on io_uring. What it is built on is decided by macros and shows in no name, so that in one program with
// the Asio of asio_epoll.cc either could get the other's functions. All of Boost has another name here, by which
// Peers.cmake lets its files be found that are included by macros.

#define BOOST_ASIO_HAS_IO_URING 1      // NOLINT(readability-identifier-naming): Asio's
#define BOOST_ASIO_DISABLE_EPOLL 1     // NOLINT(readability-identifier-naming): Asio's
#define boost assay_boost_on_io_uring  // NOLINT(readability-identifier-naming): a namespace's

#include <boost/asio/basic_random_access_file.hpp>

#include "assay/bench/peers/asio_paths.h"
#include "assay/bench/peers/read_path.h"

namespace assay::bench {
namespace {

/// A file object for each read in flight, since one object does its reads one after the other.
class AsioReads final : public ReadPath {
 public:
  AsioReads(unsigned depth, const BlockFile& file) : ReadPath(depth, file) {
    for (unsigned i = 0; i < depth; ++i) files_.emplace_back(context_.raw(), Fd::duplicate(file.fd()));
  }

 private:
  void read_all() override {
    for (unsigned i = 0; i < depth() && has_more(); ++i) start(i);
    context_.run();
  }
  void start(unsigned i) {
    const std::uint32_t block = take_one();
    files_[i].async_read_some_at(std::uint64_t{block} * kBlock, boost::asio::buffer(slots().buffer(i), kBlock),
                                 [this, i, block](const Code& error, std::size_t bytes) {
                                   must_be_ok(error, "async_read_some_at");
                                   came(i, block, static_cast<std::ptrdiff_t>(bytes));
                                   if (has_more()) start(i);
                                 });
  }

  Context context_;
  std::vector<boost::asio::basic_random_access_file<Executor>> files_;
};

}  // namespace

std::vector<PeerPath> asio_io_uring_paths() {
  std::vector<PeerPath> paths = common_asio_paths("asio, io_uring");
  paths.push_back({"file_reads", "page_cache", "asio, io_uring", read_path_of<AsioReads>()});
  for (PeerPath& path : paths) {
    // Asio would throw, in words of its own.
    path.make = [make = path.make](unsigned size) -> Result<std::unique_ptr<Path>> {
      if (auto has_io_uring = kernel_has(IORING_OP_NOP, "IORING_OP_NOP"); !has_io_uring) return has_io_uring.error();
      return make(size);
    };
  }
  return paths;
}

}  // namespace assay::bench
