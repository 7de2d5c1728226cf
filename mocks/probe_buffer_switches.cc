// What provided buffers and tags do: no feature bit tells.

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "assay/backend/uapi.h"
#include "assay/mocks/probe_trial.h"

namespace assay::internal {
namespace {

constexpr std::uint16_t kGroup = 7;
constexpr std::size_t kBufferBytes = 8;

/// A ring with a group of two provided buffers, of eight bytes each.
class BufferedRing {
 public:
  BufferedRing(Kernel& kernel, unsigned buffers) : ring_(Ring::create(kernel, {.sq_entries = 4})) {
    if (!ring_) return;
    io_uring_sqe& sqe = next_sqe(*ring_, IORING_OP_PROVIDE_BUFFERS, 1);
    sqe.fd = static_cast<int>(buffers);
    sqe.addr = reinterpret_cast<std::uintptr_t>(memory_.data());
    sqe.len = kBufferBytes;
    sqe.buf_group = kGroup;
    const std::vector<TrialCompletion> completions = run_trial(*ring_, 1);
    provided_ = !completions.empty() && completions.front().res >= 0;
  }
  explicit operator bool() const { return provided_; }
  Ring& ring() { return *ring_; }

  /// Prepares a READ or a RECV into whichever buffer the kernel selects.
  void prepare(std::uint8_t opcode, int fd, std::uint32_t length, std::uint64_t user_data) {
    io_uring_sqe& sqe = next_sqe(*ring_, opcode, user_data);
    sqe.fd = fd;
    sqe.len = length;
    sqe.flags = IOSQE_BUFFER_SELECT;
    sqe.buf_group = kGroup;
    if (opcode == IORING_OP_READ) sqe.off = ~std::uint64_t{0};
  }

