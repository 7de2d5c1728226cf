#include "assay/conformance/child_process.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>

namespace assay::conformance {
namespace {

constexpr unsigned kLimitSeconds = 30;

}  // namespace

std::string run_child(const std::function<void()>& body) {
  const pid_t child = ::fork();
  if (child < 0) return std::string("fork: ") + std::strerror(errno);
  if (child == 0) {
    ::alarm(kLimitSeconds);
    body();
    ::_exit(0);
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return std::string("waitpid: ") + std::strerror(errno);
  }
  if (WIFSIGNALED(status)) return std::string("the child was ended by ") + ::strsignal(WTERMSIG(status));
  if (WEXITSTATUS(status) != 0) return "the child exited with " + std::to_string(WEXITSTATUS(status));
  return {};
}

std::string read_setting(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

int write_setting(const std::string& path, std::string_view value) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return -errno;
  const int error = ::write(fd, value.data(), value.size()) < 0 ? -errno : 0;
  ::close(fd);
  return error;
}

ScopedSetting::ScopedSetting(std::string path, std::string_view value)
    : path_(std::move(path)), before_(read_setting(path_)), error_(write_setting(path_, value)) {}

ScopedSetting::~ScopedSetting() {
  if (error_ == 0) write_setting(path_, before_);
}

}  // namespace assay::conformance
