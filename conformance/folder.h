#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include "assay/conformance/ring_actions.h"

namespace assay::conformance {

/// A file to be made.
struct NewFile {
  const char* name;
  std::string_view content = {};
};

/// A folder of the test's own, which goes away at the end of its scope with everything in it.
class Folder {
 public:
  /// An empty one.
  Folder();
  /// One with these files.
  Folder(std::initializer_list<NewFile> files);
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder();

  /// Its descriptor, for the calls that take a directory and a name.
  int fd() const noexcept { return fd_.get(); }
  /// "…/NAME".
  std::string path(std::string_view name) const { return path_ + "/" + std::string(name); }

  /// Makes a file, and opens it for reading and writing.
  Fd make(const char* name, std::string_view content = {}) const;
  bool has(const char* name) const;
  bool has_directory(const char* name) const;
  /// What the file of that name holds; "(none)" where there is no such file.
  std::string content(const char* name) const;
  /// Where the symbolic link of that name points; "(none)" where there is none.
  std::string target(const char* name) const;

 private:
  std::string path_;
  Fd fd_;
};

}  // namespace assay::conformance
