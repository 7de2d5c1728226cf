// Rings that cannot be had: forbidden, or too large for the memory that there is; and rings that are left behind.

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <vector>

#include "assay/conformance/specimens/specimen.h"

namespace assay::conformance {
namespace {

int read_without_a_ring(int fd, std::uint64_t offset, std::span<std::byte> into) {
  const ssize_t bytes = ::pread(fd, into.data(), into.size(), static_cast<off_t>(offset));
  return bytes < 0 ? -errno : static_cast<int>(bytes);
}

// Reads with a ring, or without one where `expects` knows the error.
int read_anyway(Kernel& kernel, int fd, std::uint64_t offset, std::span<std::byte> into, bool (*expects)(int error)) {
  SmallLoop loop(kernel);
  if (loop.error() == 0) return TransferJob::read(loop, fd, offset, into).run();
  if (!expects(loop.error())) std::abort();
  return read_without_a_ring(fd, offset, into);
}

FileReader expects_only_old_kernels(bool defect) {
  return [defect](Kernel& kernel, int fd, std::uint64_t offset, std::span<std::byte> into) {
    return read_anyway(
        kernel, fd, offset, into, defect ? [](int error) { return error != -EPERM; } : [](int) { return true; });
  };
}

FileReader expects_memory(bool defect) {
  return [defect](Kernel& kernel, int fd, std::uint64_t offset, std::span<std::byte> into) {
    return read_anyway(
        kernel, fd, offset, into, defect ? [](int error) { return error != -ENOMEM; } : [](int) { return true; });
  };
}

FileReader tries_once(bool defect) {
  return [defect](Kernel& kernel, int fd, std::uint64_t offset, std::span<std::byte> into) {
    constexpr unsigned kWanted = 64;
    for (unsigned entries = kWanted;; entries /= 2) {
      SmallLoop loop(kernel, {.sq_entries = entries});
      if (loop.error() == -ENOMEM && !defect && entries > 1) continue;
      return TransferJob::read(loop, fd, offset, into).run();
    }
  };
}

// Two workers share the job, each with a ring of its own. Whether rings can be had was found out by the first.
FileReader asks_once(bool defect) {
  return [defect](Kernel& kernel, int fd, std::uint64_t offset, std::span<std::byte> into) {
    SmallLoop first(kernel);
    if (first.error() != 0) return read_without_a_ring(fd, offset, into);
    const std::size_t half = into.size() / 2;
    const int bytes = TransferJob::read(first, fd, offset, into.first(half)).run();
    if (bytes != static_cast<int>(half)) return bytes;
    SmallLoop second(kernel);
    const std::span<std::byte> rest = into.subspan(half);
    int more;
    if (second.error() == 0) {
      more = TransferJob::read(second, fd, offset + half, rest).run();
    } else {
      if (defect) std::abort();
      more = read_without_a_ring(fd, offset + half, rest);
    }
    return more < 0 ? more : bytes + more;
  };
}

FileReader never_closes(bool defect) {
  return [defect](Kernel& kernel, int fd, std::uint64_t offset, std::span<std::byte> into) {
    if (!defect) {
      SmallLoop loop(kernel);
      return TransferJob::read(loop, fd, offset, into).run();
    }
    // One a thread, as if threads never ended.
    thread_local SmallLoop* loop = nullptr;
    loop = new SmallLoop(kernel);
    return TransferJob::read(*loop, fd, offset, into).run();
  };
}

// Sets up a ring by itself, only to learn what it looks like.
int look_at_a_ring(Kernel& kernel, bool defect) {
  io_uring_params params{};
  const int ring_fd = kernel.setup(1, &params);
  if (ring_fd < 0) return ring_fd;
  const std::size_t ring_bytes = params.cq_off.cqes + params.cq_entries * sizeof(io_uring_cqe);
  const std::size_t sqes_bytes = params.sq_entries * sizeof(io_uring_sqe);
  void* memory = nullptr;
  void* sqes = nullptr;
  int error = kernel.map(ring_fd, IORING_OFF_SQ_RING, ring_bytes, &memory);
  if (error == 0) error = kernel.map(ring_fd, IORING_OFF_SQES, sqes_bytes, &sqes);
  if (error != 0 && defect) return error;
  if (sqes != nullptr) kernel.unmap(sqes, sqes_bytes);
  if (memory != nullptr) kernel.unmap(memory, ring_bytes);
  kernel.close(ring_fd);
  return error;
}

FileReader leaves_what_could_not_be_mapped(bool defect) {
  return [defect](Kernel& kernel, int fd, std::uint64_t offset, std::span<std::byte> into) {
    if (const int error = look_at_a_ring(kernel, defect); error != 0) return error;
    SmallLoop loop(kernel);
    return TransferJob::read(loop, fd, offset, into).run();
  };
}

}  // namespace

void internal::add_setup_specimens(std::vector<Specimen>& specimens) {
  specimens.push_back(specimen_of<FileReader>(
      "eperm-not-expected", {"B61", "B62", "B63"},
      "That io_uring is missing is expected, but not that it is forbidden: -EPERM aborts the process.", "reads-anyway",
      reads_anyway, expects_only_old_kernels));
  specimens.push_back(specimen_of<FileReader>("enomem-not-expected", {"B64"},
                                              "That there is no memory for a ring aborts the process.", "reads-anyway",
                                              reads_anyway, expects_memory));
  specimens.push_back(specimen_of<FileReader>("no-smaller-ring", {"B65"},
                                              "Where there is no memory for a ring, a smaller one is not tried.",
                                              "reads-with-less-memory", reads_with_less_memory, tries_once));
  specimens.push_back(specimen_of<FileReader>(
      "asked-for-one-ring-only", {"B66"},
      "That one ring could be had is taken to mean that all can, and the second aborts the process.", "reads-anyway",
      reads_anyway, asks_once));
  specimens.push_back(specimen_of<FileReader>("ring-never-closed", {"B93"}, "The ring of a thread is never closed.",
                                              "reads-whole", reads_whole, never_closes));
  specimens.push_back(specimen_of<FileReader>("ring-left-unmapped", {"B94"},
                                              "Where a ring's memory cannot be mapped its descriptor is left open.",
                                              "reads-whole", reads_whole, leaves_what_could_not_be_mapped));
}

}  // namespace assay::conformance
