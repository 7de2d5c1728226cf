// STATX.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "assay/conformance/folder.h"
#include "assay/conformance/ring_actions.h"
#include "assay/conformance/ring_suites.h"

namespace assay::conformance {
namespace {

/// STATX with these arguments.
int tell(Ring& ring, int folder, const char* path, int flags, unsigned mask, struct statx* status) {
  io_uring_prep_statx(&next_sqe(ring), folder, path, flags, mask, status);
  return result(ring);
}

void add_statx_behaviours(std::vector<Behaviour>& behaviours) {
  const std::string suite = "RingStatx";
  const Needs statx{.opcodes = {IORING_OP_STATX}};
  const std::vector<Behaviour> added = {
      {suite, "TellsOfAFile", statx,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder{{"file", "text"}};
         struct statx status {};
         EXPECT_EQ(tell(ring, folder.fd(), "file", 0, STATX_BASIC_STATS, &status), 0);
         EXPECT_EQ(status.stx_size, 4u);
         EXPECT_TRUE(S_ISREG(status.stx_mode));
       }},
      {suite, "TellsOfALinkOrOfWhatItPointsTo", statx,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder{{"file", "text"}};
         ASSERT_EQ(::symlinkat("file", folder.fd(), "link"), 0);
         struct statx status {};
         EXPECT_EQ(tell(ring, folder.fd(), "link", 0, STATX_TYPE, &status), 0);
         EXPECT_TRUE(S_ISREG(status.stx_mode));
         EXPECT_EQ(tell(ring, folder.fd(), "link", AT_SYMLINK_NOFOLLOW, STATX_TYPE, &status), 0);
         EXPECT_TRUE(S_ISLNK(status.stx_mode));
       }},
      {suite, "TellsOfAnOpenFileByAnEmptyPath", statx,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("text");
         struct statx status {};
         EXPECT_EQ(tell(ring, file.get(), "", AT_EMPTY_PATH, STATX_SIZE, &status), 0);
         EXPECT_EQ(status.stx_size, 4u);
         EXPECT_EQ(tell(ring, file.get(), "", 0, STATX_SIZE, &status), -ENOENT);
       }},
      {suite, "TellsWhyItCannotTell", statx,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder{{"file", "text"}};
         struct statx status {};
         auto* const nowhere = reinterpret_cast<struct statx*>(8);
         const auto* const no_path = reinterpret_cast<const char*>(8);
         EXPECT_EQ(tell(ring, folder.fd(), "missing", 0, STATX_SIZE, &status), -ENOENT);
         EXPECT_EQ(tell(ring, -1, "file", 0, STATX_SIZE, &status), -EBADF);
         EXPECT_EQ(tell(ring, folder.fd(), "file", 0, STATX_SIZE, nowhere), -EFAULT);
         EXPECT_EQ(tell(ring, folder.fd(), no_path, 0, STATX_SIZE, &status), -EFAULT);
       }},
      {suite, "RefusesUnknownFlagsAndMasks", statx,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder{{"file", "text"}};
         struct statx status {};
         EXPECT_EQ(tell(ring, folder.fd(), "file", 1 << 30, STATX_SIZE, &status), -EINVAL);
         EXPECT_EQ(tell(ring, folder.fd(), "file", 0, 1u << 31, &status), -EINVAL);
         EXPECT_EQ(tell(ring, folder.fd(), "file", AT_STATX_FORCE_SYNC | AT_STATX_DONT_SYNC, STATX_SIZE, &status),
                   -EINVAL);
       }},
      {suite, "RefusesARegisteredFileForADirectory", statx,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder;
         struct statx status {};
         io_uring_sqe& fixed = next_sqe(ring);
         io_uring_prep_statx(&fixed, folder.fd(), "file", 0, STATX_SIZE, &status);
         fixed.flags = IOSQE_FIXED_FILE;
         EXPECT_EQ(result(ring), -EBADF);
         io_uring_sqe& both = next_sqe(ring);
         io_uring_prep_statx(&both, folder.fd(), "file", 0, STATX_SIZE, &status);
         both.flags = IOSQE_FIXED_FILE;
         both.buf_index = 1;
         EXPECT_EQ(result(ring), -EINVAL) << "fields are looked at before the flag is";
       }},
  };
  behaviours.insert(behaviours.end(), added.begin(), added.end());
}

}  // namespace

std::vector<Behaviour> ring_statx_behaviours() {
  std::vector<Behaviour> behaviours;
  add_statx_behaviours(behaviours);
  return behaviours;
}

}  // namespace assay::conformance
