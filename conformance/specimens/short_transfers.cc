// Transfers that move less than was asked for, or nothing for now.

#include <unistd.h>

#include <cerrno>

#include "assay/conformance/specimens/specimen.h"

namespace assay::conformance {
namespace {

class DefectiveJob : public TransferJob {
 public:
  DefectiveJob(const TransferJob& job, bool defect) : TransferJob(job), defect_(defect) {}

 protected:
  const bool defect_;
};

class LostOffset final : public DefectiveJob {
  using DefectiveJob::DefectiveJob;
  void told(const Block& block, int res) override {
    const auto moved = static_cast<std::size_t>(res > 0 ? res : 0);
    if (!defect_ || moved == 0 || moved == block.rest.size()) return TransferJob::told(block, res);
    bytes_ += moved;
    start({moved, block.rest.subspan(moved)});  // rather than added to the block's
  }
};

class ShortIsWhole final : public DefectiveJob {
  using DefectiveJob::DefectiveJob;
  void told(const Block& block, int res) override {
    TransferJob::told(block, defect_ && res > 0 ? static_cast<int>(block.rest.size()) : res);
  }
};

class EndIsShort final : public DefectiveJob {
  using DefectiveJob::DefectiveJob;
  void told(const Block& block, int res) override {
    if (defect_ && res == 0) return start(block);
    TransferJob::told(block, res);
  }
};

class RefusedIsFinal final : public DefectiveJob {
  using DefectiveJob::DefectiveJob;
  void told(const Block& block, int res) override {
    if (!defect_ || res != -EAGAIN) return TransferJob::told(block, res);
    error_ = res;
  }
};

template <typename Job>
FileReader reader(bool defect) {
  return [defect](Kernel& kernel, int fd, std::uint64_t offset, std::span<std::byte> into) {
    SmallLoop loop(kernel);
    return Job(TransferJob::read(loop, fd, offset, into), defect).run();
  };
}

template <typename Job>
FileWriter writer(bool defect) {
  return [defect](Kernel& kernel, int fd, std::uint64_t offset, std::span<const std::byte> from) {
    SmallLoop loop(kernel);
    return Job(TransferJob::write(loop, fd, offset, from), defect).run();
  };
}

// Ranges on one loop. A range is given up at its first error; completions are known by the number of their block.
class Batches {
 public:
  Batches(Kernel& kernel, bool defect) : loop_(kernel), defect_(defect) {}

  int read(const FileRange& range) {
    if (loop_.error() != 0) return loop_.error();
    const unsigned batch = ++batch_;
    left_ = 0;
    error_ = 0;
    bytes_ = 0;
    for (std::size_t at = 0; at < range.into.size(); at += kBlock) {
      start(batch, range, {range.offset + at, range.into.subspan(at, std::min(kBlock, range.into.size() - at))});
    }
    loop_.run_until([&] { return left_ == 0 || (defect_ && error_ != 0); });
    if (loop_.error() != 0) return loop_.error();
    return error_ != 0 ? error_ : static_cast<int>(bytes_);
  }
  void end() { loop_.run(); }

 private:
  static constexpr std::size_t kBlock = 500;
  struct Block {
    std::uint64_t offset;
    std::span<std::byte> rest;
  };

  void start(unsigned batch, const FileRange& range, const Block& block) {
    ++left_;
    loop_.start(
        [fd = range.fd, block](io_uring_sqe& sqe) {
          io_uring_prep_read(&sqe, fd, block.rest.data(), static_cast<unsigned>(block.rest.size()), block.offset);
        },
        [this, batch, &range, block](const io_uring_cqe& cqe) {
          // Whose it is does not matter to one who believes that it is of this batch.
          --left_;
          if (cqe.res == -EINTR || cqe.res == -EAGAIN) return start(batch, range, block);
          if (cqe.res < 0) {
            error_ = cqe.res;
            return;
          }
          const auto moved = static_cast<std::size_t>(cqe.res);
          bytes_ += moved;
          if (moved != 0 && moved < block.rest.size()) {
            start(batch, range, {block.offset + moved, block.rest.subspan(moved)});
          }
        });
  }

  SmallLoop loop_;
  bool defect_;
  unsigned batch_ = 0;
  int left_ = 0;
  int error_ = 0;
  std::size_t bytes_ = 0;
};

RangesReader batches(bool defect) {
  return [defect](Kernel& kernel, std::span<FileRange> ranges) {
    Batches loop(kernel, defect);
    for (FileRange& range : ranges) range.result = loop.read(range);
    loop.end();
  };
}

}  // namespace

void internal::add_short_transfer_specimens(std::vector<Specimen>& specimens) {
  specimens.push_back(specimen_of<FileReader>("resumed-at-the-wrong-offset", {"B33"},
                                              "After a short read the rest is read from the number of bytes that were "
                                              "read, rather than from there on.",
                                              "reads-whole", reads_whole, reader<LostOffset>));
  specimens.push_back(specimen_of<FileReader>("short-read-is-whole", {"B35"}, "A short read is taken to be whole.",
                                              "reads-whole", reads_whole, reader<ShortIsWhole>));
  specimens.push_back(specimen_of<FileWriter>("short-write-is-whole", {"B34"}, "A short write is taken to be whole.",
                                              "writes-whole", writes_whole, writer<ShortIsWhole>));
  specimens.push_back(specimen_of<FileReader>("end-is-a-short-read", {"B37"},
                                              "A read of 0 bytes is tried again, though the file ends there.",
                                              "reads-to-the-end", reads_to_the_end, reader<EndIsShort>));
  specimens.push_back(specimen_of<FileReader>("refused-read-is-final", {"B80", "B81"},
                                              "A read that ends with -EAGAIN is not tried again.", "reads-whole",
                                              reads_whole, reader<RefusedIsFinal>));
  specimens.push_back(specimen_of<RangesReader>(
      "stale-completions-counted", {"B38"},
      "A batch is given up at its first error, and completions that come later are counted for the next one.",
      "reads-one-after-the-other", reads_one_after_the_other, batches));
}

}  // namespace assay::conformance
