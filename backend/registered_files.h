#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "assay/backend/file.h"
#include "assay/backend/result.h"
#include "assay/backend/ring.h"

namespace assay::internal {

class Requests;

/// The table of registered files of a backend: which descriptor has which slot, and who still holds it.
///
/// The table is set up empty and filled as files come (IORING_REGISTER_FILES_UPDATE and empty slots, both 5.5). A ring
/// that is made anew gets all of it again. Whatever the kernel refuses, each file can still be used as the descriptor
/// that it is.
class RegisteredFiles {
 public:
  RegisteredFiles(Requests& requests, unsigned slots) : requests_(requests), wanted_(slots) {}
  RegisteredFiles(const RegisteredFiles&) = delete;
  RegisteredFiles& operator=(const RegisteredFiles&) = delete;
  /// Files that are still held are just descriptors from now on.
  ~RegisteredFiles();

  /// Gives this ring its table, and all files that are held. Where it gets none, `problem` says why.
  void set_up(Ring& ring);
  /// The file of this descriptor, registered unless that cannot be. EBADF when there is no such descriptor, or what
  /// the kernel said to this one; others are not affected.
  Result<File> get(int fd);
  /// Why there is no table though one was asked for; empty when all is well.
  const std::string& problem() const noexcept { return problem_; }

 private:
  friend struct FileRecord;

  Result<void> put(Ring& ring, FileRecord& record);
  void clear_left(Ring& ring);
  void unused(FileRecord& record) noexcept;
  FileRecord& new_record(int fd);
  void forget(FileRecord& record) noexcept;

  Requests& requests_;
  unsigned wanted_;
  bool has_table_ = false;
  bool may_come_ = false;  // there is no table for want of something that may be there later
  std::string problem_;
  std::vector<std::uint32_t> free_slots_;
  std::vector<std::uint32_t> left_;  // free slots in which the kernel still has a file
  std::vector<FileRecord*> by_fd_;   // those that are held
  std::vector<FileRecord*> free_records_;
};

}  // namespace assay::internal
