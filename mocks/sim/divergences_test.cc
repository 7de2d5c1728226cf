// A test for each line of docs/divergences.md: what is refused, and what is done differently because nothing in a
// process could do it as Linux does.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <iterator>
#include <optional>
#include <string>
#include <thread>

#include "assay/backend/ring.h"
#include "assay/backend/uapi.h"
#include "assay/mocks/probe_trial.h"
#include "assay/mocks/sim/capabilities.h"
#include "assay/mocks/sim_kernel.h"

namespace assay {
namespace {

using internal::next_sqe;
using internal::run_trial;
using internal::TrialFds;

/// A simulated kernel that has everything, and a ring on it.
class Divergences : public testing::Test {
 protected:
  static Profile latest() { return find_profile("linux-7.3").value(); }

  /// The result of one SQE that `prepare` fills in.
  template <typename Prepare>
  int result_of(std::uint8_t opcode, Prepare prepare, std::uint32_t setup_flags = 0) {
    Result<Ring> ring = Ring::create(kernel_, {.sq_entries = 4, .setup_flags = setup_flags});
    if (!ring) return -ring.error().code.value();
    prepare(next_sqe(*ring, opcode, 1));
    const auto completions = run_trial(*ring, 1);
    EXPECT_EQ(completions.size(), 1u);
    return completions.empty() ? 0 : completions.front().res;
  }

  int set_up(std::uint32_t flags) {
    io_uring_params params{};
    params.flags = flags;
    const int fd = kernel_.setup(4, &params);
    if (fd >= 0) kernel_.close(fd);
    return fd;
  }

