#include "assay/mocks/sim/descriptor.h"

#include <fcntl.h>
#include <linux/kcmp.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace assay::internal {

int fd_floor() {
  // Half of what a small limit allows stays with the program.
  static const int floor = [] {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 512;
    return static_cast<int>(std::min<rlim_t>(512, limit.rlim_cur / 2));
  }();
  return floor;
}

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  if (this != &other) {
    reset();
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

Descriptor Descriptor::duplicate(int fd) { return Descriptor(::fcntl(fd, F_DUPFD_CLOEXEC, fd_floor())); }

Descriptor Descriptor::adopt(int fd) {
  if (fd < 0) return {};
  Descriptor moved = duplicate(fd);
  const int error = errno;
  ::close(fd);
  errno = error;
  return moved;
}

void Descriptor::reset() {
  if (fd_ < 0) return;
  const int error = errno;
  ::close(std::exchange(fd_, -1));
  errno = error;
}

FileKind file_kind(int fd) {
  struct stat status;
  if (::fstat(fd, &status) != 0) return FileKind::kBad;
  switch (status.st_mode & S_IFMT) {
    case S_IFREG:
    case S_IFDIR:
    case S_IFBLK:
      return FileKind::kRegular;
    case S_IFIFO:
      return FileKind::kPipe;
    case S_IFSOCK:
      return FileKind::kSocket;
    default:
      return FileKind::kOther;
  }
}

bool same_file(int left, int right) {
  if (left == right) return true;
  const pid_t self = ::getpid();
  const long order = ::syscall(SYS_kcmp, self, self, KCMP_FILE, left, right);
  if (order >= 0) return order == 0;
  // Without kcmp (some containers) the inode must do; two opens of one file then count as the same.
  struct stat one;
  struct stat other;
  return ::fstat(left, &one) == 0 && ::fstat(right, &other) == 0 && one.st_dev == other.st_dev &&
         one.st_ino == other.st_ino;
}

short poll_now(int fd, short events) {
  pollfd entry{fd, events, 0};
  const timespec zero{};
  return ::ppoll(&entry, 1, &zero, nullptr) > 0 ? entry.revents : short{0};
}

}  // namespace assay::internal
