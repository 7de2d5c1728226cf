// READV and WRITEV everywhere, READ and WRITE and their fixed forms where there are any: offsets, positions, ends of
// files, and reads that must wait.

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string>

#include "assay/conformance/ring_actions.h"
#include "assay/conformance/ring_suites.h"

namespace assay::conformance {
namespace {

constexpr std::uint64_t kCurrentPosition = ~std::uint64_t{0};

/// One buffer and its iovec, which must both stay where they are while a request is in flight.
struct Buffer {
  explicit Buffer(std::size_t bytes) : memory(bytes, '\0') {}
  explicit Buffer(std::string text) : memory(std::move(text)) {}
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  std::string memory;
  iovec vector{.iov_base = memory.data(), .iov_len = memory.size()};
};

io_uring_sqe& prepare_readv(Ring& ring, int fd, Buffer& buffer, std::uint64_t offset, std::uint64_t user_data = 1) {
  io_uring_sqe& sqe = next_sqe(ring);
  io_uring_prep_readv(&sqe, fd, &buffer.vector, 1, offset);
  sqe.user_data = user_data;
  return sqe;
}

io_uring_sqe& prepare_writev(Ring& ring, int fd, Buffer& buffer, std::uint64_t offset, std::uint64_t user_data = 1) {
  io_uring_sqe& sqe = next_sqe(ring);
  io_uring_prep_writev(&sqe, fd, &buffer.vector, 1, offset);
  sqe.user_data = user_data;
  return sqe;
}

io_uring_sqe& prepare_read(Ring& ring, int fd, Buffer& buffer, std::uint64_t offset) {
  io_uring_sqe& sqe = next_sqe(ring);
  io_uring_prep_read(&sqe, fd, buffer.memory.data(), static_cast<unsigned>(buffer.memory.size()), offset);
  return sqe;
}

io_uring_sqe& prepare_write(Ring& ring, int fd, Buffer& buffer, std::uint64_t offset) {
  io_uring_sqe& sqe = next_sqe(ring);
  io_uring_prep_write(&sqe, fd, buffer.memory.data(), static_cast<unsigned>(buffer.memory.size()), offset);
  return sqe;
}

}  // namespace

std::vector<Behaviour> ring_read_write_behaviours() {
  const std::string suite = "RingReadWrite";
  return {
      {suite,
       "ReadsAtAnOffsetAndLeavesThePositionAlone",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("0123456789");
         Buffer buffer(4);
         prepare_readv(ring, file.get(), buffer, 3);
         EXPECT_EQ(run_one(ring).res, 4);
         EXPECT_EQ(buffer.memory, "3456");
         EXPECT_EQ(::lseek(file.get(), 0, SEEK_CUR), 0);
       }},
      {suite,
       "WritesAtAnOffset",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("0123456789");
         Buffer buffer("abc");
         prepare_writev(ring, file.get(), buffer, 8);
         EXPECT_EQ(run_one(ring).res, 3);
         EXPECT_EQ(file_content(file.get()), "01234567abc");
       }},
      {suite,
       "GathersAndScattersOverSeveralBuffers",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file();
         char first[] = "abc";
         char second[] = "de";
         iovec parts[2] = {{first, 3}, {second, 2}};
         io_uring_prep_writev(&next_sqe(ring), file.get(), parts, 2, 0);
         EXPECT_EQ(run_one(ring).res, 5);
         EXPECT_EQ(file_content(file.get()), "abcde");
         char head[2] = {};
         char tail[3] = {};
         parts[0] = {head, 2};
         parts[1] = {tail, 3};
         io_uring_prep_readv(&next_sqe(ring), file.get(), parts, 2, 0);
         EXPECT_EQ(run_one(ring).res, 5);
         EXPECT_EQ(std::string(head, 2) + "|" + std::string(tail, 3), "ab|cde");
       }},
      {suite,
       "ReadsShortAtTheEndOfAFile",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("0123456789");
         Buffer buffer(100);
         prepare_readv(ring, file.get(), buffer, 6);
         EXPECT_EQ(run_one(ring).res, 4);
         EXPECT_EQ(buffer.memory.substr(0, 4), "6789");
       }},
      {suite,
       "ReadsNothingBeyondTheEndOfAFile",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("0123456789");
         Buffer buffer(4);
         prepare_readv(ring, file.get(), buffer, 10);
         EXPECT_EQ(run_one(ring).res, 0);
       }},
      {suite,
       "RefusesMemoryThatIsNotThere",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("0123456789");
         iovec nowhere{.iov_base = reinterpret_cast<void*>(8), .iov_len = 4};
         io_uring_prep_readv(&next_sqe(ring), file.get(), &nowhere, 1, 0);
         EXPECT_EQ(run_one(ring).res, -EFAULT);
         io_uring_prep_readv(&next_sqe(ring), file.get(), reinterpret_cast<iovec*>(8), 1, 0);
         EXPECT_EQ(run_one(ring).res, -EFAULT);
       }},
      {suite,
       "RefusesMoreBuffersThanTheLimit",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("0123456789");
         char byte = 0;
         const std::vector<iovec> parts(1025, iovec{&byte, 1});
         io_uring_prep_readv(&next_sqe(ring), file.get(), parts.data(), 1025, 0);
         EXPECT_EQ(run_one(ring).res, -EINVAL);
       }},
      {suite,
       "ReadsNoBuffersAsNothing",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("0123456789");
         Buffer buffer(4);
         io_uring_prep_readv(&next_sqe(ring), file.get(), &buffer.vector, 0, 0);
         EXPECT_EQ(run_one(ring).res, 0);
       }},
      {suite,
       "RefusesAFileThatIsOpenTheOtherWay",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe pipe = make_pipe();
         Buffer buffer(4);
         prepare_readv(ring, pipe.write_end.get(), buffer, 0);
         EXPECT_EQ(run_one(ring).res, -EBADF);
         prepare_writev(ring, pipe.read_end.get(), buffer, 0);
         EXPECT_EQ(run_one(ring).res, -EBADF);
       }},
      {suite,
       "WaitsForDataOnAPipe",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe pipe = make_pipe();
         Buffer buffer(16);
         prepare_readv(ring, pipe.read_end.get(), buffer, 0);
         submit_all(ring);
         EXPECT_EQ(ring.get_events(), 0);
         EXPECT_EQ(ring.cq_ready(), 0u);
         write_text(pipe.write_end.get(), "hello");
         EXPECT_EQ(take(ring), (Completion{1, 5, 0})) << "what there is, not what was asked for";
         EXPECT_EQ(buffer.memory.substr(0, 5), "hello");
       }},
      {suite,
       "EndsAReadOfAPipeThatNobodyWillWriteTo",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         Pipe pipe = make_pipe();
         Buffer buffer(16);
         prepare_readv(ring, pipe.read_end.get(), buffer, 0);
         submit_all(ring);
         EXPECT_EQ(ring.cq_ready(), 0u);
         pipe.write_end.reset();
         EXPECT_EQ(take(ring).res, 0);
       }},
      {suite,
       "GoesOnWhenTheFdIsClosedUnderARead",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         Pipe pipe = make_pipe();
         Buffer buffer(16);
         prepare_readv(ring, pipe.read_end.get(), buffer, 0);
         submit_all(ring);
         pipe.read_end.reset();
         write_text(pipe.write_end.get(), "still");
         EXPECT_EQ(take(ring).res, 5);
         EXPECT_EQ(buffer.memory.substr(0, 5), "still");
       }},
      {suite,
       "WaitsOnAPipeEvenWhenItIsMarkedNonblocking",
       {.since = {5, 13}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe pipe = make_pipe(O_NONBLOCK);
         Buffer buffer(16);
         prepare_readv(ring, pipe.read_end.get(), buffer, 0);
         submit_all(ring);
         EXPECT_EQ(ring.get_events(), 0);
         EXPECT_EQ(ring.cq_ready(), 0u);
         write_text(pipe.write_end.get(), "now");
         EXPECT_EQ(take(ring).res, 3);
       }},
      {suite,
       "DoesNotWaitOnAPipeThatIsMarkedNonblockingWhereItDidNot",
       {.until = {5, 13}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe pipe = make_pipe(O_NONBLOCK);
         Buffer buffer(16);
         prepare_readv(ring, pipe.read_end.get(), buffer, 0);
         EXPECT_EQ(run_one(ring).res, -EAGAIN);
         write_text(pipe.write_end.get(), "now");
         prepare_readv(ring, pipe.read_end.get(), buffer, 0);
         EXPECT_EQ(run_one(ring).res, 3);
       }},
      {suite,
       "WaitsForRoomInAPipe",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe pipe = make_pipe();
         const int capacity = ::fcntl(pipe.write_end.get(), F_SETPIPE_SZ, 4096);
         ASSERT_GE(capacity, 4096);
         write_text(pipe.write_end.get(), std::string(static_cast<std::size_t>(capacity), 'x'));
         Buffer buffer("more");
         prepare_writev(ring, pipe.write_end.get(), buffer, 0);
         submit_all(ring);
         EXPECT_EQ(ring.get_events(), 0);
         EXPECT_EQ(ring.cq_ready(), 0u);
         read_text(pipe.read_end.get(), static_cast<std::size_t>(capacity));
         EXPECT_EQ(take(ring).res, 4);
         EXPECT_EQ(read_text(pipe.read_end.get(), 16), "more");
       }},
      {suite,
       "NeedsTheIovecsDuringSubmissionOnly",
       {.features = IORING_FEAT_SUBMIT_STABLE},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe pipe = make_pipe();
         Buffer buffer(16);
         prepare_readv(ring, pipe.read_end.get(), buffer, 0);
         submit_all(ring);
         buffer.vector = {.iov_base = reinterpret_cast<void*>(8), .iov_len = 1};
         write_text(pipe.write_end.get(), "stable");
         EXPECT_EQ(take(ring).res, 6);
         EXPECT_EQ(buffer.memory.substr(0, 6), "stable");
       }},
      {suite,
       "ReadsAndWritesOneBuffer",
       {.opcodes = {IORING_OP_READ, IORING_OP_WRITE}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("0123456789");
         Buffer written("abc");
         prepare_write(ring, file.get(), written, 2);
         EXPECT_EQ(run_one(ring).res, 3);
         Buffer read(6);
         prepare_read(ring, file.get(), read, 0);
         EXPECT_EQ(run_one(ring).res, 6);
         EXPECT_EQ(read.memory, "01abc5");
       }},
      {suite,
       "ReadsZeroBytesAsNothing",
       {.opcodes = {IORING_OP_READ}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("0123456789");
         char byte = 0;
         io_uring_prep_read(&next_sqe(ring), file.get(), &byte, 0, 0);
         EXPECT_EQ(run_one(ring).res, 0);
       }},
      {suite,
       "ReadsAtTheFilesPositionAndMovesIt",
       {.opcodes = {IORING_OP_READ}, .features = IORING_FEAT_RW_CUR_POS},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("0123456789");
         ASSERT_EQ(::lseek(file.get(), 2, SEEK_SET), 2);
         Buffer buffer(3);
         prepare_read(ring, file.get(), buffer, kCurrentPosition);
         EXPECT_EQ(run_one(ring).res, 3);
         EXPECT_EQ(buffer.memory, "234");
         prepare_read(ring, file.get(), buffer, kCurrentPosition);
         EXPECT_EQ(run_one(ring).res, 3);
         EXPECT_EQ(buffer.memory, "567");
         EXPECT_EQ(::lseek(file.get(), 0, SEEK_CUR), 8);
       }},
      {suite,
       "WritesAtTheFilesPositionAndMovesIt",
       {.opcodes = {IORING_OP_WRITE}, .features = IORING_FEAT_RW_CUR_POS},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file();
         for (const char* text : {"ab", "cd"}) {
           Buffer buffer{std::string(text)};
           prepare_write(ring, file.get(), buffer, kCurrentPosition);
           EXPECT_EQ(run_one(ring).res, 2);
         }
         EXPECT_EQ(file_content(file.get()), "abcd");
         EXPECT_EQ(::lseek(file.get(), 0, SEEK_CUR), 4);
       }},
      {suite,
       "RefusesAnOffsetBelowZero",
       {.opcodes = {IORING_OP_READ}, .features = IORING_FEAT_RW_CUR_POS},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("0123456789");
         Buffer buffer(3);
         prepare_read(ring, file.get(), buffer, static_cast<std::uint64_t>(-2));
         EXPECT_EQ(run_one(ring).res, -EINVAL) << "only -1 has a meaning: the file's position";
       }},
      {suite,
       "ReadsIntoAndWritesFromRegisteredBuffers",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("0123456789");
         Buffer buffer(64);
         ASSERT_EQ(ring.register_buffers({&buffer.vector, 1}), 0);
         char* memory = buffer.memory.data();
         io_uring_prep_read_fixed(&next_sqe(ring), file.get(), memory + 8, 4, 2, 0);
         EXPECT_EQ(run_one(ring).res, 4);
         EXPECT_EQ(buffer.memory.substr(8, 4), "2345");
         io_uring_prep_write_fixed(&next_sqe(ring), file.get(), memory + 9, 2, 0, 0);
         EXPECT_EQ(run_one(ring).res, 2);
         EXPECT_EQ(file_content(file.get()), "3423456789");
         EXPECT_EQ(ring.unregister_buffers(), 0);
       }},
      {suite,
       "RefusesFixedMemoryOutsideItsBuffer",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("0123456789");
         Buffer buffer(64);
         ASSERT_EQ(ring.register_buffers({&buffer.vector, 1}), 0);
         io_uring_prep_read_fixed(&next_sqe(ring), file.get(), buffer.memory.data() + 62, 4, 0, 0);
         EXPECT_EQ(run_one(ring).res, -EFAULT);
         io_uring_prep_read_fixed(&next_sqe(ring), file.get(), buffer.memory.data(), 4, 0, 1);
         EXPECT_EQ(run_one(ring).res, -EFAULT) << "there is no buffer 1";
         EXPECT_EQ(ring.unregister_buffers(), 0);
       }},
      {suite,
       "RefusesFixedMemoryWhereNoneIsRegistered",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("0123456789");
         Buffer buffer(4);
         io_uring_prep_read_fixed(&next_sqe(ring), file.get(), buffer.memory.data(), 4, 0, 0);
         EXPECT_EQ(run_one(ring).res, -EFAULT);
       }},
      {suite,
       "ServesTwoReadsOfOnePipeWithDifferentData",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe pipe = make_pipe();
         Buffer first(1);
         Buffer second(1);
         prepare_readv(ring, pipe.read_end.get(), first, 0, 1);
         prepare_readv(ring, pipe.read_end.get(), second, 0, 2);
         submit_all(ring);
         write_text(pipe.write_end.get(), "ab");
         for (const Completion& completion : take(ring, 2)) EXPECT_EQ(completion.res, 1);
         EXPECT_TRUE(first.memory + second.memory == "ab" || first.memory + second.memory == "ba")
             << first.memory << second.memory;
       }},
  };
}

}  // namespace assay::conformance