  SimKernel kernel_{{.profile = latest()}};
};

using Refusals = Divergences;

TEST_F(Refusals, PolledCompletion) {
  EXPECT_NE(latest().setup_flags & IORING_SETUP_IOPOLL, 0u) << "a kernel that has it";
  EXPECT_EQ(set_up(IORING_SETUP_IOPOLL), -EINVAL);
  EXPECT_EQ(set_up(IORING_SETUP_IOPOLL | uapi::kSetupHybridIopoll), -EINVAL);
}

TEST_F(Refusals, ZeroCopyReceive) {
  const TrialFds pair = TrialFds::sockets();
  EXPECT_TRUE(latest().opcodes.test(uapi::kOpRecvZc));
  EXPECT_EQ(result_of(uapi::kOpRecvZc, [&](io_uring_sqe& sqe) { sqe.fd = pair[0]; }), -EINVAL);
  Result<Ring> ring = Ring::create(kernel_, {.sq_entries = 4});
  ASSERT_TRUE(ring);
  std::uint64_t words[16] = {};
  EXPECT_EQ(ring->register_op(uapi::kRegisterZcrxIfq, words, 1), -EINVAL);
}

TEST_F(Refusals, FiltersInBpf) {
  EXPECT_TRUE(latest().register_ops.test(uapi::kRegisterBpfFilter));
  Result<Ring> ring = Ring::create(kernel_, {.sq_entries = 4, .setup_flags = IORING_SETUP_R_DISABLED});
  ASSERT_TRUE(ring);
  std::uint64_t words[16] = {};
  EXPECT_EQ(ring->register_op(uapi::kRegisterBpfFilter, words, 1), -EINVAL);
}

// No difference but a choice: on loopback Linux copies, and so its notifications are never late.
TEST_F(Divergences, ANotificationComesLateWhereAChooserSaysSo) {
  class LateNotification final : public PlainChooser {
   public:
    std::uint64_t choose(const Choice& choice) override {
      return choice.point == ChoicePoint::kNotificationLater ? 1 : PlainChooser::choose(choice);
    }
  } late;
  SimKernel kernel({.profile = latest(), .chooser = &late});
  const int socket = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t bytes = sizeof address;
  auto* const name = reinterpret_cast<sockaddr*>(&address);
  ASSERT_EQ(::bind(socket, name, bytes), 0);
  ASSERT_EQ(::getsockname(socket, name, &bytes), 0);
  ASSERT_EQ(::connect(socket, name, bytes), 0);
  Result<Ring> ring = Ring::create(kernel, {.sq_entries = 4});
  ASSERT_TRUE(ring);
  io_uring_sqe& sqe = next_sqe(*ring, IORING_OP_SEND_ZC, 1);
  sqe.fd = socket;
  sqe.addr = reinterpret_cast<std::uintptr_t>("x");
  sqe.len = 1;
  ASSERT_EQ(ring->submit(), 1);
  const auto sent = internal::take_ready(*ring);
  ASSERT_EQ(sent.size(), 1u) << "the send, and not yet its notification";
  EXPECT_EQ(sent.front().flags, IORING_CQE_F_MORE);
  EXPECT_EQ(ring->get_events(), 0);
  const auto notified = internal::take_ready(*ring);
  ASSERT_EQ(notified.size(), 1u);
  EXPECT_EQ(notified.front().flags, IORING_CQE_F_NOTIF);
  ::close(socket);
}

TEST_F(Refusals, QueriesOfZeroCopyReceive) {
  std::uint64_t answer[8] = {};
  uapi::Query query{};
  query.query_data = reinterpret_cast<std::uint64_t>(answer);
  query.query_op = 1;
  query.size = sizeof answer;
  EXPECT_EQ(kernel_.register_op(-1, uapi::kRegisterQuery, &query, 0), 0);
  EXPECT_EQ(query.result, -EOPNOTSUPP);
}

TEST_F(Refusals, CommandsOfWhatIsNoSocket) {
  const TrialFds pipe = TrialFds::pipe();
  EXPECT_EQ(result_of(IORING_OP_URING_CMD, [&](io_uring_sqe& sqe) { sqe.fd = pipe[0]; }), -EOPNOTSUPP);
  EXPECT_EQ(result_of(
                uapi::kOpUringCmd128, [&](io_uring_sqe& sqe) { sqe.fd = pipe[0]; }, IORING_SETUP_SQE128),
            -EINVAL);
}

TEST_F(Refusals, FutexesOfNumaNodes) {
  constexpr int kNuma = 4;  // FUTEX2_NUMA
  const std::uint64_t word = 0;
  EXPECT_EQ(result_of(uapi::kOpFutexWait,
                      [&](io_uring_sqe& sqe) {
                        sqe.fd = 2 | kNuma;
                        sqe.addr = reinterpret_cast<std::uintptr_t>(&word);
                        sqe.addr3 = ~std::uint32_t{0};
                      }),
            -EINVAL);
}

bool is_readable(int fd) {
  pollfd file{fd, POLLIN, 0};
  return ::poll(&file, 1, 0) == 1;
}

TEST_F(Divergences, TheRingFdStaysReadableUntilTheNextCall) {
  Result<Ring> ring = Ring::create(kernel_, {.sq_entries = 4});
  ASSERT_TRUE(ring);
  next_sqe(*ring, IORING_OP_NOP, 1);
  ASSERT_EQ(ring->submit(), 1);
  EXPECT_TRUE(is_readable(ring->fd()));
  ring->cq_advance(1);
  EXPECT_TRUE(is_readable(ring->fd())) << "nobody sees memory change";
  EXPECT_EQ(ring->get_events(), 0);
  EXPECT_FALSE(is_readable(ring->fd()));
}

TEST_F(Divergences, WhatCameAndWentBetweenTwoLooksWasNotThere) {
  Result<Ring> ring = Ring::create(kernel_, {.sq_entries = 4});
  ASSERT_TRUE(ring);
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  next_sqe(*ring, IORING_OP_POLL_ADD, 1).fd = ends[0];
  ring->raw()->sq.sqes[0].poll32_events = POLLIN;
  ASSERT_EQ(ring->submit(), 1);
  char byte = 'x';
  ASSERT_EQ(::write(ends[1], &byte, 1), 1);
  EXPECT_EQ(ring->cq_ready(), 0u) << "Linux is told by the write itself";
  ASSERT_EQ(::read(ends[0], &byte, 1), 1);
  EXPECT_EQ(ring->get_events(), 0);
  EXPECT_EQ(ring->cq_ready(), 0u) << "and remembers it";
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_F(Divergences, AnotherDescriptorOfTheRingIsNoRing) {
  Result<Ring> ring = Ring::create(kernel_, {.sq_entries = 4});
  ASSERT_TRUE(ring);
  const int copy = ::dup(ring->fd());
  ASSERT_GE(copy, 0);
  EXPECT_EQ(kernel_.enter(copy, 0, 0, 0, nullptr, 0), -EOPNOTSUPP);
  ::close(copy);
}

TEST_F(Divergences, ConnectDoesNotWaitForRoomInALocalBacklog) {
  const int listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  socklen_t bytes = sizeof address;
  auto* const name = reinterpret_cast<sockaddr*>(&address);
  ASSERT_EQ(::bind(listener, name, sizeof(sa_family_t)), 0);
  ASSERT_EQ(::listen(listener, 0), 0);
  ASSERT_EQ(::getsockname(listener, name, &bytes), 0);
  std::vector<int> clients;
  do {
    clients.push_back(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  } while (::connect(clients.back(), name, bytes) == 0);
  const int late = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  EXPECT_EQ(result_of(IORING_OP_CONNECT,
                      [&](io_uring_sqe& sqe) {
                        sqe.fd = late;
                        sqe.addr = reinterpret_cast<std::uintptr_t>(name);
                        sqe.off = bytes;
                      }),
            -EAGAIN);
  for (const int fd : clients) ::close(fd);
  ::close(late);
  ::close(listener);
}

TEST_F(Divergences, LockedMemoryOfOthersDoesNotCount) {
  Profile counting = documented_profile("counting", {5, 4});
  SimKernel first({.profile = counting});
  SimKernel second({.profile = counting});
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_MEMLOCK, &before), 0);
  // Enough for one ring: a page for the rings, one for the SQEs.
  const rlimit little{3 * static_cast<rlim_t>(::sysconf(_SC_PAGESIZE)), before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_MEMLOCK, &little), 0);
  std::thread([&] {
    internal::drop_capability(CAP_IPC_LOCK);
    const Result<Ring> one = Ring::create(first, {.sq_entries = 4});
    EXPECT_TRUE(one);
    EXPECT_FALSE(Ring::create(first, {.sq_entries = 4})) << "its own does";
    EXPECT_TRUE(Ring::create(second, {.sq_entries = 4})) << "as another process's would not";
  }).join();
  EXPECT_EQ(::setrlimit(RLIMIT_MEMLOCK, &before), 0);
}

// Linux 6.18 answers -ENOMEM where the memory is in a huge page, which it counts as a whole.
TEST_F(Divergences, APartOfAHugePageCountsByItself) {
  constexpr std::size_t kHuge = 2 << 20;
  constexpr std::size_t kPart = 32 << 10;
  void* memory = ::mmap(nullptr, 2 * kHuge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  const auto aligned = (reinterpret_cast<std::uintptr_t>(memory) + kHuge - 1) / kHuge * kHuge;
  static_cast<void>(::madvise(reinterpret_cast<void*>(aligned), kHuge, MADV_HUGEPAGE));
  std::memset(reinterpret_cast<void*>(aligned), 1, kHuge);
  const iovec part{reinterpret_cast<void*>(aligned), kPart};
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_MEMLOCK, &before), 0);
  const rlimit little{2 * kPart, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_MEMLOCK, &little), 0);
  std::thread([&] {
    internal::drop_capability(CAP_IPC_LOCK);
    Result<Ring> ring = Ring::create(kernel_, {.sq_entries = 4});
    ASSERT_TRUE(ring);
    EXPECT_EQ(ring->register_buffers({&part, 1}), 0);
  }).join();
  EXPECT_EQ(::setrlimit(RLIMIT_MEMLOCK, &before), 0);
  ::munmap(memory, 2 * kHuge);
}

