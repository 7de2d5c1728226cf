// SPLICE and TEE.

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "assay/conformance/ring_actions.h"
#include "assay/conformance/ring_suites.h"

namespace assay::conformance {
namespace {

constexpr std::uint32_t kInIsFixed = 1u << 31;  // SPLICE_F_FD_IN_FIXED

int splice_now(Ring& ring, int in, std::int64_t in_offset, int out, std::int64_t out_offset, unsigned bytes,
               unsigned flags = 0) {
  io_uring_prep_splice(&next_sqe(ring), in, in_offset, out, out_offset, bytes, flags);
  return run_one(ring).res;
}

int tee_now(Ring& ring, int in, int out, unsigned bytes, unsigned flags = 0) {
  io_uring_prep_tee(&next_sqe(ring), in, out, bytes, flags);
  return run_one(ring).res;
}

}  // namespace

std::vector<Behaviour> ring_splice_behaviours() {
  const std::string suite = "RingSplice";
  const Needs splice{.opcodes = {IORING_OP_SPLICE}};
  const Needs tee{.opcodes = {IORING_OP_TEE}};
  return {
      {suite, "MovesFromAFileIntoAPipe", splice,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("0123456789");
         const Pipe pipe = make_pipe();
         EXPECT_EQ(splice_now(ring, file.get(), 2, pipe.write_end.get(), -1, 5), 5);
         EXPECT_EQ(read_text(pipe.read_end.get(), 16), "23456");
       }},
      {suite, "MovesFromAPipeIntoAFile", splice,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("0123456789");
         const Pipe pipe = make_pipe();
         write_text(pipe.write_end.get(), "abc");
         EXPECT_EQ(splice_now(ring, pipe.read_end.get(), -1, file.get(), 4, 3), 3);
         EXPECT_EQ(file_content(file.get()), "0123abc789");
       }},
      {suite, "MovesFromOnePipeIntoAnother", splice,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe from = make_pipe();
         const Pipe to = make_pipe();
         write_text(from.write_end.get(), "abcdef");
         EXPECT_EQ(splice_now(ring, from.read_end.get(), -1, to.write_end.get(), -1, 4), 4);
         EXPECT_EQ(read_text(to.read_end.get(), 16), "abcd");
         EXPECT_EQ(read_text(from.read_end.get(), 16), "ef");
       }},
      {suite, "UsesAndMovesTheFilePositionWithoutAnOffset", splice,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("0123456789");
         const Pipe pipe = make_pipe();
         ASSERT_EQ(::lseek(file.get(), 3, SEEK_SET), 3);
         EXPECT_EQ(splice_now(ring, file.get(), -1, pipe.write_end.get(), -1, 4), 4);
         EXPECT_EQ(read_text(pipe.read_end.get(), 16), "3456");
         EXPECT_EQ(::lseek(file.get(), 0, SEEK_CUR), 7);
         EXPECT_EQ(splice_now(ring, file.get(), 0, pipe.write_end.get(), -1, 2), 2);
         EXPECT_EQ(::lseek(file.get(), 0, SEEK_CUR), 7) << "an offset leaves the position alone";
       }},
      {suite, "MovesWhatThereIs", splice,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe from = make_pipe();
         const Pipe to = make_pipe();
         write_text(from.write_end.get(), "abc");
         EXPECT_EQ(splice_now(ring, from.read_end.get(), -1, to.write_end.get(), -1, 100), 3);
         const Fd file = make_file("0123");
         EXPECT_EQ(splice_now(ring, file.get(), 4, to.write_end.get(), -1, 100), 0) << "the end of the file";
       }},
      {suite, "MovesNothingWhenAskedForNothing", splice,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe from = make_pipe();
         const Pipe to = make_pipe();
         EXPECT_EQ(splice_now(ring, from.read_end.get(), -1, to.write_end.get(), -1, 0), 0);
         const Fd file = make_file("0123");
         EXPECT_EQ(splice_now(ring, file.get(), 0, file.get(), 0, 0), 0) << "the files are not even looked at";
       }},
      {suite, "WaitsForAPipeToHaveSomething", splice,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe from = make_pipe();
         const Pipe to = make_pipe();
         io_uring_prep_splice(&next_sqe(ring), from.read_end.get(), -1, to.write_end.get(), -1, 3, 0);
         submit_all(ring);
         prepare_nop(ring, 7);
         EXPECT_EQ(run_one(ring).user_data, 7u);
         write_text(from.write_end.get(), "abc");
         EXPECT_EQ(take(ring).res, 3);
         EXPECT_EQ(read_text(to.read_end.get(), 16), "abc");
       }},
      {suite, "DoesNotWaitWhenToldNotTo", splice,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe from = make_pipe();
         const Pipe to = make_pipe();
         EXPECT_EQ(splice_now(ring, from.read_end.get(), -1, to.write_end.get(), -1, 3, SPLICE_F_NONBLOCK), -EAGAIN);
       }},
      {suite, "SeesThatAPipeHasNoWriterLeft", splice,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         Pipe from = make_pipe();
         const Pipe to = make_pipe();
         from.write_end.reset();
         EXPECT_EQ(splice_now(ring, from.read_end.get(), -1, to.write_end.get(), -1, 3), 0);
       }},
      {suite, "MovesFromASocketIntoAPipe", splice,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         int sockets[2];
         ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
         const Fd near(sockets[0]);
         const Fd far(sockets[1]);
         const Pipe pipe = make_pipe();
         io_uring_prep_splice(&next_sqe(ring), near.get(), -1, pipe.write_end.get(), -1, 3, 0);
         submit_all(ring);
         write_text(far.get(), "abc");
         EXPECT_EQ(take(ring).res, 3);
         EXPECT_EQ(read_text(pipe.read_end.get(), 16), "abc");
       }},
      {suite, "NeedsAPipeOnOneSide", splice,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd from = make_file("0123");
         const Fd to = make_file("....");
         EXPECT_EQ(splice_now(ring, from.get(), 0, to.get(), 0, 4), -EINVAL);
         EXPECT_EQ(file_content(to.get()), "....");
       }},
      {suite, "RefusesAnOffsetIntoAPipe", splice,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("0123");
         const Pipe pipe = make_pipe();
         EXPECT_EQ(splice_now(ring, file.get(), 0, pipe.write_end.get(), 0, 4), -ESPIPE);
         EXPECT_EQ(splice_now(ring, pipe.read_end.get(), 0, file.get(), 0, 4), -ESPIPE);
       }},
      {suite, "RefusesSplicingOnePipeIntoItself", splice,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe pipe = make_pipe();
         write_text(pipe.write_end.get(), "abc");
         EXPECT_EQ(splice_now(ring, pipe.read_end.get(), -1, pipe.write_end.get(), -1, 3), -EINVAL);
       }},
      {suite, "RefusesToReadFromTheWrongEnd", splice,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe pipe = make_pipe();
         const Fd file = make_file("0123");
         EXPECT_EQ(splice_now(ring, pipe.write_end.get(), -1, file.get(), 0, 4), -EBADF);
         EXPECT_EQ(splice_now(ring, -1, -1, pipe.write_end.get(), -1, 4), -EBADF);
         EXPECT_EQ(splice_now(ring, file.get(), 0, -1, -1, 4), -EBADF);
       }},
      {suite, "RefusesUnknownFlags", splice,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("0123");
         const Pipe pipe = make_pipe();
         EXPECT_EQ(splice_now(ring, file.get(), 0, pipe.write_end.get(), -1, 4, 1u << 10), -EINVAL);
         EXPECT_EQ(splice_now(ring, -1, 0, pipe.write_end.get(), -1, 4, 1u << 10), -EINVAL)
             << "before the file is looked up";
       }},
      {suite, "ReadsFromARegisteredFile", splice,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("0123");
         const Pipe pipe = make_pipe();
         const int fds[] = {-1, file.get()};
         ASSERT_EQ(ring.register_files(fds), 0);
         EXPECT_EQ(splice_now(ring, 1, 0, pipe.write_end.get(), -1, 4, kInIsFixed), 4);
         EXPECT_EQ(read_text(pipe.read_end.get(), 16), "0123");
         EXPECT_EQ(splice_now(ring, 0, 0, pipe.write_end.get(), -1, 4, kInIsFixed), -EBADF);
         EXPECT_EQ(splice_now(ring, 2, 0, pipe.write_end.get(), -1, 4, kInIsFixed), -EBADF);
       }},
      {suite, "WritesToARegisteredFile", splice,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("....");
         const Pipe pipe = make_pipe();
         const int fd = file.get();
         ASSERT_EQ(ring.register_files({&fd, 1}), 0);
         write_text(pipe.write_end.get(), "ab");
         io_uring_sqe& sqe = next_sqe(ring);
         io_uring_prep_splice(&sqe, pipe.read_end.get(), -1, 0, 1, 2, 0);
         sqe.flags = IOSQE_FIXED_FILE;
         EXPECT_EQ(run_one(ring).res, 2);
         EXPECT_EQ(file_content(file.get()), ".ab.");
       }},
      {suite, "CutsTheChainWhenItIsShort", splice,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("0123");
         const Pipe pipe = make_pipe();
         io_uring_sqe& sqe = next_sqe(ring);
         io_uring_prep_splice(&sqe, file.get(), 0, pipe.write_end.get(), -1, 100, 0);
         sqe.user_data = 1;
         sqe.flags = IOSQE_IO_LINK;
         prepare_nop(ring, 2);
         submit_all(ring);
         EXPECT_EQ(take(ring), (Completion{1, 4, 0}));
         EXPECT_EQ(take(ring), (Completion{2, -ECANCELED, 0}));
       }},
      {suite, "CopiesFromOnePipeIntoAnother", tee,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe from = make_pipe();
         const Pipe to = make_pipe();
         write_text(from.write_end.get(), "abcdef");
         EXPECT_EQ(tee_now(ring, from.read_end.get(), to.write_end.get(), 4), 4);
         EXPECT_EQ(read_text(to.read_end.get(), 16), "abcd");
         EXPECT_EQ(read_text(from.read_end.get(), 16), "abcdef") << "it is still there";
       }},
      {suite, "CopiesFromARegisteredPipe", tee,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe from = make_pipe();
         const Pipe to = make_pipe();
         const int fd = from.read_end.get();
         ASSERT_EQ(ring.register_files({&fd, 1}), 0);
         write_text(from.write_end.get(), "abc");
         EXPECT_EQ(tee_now(ring, 0, to.write_end.get(), 3, kInIsFixed), 3);
         EXPECT_EQ(read_text(to.read_end.get(), 16), "abc");
       }},
      {suite, "CopiesBetweenPipesOnly", tee,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("0123");
         const Pipe pipe = make_pipe();
         EXPECT_EQ(tee_now(ring, file.get(), pipe.write_end.get(), 4), -EINVAL);
         EXPECT_EQ(tee_now(ring, pipe.read_end.get(), pipe.write_end.get(), 4), -EINVAL);
         EXPECT_EQ(tee_now(ring, -1, pipe.write_end.get(), 4), -EBADF);
       }},
      {suite, "RefusesToCopyFromAnOffset", tee,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe from = make_pipe();
         const Pipe to = make_pipe();
         io_uring_sqe& with_in = next_sqe(ring);
         io_uring_prep_tee(&with_in, from.read_end.get(), to.write_end.get(), 4, 0);
         with_in.splice_off_in = 1;
         EXPECT_EQ(run_one(ring).res, -EINVAL);
         io_uring_sqe& with_out = next_sqe(ring);
         io_uring_prep_tee(&with_out, from.read_end.get(), to.write_end.get(), 4, 0);
         with_out.off = 1;
         EXPECT_EQ(run_one(ring).res, -EINVAL);
       }},
      {suite, "WaitsForRoomInThePipe", tee,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe from = make_pipe();
         const Pipe to = make_pipe(O_NONBLOCK);
         write_text(from.write_end.get(), "abc");
         const std::string page(4096, '.');
         std::size_t filled = 0;
         while (::write(to.write_end.get(), page.data(), page.size()) > 0) filled += page.size();
         ASSERT_EQ(::fcntl(to.write_end.get(), F_SETFL, 0), 0);
         ASSERT_EQ(::fcntl(to.read_end.get(), F_SETFL, 0), 0);
         io_uring_prep_tee(&next_sqe(ring), from.read_end.get(), to.write_end.get(), 3, 0);
         submit_all(ring);
         prepare_nop(ring, 7);
         EXPECT_EQ(run_one(ring).user_data, 7u);
         EXPECT_EQ(read_text(to.read_end.get(), filled).size(), filled);
         EXPECT_EQ(take(ring).res, 3);
         EXPECT_EQ(read_text(to.read_end.get(), 16), "abc");
       }},
  };
}

}  // namespace assay::conformance
