#include "assay/mocks/sim/operations/open_fifo.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

namespace assay::internal {

namespace {

/// Opens the file anew that `fd` refers to; by O_PATH it cannot be read or written.
int open_again(int fd, int flags) {
  char path[32];
  std::snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  const int opened = ::open(path, flags & ~(O_NOFOLLOW | O_CREAT | O_EXCL | O_TRUNC));
  return opened < 0 ? -errno : opened;
}

}  // namespace

std::unique_ptr<FifoOpening> FifoOpening::start(Descriptor found, std::uint64_t flags) {
  if ((flags & (O_NONBLOCK | O_PATH)) != 0 || (flags & O_ACCMODE) == O_RDWR) return nullptr;
  if (!found || file_kind(found.get()) != FileKind::kPipe) return nullptr;
  return std::unique_ptr<FifoOpening>(new FifoOpening(std::move(found), static_cast<int>(flags)));
}

int FifoOpening::try_again() {
  if ((flags_ & O_ACCMODE) == O_WRONLY) {
    const int fd = open_again(fifo_.get(), flags_ | O_NONBLOCK);
    if (fd < 0) return fd == -ENXIO ? -EAGAIN : fd;
    ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    return fd;
  }
  if (!reader_) {
    const int fd = open_again(fifo_.get(), flags_ | O_NONBLOCK);
    if (fd < 0) return fd;
    reader_ = Descriptor::adopt(fd);
  }
  if (!has_writer()) return -EAGAIN;
  ::fcntl(reader_.get(), F_SETFL, ::fcntl(reader_.get(), F_GETFL) & ~O_NONBLOCK);
  const int fd = ::fcntl(reader_.get(), (flags_ & O_CLOEXEC) != 0 ? F_DUPFD_CLOEXEC : F_DUPFD, 0);
  return fd < 0 ? -errno : fd;
}

/// Whether there is a writer, or was one since the reader came.
bool FifoOpening::has_writer() const {
  if (poll_now(reader_.get(), POLLIN) != 0) return true;  // bytes, or the hang-up of one that has gone
  // Of an empty pipe tee(2) tells what poll does not: its end where there is no writer, else that one would have to
  // wait.
  int into[2];
  if (::pipe2(into, O_CLOEXEC) != 0) return false;
  const bool waits = ::tee(reader_.get(), into[1], 1, SPLICE_F_NONBLOCK) < 0 && errno == EAGAIN;
  ::close(into[0]);
  ::close(into[1]);
  return waits;
}

}  // namespace assay::internal
