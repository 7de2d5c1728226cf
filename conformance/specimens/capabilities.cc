// What a kernel or a file does not have: opcodes, registrations, vectors of any length.

#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <vector>

#include "assay/conformance/specimens/specimen.h"

namespace assay::conformance {
namespace {

FileTruncater truncater(bool defect) {
  return [defect](Kernel& kernel, int fd, std::uint64_t bytes) {
    SmallLoop loop(kernel);
    if (loop.error() != 0) return loop.error();
    constexpr std::uint8_t kFtruncate = 55;
    int result = -EINTR;
    while (loop.error() == 0 && (result == -EINTR || result == -EAGAIN)) {
      loop.start([&](io_uring_sqe& sqe) { io_uring_prep_rw(kFtruncate, &sqe, fd, nullptr, 0, bytes); },
                 [&](const io_uring_cqe& cqe) { result = cqe.res; });
      loop.run();
    }
    if (loop.error() != 0) return loop.error();
    if (result == -EINVAL && !defect) result = ::ftruncate(fd, static_cast<off_t>(bytes)) == 0 ? 0 : -errno;
    return result;
  };
}

FileReader registers_its_ring(bool defect) {
  return [defect](Kernel& kernel, int fd, std::uint64_t offset, std::span<std::byte> into) {
    SmallLoop loop(kernel);
    if (loop.error() == 0) {
      const int answer = loop.ring().register_ring_fd();
      if (answer < 0 && defect) return answer;
      return TransferJob::read(loop, fd, offset, into).run();
    }
    const ssize_t bytes = ::pread(fd, into.data(), into.size(), static_cast<off_t>(offset));
    return bytes < 0 ? -errno : static_cast<int>(bytes);
  };
}

// Writes what is given in very small pieces, as if it came so.
FileWriter vector_writer(bool defect) {
  return [defect](Kernel& kernel, int fd, std::uint64_t offset, std::span<const std::byte> from) {
    constexpr std::size_t kPieceBytes = 2;
    SmallLoop loop(kernel);
    if (loop.error() != 0) return loop.error();
    int error = 0;
    std::size_t written = 0;
    while (written < from.size() && error == 0 && loop.error() == 0) {
      std::vector<iovec> pieces;
      for (std::size_t at = written; at < from.size(); at += kPieceBytes) {
        if (!defect && pieces.size() == IOV_MAX) break;
        pieces.push_back({const_cast<std::byte*>(from.data() + at), std::min(kPieceBytes, from.size() - at)});
      }
      loop.start(
          [&](io_uring_sqe& sqe) {
            io_uring_prep_writev(&sqe, fd, pieces.data(), static_cast<unsigned>(pieces.size()), offset + written);
          },
          [&](const io_uring_cqe& cqe) {
            if (cqe.res > 0) written += static_cast<std::size_t>(cqe.res);
            if (cqe.res < 0 && cqe.res != -EINTR && cqe.res != -EAGAIN) error = cqe.res;
          });
      loop.run();
    }
    if (loop.error() != 0) return loop.error();
    return error != 0 ? error : static_cast<int>(written);
  };
}

}  // namespace

void internal::add_capability_specimens(std::vector<Specimen>& specimens) {
  specimens.push_back(specimen_of<FileTruncater>(
      "no-call-for-an-absent-opcode", {"B67", "B68"},
      "Where the kernel lacks FTRUNCATE its error is passed on, though the system call is there.", "truncates",
      truncates, truncater));
  specimens.push_back(specimen_of<FileReader>(
      "registered-ring-required", {"B69"},
      "A kernel that cannot register the ring's descriptor, which only saves time, ends the loop.", "reads-anyway",
      reads_anyway, registers_its_ring));
  specimens.push_back(specimen_of<FileWriter>("vector-too-long", {"B71"},
                                              "A vector may have more pieces than the kernel takes (IOV_MAX).",
                                              "writes-whole", writes_whole, vector_writer));
}

}  // namespace assay::conformance
