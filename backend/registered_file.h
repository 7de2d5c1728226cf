#pragma once

#include <optional>

#include "assay/backend/file.h"

namespace assay {

/// A file that the kernel holds in the ring's table, so that an operation on it costs no reference: what
/// Backend::register_file returns. Wherever an operation takes a File this may stand.
///
/// Copies share the registration, as do all handles of one descriptor. It ends with the last handle and the last
/// operation that was started on it, whichever is later; only then may another file have the slot. The descriptor must
/// stay open as long, and is not closed; a number that is closed and used again before is taken for the file that it
/// was.
///
/// Where the kernel has no room for it, or no such table, a handle is just the descriptor, and whatever is done with it
/// works all the same. Belongs to the loop's thread. May outlive its Backend, and is good for nothing then.
class RegisteredFile {
 public:
  /// No file.
  RegisteredFile() noexcept = default;

  operator File() const noexcept { return *held_; }  // NOLINT(google-explicit-constructor): it is one
  int fd() const noexcept { return held_->fd(); }
  /// False where the descriptor itself is used.
  bool is_registered() const noexcept { return held_->is_registered(); }
  /// Its place in the table, for requests of one's own with IOSQE_FIXED_FILE.
  std::optional<unsigned> slot() const noexcept {
    if (!is_registered()) return std::nullopt;
    return static_cast<unsigned>(held_->record_->slot);
  }
  /// Gives up this handle, which is no file then.
  void reset() noexcept { held_ = File(-1); }

 private:
  friend class Backend;

  explicit RegisteredFile(File file) noexcept : held_(file) {}

  HeldFile held_;
};

}  // namespace assay
