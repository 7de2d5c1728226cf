// SYNC_FILE_RANGE, and arguments that mean nothing to operations on open files.

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "assay/conformance/folder.h"
#include "assay/conformance/ring_actions.h"
#include "assay/conformance/ring_suites.h"

namespace assay::conformance {
namespace {

void add_sync_behaviours(std::vector<Behaviour>& behaviours) {
  const std::string suite = "RingFiles";
  const Needs sync{.opcodes = {IORING_OP_SYNC_FILE_RANGE}};
  constexpr int kAllOfIt = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
  const std::vector<Behaviour> added = {
      {suite, "SyncsARangeOfAFile", sync,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder;
         const Fd file = folder.make("file", "text");
         io_uring_prep_sync_file_range(&next_sqe(ring), file.get(), 2, 1, kAllOfIt);
         EXPECT_EQ(result(ring), 0);
         io_uring_prep_sync_file_range(&next_sqe(ring), file.get(), 0, 0, 0);
         EXPECT_EQ(result(ring), 0);
       }},
      {suite, "TellsWhyARangeCannotBeSynced", sync,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("text");
         const Pipe pipe = make_pipe();
         io_uring_prep_sync_file_range(&next_sqe(ring), file.get(), 4, 0, 1 << 20);
         EXPECT_EQ(result(ring), -EINVAL) << "unknown flags";
         io_uring_prep_sync_file_range(&next_sqe(ring), file.get(), 4, static_cast<std::uint64_t>(-4), kAllOfIt);
         EXPECT_EQ(result(ring), -EINVAL);
         io_uring_prep_sync_file_range(&next_sqe(ring), pipe.read_end.get(), 4, 0, kAllOfIt);
         EXPECT_EQ(result(ring), -ESPIPE);
         io_uring_prep_sync_file_range(&next_sqe(ring), -1, 4, 0, kAllOfIt);
         EXPECT_EQ(result(ring), -EBADF);
       }},
      {suite, "RefusesToSyncAtAnAddress", sync,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("text");
         io_uring_sqe& with_address = next_sqe(ring);
         io_uring_prep_sync_file_range(&with_address, file.get(), 4, 0, kAllOfIt);
         with_address.addr = 1;
         EXPECT_EQ(result(ring), -EINVAL);
         io_uring_sqe& with_buffer = next_sqe(ring);
         io_uring_prep_fsync(&with_buffer, file.get(), 0);
         with_buffer.buf_index = 1;
         EXPECT_EQ(result(ring), -EINVAL);
       }},
      {suite,
       "RefusesAFileIndexWhereItMeansNothing",
       {.opcodes = {IORING_OP_STATX}, .switches_on = {&Semantics::second_descriptor_refused}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("text");
         alignas(4096) char page[4096];
         struct statx status {};
         const auto with_index = [&](void (*prepare)(io_uring_sqe * sqe, int fd, struct statx* status, char* memory)) {
           io_uring_sqe& sqe = next_sqe(ring);
           prepare(&sqe, file.get(), &status, page);
           sqe.file_index = 1;
           return result(ring);
         };
         EXPECT_EQ(with_index([](io_uring_sqe* sqe, int fd, struct statx*, char*) { io_uring_prep_fsync(sqe, fd, 0); }),
                   -EINVAL);
         EXPECT_EQ(with_index([](io_uring_sqe* sqe, int fd, struct statx*, char*) {
                     io_uring_prep_sync_file_range(sqe, fd, 4, 0, 0);
                   }),
                   -EINVAL);
         EXPECT_EQ(with_index([](io_uring_sqe* sqe, int fd, struct statx*, char*) {
                     io_uring_prep_fallocate(sqe, fd, 0, 0, 4);
                   }),
                   -EINVAL);
         EXPECT_EQ(with_index([](io_uring_sqe* sqe, int fd, struct statx*, char*) {
                     io_uring_prep_fadvise(sqe, fd, 0, 4, POSIX_FADV_NORMAL);
                   }),
                   -EINVAL);
         EXPECT_EQ(with_index([](io_uring_sqe* sqe, int, struct statx*, char* memory) {
                     io_uring_prep_madvise(sqe, memory, 4096, MADV_NORMAL);
                   }),
                   -EINVAL);
         EXPECT_EQ(with_index([](io_uring_sqe* sqe, int, struct statx* buffer, char*) {
                     io_uring_prep_statx(sqe, AT_FDCWD, "/", 0, STATX_TYPE, buffer);
                   }),
                   -EINVAL);
       }},
  };
  behaviours.insert(behaviours.end(), added.begin(), added.end());
}

}  // namespace

std::vector<Behaviour> ring_sync_behaviours() {
  std::vector<Behaviour> behaviours;
  add_sync_behaviours(behaviours);
  return behaviours;
}

}  // namespace assay::conformance
