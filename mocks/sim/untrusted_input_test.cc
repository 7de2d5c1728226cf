// The SQ and the arguments of every call are untrusted: what mocks/fuzz found, and its like, in plain words. With
// sanitizers these tests would also fail where a kernel's answer comes about by undefined behaviour.

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <memory>

#include "assay/backend/ring.h"
#include "assay/mocks/sim_kernel.h"

namespace assay {
namespace {

/// Nothing is ever mapped there.
constexpr std::uint64_t kNowhere = 64;

class SimUntrustedInput : public testing::Test {
 protected:
  void SetUp() override {
    SimOptions options;
    options.profile = documented_profile("linux-6.18", {6, 18});
    options.strict = true;
    kernel_ = std::make_unique<SimKernel>(options);
    auto ring = Ring::create(*kernel_, {.sq_entries = 8});
    ASSERT_TRUE(ring) << ring.error().message();
    ring_ = std::make_unique<Ring>(std::move(*ring));
  }
  int run(const io_uring_sqe& sqe) {
    *ring_->get_sqe() = sqe;
    const int entered = ring_->submit_and_wait(1);
    io_uring_cqe* cqe = ring_->peek_cqe();
    if (cqe == nullptr) return entered;
    const int result = cqe->res;
    ring_->cqe_seen(cqe);
    return result;
  }
  int register_op(unsigned opcode, void* arg, unsigned nr_args) { return ring_->register_op(opcode, arg, nr_args); }

  /// Memory for an argument at an address that its type may not have.
  unsigned char* odd() { return room_.data() + 1; }
  static std::uint64_t address(const void* pointer) { return reinterpret_cast<std::uint64_t>(pointer); }

  alignas(8) std::array<unsigned char, 1024> room_{};
  std::unique_ptr<SimKernel> kernel_;
  std::unique_ptr<Ring> ring_;
};

TEST_F(SimUntrustedInput, AChildIsToldOfAtAnOddAddress) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(3);
  ASSERT_GT(child, 0);
  siginfo_t there{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(child), &there, WEXITED | WNOWAIT), 0);
  io_uring_sqe sqe{};
  sqe.opcode = uapi::kOpWaitid;
  sqe.len = P_PID;
  sqe.fd = child;
  sqe.file_index = WEXITED;
  sqe.addr2 = address(odd());
  EXPECT_EQ(run(sqe), 0);
  siginfo_t info{};
  std::memcpy(&info, odd(), sizeof info);
  EXPECT_EQ(info.si_pid, child);
  EXPECT_EQ(info.si_status, 3);
}

TEST_F(SimUntrustedInput, ArraysLieAtOddAddresses) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  std::memcpy(odd(), ends, sizeof ends);
  EXPECT_EQ(register_op(IORING_REGISTER_FILES, odd(), 2), 0);
  const iovec buffers[] = {{room_.data(), 64}, {room_.data() + 64, 64}};
  std::memcpy(odd(), buffers, sizeof buffers);
  EXPECT_EQ(register_op(IORING_REGISTER_BUFFERS, odd(), 2), 0);
  const io_uring_rsrc_update ring_fd{.offset = ~0u, .resv = 0, .data = static_cast<unsigned>(ring_->fd())};
  std::memcpy(odd(), &ring_fd, sizeof ring_fd);
  EXPECT_EQ(register_op(IORING_REGISTER_RING_FDS, odd(), 1), 1);
  room_ = {};
  EXPECT_EQ(register_op(IORING_REGISTER_PROBE, odd(), 16), 0);
  EXPECT_EQ(odd()[offsetof(io_uring_probe, ops_len)], 16);
  const iovec vector{room_.data() + 512, 5};
  std::memcpy(odd(), &vector, sizeof vector);
  io_uring_sqe sqe{};
  sqe.opcode = IORING_OP_WRITEV;
  sqe.fd = ends[1];
  sqe.addr = address(odd());
  sqe.len = 1;
  EXPECT_EQ(run(sqe), 5);
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_F(SimUntrustedInput, ArraysThatAreNowhereAreBadAddresses) {
  auto* const nowhere = reinterpret_cast<void*>(kNowhere);
  EXPECT_EQ(register_op(IORING_REGISTER_FILES, nowhere, 2), -EFAULT);
  EXPECT_EQ(register_op(IORING_REGISTER_BUFFERS, nowhere, 2), -EFAULT);
  EXPECT_EQ(register_op(IORING_REGISTER_RING_FDS, nowhere, 1), -EFAULT);
  EXPECT_EQ(register_op(IORING_REGISTER_PROBE, nowhere, 16), -EFAULT);
  ASSERT_EQ(ring_->register_files_sparse(4), 0);
  io_uring_files_update update{.offset = 0, .resv = 0, .fds = ~std::uint64_t{0} - 3};
  EXPECT_EQ(register_op(IORING_REGISTER_FILES_UPDATE, &update, 2), -EFAULT) << "an array about the end of all memory";
}

