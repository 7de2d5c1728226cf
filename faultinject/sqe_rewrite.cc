#include "assay/faultinject/sqe_rewrite.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <climits>
#include <optional>

#include "assay/faultinject/peek_memory.h"

namespace assay {
namespace {

constexpr std::uint32_t kRwfAtomic = 0x40;  // Linux 6.11
// What O_DIRECT asks of lengths is the device's; no common one asks for more than a page.
constexpr std::uint64_t kDirectAlignment = 4096;
constexpr unsigned kMaxIovecs = 1024;  // UIO_MAXIOV

struct FileNature {
  bool regular_or_block = false;
  bool pipe = false;
  bool stream_socket = false;
  bool direct = false;
};

std::optional<FileNature> nature_of(int fd) {
  const int saved_errno = errno;
  struct stat status {};
  const int flags = ::fcntl(fd, F_GETFL);
  std::optional<FileNature> nature;
  if (flags >= 0 && ::fstat(fd, &status) == 0) {
    nature.emplace();
    nature->regular_or_block = S_ISREG(status.st_mode) || S_ISBLK(status.st_mode);
    nature->direct = (flags & O_DIRECT) != 0;
    // O_DIRECT makes a pipe one of packets, which shows only at the end that writes.
    nature->pipe = S_ISFIFO(status.st_mode) && !nature->direct;
    if (S_ISSOCK(status.st_mode)) {
      int type = 0;
      socklen_t bytes = sizeof(type);
      nature->stream_socket = ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &bytes) == 0 && type == SOCK_STREAM;
    }
  }
  errno = saved_errno;
  return nature;
}

bool is_write(const io_uring_sqe& sqe) {
  return sqe.opcode == IORING_OP_WRITE || sqe.opcode == IORING_OP_WRITEV || sqe.opcode == IORING_OP_WRITE_FIXED;
}

bool is_on_socket(const io_uring_sqe& sqe) { return sqe.opcode == IORING_OP_SEND || sqe.opcode == IORING_OP_RECV; }

// The request's own vector, or empty. Asked of the kernel, because a bad pointer must give the program -EFAULT and not
// a crash in here.
std::vector<iovec> vector_of(const io_uring_sqe& sqe) {
  if (sqe.len == 0 || sqe.len > kMaxIovecs) return {};
  std::vector<iovec> copy(sqe.len);
  if (!peek_memory(reinterpret_cast<const void*>(sqe.addr), copy.data(), copy.size() * sizeof(iovec))) return {};
  return copy;
}

std::uint64_t length_of(const io_uring_sqe& sqe) {
  if (!is_vectored(sqe)) return sqe.len;
  std::uint64_t sum = 0;
  for (const iovec& part : vector_of(sqe)) sum += part.iov_len;
  return sum;
}

bool agrees_to_be_short(const io_uring_sqe& sqe) {
  switch (sqe.opcode) {
    case IORING_OP_READ:
    case IORING_OP_READV:
    case IORING_OP_READ_FIXED:
    case IORING_OP_WRITE:
    case IORING_OP_WRITEV:
    case IORING_OP_WRITE_FIXED:
      return (static_cast<std::uint32_t>(sqe.rw_flags) & kRwfAtomic) == 0;
    case IORING_OP_SEND:
    case IORING_OP_RECV:
      // Any other bit of ioprio makes it a multishot, a bundle or a zero-copy request.
      return (sqe.msg_flags & MSG_WAITALL) == 0 && (sqe.ioprio & ~IORING_RECVSEND_POLL_FIRST) == 0;
    default:
      return false;
  }
}

}  // namespace

bool is_vectored(const io_uring_sqe& sqe) { return sqe.opcode == IORING_OP_READV || sqe.opcode == IORING_OP_WRITEV; }

std::uint64_t shortenable_bytes(const io_uring_sqe& sqe, bool linked_before) {
  constexpr unsigned kAgreements =
      IOSQE_IO_LINK | IOSQE_IO_HARDLINK | IOSQE_BUFFER_SELECT | IOSQE_CQE_SKIP_SUCCESS | IOSQE_FIXED_FILE;
  if (linked_before || (sqe.flags & kAgreements) != 0 || !agrees_to_be_short(sqe)) return 0;
  const std::optional<FileNature> file = nature_of(sqe.fd);
  if (!file.has_value()) return 0;
  const std::uint64_t length = length_of(sqe);
  if (is_on_socket(sqe)) return file->stream_socket ? length : 0;
  if (file->regular_or_block) return file->direct && length <= kDirectAlignment ? 0 : length;
  if (file->pipe) return is_write(sqe) && length <= PIPE_BUF ? 0 : length;
  return file->stream_socket ? length : 0;
}

void shorten(io_uring_sqe& sqe, std::uint64_t bytes, std::vector<iovec>& iovecs) {
  const std::optional<FileNature> file = nature_of(sqe.fd);
  if (file.has_value() && file->direct) bytes = std::max(kDirectAlignment, bytes - bytes % kDirectAlignment);
  if (!is_vectored(sqe)) {
    sqe.len = static_cast<std::uint32_t>(std::min<std::uint64_t>(bytes, sqe.len));
    return;
  }
  iovecs = vector_of(sqe);
  std::size_t count = 0;
  for (; count < iovecs.size() && bytes > 0; ++count) {
    iovecs[count].iov_len = std::min<std::uint64_t>(iovecs[count].iov_len, bytes);
    bytes -= iovecs[count].iov_len;
  }
  iovecs.resize(count);
  sqe.addr = reinterpret_cast<std::uint64_t>(iovecs.data());
  sqe.len = static_cast<std::uint32_t>(count);
}

bool can_fail(const io_uring_sqe& sqe) { return sqe.opcode != IORING_OP_LINK_TIMEOUT; }

void fail_with(io_uring_sqe& sqe, int error) {
  // Of the original only what decides when the request runs and how its end is told is kept.
  constexpr unsigned kKept = IOSQE_IO_DRAIN | IOSQE_IO_LINK | IOSQE_IO_HARDLINK | IOSQE_ASYNC | IOSQE_CQE_SKIP_SUCCESS;
  const io_uring_sqe original = sqe;
  sqe = {};
  sqe.opcode = IORING_OP_NOP;
  sqe.flags = static_cast<std::uint8_t>(original.flags & kKept);
  sqe.fd = -1;
  sqe.len = static_cast<std::uint32_t>(-error);
  sqe.rw_flags = static_cast<int>(uapi::kNopInjectResult);
  sqe.user_data = original.user_data;
  sqe.personality = original.personality;
}

void make_unknown(io_uring_sqe& sqe) { sqe.opcode = 0xff; }

}  // namespace assay
