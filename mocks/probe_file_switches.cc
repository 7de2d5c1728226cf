// What file operations of a kernel know: no feature bit tells.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "assay/backend/uapi.h"
#include "assay/mocks/probe_trial.h"

namespace assay::internal {
namespace {

/// Opens a directory into a slot of a file table that is not there. What an older kernel opens instead is closed.
std::optional<int> try_open_direct(Kernel& kernel, std::uint32_t file_index) {
  const std::optional<int> result = try_sqe(kernel, [file_index](io_uring_sqe& sqe) {
    sqe.opcode = IORING_OP_OPENAT;
    sqe.fd = AT_FDCWD;
    sqe.addr = reinterpret_cast<std::uintptr_t>("/");
    sqe.open_flags = O_RDONLY | O_DIRECTORY;
    sqe.file_index = file_index;
  });
  if (result && *result >= 0) ::close(*result);
  return result;
}

/// STATX with a field that means nothing to it. (liburing 2.3 calls the field by its meaning for SPLICE.)
Verdict try_second_descriptor(Kernel& kernel) {
  struct statx status;
  const std::optional<int> result = try_sqe(kernel, [&status](io_uring_sqe& sqe) {
    sqe.opcode = IORING_OP_STATX;
    sqe.fd = AT_FDCWD;
    sqe.addr = reinterpret_cast<std::uintptr_t>("/");
    sqe.addr2 = reinterpret_cast<std::uintptr_t>(&status);
    sqe.len = STATX_TYPE;
    sqe.splice_fd_in = 1;
  });
  if (!result) return std::nullopt;
  return *result == -EINVAL;
}

}  // namespace

std::vector<SwitchTrial> try_file_switches(Kernel& kernel) {
  const std::optional<int> at_slot = try_open_direct(kernel, 1);
  const std::optional<int> anywhere = try_open_direct(kernel, IORING_FILE_INDEX_ALLOC);
  return {
      {&Semantics::direct_descriptors, at_slot ? Verdict(*at_slot == -ENXIO) : std::nullopt},
      {&Semantics::direct_allocation, anywhere ? Verdict(*anywhere == -ENFILE) : std::nullopt},
      {&Semantics::second_descriptor_refused, try_second_descriptor(kernel)},
  };
}

}  // namespace assay::internal
