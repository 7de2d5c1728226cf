#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <vector>

#include "assay/backend/uapi.h"
#include "assay/mocks/probe_trial.h"

namespace assay::internal {
namespace {

/// An empty file in memory, for requests that want a file and have nothing to do with it.
class EmptyFile {
 public:
  EmptyFile() : fd_(memfd_create("assay-probe", MFD_CLOEXEC)) {}
  EmptyFile(const EmptyFile&) = delete;
  EmptyFile& operator=(const EmptyFile&) = delete;
  ~EmptyFile() {
    if (fd_ >= 0) ::close(fd_);
  }
  int fd() const { return fd_; }

 private:
  int fd_;
};

bool ask_probe(Kernel& kernel, Profile& profile) {
  constexpr unsigned kOps = 256;
  const TrialRing ring(kernel, 0);
  std::vector<std::uint64_t> memory((sizeof(io_uring_probe) + kOps * sizeof(io_uring_probe_op)) / 8 + 1);
  auto* answer = reinterpret_cast<io_uring_probe*>(memory.data());
  if (!ring || kernel.register_op(ring.fd(), IORING_REGISTER_PROBE, answer, kOps) < 0) return false;
  for (unsigned i = 0; i < answer->ops_len; ++i) {
    if ((answer->ops[i].flags & IO_URING_OP_SUPPORTED) != 0) profile.opcodes.set(answer->ops[i].op);
  }
  return true;
}

/// Makes an SQE that a kernel which has the opcode never answers with -EINVAL, and that has no effect. Only opcodes
/// from before REGISTER_PROBE have one.
bool prepare_harmless(io_uring_sqe& sqe, std::uint8_t opcode, int file, const __kernel_timespec& nanosecond) {
  sqe.opcode = opcode;
  sqe.fd = file;
  switch (opcode) {
    case IORING_OP_NOP:
    case IORING_OP_READV:
    case IORING_OP_WRITEV:
    case IORING_OP_FSYNC:
    case IORING_OP_READ_FIXED:
    case IORING_OP_WRITE_FIXED:
    case IORING_OP_SYNC_FILE_RANGE:
    case IORING_OP_SENDMSG:
    case IORING_OP_RECVMSG:
    case IORING_OP_ACCEPT:
    case IORING_OP_CONNECT:
      return true;
    case IORING_OP_POLL_REMOVE:
    case IORING_OP_TIMEOUT_REMOVE:
    case IORING_OP_ASYNC_CANCEL:
      sqe.fd = -1;
      sqe.addr = 77;  // nobody's user_data
      return true;
    case IORING_OP_TIMEOUT:
      sqe.fd = -1;
      sqe.addr = reinterpret_cast<std::uintptr_t>(&nanosecond);
      sqe.len = 1;
      return true;
    default:
      return false;
  }
}

/// LINK_TIMEOUT is refused unless it follows a linked request.
Verdict try_link_timeout(Kernel& kernel, const __kernel_timespec& second) {
  Result<Ring> ring = Ring::create(kernel, {.sq_entries = 4});
  if (!ring) return std::nullopt;
  io_uring_sqe* sqe = ring->get_sqe();
  *sqe = {};
  sqe->flags = IOSQE_IO_LINK;
  sqe->user_data = 1;
  sqe = ring->get_sqe();
  *sqe = {};
  sqe->opcode = IORING_OP_LINK_TIMEOUT;
  sqe->fd = -1;
  sqe->addr = reinterpret_cast<std::uintptr_t>(&second);
  sqe->len = 1;
  sqe->user_data = 2;
  for (const TrialCompletion& completion : run_trial(*ring, 2)) {
    if (completion.user_data == 2) return completion.res != -EINVAL;
  }
  return std::nullopt;
}

Verdict try_opcode(Kernel& kernel, std::uint8_t opcode) {
  static constexpr __kernel_timespec kNanosecond = {0, 1};
  static constexpr __kernel_timespec kSecond = {1, 0};
  if (opcode == IORING_OP_LINK_TIMEOUT) return try_link_timeout(kernel, kSecond);
  const EmptyFile file;
  io_uring_sqe harmless{};
  if (!prepare_harmless(harmless, opcode, file.fd(), kNanosecond)) return std::nullopt;
  return known_unless_einval(try_sqe(kernel, [&](io_uring_sqe& sqe) {
    harmless.user_data = sqe.user_data;
    sqe = harmless;
  }));
}

}  // namespace

void probe_opcodes(Kernel& kernel, Profile& profile) {
  if (ask_probe(kernel, profile)) return;
  // Before 5.6 the kernel does not tell.
  for (const NamedValue& opcode : uapi_table(UapiClass::kOpcode)) {
    const auto value = static_cast<std::uint8_t>(opcode.value);
    const Verdict verdict = try_opcode(kernel, value);
    if (verdict.value_or(false)) profile.opcodes.set(value);
    if (!verdict) profile.assumed.push_back(bit_name(UapiClass::kOpcode, opcode));
  }
}

}  // namespace assay::internal
