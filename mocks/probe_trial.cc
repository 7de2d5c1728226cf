#include "assay/mocks/probe_trial.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>

namespace assay::internal {

using namespace std::chrono_literals;

TrialRing::TrialRing(Kernel& kernel, std::uint32_t setup_flags) : kernel_(kernel) {
  io_uring_params params{};
  params.flags = setup_flags;
  fd_ = kernel_.setup(4, &params);
}

TrialRing::~TrialRing() {
  if (fd_ >= 0) kernel_.close(fd_);
}

TrialFds TrialFds::sockets() {
  std::array<int, 2> fds;
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()) != 0) fds = {-1, -1};
  return TrialFds(fds);
}

TrialFds TrialFds::pipe(int flags) {
  std::array<int, 2> fds;
  if (::pipe2(fds.data(), O_CLOEXEC | flags) != 0) fds = {-1, -1};
  return TrialFds(fds);
}

TrialFds::~TrialFds() {
  for (const int fd : fds_) {
    if (fd >= 0) ::close(fd);
  }
}

io_uring_sqe& next_sqe(Ring& ring, std::uint8_t opcode, std::uint64_t user_data) {
  io_uring_sqe* sqe = ring.get_sqe();
  *sqe = {};
  sqe->opcode = opcode;
  sqe->fd = -1;
  sqe->user_data = user_data;
  return *sqe;
}

std::vector<TrialCompletion> take_ready(Ring& ring) {
  std::vector<TrialCompletion> completions;
  while (io_uring_cqe* cqe = ring.peek_cqe()) {
    completions.push_back({cqe->user_data, cqe->res, cqe->flags});
    ring.cqe_seen(cqe);
  }
  return completions;
}

std::optional<TrialCompletion> find_completion(const std::vector<TrialCompletion>& among, std::uint64_t user_data) {
  for (const TrialCompletion& each : among) {
    if (each.user_data == user_data) return each;
  }
  return std::nullopt;
}

std::vector<TrialCompletion> run_trial(Ring& ring, unsigned count) {
  std::vector<TrialCompletion> completions;
  // Each turn either submits or completes something; the bound is for a kernel that is bent to do neither.
  for (int turn = 0; turn < 16 && completions.size() < count; ++turn) {
    const int result = ring.submit_and_wait(1, 1s);
    const bool idle = ring.peek_cqe() == nullptr;
    while (io_uring_cqe* cqe = ring.peek_cqe()) {
      completions.push_back({cqe->user_data, cqe->res, cqe->flags});
      ring.cqe_seen(cqe);
    }
    if (idle && result <= 0 && result != -EINTR && result != -EAGAIN) break;
  }
  return completions;
}

std::optional<int> try_sqe(Kernel& kernel, const std::function<void(io_uring_sqe&)>& prepare) {
  Result<Ring> ring = Ring::create(kernel, {.sq_entries = 4});
  if (!ring) return std::nullopt;
  io_uring_sqe* sqe = ring->get_sqe();
  *sqe = {};
  sqe->user_data = 1;
  prepare(*sqe);
  const std::vector<TrialCompletion> completions = run_trial(*ring, 1);
  if (completions.empty()) return std::nullopt;
  return completions.front().res;
}

}  // namespace assay::internal