TEST_F(Divergences, FilesDoWhatTheRunningKernelLetsThemDo) {
  SimKernel older({.profile = documented_profile("older", {5, 6})});
  open_how how{};
  how.resolve = 0x20;  // RESOLVE_CACHED, of 5.12
  const long here = ::syscall(SYS_openat2, AT_FDCWD, "/", &how, sizeof how);
  const int expected = here >= 0 ? 0 : -errno;
  if (here >= 0) ::close(static_cast<int>(here));
  Result<Ring> ring = Ring::create(older, {.sq_entries = 4});
  ASSERT_TRUE(ring);
  io_uring_sqe& sqe = next_sqe(*ring, IORING_OP_OPENAT2, 1);
  sqe.fd = AT_FDCWD;
  sqe.addr = reinterpret_cast<std::uintptr_t>("/");
  sqe.len = sizeof how;
  sqe.off = reinterpret_cast<std::uintptr_t>(&how);
  const auto completions = run_trial(*ring, 1);
  ASSERT_EQ(completions.size(), 1u);
  const int result = completions.front().res;
  if (result >= 0) ::close(result);
  EXPECT_EQ(std::min(result, 0), expected) << "5.6 itself has -EINVAL";
}

/// For the calling thread: this system call answers `error` from now on.
int forbid(unsigned system_call, unsigned error) {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, system_call, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{.len = static_cast<unsigned short>(std::size(filter)), .filter = filter};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -errno;
  return ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0 ? 0 : -errno;
}

