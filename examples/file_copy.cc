// Copies a file by pairs of linked requests: the kernel starts each write when its read has ended, and several pairs
// are in flight at a time.
//
//   file_copy FROM TO

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <deque>
#include <memory>
#include <vector>

#include "assay/backend/backend.h"
#include "assay/backend/linux_kernel.h"

namespace {

constexpr std::size_t kBlockBytes = 64 * 1024;
constexpr std::size_t kBlocksAtOnce = 8;

class Copy {
 public:
  Copy(assay::Backend& backend, int from, int to, std::uint64_t bytes)
      : backend_(backend), from_(from), to_(to), bytes_(bytes) {}

  void start() {
    for (std::size_t i = 0; i < kBlocksAtOnce; ++i) blocks_.emplace_back(*this).go_on();
  }
  /// 0, or the first error: a positive errno.
  int error() const { return error_; }

 private:
  struct Block;

  // A half of a block: the read, or the write.
  struct Half final : assay::Operation {
    Half(Block& owner, bool write) : block(owner), writes(write) {}
    void prepare(io_uring_sqe& sqe) override;
    void complete(const assay::Completion& completion) override;

    Block& block;
    const bool writes;
  };

  struct Block {
    explicit Block(Copy& owner) : copy(owner), buffer(kBlockBytes) {}

    /// Takes the next part of the file, if there is one.
    void go_on() {
      if (copy.next_ == copy.bytes_ || copy.error_ != 0) return;
      offset = copy.next_;
      bytes = std::min<std::uint64_t>(kBlockBytes, copy.bytes_ - offset);
      copy.next_ += bytes;
      // A short read counts as a failure of the chain: the write is cancelled then.
      const std::array<assay::Operation*, 2> chain{&read, &write};
      if (auto queued = copy.backend_.submit_chain(chain); !queued) copy.fail(queued.error().code.value());
    }

    Copy& copy;
    std::vector<char> buffer;
    std::uint64_t offset = 0;
    std::size_t bytes = 0;
    Half read{*this, false};
    Half write{*this, true};
  };

  void fail(int error) {
    if (error_ == 0) error_ = error;
  }

  assay::Backend& backend_;
  const int from_, to_;
  const std::uint64_t bytes_;
  std::uint64_t next_ = 0;
  int error_ = 0;
  std::deque<Block> blocks_;
};

void Copy::Half::prepare(io_uring_sqe& sqe) {
  const auto length = static_cast<unsigned>(block.bytes);
  if (writes) {
    io_uring_prep_write(&sqe, block.copy.to_, block.buffer.data(), length, block.offset);
  } else {
    io_uring_prep_read(&sqe, block.copy.from_, block.buffer.data(), length, block.offset);
  }
}

void Copy::Half::complete(const assay::Completion& completion) {
  if (completion.res != static_cast<int>(block.bytes)) {
    block.copy.fail(completion.res < 0 ? -completion.res : EIO);
  } else if (writes) {
    // Both are over, since a write ends behind its read; they may be submitted again.
    block.go_on();
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: file_copy FROM TO\n");
    return 2;
  }
  const int from = open(argv[1], O_RDONLY | O_CLOEXEC);
  struct stat status {};
  if (from < 0 || fstat(from, &status) != 0) {
    std::fprintf(stderr, "file_copy: %s: %s\n", argv[1], std::strerror(errno));
    return 1;
  }
  const int to = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (to < 0) {
    std::fprintf(stderr, "file_copy: %s: %s\n", argv[2], std::strerror(errno));
    return 1;
  }
  auto backend = assay::Backend::create(assay::LinuxKernel::instance());
  if (!backend) {
    std::fprintf(stderr, "file_copy: %s\n", backend.error().message().c_str());
    return 1;
  }
  Copy copy(**backend, from, to, static_cast<std::uint64_t>(status.st_size));
  copy.start();
  const auto status_of_loop = (*backend)->loop();
  const int error = status_of_loop ? copy.error() : status_of_loop.error().code.value();
  if (error != 0) std::fprintf(stderr, "file_copy: %s\n", std::strerror(error));
  // The operations of a copy that failed are not all over: the backend ends them while they are still there.
  backend->reset();
  close(from);
  close(to);
  return error != 0 ? 1 : 0;
}
