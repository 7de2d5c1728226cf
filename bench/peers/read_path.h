#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "assay/bench/bench_list.h"
#include "assay/bench/block_file.h"

namespace assay::bench {

/// A path of so many reads at a time: each completion starts the next, and a run ends when all have come.
class ReadPath : public Path {
 public:
  Ran run(std::uint64_t rounds) final {
    to_start_ = rounds * depth_;
    done_ = 0;
    cqes_ = 0;
    read_all();
    if (to_start_ != 0 || done_ != rounds * depth_) give_up("reads that were not done", EIO);
    return {.operations = done_, .cqes = cqes_};
  }

 protected:
  ReadPath(unsigned depth, const BlockFile& file) : file_(file), depth_(depth), slots_(depth) {}

  /// Does as many reads as `take_one` allows.
  virtual void read_all() = 0;

  unsigned depth() const noexcept { return depth_; }
  int fd() const noexcept { return file_.fd(); }
  Blocks& slots() noexcept { return slots_; }
  bool has_more() const noexcept { return to_start_ != 0; }
  bool is_done() const noexcept { return to_start_ == 0 && in_flight_ == 0; }
  /// The block that the next read is of.
  std::uint32_t take_one() noexcept {
    --to_start_;
    ++in_flight_;
    return slots_.next();
  }
  /// It has come into that slot.
  void came(unsigned i, std::uint32_t block, std::ptrdiff_t res) {
    slots_.check(i, block, res);
    ++done_;
    --in_flight_;
  }
  void count_cqes(std::uint64_t cqes) noexcept { cqes_ += cqes; }

 private:
  const BlockFile& file_;
  const unsigned depth_;
  Blocks slots_;
  std::uint64_t to_start_ = 0;
  std::uint64_t in_flight_ = 0;
  std::uint64_t done_ = 0;
  std::uint64_t cqes_ = 0;
};

/// A factory of a path of reads, which takes the depth and the file first. All paths read one file.
template <typename P, typename... Arguments>
auto read_path_of(Arguments... arguments) {
  return [arguments...](unsigned depth) -> Result<std::unique_ptr<Path>> {
    const Result<BlockFile*> file = shared_block_file();
    if (!file) return file.error();
    return std::unique_ptr<Path>(new P(depth, **file, arguments...));
  };
}

}  // namespace assay::bench
