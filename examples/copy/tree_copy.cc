#include "assay/examples/copy/tree_copy.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace assay::examples {

namespace fs = std::filesystem;

// Copies one file after the other: open both, read and write in turn, close both, name it. Each step is started by the
// callback of the one before.
class TreeCopy::FileCopy {
 public:
  FileCopy(TreeCopy& tree, std::size_t chunk_bytes) : tree_(tree), chunk_(chunk_bytes) {}
  FileCopy(const FileCopy&) = delete;
  FileCopy& operator=(const FileCopy&) = delete;

  // What a copy that ended early left behind. Nothing is in flight any more.
  ~FileCopy() {
    if (from_ >= 0) ::close(from_);
    if (to_ >= 0) ::close(to_);
    if (!partial_.empty()) ::unlink(partial_.c_str());
  }

  void start(const File& file) {
    file_ = &file;
    bytes_ = 0;
    tree_.backend_.openat(AT_FDCWD, file.source.string(), O_RDONLY | O_CLOEXEC, 0, [this](int result) {
      if (result < 0) return fail(result, "open", file_->source);
      from_ = result;
      open_destination();
    });
  }

 private:
  void open_destination() {
    // Noted before it is there: when completions were dropped the file may have been made although nobody said so.
    partial_ = file_->destination.parent_path() / ("." + file_->destination.filename().string() + ".partial");
    // Writable for us whatever the source's mode, which is set when the file is whole.
    tree_.backend_.openat(AT_FDCWD, partial_.string(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600,
                          [this](int result) {
                            if (result < 0) {
                              const fs::path refused = partial_;
                              if (result == -EEXIST) partial_.clear();  // somebody else's
                              return fail(result, "create", refused);
                            }
                            to_ = result;
                            read_chunk();
                          });
  }

  void read_chunk() {
    tree_.backend_.read_all(from_, chunk_, bytes_, [this](TransferResult result) {
      if (result.error < 0) return fail(result.error, "read", file_->source);
      if (result.bytes == 0) return sync();
      write_chunk(result.bytes);
    });
  }

  void write_chunk(std::size_t bytes) {
    const std::span<const std::byte> data(chunk_.data(), bytes);
    tree_.backend_.write_all(to_, data, bytes_, [this, bytes](TransferResult result) {
      bytes_ += result.bytes;
      if (result.error < 0) return fail(result.error, "write", partial_);
      // Less than a chunk is the end of the file, as far as anybody can know before asking again.
      if (bytes < chunk_.size()) return sync();
      read_chunk();
    });
  }

  void sync() {
    if (!tree_.options_.sync) return close_both();
    tree_.backend_.fsync(to_, [this](int result) {
      if (result == -EINTR || result == -EAGAIN) return sync();
      if (result < 0) return fail(result, "fsync", partial_);
      close_both();
    });
  }

  void close_both() {
    if (::fchmod(to_, file_->mode) != 0) return fail(errno, "set the mode of", partial_);
    // Whatever close answers, the descriptor is gone.
    tree_.backend_.close(std::exchange(from_, -1), [this](int) {
      tree_.backend_.close(std::exchange(to_, -1), [this](int result) {
        if (result < 0 && result != -EINTR) return fail(result, "close", partial_);
        give_name();
      });
    });
  }

  void give_name() {
    if (::rename(partial_.c_str(), file_->destination.c_str()) != 0) return fail(errno, "name", file_->destination);
    partial_.clear();
    tree_.finished(*this, bytes_);
  }

  void fail(int error, const char* what, const fs::path& path) {
    tree_.failed(Error::from_errno(error, std::string("cannot ") + what + " '" + path.string() + "'"));
  }

  TreeCopy& tree_;
  const File* file_ = nullptr;
  int from_ = -1;
  int to_ = -1;
  fs::path partial_;
  std::uint64_t bytes_ = 0;
  std::vector<std::byte> chunk_;
};

TreeCopy::TreeCopy(Backend& backend, const TreeCopyOptions& options, std::function<void(const TreeCopyTotals&)> on_file)
    : backend_(backend), options_(options), on_file_(std::move(on_file)) {}

TreeCopy::~TreeCopy() = default;

Result<TreeCopyTotals> TreeCopy::run(const fs::path& source, const fs::path& destination) {
  if (auto planned = plan_tree(source, destination); !planned) return planned.error();
  const std::size_t lanes = std::min<std::size_t>(options_.files_in_flight, files_.size());
  for (std::size_t i = 0; i < lanes; ++i) {
    lanes_.push_back(std::make_unique<FileCopy>(*this, options_.chunk_bytes));
    start_next(*lanes_.back());
  }
  // An operation that fails ends its own lane; the others finish the file that they are at.
  auto status = backend_.loop();
  if (error_.has_value()) return *error_;
  if (!status) return status.error();
  if (totals_.files != files_.size()) {
    return Error::from_errno(EIO, "the loop ended after " + std::to_string(totals_.files) + " of " +
                                      std::to_string(files_.size()) + " files");
  }
  // Last and innermost first: a directory that may not be written to could not have been filled.
  for (auto entry = directory_modes_.rbegin(); entry != directory_modes_.rend(); ++entry) {
    std::error_code error;
    fs::permissions(entry->first, entry->second, error);
    if (error) return Error{error, "cannot set the mode of '" + entry->first.string() + "'"};
  }
  return totals_;
}

// Makes the directories and links, and lists the files.
Result<void> TreeCopy::plan_tree(const fs::path& source, const fs::path& destination) {
  std::error_code error;
  const fs::file_status status = fs::symlink_status(source, error);
  if (error) return Error{error, "cannot look at '" + source.string() + "'"};
  switch (status.type()) {
    case fs::file_type::symlink:
      fs::copy_symlink(source, destination, error);
      if (error) return Error{error, "cannot make the link '" + destination.string() + "'"};
      ++totals_.symlinks;
      return {};
    case fs::file_type::regular:
      files_.push_back({source, destination, static_cast<mode_t>(status.permissions())});
      return {};
    case fs::file_type::directory: {
      if (!fs::create_directory(destination, error)) {
        if (!error) error = std::make_error_code(std::errc::file_exists);
        return Error{error, "cannot make the directory '" + destination.string() + "'"};
      }
      ++totals_.directories;
      directory_modes_.emplace_back(destination, status.permissions());
      fs::directory_iterator entries(source, error);
      for (; !error && entries != fs::directory_iterator(); entries.increment(error)) {
        const fs::path& entry = entries->path();
        if (auto planned = plan_tree(entry, destination / entry.filename()); !planned) return planned;
      }
      if (error) return Error{error, "cannot list '" + source.string() + "'"};
      return {};
    }
    default:
      return Error::from_errno(EOPNOTSUPP, "'" + source.string() + "' is no file, directory or symbolic link");
  }
}

void TreeCopy::start_next(FileCopy& lane) {
  if (error_.has_value() || next_file_ == files_.size()) return;
  lane.start(files_[next_file_++]);
}

void TreeCopy::finished(FileCopy& lane, std::uint64_t bytes) {
  ++totals_.files;
  totals_.bytes += bytes;
  if (on_file_) on_file_(totals_);
  start_next(lane);
}

void TreeCopy::failed(Error error) {
  if (!error_.has_value()) error_ = std::move(error);
}

}  // namespace assay::examples
