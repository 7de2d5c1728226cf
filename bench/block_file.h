#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <string>

#include "assay/backend/result.h"
#include "assay/bench/setup.h"

namespace assay::bench {

inline constexpr std::size_t kBlock = 4096;

/// A file without a name in the working directory, each of whose blocks begins with its number. Its pages are cached.
class BlockFile {
 public:
  static constexpr std::uint32_t kBlocks = 1024;

  /// Why the working directory is no place for it: on a tmpfs every read is handed to a worker of the kernel, which is
  /// not what anybody means to measure.
  static Result<std::unique_ptr<BlockFile>> create() {
    if (const int fd = inherited_fd(); fd >= 0) return std::unique_ptr<BlockFile>(new BlockFile(fd));
    char name[] = "assay_bench_XXXXXX";
    std::unique_ptr<BlockFile> file(new BlockFile(::mkstemp(name)));
    if (file->fd_ < 0) return Error::from_errno(errno, "a file in the working directory");
    ::unlink(name);
    struct statfs status {};
    constexpr long kTmpfs = 0x0102'1994;
    if (::fstatfs(file->fd_, &status) == 0 && status.f_type == kTmpfs) {
      return Error::invalid("the working directory is a tmpfs, whose reads are handed to workers");
    }
    alignas(kBlock) std::byte block[kBlock] = {};
    for (std::uint32_t number = 0; number < kBlocks; ++number) {
      std::memcpy(block, &number, sizeof number);
      if (::write(file->fd_, block, kBlock) != static_cast<ssize_t>(kBlock)) return Error::from_errno(errno, "write");
    }
    ::fsync(file->fd_);
    ::setenv(kInherited, std::to_string(file->fd_).c_str(), 1);
    return file;
  }
  BlockFile(const BlockFile&) = delete;
  BlockFile& operator=(const BlockFile&) = delete;
  ~BlockFile() {
    if (direct_fd_ >= 0) ::close(direct_fd_);
    if (fd_ >= 0) ::close(fd_);
  }

  int fd() const noexcept { return fd_; }
  /// The same file by O_DIRECT, or a negative errno where the file system has no such thing.
  int direct_fd() {
    const std::string path = "/proc/self/fd/" + std::to_string(fd_);
    if (direct_fd_ < 0) direct_fd_ = ::open(path.c_str(), O_RDWR | O_DIRECT | O_CLOEXEC);
    return direct_fd_ < 0 ? -errno : direct_fd_;
  }

 private:
  /// Where the program that runs this one again, to count its calls, says which descriptor has the file already.
  static constexpr const char* kInherited = "ASSAY_BENCH_BLOCK_FILE";

  explicit BlockFile(int fd) : fd_(fd) {}
  static int inherited_fd() {
    const char* number = std::getenv(kInherited);
    struct stat status {};
    if (number == nullptr || ::fstat(std::atoi(number), &status) != 0) return -1;
    const bool is_it = S_ISREG(status.st_mode) && status.st_nlink == 0 && status.st_size == kBlocks * kBlock;
    return is_it ? std::atoi(number) : -1;
  }

  int fd_;
  int direct_fd_ = -1;
};

/// The file that all reads and writes of a process share, or why there is none.
inline Result<BlockFile*> shared_block_file() {
  static const Result<std::unique_ptr<BlockFile>> file = BlockFile::create();
  if (!file) return file.error();
  return file->get();
}

/// Buffers of a block each, and which blocks come next.
class Blocks {
 public:
  explicit Blocks(unsigned count)
      : bytes_(count * kBlock), memory_(static_cast<std::byte*>(std::aligned_alloc(kBlock, bytes_))) {
    std::memset(memory_.get(), 0, bytes_);
  }

  std::byte* buffer(unsigned i) noexcept { return memory_.get() + i * kBlock; }
  /// All of them in one piece.
  std::span<std::byte> all() noexcept { return {memory_.get(), bytes_}; }
  std::uint32_t next() noexcept { return next_++ % BlockFile::kBlocks; }
  /// Ends the program unless this is what a read of that block must give.
  void check(unsigned i, std::uint32_t block, std::ptrdiff_t res) {
    std::uint32_t number = 0;
    std::memcpy(&number, buffer(i), sizeof number);
    if (res != static_cast<std::ptrdiff_t>(kBlock) || number != block) {
      give_up("a read", res < 0 ? static_cast<int>(res) : EIO);
    }
  }

 private:
  struct Free {
    void operator()(std::byte* memory) const { std::free(memory); }
  };

  std::size_t bytes_;
  std::unique_ptr<std::byte, Free> memory_;
  std::uint32_t next_ = 0;
};

}  // namespace assay::bench
