#include "assay/backend/registered_files.h"

#include <fcntl.h>
#include <algorithm>
#include <cerrno>
#include <memory>
#include <utility>

#include "assay/backend/backend.h"
#include "assay/backend/requests.h"

namespace assay {
namespace internal {
namespace {

// How often an update is asked for that was interrupted, which before 5.13 one was that had to wait for requests.
constexpr unsigned kTries = 100;

bool is_open(int fd) {
  const int saved_errno = errno;
  const bool open = ::fcntl(fd, F_GETFD) >= 0;
  errno = saved_errno;
  return open;
}

// 0, or a negative errno.
int update(Ring& ring, std::uint32_t slot, int fd) {
  int result = 0;
  for (unsigned tries = 0; tries < kTries; ++tries) {
    result = ring.update_files(slot, std::span(&fd, 1));
    if (result != -EINTR && result != -EAGAIN) break;
  }
  if (result == 0) return -EINVAL;  // nothing was updated, and nobody says why
  return std::min(result, 0);
}

// What may be had at another time: memory, descriptors (RLIMIT_NOFILE bounds the table), patience.
bool is_passing(int result) {
  return result == -ENOMEM || result == -EMFILE || result == -ENFILE || result == -EINTR || result == -EAGAIN ||
         result == -EBUSY;
}

}  // namespace

void FileRecord::unused() noexcept {
  if (owner != nullptr) {
    owner->unused(*this);
  } else {
    delete this;
  }
}

RegisteredFiles::~RegisteredFiles() {
  for (FileRecord* record : by_fd_) {
    if (record == nullptr) continue;
    record->owner = nullptr;
    record->slot = -1;
  }
  for (FileRecord* record : free_records_) delete record;
}

void RegisteredFiles::set_up(Ring& ring) {
  has_table_ = may_come_ = false;
  problem_.clear();
  free_slots_.clear();
  left_.clear();
  for (FileRecord* record : by_fd_) {
    if (record != nullptr) record->slot = -1;
  }
  if (wanted_ == 0) return;
  if (!requests_.support().updates_files) {
    problem_ = "registered_fds: this kernel has no table of files that can be filled later (since 5.5)";
    return;
  }
  const int result = ring.register_files_sparse(wanted_);
  if (result < 0) {
    may_come_ = is_passing(result);
    problem_ = "registered_fds: IORING_REGISTER_FILES of a table of " + std::to_string(wanted_) +
               " empty slots: " + Error::from_errno(result).message();
    return;
  }
  has_table_ = true;
  free_slots_.reserve(wanted_);
  left_.reserve(wanted_);
  for (std::uint32_t slot = wanted_; slot-- != 0;) free_slots_.push_back(slot);
  for (FileRecord* record : by_fd_) {
    // One that is refused is a plain descriptor, and its holders need not know.
    if (record != nullptr) (void)put(ring, *record);
  }
}

Result<File> RegisteredFiles::get(int fd) {
  Ring& ring = requests_.ring();
  if (!has_table_ && may_come_) set_up(ring);
  const auto place = static_cast<std::size_t>(fd);
  FileRecord* record = fd >= 0 && place < by_fd_.size() ? by_fd_[place] : nullptr;
  if (record != nullptr && record->slot >= 0) return File(*record);
  if (!is_open(fd)) return Error::from_errno(EBADF, "register_file(" + std::to_string(fd) + ")");
  const bool is_new = record == nullptr;
  if (is_new) record = &new_record(fd);
  if (auto put_in = put(ring, *record); !put_in) {
    if (is_new) forget(*record);
    return put_in.error();
  }
  return File(*record);
}

// Gives the file a slot where there is one. The error is what the kernel said to this file.
Result<void> RegisteredFiles::put(Ring& ring, FileRecord& record) {
  if (!has_table_) return {};
  clear_left(ring);
  if (free_slots_.empty()) return {};
  const std::uint32_t slot = free_slots_.back();
  if (const int result = update(ring, slot, record.fd); result < 0) {
    return Error::from_errno(result, "register_file(" + std::to_string(record.fd) + "): IORING_REGISTER_FILES_UPDATE");
  }
  free_slots_.pop_back();
  record.slot = static_cast<std::int32_t>(slot);
  return {};
}

// A file that stays in the table stays open, whatever its user closes.
void RegisteredFiles::clear_left(Ring& ring) {
  while (!left_.empty() && update(ring, left_.back(), -1) == 0) {
    free_slots_.push_back(left_.back());
    left_.pop_back();
  }
}

void RegisteredFiles::unused(FileRecord& record) noexcept {
  if (record.slot >= 0) {
    left_.push_back(static_cast<std::uint32_t>(std::exchange(record.slot, -1)));
    clear_left(requests_.ring());
  }
  forget(record);
}

FileRecord& RegisteredFiles::new_record(int fd) {
  const auto place = static_cast<std::size_t>(fd);
  if (place >= by_fd_.size()) by_fd_.resize(std::max(place + 1, 2 * by_fd_.size()));
  if (free_records_.empty()) {
    free_records_.push_back(new FileRecord);
  }
  FileRecord* record = free_records_.back();
  free_records_.pop_back();
  record->owner = this;
  record->fd = fd;
  return *(by_fd_[place] = record);
}

void RegisteredFiles::forget(FileRecord& record) noexcept {
  by_fd_[static_cast<std::size_t>(record.fd)] = nullptr;
  free_records_.push_back(&record);
}

}  // namespace internal

Result<RegisteredFile> Backend::register_file(int fd) {
  Result<File> file = registered_files_.get(fd);
  report_unmet("registered_fds", registered_files_.problem());
  if (!file) return file.error();
  return RegisteredFile(*file);
}

}  // namespace assay