TEST_F(SimUntrustedInput, AnEmptyVectorNeedsNoAddress) {
  io_uring_sqe sqe{};
  sqe.opcode = IORING_OP_WRITEV;
  sqe.fd = STDOUT_FILENO;
  EXPECT_EQ(run(sqe), 0);
  int sockets[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_DGRAM, 0, sockets), 0);
  msghdr message{};
  sqe.opcode = IORING_OP_SENDMSG;
  sqe.fd = sockets[0];
  sqe.addr = address(&message);
  EXPECT_EQ(run(sqe), 0);
  ::close(sockets[0]);
  ::close(sockets[1]);
}

TEST_F(SimUntrustedInput, ACqHeadThatIsFarAwayCostsNoTime) {
  for (const std::uint32_t head : {1u << 30, ~0u - (1u << 30), ~0u, 0u}) {
    __atomic_store_n(ring_->raw()->cq.khead, head, __ATOMIC_RELEASE);
    const timespec no_time{};
    kernel_->wait_readable(ring_->fd(), &no_time);
    EXPECT_EQ(ring_->submit(), 0);
  }
}

TEST_F(SimUntrustedInput, AQueryWithoutRoomIsAnsweredWithItsResultAlone) {
  uapi::Query query{};
  query.query_op = uapi::kQueryOpcodes;
  EXPECT_EQ(register_op(uapi::kRegisterQuery, &query, 0), 0);
  EXPECT_EQ(query.result, -EINVAL);
}

TEST_F(SimUntrustedInput, MemoryOfImpossibleSizeIsABadAddress) {
  uapi::RegionDescription description{};
  void* const page = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(page, MAP_FAILED);
  description.user_addr = address(page);
  description.size = std::uint64_t{1} << 42;
  description.flags = uapi::kRegionOfUser;
  uapi::MemRegion region{};
  region.region = address(&description);
  EXPECT_EQ(register_op(uapi::kRegisterMemRegion, &region, 1), -EFAULT);
  ::munmap(page, 4096);
}

TEST_F(SimUntrustedInput, APeerWhoseAddressCannotBeToldIsLost) {
  const int listener = ::socket(AF_UNIX, SOCK_STREAM, 0);
  const sockaddr_un unnamed{AF_UNIX, {}};
  sockaddr_un name{};
  socklen_t bytes = sizeof name;
  ASSERT_EQ(::bind(listener, reinterpret_cast<const sockaddr*>(&unnamed), sizeof(sa_family_t)), 0);
  ASSERT_EQ(::listen(listener, 8), 0);
  ASSERT_EQ(::getsockname(listener, reinterpret_cast<sockaddr*>(&name), &bytes), 0);
  io_uring_sqe sqe{};
  sqe.opcode = IORING_OP_ACCEPT;
  sqe.fd = listener;
  const auto accepted_with = [&](std::uint64_t peer, std::uint64_t room) {
    const int caller = ::socket(AF_UNIX, SOCK_STREAM, 0);
    EXPECT_EQ(::connect(caller, reinterpret_cast<const sockaddr*>(&name), bytes), 0);
    sqe.addr = peer;
    sqe.addr2 = room;
    const int result = run(sqe);
    char byte;
    if (result < 0) {
      EXPECT_EQ(::recv(caller, &byte, 1, MSG_DONTWAIT), 0) << "the other end is gone";
    }
    ::close(caller);
    return result;
  };
  sockaddr_un peer{};
  socklen_t room = sizeof peer;
  EXPECT_EQ(accepted_with(address(&peer), kNowhere), -EFAULT);
  EXPECT_EQ(accepted_with(kNowhere, address(&room)), -EFAULT);
  room = ~0u;
  EXPECT_EQ(accepted_with(address(&peer), address(&room)), -EINVAL);
  std::memset(odd(), 0, sizeof room);
  const int fd = accepted_with(address(&peer), address(odd()));
  EXPECT_GE(fd, 0);
  ::close(fd);
  ::close(listener);
}

}  // namespace
}  // namespace assay