TEST_F(Divergences, WithoutKcmpOneFileOpenedTwiceIsOneFile) {
  const TrialFds pipe = TrialFds::pipe();
  const std::string path = "/proc/self/fd/" + std::to_string(pipe[0]);
  const int again = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  ASSERT_GE(again, 0);
  const auto cancelled = [&] {
    Result<Ring> ring = Ring::create(kernel_, {.sq_entries = 4});
    if (!ring) return -1;
    char byte = 0;
    io_uring_sqe& read = next_sqe(*ring, IORING_OP_READ, 1);
    read.fd = pipe[0];
    read.addr = reinterpret_cast<std::uintptr_t>(&byte);
    read.len = 1;
    io_uring_sqe& cancel = next_sqe(*ring, IORING_OP_ASYNC_CANCEL, 2);
    cancel.fd = again;
    cancel.cancel_flags = IORING_ASYNC_CANCEL_FD;
    const auto completion = internal::find_completion(run_trial(*ring, 1), 2);
    return completion ? completion->res : -1;
  };
  EXPECT_EQ(cancelled(), -ENOENT);
  int without_kcmp = 0;
  std::thread([&] {
    ASSERT_EQ(forbid(SYS_kcmp, EPERM), 0);
    without_kcmp = cancelled();
  }).join();
  EXPECT_EQ(without_kcmp, 0);
  ::close(again);
}

TEST_F(Divergences, ARegisteredBufferMayLieInAFilesPages) {
  const int file = ::open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  ASSERT_GE(file, 0) << "/tmp on a disk file system or tmpfs has O_TMPFILE";
  const std::size_t bytes = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  ASSERT_EQ(::ftruncate(file, static_cast<off_t>(bytes)), 0);
  void* const memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  ASSERT_NE(memory, MAP_FAILED);
  Result<Ring> ring = Ring::create(kernel_, {.sq_entries = 4});
  ASSERT_TRUE(ring);
  const iovec buffer{memory, bytes};
  EXPECT_EQ(ring->register_buffers({&buffer, 1}), 0) << "on ext4, say, Linux has -EFAULT or -EOPNOTSUPP";
  ::munmap(memory, bytes);
  ::close(file);
}

TEST_F(Divergences, APersonalityBringsNothingBackThatIsGoneForGood) {
  // Whoever may not become somebody else has nothing to lose, and opens the file as ever.
  const bool may_change = internal::has_capability(CAP_SETUID);
  const int folder = ::open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
  const std::string name = "assay-divergence-" + std::to_string(::getpid());
  ::close(::openat(folder, name.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
  int opened = 0;
  std::thread([&] {
    Result<Ring> ring = Ring::create(kernel_, {.sq_entries = 4});
    ASSERT_TRUE(ring);
    const int id = ring->register_op(IORING_REGISTER_PERSONALITY, nullptr, 0);
    constexpr uid_t kNobody = 65534;
    const uid_t other = ::geteuid() == kNobody ? kNobody - 1 : kNobody;
    // This thread only, and for good.
    ASSERT_EQ(::syscall(SYS_setresuid, other, other, other), may_change ? 0 : -1);
    io_uring_sqe& sqe = next_sqe(*ring, IORING_OP_OPENAT, 1);
    sqe.fd = folder;
    sqe.addr = reinterpret_cast<std::uintptr_t>(name.c_str());
    sqe.open_flags = O_RDWR;
    sqe.personality = static_cast<std::uint16_t>(id);
    const auto completions = run_trial(*ring, 1);
    ASSERT_EQ(completions.size(), 1u);
    opened = completions.front().res;
  }).join();
  EXPECT_EQ(std::min(opened, 0), may_change ? -EACCES : 0) << "with CAP_SETUID, Linux opens it all the same";
  if (opened >= 0) ::close(opened);
  ::unlinkat(folder, name.c_str(), 0);
  ::close(folder);
}

}  // namespace
}  // namespace assay