 private:
  std::array<char, 2 * kBufferBytes> memory_{};
  Result<Ring> ring_;
  bool provided_ = false;
};

struct SelectionTrial {
  Verdict oldest_first;
  Verdict zero_is_all;
};

/// Two buffers, and a pipe with as much as one of them takes: which one is filled, and what does a length of 0 read?
SelectionTrial try_selection(Kernel& kernel) {
  BufferedRing first(kernel, 2);
  BufferedRing second(kernel, 2);
  const TrialFds pipe = TrialFds::pipe();
  if (!first || !second || !pipe) return {};
  const std::array<char, 2 * kBufferBytes> data{};
  if (::write(pipe[1], data.data(), data.size()) != static_cast<ssize_t>(data.size())) return {};
  SelectionTrial trial;
  first.prepare(IORING_OP_READ, pipe[0], kBufferBytes, 1);
  const auto read = find_completion(run_trial(first.ring(), 1), 1);
  if (read && read->res == kBufferBytes) trial.oldest_first = read->flags >> IORING_CQE_BUFFER_SHIFT == 0;
  second.prepare(IORING_OP_READ, pipe[0], 0, 1);
  const auto all = find_completion(run_trial(second.ring(), 1), 1);
  if (all && all->res >= 0) trial.zero_is_all = all->res != 0;
  return trial;
}

/// One buffer and two receives for which nothing is there: is there a buffer for the second?
Verdict try_waiting_selection(Kernel& kernel) {
  BufferedRing buffered(kernel, 1);
  const TrialFds pair = TrialFds::sockets();
  if (!buffered || !pair) return std::nullopt;
  buffered.prepare(IORING_OP_RECV, pair[0], kBufferBytes, 1);
  buffered.prepare(IORING_OP_RECV, pair[0], kBufferBytes, 2);
  if (buffered.ring().submit() != 2) return std::nullopt;
  const auto second = find_completion(take_ready(buffered.ring()), 2);
  if (!second) return false;
  return second->res == -ENOBUFS ? Verdict(true) : std::nullopt;
}

/// A receive from a peer that is gone.
Verdict try_selection_at_end(Kernel& kernel) {
  BufferedRing buffered(kernel, 1);
  const TrialFds pair = TrialFds::sockets();
  if (!buffered || !pair || ::shutdown(pair[1], SHUT_WR) != 0) return std::nullopt;
  buffered.prepare(IORING_OP_RECV, pair[0], kBufferBytes, 1);
  const auto end = find_completion(run_trial(buffered.ring(), 1), 1);
  if (!end || end->res != 0) return std::nullopt;
  return (end->flags & IORING_CQE_F_BUFFER) != 0;
}

constexpr std::size_t kPage = 4096;

/// Reads from a file that has nothing into an incremental buffer, whose ring is in the first page of `memory`.
Verdict read_nothing(Kernel& kernel, int empty, void* memory) {
  Result<Ring> ring = Ring::create(kernel, {.sq_entries = 4});
  io_uring_buf_reg request{};
  request.ring_addr = reinterpret_cast<std::uintptr_t>(memory);
  request.ring_entries = 1;
  request.bgid = kGroup;
  uapi::set_pbuf_flags(request, uapi::kPbufRingInc);
  if (!ring || ring->register_op(IORING_REGISTER_PBUF_RING, &request, 1) != 0) return std::nullopt;
  auto& buffer = *static_cast<io_uring_buf*>(memory);
  buffer.addr = request.ring_addr + kPage;
  buffer.len = kBufferBytes;
  __atomic_store_n(&static_cast<io_uring_buf_ring*>(memory)->tail, 1, __ATOMIC_RELEASE);
  io_uring_sqe& read = next_sqe(*ring, IORING_OP_READ, 1);
  read.fd = empty;
  read.len = kBufferBytes / 2;
  read.flags = IOSQE_BUFFER_SELECT;
  read.buf_group = kGroup;
  const auto end = find_completion(run_trial(*ring, 1), 1);
  return end && end->res == 0 ? Verdict((end->flags & uapi::kCqeFBufMore) != 0) : std::nullopt;
}

Verdict try_incremental_end(Kernel& kernel) {
  const int empty = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  void* const memory = ::mmap(nullptr, 2 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (empty < 0 || memory == MAP_FAILED) return std::nullopt;
  const Verdict told = read_nothing(kernel, empty, memory);
  ::munmap(memory, 2 * kPage);
  ::close(empty);
  return told;
}

/// Two multishot receives with more to receive than either may at a stretch.
Verdict try_turns(Kernel& kernel) {
  constexpr unsigned kEach = 40;
  Result<Ring> ring = Ring::create(kernel, {.sq_entries = 4, .cq_entries = 4 * kEach});
  const TrialFds pairs[2] = {TrialFds::sockets(), TrialFds::sockets()};
  if (!ring || !pairs[0] || !pairs[1]) return std::nullopt;
  const std::array<char, kEach> text{};
  std::array<char, 2 * kEach> memory{};
  io_uring_sqe& provide = next_sqe(*ring, IORING_OP_PROVIDE_BUFFERS, 9);
  provide.fd = 2 * kEach;
  provide.addr = reinterpret_cast<std::uintptr_t>(memory.data());
  provide.len = 1;
  provide.buf_group = kGroup;
  const auto provided = find_completion(run_trial(*ring, 1), 9);
  if (!provided || provided->res < 0) return std::nullopt;
  for (std::uint64_t which = 0; which < 2; ++which) {
    if (::write(pairs[which][1], text.data(), kEach) != kEach) return std::nullopt;
    io_uring_sqe& receive = next_sqe(*ring, IORING_OP_RECV, which);
    receive.fd = pairs[which][0];
    receive.flags = IOSQE_BUFFER_SELECT;
    receive.buf_group = kGroup;
    receive.ioprio = IORING_RECV_MULTISHOT;
  }
  const std::vector<TrialCompletion> completions = run_trial(*ring, 2 * kEach);
  if (completions.size() < 2 * kEach) return std::nullopt;
  const auto first = completions.begin();
  return std::any_of(first, first + kEach, [](const TrialCompletion& each) { return each.user_data == 1; });
}

/// Registers the files with tags, from 10 on. 0 or a negative errno.
int register_tagged(Ring& ring, std::array<std::int32_t, 2> files) {
  const std::array<std::uint64_t, 2> tags = {10, 11};
  io_uring_rsrc_register request{};
  request.nr = files.size();
  request.data = reinterpret_cast<std::uintptr_t>(files.data());
  request.tags = reinterpret_cast<std::uintptr_t>(tags.data());
  return ring.register_op(IORING_REGISTER_FILES2, &request, sizeof request);
}

/// A file table goes away: is the tag of a file in it told?
Verdict try_gone_table(Kernel& kernel) {
  const TrialFds pipe = TrialFds::pipe();
  Result<Ring> ring = Ring::create(kernel, {.sq_entries = 4});
  if (!pipe || !ring || register_tagged(*ring, {pipe[0], pipe[1]}) != 0) return std::nullopt;
  if (ring->unregister_files() != 0) return std::nullopt;
  ring->get_events();
  return find_completion(take_ready(*ring), 10).has_value();
}

/// A read of one registered file waits, another one is taken out: is its tag told?
Verdict try_tag_of_other(Kernel& kernel) {
  const TrialFds pipe = TrialFds::pipe();
  char byte = 0;
  Result<Ring> ring = Ring::create(kernel, {.sq_entries = 4});
  if (!pipe || !ring || register_tagged(*ring, {pipe[0], pipe[1]}) != 0) return std::nullopt;
  io_uring_sqe& read = next_sqe(*ring, IORING_OP_READ, 1);
  read.fd = 0;
  read.flags = IOSQE_FIXED_FILE;
  read.addr = reinterpret_cast<std::uintptr_t>(&byte);
  read.len = 1;
  const int nothing = -1;
  if (ring->submit() != 1 || ring->update_files(1, {&nothing, 1}) != 1) return std::nullopt;
  ring->get_events();
  const bool told = find_completion(take_ready(*ring), 11).has_value();
  // The read must not outlive its buffer: a ring goes away some time after it is closed.
  if (::write(pipe[1], "x", 1) == 1) run_trial(*ring, 1);
  return !told;
}

}  // namespace

std::vector<SwitchTrial> try_buffer_switches(Kernel& kernel) {
  const SelectionTrial selection = try_selection(kernel);
  return {
      {&Semantics::oldest_buffer_first, selection.oldest_first},
      {&Semantics::zero_length_is_all, selection.zero_is_all},
      {&Semantics::waiting_keeps_buffer, try_waiting_selection(kernel)},
      {&Semantics::end_uses_buffer, try_selection_at_end(kernel)},
      {&Semantics::incremental_rest_told, try_incremental_end(kernel)},
      {&Semantics::multishot_takes_turns, try_turns(kernel)},
      {&Semantics::tags_of_gone_tables, try_gone_table(kernel)},
      {&Semantics::tags_wait_for_others, try_tag_of_other(kernel)},
  };
}

}  // namespace assay::internal
