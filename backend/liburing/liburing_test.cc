// liburing's functions as a program calls them, on the running kernel and on simulated ones of each way of waiting.

#include <liburing.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cctype>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "assay/backend/liburing/exported.h"
#include "assay/backend/liburing/use_kernel.h"
#include "assay/backend/uapi.h"
#include "gtest/gtest.h"

namespace assay::liburing {
namespace {

std::string test_name(const testing::TestParamInfo<const char*>& info) {
  std::string name = info.param;
  for (char& letter : name) {
    if (std::isalnum(static_cast<unsigned char>(letter)) == 0) letter = '_';
  }
  return name;
}

class Liburing : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override { ASSERT_EQ(assay_liburing_use(GetParam(), ""), 0) << assay_liburing_error(); }
};

class RingOfEight : public Liburing {
 protected:
  void SetUp() override {
    Liburing::SetUp();
    ASSERT_EQ(io_uring_queue_init(8, &ring_, 0), 0);
    initialised_ = true;
  }
  void TearDown() override {
    if (initialised_) io_uring_queue_exit(&ring_);
  }

  void queue_nop(std::uint64_t user_data) {
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
    ASSERT_NE(sqe, nullptr);
    io_uring_prep_nop(sqe);
    sqe->user_data = user_data;
  }
  void queue_read(int fd, void* buffer, unsigned bytes) {
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
    ASSERT_NE(sqe, nullptr);
    io_uring_prep_read(sqe, fd, buffer, bytes, 0);
    sqe->user_data = 77;
  }

