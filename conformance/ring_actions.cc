#include "assay/conformance/ring_actions.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <ostream>
#include <utility>

namespace assay::conformance {
namespace {

/// How long a completion may take that must come; above every timeout that tests wait for, and below the watchdog's.
constexpr std::chrono::seconds kPatience{20};

template <typename T>
T required(T value, bool good, std::string_view what) {
  if (good) return value;
  ADD_FAILURE() << what;
  throw BodyEnded();
}

int required_fd(int fd, std::string_view what) {
  return required(fd, fd >= 0, std::string(what) + ": " + std::strerror(errno));
}

}  // namespace

Ring open_ring(KernelUnderTest& kernel, const RingOptions& options) {
  Result<Ring> ring = Ring::create(kernel.kernel(), options);
  if (!ring) {
    ADD_FAILURE() << "no ring: " << ring.error().message();
    throw BodyEnded();
  }
  return std::move(*ring);
}

io_uring_sqe& next_sqe(Ring& ring, std::uint64_t user_data) {
  io_uring_sqe* sqe = ring.get_sqe();
  required(0, sqe != nullptr, "the SQ is full");
  std::memset(sqe, 0, sizeof *sqe);
  sqe->user_data = user_data;
  return *sqe;
}

io_uring_sqe& prepare_nop(Ring& ring, std::uint64_t user_data) {
  io_uring_sqe& sqe = next_sqe(ring, user_data);
  sqe.opcode = IORING_OP_NOP;
  return sqe;
}

void PrintTo(const Completion& completion, std::ostream* out) {
  *out << "{user_data " << completion.user_data << ", res " << completion.res << ", flags " << completion.flags << "}";
}

Completion take(Ring& ring) {
  io_uring_cqe* cqe = nullptr;
  // A wait that nothing ends would hang the run. Where a limit costs a request, it would disturb what is tested.
  const bool limited = (ring.features() & IORING_FEAT_EXT_ARG) != 0;
  const int result = limited ? ring.wait_cqe(&cqe, kPatience) : ring.wait_cqe(&cqe);
  required(0, result == 0 && cqe != nullptr, "waiting for a CQE gave " + std::to_string(result));
  const Completion completion{cqe->user_data, cqe->res, cqe->flags};
  ring.cqe_seen(cqe);
  return completion;
}

std::vector<Completion> take(Ring& ring, unsigned count) {
  std::vector<Completion> completions;
  for (unsigned i = 0; i < count; ++i) completions.push_back(take(ring));
  return completions;
}

std::vector<Completion> take_ready(Ring& ring) {
  std::vector<Completion> completions;
  while (io_uring_cqe* cqe = ring.peek_cqe()) {
    completions.push_back({cqe->user_data, cqe->res, cqe->flags});
    ring.cqe_seen(cqe);
  }
  return completions;
}

void submit_all(Ring& ring) {
  const int ready = static_cast<int>(ring.sq_ready());
  const int submitted = ring.submit();
  required(0, submitted == ready,
           "submit gave " + std::to_string(submitted) + " where " + std::to_string(ready) + " SQEs were ready");
}

Completion run_one(Ring& ring) {
  submit_all(ring);
  return take(ring);
}

Completion find(const std::vector<Completion>& completions, std::uint64_t user_data) {
  for (const Completion& completion : completions) {
    if (completion.user_data == user_data) return completion;
  }
  ADD_FAILURE() << "no CQE has user_data " << user_data << ": " << testing::PrintToString(completions);
  throw BodyEnded();
}

void Fd::reset(int fd) noexcept {
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
}

Pipe make_pipe(int flags) {
  int fds[2];
  required(0, ::pipe2(fds, flags | O_CLOEXEC) == 0, "pipe2");
  return {Fd(fds[0]), Fd(fds[1])};
}

void write_text(int fd, std::string_view text) {
  const ssize_t written = ::write(fd, text.data(), text.size());
  required(0, written == static_cast<ssize_t>(text.size()), "write to a test's own fd");
}

std::string read_text(int fd, std::size_t bytes) {
  std::string text(bytes, '\0');
  const ssize_t count = ::read(fd, text.data(), bytes);
  required(0, count >= 0, "read from a test's own fd");
  text.resize(static_cast<std::size_t>(count));
  return text;
}

Fd make_file(std::string_view content) {
  Fd file(required_fd(::memfd_create("assay-conformance", MFD_CLOEXEC), "memfd_create"));
  const ssize_t written = ::pwrite(file.get(), content.data(), content.size(), 0);
  required(0, written == static_cast<ssize_t>(content.size()), "pwrite to a test's own file");
  return file;
}

std::string file_content(int fd) {
  struct stat status {};
  required(0, ::fstat(fd, &status) == 0, "fstat");
  std::string content(static_cast<std::size_t>(status.st_size), '\0');
  const ssize_t count = ::pread(fd, content.data(), content.size(), 0);
  required(0, count == static_cast<ssize_t>(content.size()), "pread from a test's own file");
  return content;
}

Fd make_eventfd() { return Fd(required_fd(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), "eventfd")); }

std::uint64_t eventfd_count(int fd) {
  std::uint64_t count = 0;
  return ::read(fd, &count, sizeof count) == static_cast<ssize_t>(sizeof count) ? count : 0;
}

}  // namespace assay::conformance
