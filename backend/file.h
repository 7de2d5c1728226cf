#pragma once

#include <cstdint>

#include "assay/backend/uapi.h"

namespace assay {

/// The file that an operation acts on: a descriptor, or the slot of a registered file (see RegisteredFile), which
/// spares the kernel a reference an operation. Owns nothing: the descriptor or the registration must last until the
/// operation has ended.
class File {
 public:
  File(int fd) noexcept : fd_(fd) {}  // NOLINT(google-explicit-constructor): a descriptor is a file

  /// A slot of the ring's table; `fd` is the same file's descriptor, for what cannot be done by slot.
  static File registered(unsigned slot, int fd) noexcept {
    File file(fd);
    file.slot_ = static_cast<std::int32_t>(slot);
    return file;
  }

  int fd() const noexcept { return fd_; }
  bool is_registered() const noexcept { return slot_ >= 0; }

  /// Has an SQE that was prepared act on this file.
  void give_to(io_uring_sqe& sqe) const noexcept {
    sqe.fd = is_registered() ? slot_ : fd_;
    if (is_registered()) sqe.flags |= IOSQE_FIXED_FILE;
  }

 private:
  int fd_;
  std::int32_t slot_ = -1;
};

}  // namespace assay