  io_uring ring_;
  bool initialised_ = false;
};

TEST_P(RingOfEight, CarriesRequestsOut) {
  for (std::uint64_t round = 0; round < 20; ++round) {
    queue_nop(round);
    ASSERT_EQ(io_uring_submit(&ring_), 1);
    io_uring_cqe* cqe = nullptr;
    ASSERT_EQ(io_uring_wait_cqe(&ring_, &cqe), 0);
    EXPECT_EQ(cqe->user_data, round);
    EXPECT_EQ(cqe->res, 0);
    io_uring_cqe_seen(&ring_, cqe);
  }
  io_uring_cqe* cqe = nullptr;
  EXPECT_EQ(io_uring_peek_cqe(&ring_, &cqe), -EAGAIN);
  EXPECT_EQ(cqe, nullptr);
}

TEST_P(RingOfEight, SubmitsAndWaitsInOneCall) {
  for (std::uint64_t index = 0; index < 8; ++index) queue_nop(index);
  EXPECT_EQ(io_uring_get_sqe(&ring_), nullptr);
  EXPECT_EQ(io_uring_submit_and_wait(&ring_, 8), 8);
  io_uring_cqe* cqes[16];
  ASSERT_EQ(io_uring_peek_batch_cqe(&ring_, cqes, 3), 3u);
  io_uring_cq_advance(&ring_, 3);
  ASSERT_EQ(io_uring_peek_batch_cqe(&ring_, cqes, 16), 5u);
  for (std::uint64_t index = 0; index < 5; ++index) EXPECT_EQ(cqes[index]->user_data, index + 3);
  io_uring_cq_advance(&ring_, 5);
  EXPECT_EQ(io_uring_peek_batch_cqe(&ring_, cqes, 16), 0u);
}

TEST_P(RingOfEight, WaitsForSoLongAndNoLonger) {
  __kernel_timespec millisecond{.tv_sec = 0, .tv_nsec = 1'000'000};
  io_uring_cqe* cqe = nullptr;
  EXPECT_EQ(io_uring_wait_cqe_timeout(&ring_, &cqe, &millisecond), -ETIME);
  EXPECT_EQ(cqe, nullptr);
  EXPECT_EQ(io_uring_wait_cqes(&ring_, &cqe, 2, &millisecond, nullptr), -ETIME);

  // The limit is no completion of the caller's, by whichever way the kernel was asked for it.
  queue_nop(5);
  ASSERT_GE(io_uring_submit_and_wait_timeout(&ring_, &cqe, 1, &millisecond, nullptr), 0);
  ASSERT_NE(cqe, nullptr);
  EXPECT_EQ(cqe->user_data, 5u);
  io_uring_cqe_seen(&ring_, cqe);
}

TEST_P(RingOfEight, ReadsWhatIsWrittenLater) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  char buffer[8] = {};
  queue_read(ends[0], buffer, sizeof buffer);
  ASSERT_EQ(io_uring_submit(&ring_), 1);
  io_uring_cqe* cqe = nullptr;
  EXPECT_EQ(io_uring_peek_cqe(&ring_, &cqe), -EAGAIN);
  ASSERT_EQ(::write(ends[1], "data", 4), 4);
  ASSERT_EQ(io_uring_wait_cqe(&ring_, &cqe), 0);
  EXPECT_EQ(cqe->user_data, 77u);
  EXPECT_EQ(cqe->res, 4);
  EXPECT_STREQ(buffer, "data");
  io_uring_cqe_seen(&ring_, cqe);
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_P(RingOfEight, RegistersFilesBuffersAndEventfds) {
  const int event_fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  const int files[2] = {event_fd, -1};
  ASSERT_EQ(io_uring_register_files(&ring_, files, 2), 0);
  EXPECT_EQ(io_uring_register_files_update(&ring_, 1, &event_fd, 1), 1);
  EXPECT_EQ(io_uring_unregister_files(&ring_), 0);
  EXPECT_EQ(io_uring_unregister_files(&ring_), -ENXIO);

  char memory[64];
  const iovec buffer{memory, sizeof memory};
  ASSERT_EQ(io_uring_register_buffers(&ring_, &buffer, 1), 0);
  EXPECT_EQ(io_uring_unregister_buffers(&ring_), 0);

  ASSERT_EQ(io_uring_register_eventfd(&ring_, event_fd), 0);
  queue_nop(1);
  ASSERT_EQ(io_uring_submit_and_wait(&ring_, 1), 1);
  std::uint64_t count = 0;
  EXPECT_EQ(::read(event_fd, &count, sizeof count), 8);
  EXPECT_EQ(count, 1u);
  EXPECT_EQ(io_uring_unregister_eventfd(&ring_), 0);
  ::close(event_fd);
}

TEST_P(Liburing, RefusesWhatTheKernelRefuses) {
  io_uring ring;
  EXPECT_EQ(io_uring_queue_init(0, &ring, 0), -EINVAL);
  EXPECT_EQ(io_uring_queue_init(8, &ring, 1u << 31), -EINVAL);
  io_uring_params params{};
  EXPECT_EQ(io_uring_register(12345, IORING_UNREGISTER_FILES, nullptr, 0), -EBADF);
  EXPECT_EQ(io_uring_enter(12345, 1, 0, 0, nullptr), -EBADF);
  EXPECT_EQ(io_uring_setup(0, &params), -EINVAL);
}

TEST_P(Liburing, MapsARingThatTheProgramSetUp) {
  io_uring_params params{};
  const int fd = io_uring_setup(4, &params);
  ASSERT_GE(fd, 0);
  io_uring ring;
  ASSERT_EQ(io_uring_queue_mmap(fd, &params, &ring), 0);
  EXPECT_EQ(ring.ring_fd, fd);
  EXPECT_EQ(ring.sq.ring_entries, 4u);
  EXPECT_EQ(io_uring_ring_dontfork(&ring), 0);
  io_uring_queue_exit(&ring);
}

// Past liburing: the linker wraps mmap, close and syscall for whoever links the drop-in.
TEST_P(Liburing, ServesProgramsThatMapAndCloseByHand) {
  io_uring_params params{};
  const auto fd = static_cast<int>(::syscall(SYS_io_uring_setup, 4, &params));
  ASSERT_GE(fd, 0);
  const std::size_t bytes = params.sq_entries * sizeof(io_uring_sqe);
  void* sqes = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQES);
  ASSERT_NE(sqes, MAP_FAILED);
  ::munmap(sqes, bytes);
  EXPECT_EQ(::mmap(nullptr, bytes, PROT_READ, MAP_SHARED, fd, 0x20000000), MAP_FAILED);  // ENOMEM since 6.10
  EXPECT_EQ(::syscall(SYS_io_uring_enter, fd, 0, 0, 1u << 31, nullptr, 0), -1);
  EXPECT_EQ(errno, EINVAL);
  EXPECT_EQ(::syscall(SYS_io_uring_register, fd, IORING_UNREGISTER_FILES, nullptr, 0), -1);
  EXPECT_EQ(errno, ENXIO);
  EXPECT_EQ(assay_liburing_use(GetParam(), ""), -EBUSY);
  EXPECT_EQ(::close(fd), 0);
  EXPECT_EQ(::close(fd), -1);
  EXPECT_EQ(errno, EBADF);
  EXPECT_EQ(assay_liburing_use(GetParam(), ""), 0);
}

