// Registering buffers: the table, its slots, tags, and copies of another ring's. Follows io_uring/rsrc.c.

#include <algorithm>
#include <cerrno>
#include <utility>

#include "assay/mocks/sim/ring.h"
#include "assay/mocks/sim/setup.h"
#include "assay/mocks/sim/user_memory.h"

namespace assay::internal {

namespace {

constexpr unsigned kMaxBuffers = 1u << 14;
constexpr std::size_t kMaxBufferBytes = std::size_t{1} << 30;

void forget_tags(const BufferTable& table) {
  for (const auto& buffer : table) {
    if (buffer) buffer->tag.forget();
  }
}

}  // namespace

/// One entry of a buffer table: `*buffer` stays null for an empty one.
int SimRing::make_buffer(UserArray<iovec> vectors, UserArray<std::uint64_t> tags, unsigned index,
                         std::shared_ptr<RegisteredBuffer>* buffer) {
  iovec range{};
  if (vectors && !vectors.read(index, &range)) return -EFAULT;
  std::uint64_t tag = 0;
  if (tags && !tags.read(index, &tag)) return -EFAULT;
  if (range.iov_base == nullptr) {
    if (range.iov_len != 0 || !world_.has_feature(IORING_FEAT_RSRC_TAGS)) return -EFAULT;
    return tag != 0 ? -EINVAL : 0;
  }
  if (range.iov_len == 0 || range.iov_len > kMaxBufferBytes) return -EFAULT;
  if (!is_user_memory(range.iov_base, range.iov_len, Access::kWrite)) return -EFAULT;
  auto locked = std::make_unique<LockedPages>();
  const auto begin = reinterpret_cast<std::uintptr_t>(range.iov_base);
  const std::size_t pages = pages_of(begin % pages_to_bytes(1) + range.iov_len);
  if (const int error = locked->add(world_.locked_memory(), pages); error != 0) return error;
  *buffer = std::shared_ptr<RegisteredBuffer>(new RegisteredBuffer{Tag(*this, tag), range, std::move(locked)});
  return 0;
}

int SimRing::register_buffers(UserArray<iovec> vectors, unsigned count, UserArray<std::uint64_t> tags) {
  if (!buffers_.empty()) return -EBUSY;
  if (count == 0 || count > kMaxBuffers) return -EINVAL;
  BufferTable table(count);
  for (unsigned index = 0; index < count; ++index) {
    const int error = make_buffer(vectors, tags, index, &table[index]);
    if (error == 0) continue;
    forget_tags(table);
    return error;
  }
  buffers_ = std::move(table);
  return 0;
}

int SimRing::register_buffers2(void* arg, unsigned bytes) {
  io_uring_rsrc_register request{};
  if (const int error = read_resources(arg, bytes, &request); error != 0) return error;
  const UserArray<iovec> vectors(request.data);
  // Only since 5.19 is no array an array of empty entries.
  if (!vectors && !world_.is_since(5, 19)) return -EFAULT;
  return register_buffers(vectors, request.nr, UserArray<std::uint64_t>(request.tags));
}

int SimRing::unregister_buffers() {
  if (buffers_.empty()) return -ENXIO;
  const BufferTable gone = std::exchange(buffers_, {});
  if (!tells_tags_of_gone_tables()) forget_tags(gone);
  return 0;
}

int SimRing::update_buffers(void* arg, unsigned bytes) {
  io_uring_rsrc_update2 update{};
  if (const int error = read_resource_update(arg, bytes, &update); error != 0) return error;
  std::uint32_t end;
  if (__builtin_add_overflow(update.offset, update.nr, &end)) return -EOVERFLOW;
  if (buffers_.empty()) return -ENXIO;
  if (end > buffers_.size()) return -EINVAL;
  const UserArray<iovec> vectors(update.data);
  const UserArray<std::uint64_t> tags(update.tags);
  int done = 0;
  int error = 0;
  for (unsigned index = 0; index < update.nr; ++index, ++done) {
    std::shared_ptr<RegisteredBuffer> buffer;
    error = make_buffer(vectors, tags, index, &buffer);
    if (error != 0) break;
    resources_.retire(std::exchange(buffers_[update.offset + index], std::move(buffer)));
  }
  return done > 0 ? done : error;
}

std::shared_ptr<RegisteredBuffer> SimRing::registered_buffer(unsigned index) {
  return index < buffers_.size() ? resources_.use(buffers_[index]) : nullptr;
}

/// IORING_REGISTER_CLONE_BUFFERS (6.12; ranges and IORING_REGISTER_DST_REPLACE since 6.13). The copies have no tags.
int SimRing::clone_buffers(void* arg, unsigned count) {
  if (arg == nullptr || count != 1) return -EINVAL;
  uapi::CloneBuffers request;
  if (!copy_from_user(&request, arg, sizeof request)) return -EFAULT;
  const bool has_ranges = world_.is_since(6, 13);
  const std::uint32_t known = uapi::kCloneSrcRegistered | (has_ranges ? uapi::kCloneDstReplace : 0);
  if (request.flags & ~known) return -EINVAL;
  const bool replaces = (request.flags & uapi::kCloneDstReplace) != 0;
  if (!replaces && !buffers_.empty()) return -EBUSY;
  const bool clean = std::all_of(std::begin(request.pad), std::end(request.pad), [](auto word) { return word == 0; });
  if (!clean) return -EINVAL;
  if (!has_ranges && (request.src_off != 0 || request.dst_off != 0 || request.nr != 0)) return -EINVAL;

  SimRing* source = nullptr;
  const bool registered = (request.flags & uapi::kCloneSrcRegistered) != 0;
  if (const int error = world_.locate(static_cast<int>(request.src_fd), registered, &source); error != 0) return error;
  if (source != this && source->issued_by_other()) return -EEXIST;

  if (request.nr == 0 && (request.dst_off != 0 || request.src_off != 0)) return -EINVAL;
  const std::size_t available = source->buffers_.size();
  if (available == 0) return -ENXIO;
  if (request.nr == 0) request.nr = static_cast<std::uint32_t>(available);
  if (request.nr > available || request.nr > kMaxBuffers) return -EINVAL;
  std::uint32_t source_end;
  if (__builtin_add_overflow(request.nr, request.src_off, &source_end) || source_end > available) return -EOVERFLOW;
  std::uint32_t target_end;
  if (__builtin_add_overflow(request.nr, request.dst_off, &target_end)) return -EOVERFLOW;
  if (target_end > kMaxBuffers) return -EINVAL;

  BufferTable table(std::max<std::size_t>(target_end, buffers_.size()));
  std::copy(buffers_.begin(), buffers_.end(), table.begin());
  for (std::uint32_t index = 0; index < request.nr; ++index) {
    const auto& original = source->buffers_[request.src_off + index];
    auto& copy = table[request.dst_off + index];
    copy = original ? std::shared_ptr<RegisteredBuffer>(new RegisteredBuffer{{}, original->range, nullptr}) : nullptr;
  }
  buffers_.swap(table);
  return 0;
}

}  // namespace assay::internal
