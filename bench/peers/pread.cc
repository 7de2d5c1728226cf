// Reads by plain pread(2), one after the other.

#include <unistd.h>

#include "assay/bench/peers/peers.h"
#include "assay/bench/peers/read_path.h"

namespace assay::bench {
namespace {

class PlainReads final : public ReadPath {
 public:
  PlainReads(unsigned depth, const BlockFile& file) : ReadPath(depth, file) {}

 private:
  void read_all() override {
    for (unsigned i = 0; has_more(); i = i + 1 == depth() ? 0 : i + 1) {
      const std::uint32_t block = take_one();
      came(i, block, ::pread(fd(), slots().buffer(i), kBlock, static_cast<off_t>(block * kBlock)));
    }
  }
};

}  // namespace

std::vector<PeerPath> pread_paths() {
  return {{.work = "file_reads", .setup = "page_cache", .path = "pread", .make = read_path_of<PlainReads>()}};
}

}  // namespace assay::bench
