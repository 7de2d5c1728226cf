// FALLOCATE and FTRUNCATE.

#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "assay/conformance/folder.h"
#include "assay/conformance/ring_actions.h"
#include "assay/conformance/ring_suites.h"

namespace assay::conformance {
namespace {

std::int64_t size_of(const Fd& file) {
  struct stat status {};
  return ::fstat(file.get(), &status) == 0 ? status.st_size : -1;
}

io_uring_sqe& prepare_ftruncate(Ring& ring, int fd, std::int64_t bytes) {
  io_uring_sqe& sqe = next_sqe(ring);
  sqe.opcode = uapi::kOpFtruncate;
  sqe.fd = fd;
  sqe.off = static_cast<std::uint64_t>(bytes);
  return sqe;
}

void add_length_behaviours(std::vector<Behaviour>& behaviours) {
  const std::string suite = "RingFileLength";
  const Needs fallocate{.opcodes = {IORING_OP_FALLOCATE}};
  const Needs ftruncate{.opcodes = {uapi::kOpFtruncate}};
  const std::vector<Behaviour> added = {
      {suite, "AllocatesAndSoMakesAFileLonger", fallocate,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("text");
         io_uring_prep_fallocate(&next_sqe(ring), file.get(), 0, 4, 96);
         EXPECT_EQ(result(ring), 0);
         EXPECT_EQ(size_of(file), 100);
         EXPECT_EQ(file_content(file.get()).substr(0, 5), std::string("text\0", 5));
       }},
      {suite, "AllocatesBeyondTheEndWhenToldToKeepTheSize", fallocate,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("text");
         io_uring_prep_fallocate(&next_sqe(ring), file.get(), FALLOC_FL_KEEP_SIZE, 0, 100);
         EXPECT_EQ(result(ring), 0);
         EXPECT_EQ(size_of(file), 4);
       }},
      {suite, "PunchesAHole", fallocate,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("0123456789");
         io_uring_prep_fallocate(&next_sqe(ring), file.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2, 3);
         EXPECT_EQ(result(ring), 0);
         EXPECT_EQ(file_content(file.get()), std::string("01\0\0\0"
                                                         "56789",
                                                         10));
       }},
      {suite, "TellsWhyItCannotAllocate", fallocate,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("text");
         const Pipe pipe = make_pipe();
         io_uring_prep_fallocate(&next_sqe(ring), file.get(), 0, 0, 0);
         EXPECT_EQ(result(ring), -EINVAL) << "nothing is to be allocated";
         io_uring_prep_fallocate(&next_sqe(ring), file.get(), 0, -1, 4);
         EXPECT_EQ(result(ring), -EINVAL);
         io_uring_prep_fallocate(&next_sqe(ring), file.get(), 1 << 30, 0, 4);
         EXPECT_EQ(result(ring), -EOPNOTSUPP) << "an unknown mode";
         io_uring_prep_fallocate(&next_sqe(ring), pipe.write_end.get(), 0, 0, 4);
         EXPECT_EQ(result(ring), -ESPIPE);
         io_uring_prep_fallocate(&next_sqe(ring), pipe.read_end.get(), 0, 0, 4);
         EXPECT_EQ(result(ring), -EBADF);
         io_uring_prep_fallocate(&next_sqe(ring), -1, 0, 0, 4);
         EXPECT_EQ(result(ring), -EBADF);
         EXPECT_EQ(size_of(file), 4);
       }},
      {suite, "RefusesToAllocateWithFieldsThatMeanNothing", fallocate,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("text");
         const auto spoiled = [&](void (*spoil)(io_uring_sqe & sqe)) {
           io_uring_sqe& sqe = next_sqe(ring);
           io_uring_prep_fallocate(&sqe, file.get(), 0, 0, 100);
           spoil(sqe);
           return result(ring);
         };
         EXPECT_EQ(spoiled([](io_uring_sqe& sqe) { sqe.rw_flags = 1; }), -EINVAL);
         EXPECT_EQ(spoiled([](io_uring_sqe& sqe) { sqe.buf_index = 1; }), -EINVAL);
         EXPECT_EQ(spoiled([](io_uring_sqe& sqe) { sqe.ioprio = 1; }), -EINVAL);
         EXPECT_EQ(size_of(file), 4);
       }},
      {suite, "AllocatesInARegisteredFile", fallocate,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("text");
         const int fd = file.get();
         ASSERT_EQ(ring.register_files({&fd, 1}), 0);
         io_uring_sqe& sqe = next_sqe(ring);
         io_uring_prep_fallocate(&sqe, 0, 0, 0, 100);
         sqe.flags = IOSQE_FIXED_FILE;
         EXPECT_EQ(result(ring), 0);
         EXPECT_EQ(size_of(file), 100);
       }},
      {suite, "TruncatesAFile", ftruncate,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("0123456789");
         prepare_ftruncate(ring, file.get(), 4);
         EXPECT_EQ(result(ring), 0);
         EXPECT_EQ(file_content(file.get()), "0123");
         prepare_ftruncate(ring, file.get(), 6);
         EXPECT_EQ(result(ring), 0);
         EXPECT_EQ(file_content(file.get()), std::string("0123\0\0", 6));
       }},
      {suite, "TellsWhyItCannotTruncate", ftruncate,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("text");
         const Pipe pipe = make_pipe();
         const Fd readable(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
         prepare_ftruncate(ring, file.get(), -1);
         EXPECT_EQ(result(ring), -EINVAL);
         prepare_ftruncate(ring, pipe.write_end.get(), 4);
         EXPECT_EQ(result(ring), -EINVAL);
         prepare_ftruncate(ring, readable.get(), 4);
         EXPECT_EQ(result(ring), -EINVAL) << "open for reading only";
         prepare_ftruncate(ring, -1, 4);
         EXPECT_EQ(result(ring), -EBADF);
       }},
      {suite, "RefusesToTruncateWithFieldsThatMeanNothing", ftruncate,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("0123456789");
         const auto spoiled = [&](void (*spoil)(io_uring_sqe & sqe)) {
           spoil(prepare_ftruncate(ring, file.get(), 4));
           return result(ring);
         };
         EXPECT_EQ(spoiled([](io_uring_sqe& sqe) { sqe.rw_flags = 1; }), -EINVAL);
         EXPECT_EQ(spoiled([](io_uring_sqe& sqe) { sqe.addr = 1; }), -EINVAL);
         EXPECT_EQ(spoiled([](io_uring_sqe& sqe) { sqe.len = 1; }), -EINVAL);
         EXPECT_EQ(spoiled([](io_uring_sqe& sqe) { sqe.buf_index = 1; }), -EINVAL);
         EXPECT_EQ(spoiled([](io_uring_sqe& sqe) { sqe.splice_fd_in = 1; }), -EINVAL);
         EXPECT_EQ(spoiled([](io_uring_sqe& sqe) { sqe.addr3 = 1; }), -EINVAL);
         EXPECT_EQ(size_of(file), 10);
       }},
      {suite, "GoesOnWithTheChainWhenTruncatingFails", ftruncate,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("text");
         io_uring_sqe& sqe = prepare_ftruncate(ring, file.get(), -1);
         sqe.user_data = 1;
         sqe.flags = IOSQE_IO_LINK;
         prepare_nop(ring, 2);
         submit_all(ring);
         EXPECT_EQ(take(ring), (Completion{1, -EINVAL, 0}));
         EXPECT_EQ(take(ring), (Completion{2, 0, 0}));
       }},
  };
  behaviours.insert(behaviours.end(), added.begin(), added.end());
}

}  // namespace

std::vector<Behaviour> ring_file_length_behaviours() {
  std::vector<Behaviour> behaviours;
  add_length_behaviours(behaviours);
  return behaviours;
}

}  // namespace assay::conformance
