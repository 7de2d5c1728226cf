// Reads of 4 KiB from the page cache, so many at a time: raw liburing, Backend::read and plain pread(2). The file lies
// in the working directory, which must not be a tmpfs: there a read is handed to a worker of the kernel.

#include <fcntl.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include <benchmark/benchmark.h>

#include "assay/bench/setup.h"

namespace assay::bench {
namespace {

constexpr std::size_t kBlock = 4096;
constexpr unsigned kBlocks = 1024;
constexpr unsigned kMaxDepth = 128;
// Rounds that are run at a time, since a program enters its loop once and not for each of them.
constexpr std::int64_t kRounds = 64;
constexpr long kTmpfs = 0x0102'1994;

/// A file without a name, each of whose blocks begins with its number.
class BlockFile {
 public:
  BlockFile() {
    char name[] = "assay_bench_XXXXXX";
    fd_ = ::mkstemp(name);
    if (fd_ < 0) give_up("mkstemp in the working directory", errno);
    ::unlink(name);
    std::array<std::byte, kBlock> block{};
    for (std::uint32_t number = 0; number < kBlocks; ++number) {
      std::memcpy(block.data(), &number, sizeof number);
      if (::write(fd_, block.data(), kBlock) != static_cast<ssize_t>(kBlock)) give_up("write", errno);
    }
    ::fsync(fd_);
  }
  BlockFile(const BlockFile&) = delete;
  BlockFile& operator=(const BlockFile&) = delete;
  ~BlockFile() { ::close(fd_); }

  int fd() const noexcept { return fd_; }
  bool is_in_memory_only() const {
    struct statfs status {};
    return ::fstatfs(fd_, &status) == 0 && status.f_type == kTmpfs;
  }

 private:
  int fd_ = -1;
};

/// Where the reads of one path go, and which blocks come next.
class Blocks {
 public:
  std::byte* buffer(unsigned i) { return buffers_.data() + i * kBlock; }
  std::uint32_t next() { return next_++ % kBlocks; }
  /// Ends the program unless this is what a read of that block must give.
  void check(unsigned i, std::uint32_t block, int res) {
    std::uint32_t number = 0;
    std::memcpy(&number, buffer(i), sizeof number);
    if (res != static_cast<int>(kBlock) || number != block) give_up("a read", EIO);
  }

 private:
  std::vector<std::byte> buffers_ = std::vector<std::byte>(kMaxDepth * kBlock);
  std::uint32_t next_ = 0;
};

class LiburingReads {
 public:
  LiburingReads(int fd, TaskWork task_work) : fd_(fd), ring_(kMaxDepth, 2 * kMaxDepth, task_work) {}

  void rounds(unsigned depth, std::int64_t count) {
    for (; count != 0; --count) round(depth);
  }

 private:
  void round(unsigned depth) {
    for (unsigned i = 0; i < depth; ++i) {
      const std::uint32_t block = blocks_.next();
      io_uring_sqe* sqe = ring_.sqe();
      io_uring_prep_read(sqe, fd_, blocks_.buffer(i), kBlock, std::uint64_t{block} * kBlock);
      sqe->user_data = std::uint64_t{block} << 32 | i;
    }
    const unsigned seen = ring_.turn(depth, [this](const io_uring_cqe& cqe) {
      blocks_.check(static_cast<unsigned>(cqe.user_data), static_cast<std::uint32_t>(cqe.user_data >> 32), cqe.res);
    });
    if (seen != depth) give_up("reads", EIO);
  }

  int fd_;
  LiburingRing ring_;
  Blocks blocks_;
};

/// Each read is started again by its callback.
class BackendReads {
 public:
  BackendReads(int fd, TaskWork task_work) : fd_(fd), backend_(create_backend(kMaxDepth, 2 * kMaxDepth, task_work)) {}

  void rounds(unsigned depth, std::int64_t count) {
    left_ = static_cast<std::int64_t>(depth) * (count - 1);
    done_ = 0;
    for (unsigned i = 0; i < depth; ++i) start(i);
    if (!backend_->loop() || done_ != depth * count) give_up("Backend::loop", EIO);
  }

 private:
  void start(unsigned i) {
    const std::uint32_t block = blocks_.next();
    backend_->read(fd_, {blocks_.buffer(i), kBlock}, std::uint64_t{block} * kBlock, [this, i, block](int res) {
      blocks_.check(i, block, res);
      ++done_;
      if (--left_ >= 0) start(i);
    });
  }

  int fd_;
  Blocks blocks_;
  std::int64_t left_ = 0;
  std::int64_t done_ = 0;
  std::unique_ptr<Backend> backend_;
};

class PlainReads {
 public:
  PlainReads(int fd, TaskWork /*task_work*/) : fd_(fd) {}

  void rounds(unsigned depth, std::int64_t count) {
    for (; count != 0; --count) round(depth);
  }

 private:
  void round(unsigned depth) {
    for (unsigned i = 0; i < depth; ++i) {
      const std::uint32_t block = blocks_.next();
      const auto result = ::pread(fd_, blocks_.buffer(i), kBlock, static_cast<off_t>(block * kBlock));
      blocks_.check(i, block, static_cast<int>(result));
    }
  }

  int fd_;
  Blocks blocks_;
};

template <typename Path, TaskWork task_work>
void read_blocks(benchmark::State& state) {
  static const BlockFile file;
  if (file.is_in_memory_only()) {
    state.SkipWithError("the working directory is a tmpfs, whose reads are not what is measured here");
    return;
  }
  const auto depth = static_cast<unsigned>(state.range(0));
  Path path(file.fd(), task_work);
  while (state.KeepRunningBatch(kRounds)) path.rounds(depth, kRounds);
  state.SetItemsProcessed(state.iterations() * depth);
}

#define ASSAY_READ_BENCH(path, task_work, name) \
  BENCHMARK_TEMPLATE(read_blocks, path, task_work)->Name(name)->ArgName("depth")->Arg(1)->Arg(32)->Arg(128)

ASSAY_READ_BENCH(LiburingReads, TaskWork::kPlain, "read/plain/liburing");
ASSAY_READ_BENCH(BackendReads, TaskWork::kPlain, "read/plain/Backend");
ASSAY_READ_BENCH(PlainReads, TaskWork::kPlain, "read/plain/pread");
ASSAY_READ_BENCH(LiburingReads, TaskWork::kDeferred, "read/deferred/liburing");
ASSAY_READ_BENCH(BackendReads, TaskWork::kDeferred, "read/deferred/Backend");

}  // namespace
}  // namespace assay::bench
