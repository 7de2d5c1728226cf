#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "assay/conformance/specimens/small_loop.h"

namespace assay::conformance {

/// A range of a file, read or written in blocks that are in flight together.
class TransferJob {
 public:
  /// How many blocks a range is cut into: more than the SQ of a SmallLoop holds.
  static constexpr std::size_t kBlocks = 6;

  static TransferJob read(SmallLoop& loop, int fd, std::uint64_t offset, std::span<std::byte> into) {
    return {loop, IORING_OP_READ, fd, offset, into};
  }
  static TransferJob write(SmallLoop& loop, int fd, std::uint64_t offset, std::span<const std::byte> from) {
    return {loop, IORING_OP_WRITE, fd, offset, {const_cast<std::byte*>(from.data()), from.size()}};
  }
  TransferJob(SmallLoop& loop, std::uint8_t opcode, int fd, std::uint64_t offset, std::span<std::byte> buffer)
      : loop_(loop), opcode_(opcode), fd_(fd), offset_(offset), buffer_(buffer) {}
  virtual ~TransferJob() = default;

  /// Does it. Returns the bytes that were moved, fewer where the file ends, or a negative errno.
  int run();

 protected:
  struct Block {
    std::uint64_t offset;
    std::span<std::byte> rest;
  };

  void start(const Block& block);
  /// What became of a block.
  virtual void told(const Block& block, int res);

  SmallLoop& loop_;
  int error_ = 0;
  std::size_t bytes_ = 0;

 private:
  std::uint8_t opcode_;
  int fd_;
  std::uint64_t offset_;
  std::span<std::byte> buffer_;
};

}  // namespace assay::conformance