INSTANTIATE_TEST_SUITE_P(Kernels, Liburing,
                         testing::Values("linux", "sim:linux-running", "sim:linux-5.4", "sim:linux-6.12.0"), test_name);
INSTANTIATE_TEST_SUITE_P(Kernels, RingOfEight,
                         testing::Values("linux", "sim:linux-running", "sim:linux-5.10.0", "sim:linux-6.12.0"),
                         test_name);

// What came with later releases of liburing and of Linux. 2.3's header declares none of the newer functions, so they
// are called by our declarations, which name the same symbols.
class NewerLiburing : public RingOfEight {};

TEST_P(NewerLiburing, ProbesOpcodes) {
  io_uring_probe* probe = io_uring_get_probe();
  ASSERT_NE(probe, nullptr);
  EXPECT_TRUE(io_uring_opcode_supported(probe, IORING_OP_READ));
  EXPECT_FALSE(io_uring_opcode_supported(probe, 250));
  io_uring_free_probe(probe);
}

TEST_P(NewerLiburing, EntersByTheIndexOfARegisteredRing) {
  ASSERT_EQ(io_uring_register_ring_fd(&ring_), 1);
  EXPECT_EQ(io_uring_register_ring_fd(&ring_), -EEXIST);
  queue_nop(3);
  EXPECT_EQ(io_uring_submit_and_wait(&ring_, 1), 1);
  EXPECT_EQ(io_uring_cq_ready(&ring_), 1u);
  ASSERT_EQ(io_uring_unregister_ring_fd(&ring_), 1);
  EXPECT_EQ(io_uring_unregister_ring_fd(&ring_), -EINVAL);
  queue_nop(4);
  EXPECT_EQ(io_uring_submit_and_get_events(&ring_), 1);
  EXPECT_EQ(io_uring_cq_ready(&ring_), 2u);
}

TEST_P(NewerLiburing, ClosesTheFdOfARegisteredRing) {
  EXPECT_EQ(close_ring_fd(&ring_), -EINVAL);
  ASSERT_EQ(io_uring_register_ring_fd(&ring_), 1);
  ASSERT_EQ(close_ring_fd(&ring_), 1);
  EXPECT_EQ(close_ring_fd(&ring_), -EBADF);
  queue_nop(3);
  EXPECT_EQ(io_uring_submit_and_wait(&ring_, 1), 1);
  char memory[64];
  const iovec buffer{memory, sizeof memory};
  EXPECT_EQ(io_uring_register_buffers(&ring_, &buffer, 1), 0);
}

