// Registrations of files and buffers.

#include <sys/mman.h>
#include <sys/resource.h>

#include <cerrno>
#include <cstdint>

#include "assay/backend/liburing/exported.h"
#include "assay/backend/liburing/register.h"
#include "assay/backend/liburing/state.h"

namespace assay::liburing {
namespace {

io_uring_rsrc_register resources(const void* data, const __u64* tags, unsigned count, std::uint32_t flags) {
  io_uring_rsrc_register request{};
  request.nr = count;
  request.flags = flags;
  request.data = reinterpret_cast<std::uint64_t>(data);
  request.tags = reinterpret_cast<std::uint64_t>(tags);
  return request;
}

int update_resources(const io_uring& ring, unsigned opcode, unsigned offset, const void* data, const __u64* tags,
                     unsigned count) {
  io_uring_rsrc_update2 request{};
  request.offset = offset;
  request.data = reinterpret_cast<std::uint64_t>(data);
  request.tags = reinterpret_cast<std::uint64_t>(tags);
  request.nr = count;
  return register_on(ring, opcode, &request, sizeof request);
}

// Kernels before 5.13 count registered files as open ones, so liburing raises the limit once when it is in the way.
int register_files_by(const io_uring& ring, unsigned opcode, const void* arg, unsigned nr_args, unsigned count) {
  const int result = register_on(ring, opcode, arg, nr_args);
  if (result != -EMFILE) return result;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return result;
  if (limit.rlim_cur < count) {
    limit.rlim_cur += count;
    ::setrlimit(RLIMIT_NOFILE, &limit);
  }
  return register_on(ring, opcode, arg, nr_args);
}

}  // namespace

int register_buffers(io_uring* ring, const iovec* buffers, unsigned count) noexcept {
  return register_on(*ring, IORING_REGISTER_BUFFERS, buffers, count);
}

int register_buffers_tags(io_uring* ring, const iovec* buffers, const __u64* tags, unsigned count) noexcept {
  const io_uring_rsrc_register request = resources(buffers, tags, count, 0);
  return register_on(*ring, IORING_REGISTER_BUFFERS2, &request, sizeof request);
}

int register_buffers_sparse(io_uring* ring, unsigned count) noexcept {
  const io_uring_rsrc_register request = resources(nullptr, nullptr, count, IORING_RSRC_REGISTER_SPARSE);
  return register_on(*ring, IORING_REGISTER_BUFFERS2, &request, sizeof request);
}

int register_buffers_update_tag(io_uring* ring, unsigned offset, const iovec* buffers, const __u64* tags,
                                unsigned count) noexcept {
  return update_resources(*ring, IORING_REGISTER_BUFFERS_UPDATE, offset, buffers, tags, count);
}

int unregister_buffers(io_uring* ring) noexcept { return register_on(*ring, IORING_UNREGISTER_BUFFERS, nullptr, 0); }

int register_files(io_uring* ring, const int* fds, unsigned count) noexcept {
  return register_files_by(*ring, IORING_REGISTER_FILES, fds, count, count);
}

int register_files_tags(io_uring* ring, const int* fds, const __u64* tags, unsigned count) noexcept {
  const io_uring_rsrc_register request = resources(fds, tags, count, 0);
  return register_files_by(*ring, IORING_REGISTER_FILES2, &request, sizeof request, count);
}

int register_files_sparse(io_uring* ring, unsigned count) noexcept {
  const io_uring_rsrc_register request = resources(nullptr, nullptr, count, IORING_RSRC_REGISTER_SPARSE);
  return register_files_by(*ring, IORING_REGISTER_FILES2, &request, sizeof request, count);
}

int register_files_update(io_uring* ring, unsigned offset, const int* fds, unsigned count) noexcept {
  io_uring_rsrc_update request{};
  request.offset = offset;
  request.data = reinterpret_cast<std::uint64_t>(fds);
  return register_on(*ring, IORING_REGISTER_FILES_UPDATE, &request, count);
}

int register_files_update_tag(io_uring* ring, unsigned offset, const int* fds, const __u64* tags,
                              unsigned count) noexcept {
  return update_resources(*ring, IORING_REGISTER_FILES_UPDATE2, offset, fds, tags, count);
}

int unregister_files(io_uring* ring) noexcept { return register_on(*ring, IORING_UNREGISTER_FILES, nullptr, 0); }

int register_file_alloc_range(io_uring* ring, unsigned offset, unsigned count) noexcept {
  io_uring_file_index_range range{};
  range.off = offset;
  range.len = count;
  return register_on(*ring, IORING_REGISTER_FILE_ALLOC_RANGE, &range, 0);
}

// Cloned buffers: a ring is named by its fd, or by its index where it is registered and the caller allows it.
int clone_buffers_offset_flags(io_uring* to, io_uring* from, unsigned to_offset, unsigned from_offset, unsigned count,
                               unsigned flags) noexcept {
  uapi::CloneBuffers request{};
  request.src_fd = static_cast<std::uint32_t>(from->ring_fd);
  request.flags = flags & ~uapi::kCloneSrcRegistered;
  if ((flags & uapi::kCloneSrcRegistered) != 0 && (from->int_flags & kRegisterByIndex) != 0) {
    request.src_fd = static_cast<std::uint32_t>(from->enter_ring_fd);
    request.flags = flags;
  }
  request.src_off = from_offset;
  request.dst_off = to_offset;
  request.nr = count;
  return register_on(*to, uapi::kRegisterCloneBuffers, &request, 1);
}

int clone_buffers_offset(io_uring* to, io_uring* from, unsigned to_offset, unsigned from_offset, unsigned count,
                         unsigned flags) noexcept {
  return clone_buffers_offset_flags(to, from, to_offset, from_offset, count, flags | uapi::kCloneSrcRegistered);
}

int clone_buffers_flags(io_uring* to, io_uring* from, unsigned flags) noexcept {
  return clone_buffers_offset_flags(to, from, 0, 0, 0, flags);
}

int clone_buffers(io_uring* to, io_uring* from) noexcept {
  return clone_buffers_flags(to, from, uapi::kCloneSrcRegistered);
}

}  // namespace assay::liburing
