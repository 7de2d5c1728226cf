// FSYNC, OPENAT and CLOSE.

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <string>

#include "assay/conformance/folder.h"
#include "assay/conformance/ring_actions.h"
#include "assay/conformance/ring_suites.h"

namespace assay::conformance {
namespace {

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

}  // namespace

std::vector<Behaviour> ring_files_behaviours() {
  const std::string suite = "RingFiles";
  return {
      {suite,
       "SyncsAFile",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("content");
         io_uring_prep_fsync(&next_sqe(ring), file.get(), 0);
         EXPECT_EQ(run_one(ring).res, 0);
         io_uring_prep_fsync(&next_sqe(ring), file.get(), IORING_FSYNC_DATASYNC);
         EXPECT_EQ(run_one(ring).res, 0);
       }},
      {suite,
       "RefusesUnknownSyncFlags",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("content");
         io_uring_prep_fsync(&next_sqe(ring), file.get(), 1u << 5);
         EXPECT_EQ(run_one(ring).res, -EINVAL);
       }},
      {suite,
       "RefusesToSyncWhatCannotBe",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe pipe = make_pipe();
         io_uring_prep_fsync(&next_sqe(ring), pipe.write_end.get(), 0);
         EXPECT_EQ(run_one(ring).res, -EINVAL);
         io_uring_prep_fsync(&next_sqe(ring), -1, 0);
         EXPECT_EQ(run_one(ring).res, -EBADF);
       }},
      {suite,
       "OpensAFileForReadingAndWriting",
       {.opcodes = {IORING_OP_OPENAT}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder;
         io_uring_prep_openat(&next_sqe(ring), folder.fd(), "file", O_RDWR | O_CREAT | O_CLOEXEC, 0640);
         const Fd file(run_one(ring).res);
         ASSERT_GE(file.get(), 0);
         EXPECT_EQ(::fcntl(file.get(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
         write_text(file.get(), "written");
         EXPECT_EQ(file_content(file.get()), "written");
       }},
      {suite,
       "TellsWhyAFileCannotBeOpened",
       {.opcodes = {IORING_OP_OPENAT}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder;
         io_uring_prep_openat(&next_sqe(ring), folder.fd(), "missing", O_RDONLY, 0);
         EXPECT_EQ(run_one(ring).res, -ENOENT);
         io_uring_prep_openat(&next_sqe(ring), -1, "missing", O_RDONLY, 0);
         EXPECT_EQ(run_one(ring).res, -EBADF);
         io_uring_prep_openat(&next_sqe(ring), folder.fd(), reinterpret_cast<const char*>(8), O_RDONLY, 0);
         EXPECT_EQ(run_one(ring).res, -EFAULT);
       }},
      {suite,
       "NeedsThePathDuringSubmissionOnly",
       {.opcodes = {IORING_OP_OPENAT}, .features = IORING_FEAT_SUBMIT_STABLE},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder;
         std::string path = "file";
         io_uring_prep_openat(&next_sqe(ring), folder.fd(), path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
         submit_all(ring);
         path.assign(path.size(), '/');
         const Fd file(take(ring).res);
         EXPECT_GE(file.get(), 0);
       }},
      {suite,
       "ClosesAFile",
       {.opcodes = {IORING_OP_CLOSE}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         Fd file = make_file();
         const int fd = file.get();
         io_uring_prep_close(&next_sqe(ring), fd);
         EXPECT_EQ(run_one(ring).res, 0);
         EXPECT_FALSE(is_open(fd));
         if (!is_open(fd)) file.release();
       }},
      {suite,
       "RefusesToCloseWhatIsNotOpen",
       {.opcodes = {IORING_OP_CLOSE}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         int fd = -1;
         {
           const Fd file = make_file();
           fd = file.get();
         }
         io_uring_prep_close(&next_sqe(ring), fd);
         EXPECT_EQ(run_one(ring).res, -EBADF);
       }},
      {suite,
       "RefusesToCloseARing",
       {.opcodes = {IORING_OP_CLOSE}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         io_uring_prep_close(&next_sqe(ring), ring.fd());
         EXPECT_EQ(run_one(ring).res, -EBADF);
         EXPECT_TRUE(is_open(ring.fd()));
       }},
      {suite,
       "RefusesToCloseAnIndexThatIsCalledFixedByAFlag",
       {.opcodes = {IORING_OP_CLOSE}, .since = {5, 6}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file();
         const int fd = file.get();
         ASSERT_EQ(ring.register_files({&fd, 1}), 0);
         io_uring_sqe& sqe = next_sqe(ring);
         io_uring_prep_close(&sqe, 0);
         sqe.flags = IOSQE_FIXED_FILE;
         EXPECT_EQ(run_one(ring).res, -EBADF);
         EXPECT_TRUE(is_open(fd));
         EXPECT_EQ(ring.unregister_files(), 0);
       }},
  };
}

}  // namespace assay::conformance