TEST_P(NewerLiburing, PicksBuffersFromARing) {
  int error = 1;
  io_uring_buf_ring* buffers = setup_buf_ring(&ring_, 4, 7, 0, &error);
  ASSERT_NE(buffers, nullptr) << error;
  char memory[16] = {};
  io_uring_buf_ring_add(buffers, memory, sizeof memory, 9, io_uring_buf_ring_mask(4), 0);
  io_uring_buf_ring_advance(buffers, 1);

  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ASSERT_EQ(::write(ends[1], "picked", 6), 6);
  queue_read(ends[0], nullptr, sizeof memory);
  io_uring_sqe* sqe = &ring_.sq.sqes[(ring_.sq.sqe_tail - 1) & ring_.sq.ring_mask];
  sqe->flags |= IOSQE_BUFFER_SELECT;
  sqe->buf_group = 7;
  ASSERT_EQ(io_uring_submit_and_wait(&ring_, 1), 1);
  io_uring_cqe* cqe = nullptr;
  ASSERT_EQ(io_uring_peek_cqe(&ring_, &cqe), 0);
  EXPECT_EQ(cqe->res, 6);
  EXPECT_EQ(cqe->flags >> IORING_CQE_BUFFER_SHIFT, 9u);
  EXPECT_STREQ(memory, "picked");
  std::uint16_t head = 0;
  EXPECT_EQ(buf_ring_head(&ring_, 7, &head), 0);
  EXPECT_EQ(head, 1u);
  EXPECT_EQ(free_buf_ring(&ring_, buffers, 4, 7), 0);
  EXPECT_EQ(io_uring_unregister_buf_ring(&ring_, 7), -ENOENT);
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_P(NewerLiburing, WaitsForAtLeastSoLong) {
  // At least a millisecond for two completions; then one will do.
  __kernel_timespec second{.tv_sec = 1, .tv_nsec = 0};
  queue_nop(1);
  io_uring_cqe* cqe = nullptr;
  EXPECT_EQ(submit_and_wait_min_timeout(&ring_, &cqe, 2, &second, 1000, nullptr), 1);
  ASSERT_NE(cqe, nullptr);
  io_uring_cqe_seen(&ring_, cqe);
}

TEST_P(NewerLiburing, LetsAnyThreadFillTheSqWhereThePollThreadIsTheSingleIssuer) {
  io_uring polled;
  ASSERT_EQ(io_uring_queue_init(4, &polled, IORING_SETUP_SQPOLL | IORING_SETUP_SINGLE_ISSUER), 0);
  std::thread([&polled] {
    io_uring_prep_nop(io_uring_get_sqe(&polled));
    EXPECT_EQ(io_uring_submit(&polled), 1);
    io_uring_cqe* cqe = nullptr;
    ASSERT_EQ(io_uring_wait_cqe(&polled, &cqe), 0);
    EXPECT_EQ(cqe->res, 0);
    io_uring_cqe_seen(&polled, cqe);
  }).join();
  io_uring_queue_exit(&polled);
}

TEST_P(NewerLiburing, ClonesBuffers) {
  io_uring other;
  ASSERT_EQ(io_uring_queue_init(4, &other, 0), 0);
  char memory[64];
  const iovec buffer{memory, sizeof memory};
  ASSERT_EQ(io_uring_register_buffers(&ring_, &buffer, 1), 0);
  EXPECT_EQ(clone_buffers(&other, &ring_), 0);
  EXPECT_EQ(io_uring_unregister_buffers(&other), 0);
  io_uring_queue_exit(&other);
}

TEST_P(NewerLiburing, KnowsItsVersion) {
  EXPECT_EQ(major_version(), 2);
  EXPECT_TRUE(check_version(major_version(), minor_version() + 1));
  EXPECT_FALSE(check_version(2, 3));
}

INSTANTIATE_TEST_SUITE_P(Kernels, NewerLiburing, testing::Values("linux", "sim:linux-running"), test_name);

class RingInCallersMemory : public Liburing {};

TEST_P(RingInCallersMemory, UsesItAndLeavesItAlone) {
  constexpr std::size_t kBytes = 64 * 1024;
  void* memory = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  io_uring ring;
  io_uring_params params{};
  EXPECT_EQ(queue_init_mem(8, &ring, &params, memory, 4096), -ENOMEM);
  params = {};
  const int used = queue_init_mem(8, &ring, &params, memory, kBytes);
  ASSERT_GT(used, 0);
  EXPECT_EQ(used % 4096, 0);
  io_uring_sqe* sqe = io_uring_get_sqe(&ring);
  ASSERT_EQ(static_cast<void*>(sqe), memory);
  io_uring_prep_nop(sqe);
  EXPECT_EQ(io_uring_submit_and_wait(&ring, 1), 1);
  EXPECT_EQ(io_uring_cq_ready(&ring), 1u);
  io_uring_queue_exit(&ring);
  std::memset(memory, 1, kBytes);  // still mapped
  ::munmap(memory, kBytes);
}

INSTANTIATE_TEST_SUITE_P(Kernels, RingInCallersMemory, testing::Values("linux", "sim:linux-running"), test_name);

TEST(LiburingSizes, CountsMemoryWhereItIsLocked) {
  ASSERT_EQ(assay_liburing_use("sim:linux-6.12.0", ""), 0);
  EXPECT_EQ(io_uring_mlock_size(8, 0), 0);
  EXPECT_EQ(memory_size(8, 0), 8192);
  EXPECT_EQ(memory_size(0, 0), -EINVAL);
  EXPECT_EQ(memory_size(1u << 20, 0), -EINVAL);
  ASSERT_EQ(assay_liburing_use("sim:linux-5.4", ""), 0);
  EXPECT_EQ(io_uring_mlock_size(8, 0), 8192);
}

}  // namespace
}  // namespace assay::liburing
