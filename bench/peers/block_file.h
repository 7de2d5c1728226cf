#pragma once

#include <fcntl.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "assay/bench/bench_list.h"
#include "assay/bench/setup.h"

namespace assay::bench {

inline constexpr std::size_t kBlock = 4096;
inline constexpr unsigned kBlocks = 1024;

/// A file without a name in the working directory, in the page cache, each of whose blocks begins with its number.
class BlockFile {
 public:
  BlockFile() {
    char name[] = "assay_bench_XXXXXX";
    fd_ = ::mkostemp(name, O_CLOEXEC);
    if (fd_ < 0) give_up("mkostemp in the working directory", errno);
    ::unlink(name);
    std::array<std::byte, kBlock> block{};
    for (std::uint32_t number = 0; number < kBlocks; ++number) {
      std::memcpy(block.data(), &number, sizeof number);
      if (::write(fd_, block.data(), kBlock) != static_cast<ssize_t>(kBlock)) give_up("write", errno);
    }
    // So that nothing is written back while reads are measured.
    ::fsync(fd_);
  }
  BlockFile(const BlockFile&) = delete;
  BlockFile& operator=(const BlockFile&) = delete;
  ~BlockFile() { ::close(fd_); }

  int fd() const noexcept { return fd_; }
  bool is_in_memory_only() const {
    constexpr long kTmpfs = 0x0102'1994;
    struct statfs status {};
    return ::fstatfs(fd_, &status) == 0 && status.f_type == kTmpfs;
  }

 private:
  int fd_ = -1;
};

/// What the reads of one path go into, and which blocks come next.
class ReadSlots {
 public:
  explicit ReadSlots(unsigned depth) : buffers_(depth * kBlock) {}

  std::byte* buffer(unsigned i) noexcept { return buffers_.data() + i * kBlock; }
  /// All of them in one piece.
  std::vector<std::byte>& buffers() noexcept { return buffers_; }
  std::uint32_t next() noexcept { return next_++ % kBlocks; }
  /// Ends the program unless this is what a read of that block must give.
  void check(unsigned i, std::uint32_t block, std::ptrdiff_t res) {
    std::uint32_t number = 0;
    std::memcpy(&number, buffer(i), sizeof number);
    if (res != static_cast<std::ptrdiff_t>(kBlock) || number != block) {
      give_up("a read", res < 0 ? static_cast<int>(res) : EIO);
    }
  }

 private:
  std::vector<std::byte> buffers_;
  std::uint32_t next_ = 0;
};

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
  ReadSlots& slots() noexcept { return slots_; }
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
  ReadSlots slots_;
  std::uint64_t to_start_ = 0;
  std::uint64_t in_flight_ = 0;
  std::uint64_t done_ = 0;
  std::uint64_t cqes_ = 0;
};

/// A factory of a path of reads, which takes the depth and the file first. All paths read one file.
template <typename P, typename... Arguments>
auto read_path_of(Arguments... arguments) {
  return [arguments...](unsigned depth) -> Result<std::unique_ptr<Path>> {
    static const BlockFile file;
    if (file.is_in_memory_only()) {
      return Error::from_errno(EOPNOTSUPP,
                               "the working directory is a tmpfs, whose reads are handed to workers of the kernel");
    }
    return std::unique_ptr<Path>(new P(depth, file, arguments...));
  };
}

}  // namespace assay::bench
