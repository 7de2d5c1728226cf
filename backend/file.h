#pragma once

#include <cstdint>
#include <utility>

#include "assay/backend/uapi.h"

namespace assay {

namespace internal {

class RegisteredFiles;

/// A descriptor that somebody holds as a registered file. All who hold the same one share this.
struct FileRecord {
  /// Whose slot it is; null once that backend was destroyed.
  RegisteredFiles* owner = nullptr;
  int fd = -1;
  /// Where the kernel has it; -1 while it has not, and the descriptor itself has to do.
  std::int32_t slot = -1;
  std::uint32_t holders = 0;

  /// The last holder has let go.
  [[gnu::cold]] void unused() noexcept;
};

}  // namespace internal

/// The file that an operation acts on: a descriptor, or a registered file (see RegisteredFile), which spares the kernel
/// a reference an operation. Owns nothing: the descriptor must last until the operation has ended. The operations of a
/// Backend hold a registered file themselves; others must hold its handle until they are over.
class File {
 public:
  File(int fd) noexcept : fd_(fd) {}  // NOLINT(google-explicit-constructor): a descriptor is a file
  explicit File(internal::FileRecord& record) noexcept : fd_(record.fd), record_(&record) {}

  /// The plain descriptor, for what cannot be done by slot.
  int fd() const noexcept { return fd_; }
  /// True when requests will name the slot. May change with time: where a ring that has to be made anew gets no table,
  /// the descriptor takes its place.
  bool is_registered() const noexcept { return record_ != nullptr && record_->slot >= 0; }

  /// Has an SQE that was prepared act on this file.
  void give_to(io_uring_sqe& sqe) const noexcept {
    sqe.fd = is_registered() ? record_->slot : fd_;
    if (is_registered()) sqe.flags |= IOSQE_FIXED_FILE;
  }

 private:
  friend class RegisteredFile;
  friend class HeldFile;

  void hold() const noexcept {
    if (record_ != nullptr) ++record_->holders;
  }
  void let_go() const noexcept {
    if (record_ != nullptr && --record_->holders == 0) record_->unused();
  }

  int fd_;
  internal::FileRecord* record_ = nullptr;
};

/// A File that an operation keeps for as long as it may use it: a registered one does not lose its slot meanwhile.
class HeldFile {
 public:
  HeldFile() noexcept = default;
  explicit HeldFile(File file) noexcept : file_(file) { file_.hold(); }
  HeldFile(const HeldFile& other) noexcept : HeldFile(other.file_) {}
  HeldFile(HeldFile&& other) noexcept : file_(std::exchange(other.file_, File(-1))) {}
  HeldFile& operator=(HeldFile other) noexcept {
    std::swap(file_, other.file_);
    return *this;
  }
  HeldFile& operator=(File file) noexcept { return *this = HeldFile(file); }
  ~HeldFile() { file_.let_go(); }

  const File& operator*() const noexcept { return file_; }
  const File* operator->() const noexcept { return &file_; }

 private:
  File file_{-1};
};

}  // namespace assay
