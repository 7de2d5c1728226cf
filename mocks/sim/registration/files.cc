// Registering files: the table, its slots, tags, and what the kernel may choose. Follows io_uring/rsrc.c and
// io_uring/filetable.c.

#include <sys/resource.h>

#include <cerrno>

#include "assay/mocks/sim/ring.h"
#include "assay/mocks/sim/user_memory.h"

namespace assay::internal {

namespace {

constexpr unsigned kMaxFixedFiles = 1u << 20;
constexpr unsigned kMaxFixedFilesBefore513 = 1u << 15;
constexpr std::int32_t kEmptySlot = -1;
constexpr std::int32_t kSkipSlot = -2;  // IORING_REGISTER_FILES_SKIP
constexpr unsigned kChosenSlot = ~0u;   // IORING_FILE_INDEX_ALLOC

}  // namespace

/// The caller's fd as a reference of the table's own. A ring would hold itself alive, so it is refused.
int SimRing::refer_to_file(int fd, Descriptor* file) {
  if (world_.find(fd) != nullptr) return -EBADF;
  *file = Descriptor::duplicate(fd);
  if (*file) return 0;
  return errno == EBADF ? -EBADF : -ENOMEM;
}

int SimRing::register_files(UserArray<std::int32_t> fds, unsigned count, UserArray<std::uint64_t> tags) {
  if (files_.exists()) return -EBUSY;
  if (count == 0) return -EINVAL;
  const bool wide = world_.has_feature(IORING_FEAT_RSRC_TAGS);
  if (count > (wide ? kMaxFixedFiles : kMaxFixedFilesBefore513)) return -EMFILE;
  if (wide) {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) == 0 && count > limit.rlim_cur) return -EMFILE;
  }
  files_.create(count);
  for (unsigned index = 0; index < count; ++index) {
    std::uint64_t tag = 0;
    std::int32_t fd = kEmptySlot;
    int error = 0;
    if ((tags && !tags.read(index, &tag)) || (fds && !fds.read(index, &fd))) {
      error = -EFAULT;
    } else if (fd == kEmptySlot) {
      if (tag == 0) continue;
      error = -EINVAL;  // nothing is there that the tag could tell of
    }
    Descriptor file;
    if (error == 0) error = refer_to_file(fd, &file);
    if (error != 0) {
      files_.discard();
      return error;
    }
    files_.put(index, std::move(file), Tag(*this, tag));
  }
  files_.set_alloc_range(0, count);
  return 0;
}

int SimRing::register_files2(void* arg, unsigned bytes) {
  io_uring_rsrc_register request{};
  if (const int error = read_resources(arg, bytes, &request); error != 0) return error;
  return register_files(UserArray<std::int32_t>(request.data), request.nr, UserArray<std::uint64_t>(request.tags));
}

int SimRing::unregister_files() {
  if (!files_.exists()) return -ENXIO;
  // Told only when the table is gone, for whoever is told may look.
  FileTable gone = std::exchange(files_, {});
  if (!tells_tags_of_gone_tables()) gone.discard();
  return 0;
}

int SimRing::update_files(std::uint32_t offset, UserArray<std::int32_t> fds, unsigned count,
                          UserArray<std::uint64_t> tags) {
  std::uint32_t end;
  if (__builtin_add_overflow(offset, count, &end)) return -EOVERFLOW;
  if (!files_.exists()) return -ENXIO;
  if (end > files_.size()) return -EINVAL;
  int done = 0;
  int error = 0;
  for (unsigned index = 0; index < count; ++index, ++done) {
    std::uint64_t tag = 0;
    std::int32_t fd;
    if ((tags && !tags.read(index, &tag)) || !fds.read(index, &fd)) {
      error = -EFAULT;
      break;
    }
    const bool skip = fd == kSkipSlot && world_.has_feature(IORING_FEAT_RSRC_TAGS);
    if ((skip || fd == kEmptySlot) && tag != 0) {
      error = -EINVAL;
      break;
    }
    if (skip) continue;
    // The slot is emptied before the fd is looked at, and stays so where that is bad.
    resources_.retire(files_.remove(offset + index));
    if (fd == kEmptySlot) continue;
    Descriptor file;
    error = refer_to_file(fd, &file);
    if (error != 0) break;
    files_.put(offset + index, std::move(file), Tag(*this, tag));
  }
  return done > 0 ? done : error;
}

int SimRing::files_update(void* arg, unsigned count) {
  io_uring_files_update update{};
  if (count == 0) return -EINVAL;
  if (!copy_from_user(&update, arg, sizeof update)) return -EFAULT;
  if (update.resv != 0) return -EINVAL;
  return update_files(update.offset, UserArray<std::int32_t>(update.fds), count, kNoTags);
}

int SimRing::files_update2(void* arg, unsigned bytes) {
  io_uring_rsrc_update2 update{};
  if (const int error = read_resource_update(arg, bytes, &update); error != 0) return error;
  return update_files(update.offset, UserArray<std::int32_t>(update.data), update.nr,
                      UserArray<std::uint64_t>(update.tags));
}

/// IORING_REGISTER_FILE_ALLOC_RANGE (6.0).
int SimRing::set_file_alloc_range(void* arg, unsigned count) {
  if (arg == nullptr || count != 0) return -EINVAL;
  io_uring_file_index_range range{};
  if (!copy_from_user(&range, arg, sizeof range)) return -EFAULT;
  std::uint32_t end;
  if (__builtin_add_overflow(range.off, range.len, &end)) return -EOVERFLOW;
  if (range.resv != 0 || end > files_.size()) return -EINVAL;
  files_.set_alloc_range(range.off, range.len);
  return 0;
}

int SimRing::install_direct_file(std::uint32_t file_index, int fd) {
  const bool chosen = file_index == kChosenSlot && world_.profile().semantics.direct_allocation;
  std::size_t slot = file_index - 1;
  if (chosen) {
    const int found = files_.choose_slot();
    if (found < 0) return found;
    slot = static_cast<std::size_t>(found);
  }
  if (!files_.exists()) return -ENXIO;
  if (slot >= files_.size()) return -EINVAL;
  Descriptor file = Descriptor::duplicate(fd);
  if (!file) return -ENOMEM;
  resources_.retire(files_.put(slot, std::move(file)));
  return chosen ? static_cast<int>(slot) : 0;
}

int SimRing::close_fixed_file(unsigned slot) {
  if (!files_.exists()) return -ENXIO;
  if (slot >= files_.size()) return -EINVAL;
  std::shared_ptr<RegisteredFile> removed = files_.remove(slot);
  if (!removed) return -EBADF;
  resources_.retire(std::move(removed));
  return 0;
}

int SimRing::update_files_where_free(UserArray<std::int32_t> fds, unsigned count) {
  if (!files_.exists()) return -ENXIO;
  int done = 0;
  int error = 0;
  for (unsigned index = 0; index < count; ++index, ++done) {
    std::int32_t fd;
    if (!fds.read(index, &fd)) {
      error = -EFAULT;
      break;
    }
    Descriptor file;
    error = refer_to_file(fd, &file);
    if (error != 0) break;
    const int slot = install_direct_file(kChosenSlot, fd);
    if (slot < 0) {
      error = slot;
      break;
    }
    if (!fds.write(index, slot)) {
      close_fixed_file(static_cast<unsigned>(slot));
      error = -EFAULT;
      break;
    }
  }
  return done > 0 ? done : error;
}

}  // namespace assay::internal
