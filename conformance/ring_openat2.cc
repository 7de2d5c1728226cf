// OPENAT2.

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "assay/conformance/folder.h"
#include "assay/conformance/ring_actions.h"
#include "assay/conformance/ring_suites.h"

namespace assay::conformance {
namespace {

constexpr std::uint64_t kCached = 0x20;  // RESOLVE_CACHED, which is newer than some headers

/// What an ordinary system call says of the same: 0 or -errno.
int plain(long value) { return value < 0 ? -errno : static_cast<int>(value); }

/// OPENAT2 of that name in the folder.
int open_in(Ring& ring, const Folder& folder, const char* name, open_how& how) {
  io_uring_prep_openat2(&next_sqe(ring), folder.fd(), name, &how);
  return result(ring);
}

void add_openat2_behaviours(std::vector<Behaviour>& behaviours) {
  const std::string suite = "RingOpenat2";
  const Needs openat2{.opcodes = {IORING_OP_OPENAT2}};
  const std::vector<Behaviour> added = {
      {suite, "OpensAFile", openat2,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder;
         open_how how{};
         how.flags = O_RDWR | O_CREAT | O_CLOEXEC;
         how.mode = 0640;
         const Fd file(open_in(ring, folder, "file", how));
         ASSERT_GE(file.get(), 0);
         EXPECT_EQ(::fcntl(file.get(), F_GETFD), FD_CLOEXEC);
         write_text(file.get(), "text");
         EXPECT_EQ(folder.content("file"), "text");
       }},
      {suite, "KeepsToTheRulesOfResolution", openat2,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder{{"file", "text"}};
         ASSERT_EQ(::symlinkat("file", folder.fd(), "link"), 0);
         open_how how{};
         how.flags = O_RDONLY;
         how.resolve = RESOLVE_NO_SYMLINKS;
         EXPECT_EQ(open_in(ring, folder, "link", how), -ELOOP);
         how.resolve = RESOLVE_BENEATH;
         EXPECT_EQ(open_in(ring, folder, "../file", how), -EXDEV);
       }},
      {suite, "RefusesWhatOpenat2Refuses", openat2,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder{{"file", "text"}};
         open_how how{};
         how.flags = O_RDONLY;
         how.mode = 0640;
         EXPECT_EQ(open_in(ring, folder, "file", how), -EINVAL) << "a mode, and nothing is made";
         how.mode = 0;
         how.flags = std::uint64_t{1} << 40;
         EXPECT_EQ(open_in(ring, folder, "file", how), -EINVAL);
         how.flags = O_RDONLY;
         how.resolve = 1 << 30;
         EXPECT_EQ(open_in(ring, folder, "file", how), -EINVAL);
       }},
      {suite, "ChecksTheSizeOfItsArgument", openat2,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder{{"file", "text"}};
         struct {
           open_how how;
           std::uint64_t more;
         } argument{};
         argument.how.flags = O_RDONLY | O_CLOEXEC;
         const auto with_bytes = [&](std::uint32_t bytes) {
           io_uring_sqe& sqe = next_sqe(ring);
           io_uring_prep_openat2(&sqe, folder.fd(), "file", &argument.how);
           sqe.len = bytes;
           return result(ring);
         };
         EXPECT_EQ(with_bytes(sizeof(open_how) - 1), -EINVAL);
         const Fd longer(with_bytes(sizeof argument));
         EXPECT_GE(longer.get(), 0) << "a longer one, with nothing in what is new";
         argument.more = 1;
         EXPECT_EQ(with_bytes(sizeof argument), -E2BIG);
         EXPECT_EQ(with_bytes(1 << 20), -E2BIG);
         io_uring_sqe& sqe = next_sqe(ring);
         io_uring_prep_openat2(&sqe, folder.fd(), "file", &argument.how);
         sqe.addr2 = 8;
         EXPECT_EQ(result(ring), -EFAULT);
       }},
      {suite, "LooksAtItsArgumentBeforeItsFields", openat2,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder;
         open_how how{};
         io_uring_sqe& sqe = next_sqe(ring);
         io_uring_prep_openat2(&sqe, folder.fd(), "file", &how);
         sqe.addr2 = 8;
         sqe.buf_index = 1;
         EXPECT_EQ(result(ring), -EFAULT);
         io_uring_sqe& fixed = next_sqe(ring);
         io_uring_prep_openat2(&fixed, folder.fd(), "file", &how);
         fixed.flags = IOSQE_FIXED_FILE;
         EXPECT_EQ(result(ring), -EBADF);
       }},
      {suite, "OpensFromTheCacheOnlyWhenAskedTo", openat2,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder{{"file", "text"}};
         open_how how{};
         how.flags = O_RDONLY | O_CLOEXEC;
         how.resolve = kCached;
         const int by_call =
             plain(::syscall(SYS_openat2, folder.fd(), "file", &how, sizeof how));  // -EINVAL before 5.12
         const Fd called(by_call);
         const int by_ring = open_in(ring, folder, "file", how);
         const Fd opened(by_ring);
         EXPECT_EQ(by_ring < 0 ? by_ring : 0, by_call < 0 ? by_call : 0);
         how.flags = O_RDWR | O_CREAT | O_CLOEXEC;
         how.mode = 0640;
         EXPECT_EQ(open_in(ring, folder, "new", how), by_call == -EINVAL ? -EINVAL : -EAGAIN)
             << "what is not there is in no cache";
         EXPECT_FALSE(folder.has("new"));
       }},
  };
  behaviours.insert(behaviours.end(), added.begin(), added.end());
}

}  // namespace

std::vector<Behaviour> ring_openat2_behaviours() {
  std::vector<Behaviour> behaviours;
  add_openat2_behaviours(behaviours);
  return behaviours;
}

}  // namespace assay::conformance
