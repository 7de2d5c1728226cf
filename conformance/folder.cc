#include "assay/conformance/folder.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <system_error>

namespace assay::conformance {

Folder::Folder() {
  char name[] = "/tmp/assay-conformance-XXXXXX";
  if (::mkdtemp(name) == nullptr) {
    ADD_FAILURE() << "mkdtemp";
    throw BodyEnded();
  }
  path_ = name;
  fd_ = Fd(::open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

Folder::Folder(std::initializer_list<NewFile> files) : Folder() {
  for (const NewFile& file : files) make(file.name, file.content);
}

Folder::~Folder() {
  std::error_code ignored;  // a test that failed may have left anything here
  std::filesystem::remove_all(path_, ignored);
}

Fd Folder::make(const char* name, std::string_view content) const {
  Fd file(::openat(fd(), name, O_RDWR | O_CREAT | O_CLOEXEC, 0640));
  if (file.get() < 0 || ::pwrite(file.get(), content.data(), content.size(), 0) < 0) {
    ADD_FAILURE() << "cannot make " << name;
    throw BodyEnded();
  }
  return file;
}

bool Folder::has(const char* name) const { return ::faccessat(fd(), name, F_OK, AT_SYMLINK_NOFOLLOW) == 0; }

bool Folder::has_directory(const char* name) const {
  struct stat status {};
  return ::fstatat(fd(), name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(status.st_mode);
}

std::string Folder::content(const char* name) const {
  const Fd file(::openat(fd(), name, O_RDONLY | O_CLOEXEC));
  return file.get() < 0 ? "(none)" : file_content(file.get());
}

std::string Folder::target(const char* name) const {
  char text[256];
  const ssize_t length = ::readlinkat(fd(), name, text, sizeof text);
  return length < 0 ? "(none)" : std::string(text, static_cast<std::size_t>(length));
}

}  // namespace assay::conformance
