#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "assay/backend/backend.h"
#include "assay/backend/result.h"

namespace assay::examples {

struct TreeCopyOptions {
  /// Files that are copied at a time.
  unsigned files_in_flight = 16;
  /// Bytes read and written at a time, for each file in flight.
  std::size_t chunk_bytes = 256 * 1024;
  /// fsync each file before it gets its name.
  bool sync = false;
};

struct TreeCopyTotals {
  std::uint64_t files = 0;
  std::uint64_t directories = 0;
  std::uint64_t symlinks = 0;
  std::uint64_t bytes = 0;
};

/// Copies a tree of directories, regular files and symbolic links; contents go through a Backend.
///
/// A file gets its name when it is whole: until then it is called ".NAME.partial", and is removed if the copy ends
/// early. Transient answers of the kernel (EINTR, EAGAIN, short results) are the backend's affair and change nothing.
class TreeCopy {
 public:
  /// `on_file` is called after each file, for progress.
  TreeCopy(Backend& backend, const TreeCopyOptions& options, std::function<void(const TreeCopyTotals&)> on_file = {});
  TreeCopy(const TreeCopy&) = delete;
  TreeCopy& operator=(const TreeCopy&) = delete;
  ~TreeCopy();

  /// Copies `source` to `destination`, which must not exist. Runs the backend's loop. The error names the file, or is
  /// the loop's own.
  Result<TreeCopyTotals> run(const std::filesystem::path& source, const std::filesystem::path& destination);

 private:
  class FileCopy;

  struct File {
    std::filesystem::path source;
    std::filesystem::path destination;
    mode_t mode = 0;
  };

  Result<void> plan_tree(const std::filesystem::path& source, const std::filesystem::path& destination);
  void start_next(FileCopy& lane);
  void finished(FileCopy& lane, std::uint64_t bytes);
  void failed(Error error);

  Backend& backend_;
  TreeCopyOptions options_;
  std::function<void(const TreeCopyTotals&)> on_file_;
  std::vector<File> files_;
  std::vector<std::pair<std::filesystem::path, std::filesystem::perms>> directory_modes_;
  std::size_t next_file_ = 0;
  std::vector<std::unique_ptr<FileCopy>> lanes_;
  std::optional<Error> error_;
  TreeCopyTotals totals_;
};

}  // namespace assay::examples
