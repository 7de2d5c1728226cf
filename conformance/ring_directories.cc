// RENAMEAT, UNLINKAT, MKDIRAT, SYMLINKAT and LINKAT.

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <string>

#include "assay/conformance/folder.h"
#include "assay/conformance/ring_actions.h"
#include "assay/conformance/ring_suites.h"

namespace assay::conformance {
namespace {

const char* bad_address() { return reinterpret_cast<const char*>(8); }

/// An SQE of `opcode` on names in `folder` that would be fine, but for what `spoil` does to it.
int spoiled(Ring& ring, const Folder& folder, std::uint8_t opcode, void (*spoil)(io_uring_sqe& sqe)) {
  io_uring_sqe& sqe = next_sqe(ring);
  switch (opcode) {
    case IORING_OP_RENAMEAT:
      io_uring_prep_renameat(&sqe, folder.fd(), "old", folder.fd(), "new", 0);
      break;
    case IORING_OP_UNLINKAT:
      io_uring_prep_unlinkat(&sqe, folder.fd(), "old", 0);
      break;
    case IORING_OP_MKDIRAT:
      io_uring_prep_mkdirat(&sqe, folder.fd(), "new", 0700);
      break;
    case IORING_OP_SYMLINKAT:
      io_uring_prep_symlinkat(&sqe, "old", folder.fd(), "new");
      break;
    default:
      io_uring_prep_linkat(&sqe, folder.fd(), "old", folder.fd(), "new", 0);
      break;
  }
  spoil(sqe);
  return result(ring);
}

constexpr std::uint8_t kOpcodes[] = {IORING_OP_RENAMEAT, IORING_OP_UNLINKAT, IORING_OP_MKDIRAT, IORING_OP_SYMLINKAT,
                                     IORING_OP_LINKAT};

/// The body for one way to spoil an SQE, which each of the five opcodes must answer alike: nothing is done.
std::function<void(KernelUnderTest&)> each_refuses(void (*spoil)(io_uring_sqe& sqe), int error) {
  return [spoil, error](KernelUnderTest& kernel) {
    Ring ring = open_ring(kernel);
    const Folder folder{{"old", "kept"}};
    for (const std::uint8_t opcode : kOpcodes) {
      if (!kernel.profile().opcodes[opcode]) continue;
      EXPECT_EQ(spoiled(ring, folder, opcode, spoil), error) << "opcode " << int{opcode};
      EXPECT_EQ(folder.content("old"), "kept") << "opcode " << int{opcode};
      EXPECT_FALSE(folder.has("new")) << "opcode " << int{opcode};
    }
  };
}

}  // namespace

std::vector<Behaviour> ring_directories_behaviours() {
  const std::string suite = "RingDirectories";
  const Needs rename{.opcodes = {IORING_OP_RENAMEAT}};
  const Needs unlink{.opcodes = {IORING_OP_UNLINKAT}};
  const Needs mkdir{.opcodes = {IORING_OP_MKDIRAT}};
  const Needs symlink{.opcodes = {IORING_OP_SYMLINKAT}};
  const Needs link{.opcodes = {IORING_OP_LINKAT}};
  return {
      {suite, "RenamesAFile", rename,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder{{"old", "content"}};
         io_uring_prep_renameat(&next_sqe(ring), folder.fd(), "old", folder.fd(), "new", 0);
         EXPECT_EQ(result(ring), 0);
         EXPECT_FALSE(folder.has("old"));
         EXPECT_EQ(folder.content("new"), "content");
       }},
      {suite, "RenamesFromOneDirectoryToAnother", rename,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder from;
         const Folder to;
         from.make("file", "content");
         io_uring_prep_renameat(&next_sqe(ring), from.fd(), "file", to.fd(), "moved", 0);
         EXPECT_EQ(result(ring), 0);
         EXPECT_EQ(to.content("moved"), "content");
       }},
      {suite, "RenamesByAbsolutePathWhateverTheDirectory", rename,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder{{"old", "content"}};
         const std::string from = folder.path("old");
         const std::string to = folder.path("new");
         io_uring_prep_renameat(&next_sqe(ring), AT_FDCWD, from.c_str(), -1, to.c_str(), 0);
         EXPECT_EQ(result(ring), 0);
         EXPECT_EQ(folder.content("new"), "content");
       }},
      {suite, "RenamesOverAFileUnlessToldNotTo", rename,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder{{"old", "content"}, {"new", "other"}};
         io_uring_prep_renameat(&next_sqe(ring), folder.fd(), "old", folder.fd(), "new", RENAME_NOREPLACE);
         EXPECT_EQ(result(ring), -EEXIST);
         EXPECT_EQ(folder.content("new"), "other");
         io_uring_prep_renameat(&next_sqe(ring), folder.fd(), "old", folder.fd(), "new", 0);
         EXPECT_EQ(result(ring), 0);
         EXPECT_EQ(folder.content("new"), "content");
       }},
      {suite, "ExchangesTwoFiles", rename,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder{{"old", "first"}, {"new", "second"}};
         io_uring_prep_renameat(&next_sqe(ring), folder.fd(), "old", folder.fd(), "new", RENAME_EXCHANGE);
         EXPECT_EQ(result(ring), 0);
         EXPECT_EQ(folder.content("old"), "second");
         EXPECT_EQ(folder.content("new"), "first");
       }},
      {suite, "RefusesToRenameWithUnknownFlags", rename,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder{{"old", "content"}};
         io_uring_prep_renameat(&next_sqe(ring), folder.fd(), "old", folder.fd(), "new", 1u << 20);
         EXPECT_EQ(result(ring), -EINVAL);
         EXPECT_EQ(folder.content("old"), "content");
       }},
      {suite, "TellsWhyAFileCannotBeRenamed", rename,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder{{"old", "content"}};
         io_uring_prep_renameat(&next_sqe(ring), folder.fd(), "missing", folder.fd(), "new", 0);
         EXPECT_EQ(result(ring), -ENOENT);
         io_uring_prep_renameat(&next_sqe(ring), -1, "old", folder.fd(), "new", 0);
         EXPECT_EQ(result(ring), -EBADF);
         io_uring_prep_renameat(&next_sqe(ring), folder.fd(), "old", folder.fd(), bad_address(), 0);
         EXPECT_EQ(result(ring), -EFAULT);
       }},
      {suite, "UnlinksAFile", unlink,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder{{"file"}};
         io_uring_prep_unlinkat(&next_sqe(ring), folder.fd(), "file", 0);
         EXPECT_EQ(result(ring), 0);
         EXPECT_FALSE(folder.has("file"));
         io_uring_prep_unlinkat(&next_sqe(ring), folder.fd(), "file", 0);
         EXPECT_EQ(result(ring), -ENOENT);
       }},
      {suite, "RemovesADirectoryOnlyWhenAskedTo", unlink,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder;
         ASSERT_EQ(::mkdirat(folder.fd(), "inner", 0700), 0);
         io_uring_prep_unlinkat(&next_sqe(ring), folder.fd(), "inner", 0);
         EXPECT_EQ(result(ring), -EISDIR);
         io_uring_prep_unlinkat(&next_sqe(ring), folder.fd(), "inner", AT_REMOVEDIR);
         EXPECT_EQ(result(ring), 0);
         EXPECT_FALSE(folder.has("inner"));
       }},
      {suite, "KeepsADirectoryThatIsNotEmpty", unlink,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder;
         ASSERT_EQ(::mkdirat(folder.fd(), "inner", 0700), 0);
         folder.make("inner/file");
         io_uring_prep_unlinkat(&next_sqe(ring), folder.fd(), "inner", AT_REMOVEDIR);
         EXPECT_EQ(result(ring), -ENOTEMPTY);
         EXPECT_TRUE(folder.has("inner/file"));
       }},
      {suite, "RefusesToUnlinkWithUnknownFlags", unlink,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder{{"file"}};
         io_uring_prep_unlinkat(&next_sqe(ring), folder.fd(), "file", AT_SYMLINK_NOFOLLOW);
         EXPECT_EQ(result(ring), -EINVAL);
         EXPECT_TRUE(folder.has("file"));
       }},
      {suite, "RefusesToUnlinkAtAnOffset", unlink,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder{{"file"}};
         io_uring_sqe& with_offset = next_sqe(ring);
         io_uring_prep_unlinkat(&with_offset, folder.fd(), "file", 0);
         with_offset.off = 1;
         EXPECT_EQ(result(ring), -EINVAL);
         io_uring_sqe& with_length = next_sqe(ring);
         io_uring_prep_unlinkat(&with_length, folder.fd(), "file", 0);
         with_length.len = 1;
         EXPECT_EQ(result(ring), -EINVAL);
         EXPECT_TRUE(folder.has("file"));
       }},
      {suite, "MakesADirectory", mkdir,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder;
         io_uring_prep_mkdirat(&next_sqe(ring), folder.fd(), "inner", 0500);
         EXPECT_EQ(result(ring), 0);
         EXPECT_TRUE(folder.has_directory("inner"));
         struct stat status {};
         ASSERT_EQ(::fstatat(folder.fd(), "inner", &status, 0), 0);
         EXPECT_EQ(status.st_mode & 0777, 0500u);
         io_uring_prep_mkdirat(&next_sqe(ring), folder.fd(), "inner", 0500);
         EXPECT_EQ(result(ring), -EEXIST);
       }},
      {suite, "RefusesToMakeADirectoryWithFlags", mkdir,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder;
         io_uring_sqe& with_flags = next_sqe(ring);
         io_uring_prep_mkdirat(&with_flags, folder.fd(), "inner", 0700);
         with_flags.rw_flags = 1;
         EXPECT_EQ(result(ring), -EINVAL);
         io_uring_sqe& with_offset = next_sqe(ring);
         io_uring_prep_mkdirat(&with_offset, folder.fd(), "inner", 0700);
         with_offset.off = 1;
         EXPECT_EQ(result(ring), -EINVAL);
         EXPECT_FALSE(folder.has("inner"));
       }},
      {suite, "MakesASymbolicLinkToWhateverItIsTold", symlink,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder;
         io_uring_prep_symlinkat(&next_sqe(ring), "nowhere at all", folder.fd(), "link");
         EXPECT_EQ(result(ring), 0);
         EXPECT_EQ(folder.target("link"), "nowhere at all");
         io_uring_prep_symlinkat(&next_sqe(ring), "elsewhere", folder.fd(), "link");
         EXPECT_EQ(result(ring), -EEXIST);
         EXPECT_EQ(folder.target("link"), "nowhere at all");
       }},
      {suite, "RefusesASymbolicLinkWithALengthOrFlags", symlink,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder;
         io_uring_sqe& with_length = next_sqe(ring);
         io_uring_prep_symlinkat(&with_length, "target", folder.fd(), "link");
         with_length.len = 1;
         EXPECT_EQ(result(ring), -EINVAL);
         io_uring_sqe& with_flags = next_sqe(ring);
         io_uring_prep_symlinkat(&with_flags, "target", folder.fd(), "link");
         with_flags.rw_flags = 1;
         EXPECT_EQ(result(ring), -EINVAL);
         EXPECT_FALSE(folder.has("link"));
       }},
      {suite, "GivesAFileASecondName", link,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder{{"old", "content"}};
         io_uring_prep_linkat(&next_sqe(ring), folder.fd(), "old", folder.fd(), "new", 0);
         EXPECT_EQ(result(ring), 0);
         EXPECT_EQ(folder.content("new"), "content");
         EXPECT_TRUE(folder.has("old"));
         struct stat status {};
         ASSERT_EQ(::fstatat(folder.fd(), "new", &status, 0), 0);
         EXPECT_EQ(status.st_nlink, 2u);
       }},
      {suite, "FollowsASymbolicLinkOnlyWhenAskedTo", link,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder{{"file", "content"}};
         ASSERT_EQ(::symlinkat("file", folder.fd(), "link"), 0);
         io_uring_prep_linkat(&next_sqe(ring), folder.fd(), "link", folder.fd(), "followed", AT_SYMLINK_FOLLOW);
         EXPECT_EQ(result(ring), 0);
         EXPECT_EQ(folder.target("followed"), "(none)");
         io_uring_prep_linkat(&next_sqe(ring), folder.fd(), "link", folder.fd(), "itself", 0);
         EXPECT_EQ(result(ring), 0);
         EXPECT_EQ(folder.target("itself"), "file");
       }},
      {suite, "TellsWhyAFileCannotBeLinked", link,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder{{"old", "content"}};
         io_uring_prep_linkat(&next_sqe(ring), folder.fd(), "old", folder.fd(), "old", 0);
         EXPECT_EQ(result(ring), -EEXIST);
         io_uring_prep_linkat(&next_sqe(ring), folder.fd(), "missing", folder.fd(), "new", 0);
         EXPECT_EQ(result(ring), -ENOENT);
         io_uring_prep_linkat(&next_sqe(ring), folder.fd(), "old", folder.fd(), "new", 1 << 20);
         EXPECT_EQ(result(ring), -EINVAL);
         EXPECT_FALSE(folder.has("new"));
       }},
      {suite, "NeedsThePathsDuringSubmissionOnly", rename,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder{{"old", "content"}};
         std::string from = "old";
         std::string to = "new";
         io_uring_prep_renameat(&next_sqe(ring), folder.fd(), from.c_str(), folder.fd(), to.c_str(), 0);
         submit_all(ring);
         from.assign(from.size(), '/');
         to.assign(to.size(), '/');
         EXPECT_EQ(take(ring).res, 0);
         EXPECT_EQ(folder.content("new"), "content");
       }},
      {suite,
       "GoesOnWithTheChainWhenItFailsSinceLinux60",
       {.opcodes = {IORING_OP_UNLINKAT}, .since = {6, 0}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder;
         io_uring_sqe& first = next_sqe(ring, 1);
         io_uring_prep_unlinkat(&first, folder.fd(), "missing", 0);
         first.user_data = 1;
         first.flags = IOSQE_IO_LINK;
         prepare_nop(ring, 2);
         submit_all(ring);
         EXPECT_EQ(take(ring), (Completion{1, -ENOENT, 0}));
         EXPECT_EQ(take(ring), (Completion{2, 0, 0}));
       }},
      {suite,
       "CutsTheChainWhenItFailsBeforeLinux60",
       {.opcodes = {IORING_OP_UNLINKAT}, .until = {6, 0}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder;
         io_uring_sqe& first = next_sqe(ring, 1);
         io_uring_prep_unlinkat(&first, folder.fd(), "missing", 0);
         first.user_data = 1;
         first.flags = IOSQE_IO_LINK;
         prepare_nop(ring, 2);
         submit_all(ring);
         EXPECT_EQ(take(ring), (Completion{1, -ENOENT, 0}));
         EXPECT_EQ(take(ring), (Completion{2, -ECANCELED, 0}));
       }},
      {suite, "RunsInTheOrderOfItsChain", mkdir,
       [](KernelUnderTest& kernel) {
         // Each step of a chain makes the directory that the next one needs.
         Ring ring = open_ring(kernel);
         const Folder folder;
         const char* const names[] = {"a", "a/b", "a/b/c"};
         for (const char* name : names) {
           io_uring_sqe& sqe = next_sqe(ring);
           io_uring_prep_mkdirat(&sqe, folder.fd(), name, 0700);
           sqe.flags = IOSQE_IO_LINK;
         }
         prepare_nop(ring, 4);
         submit_all(ring);
         for (const Completion& completion : take(ring, 4)) EXPECT_EQ(completion.res, 0) << completion.user_data;
         EXPECT_TRUE(folder.has_directory("a/b/c"));
       }},
      {suite, "RefusesARegisteredFileForADirectory", unlink,
       each_refuses([](io_uring_sqe& sqe) { sqe.flags |= IOSQE_FIXED_FILE; }, -EBADF)},
      {suite, "RefusesABufferIndex", unlink, each_refuses([](io_uring_sqe& sqe) { sqe.buf_index = 1; }, -EINVAL)},
      {suite, "RefusesAnIoPriority", unlink, each_refuses([](io_uring_sqe& sqe) { sqe.ioprio = 1; }, -EINVAL)},
      {suite, "RefusesASecondDescriptor", unlink,
       each_refuses([](io_uring_sqe& sqe) { sqe.splice_fd_in = 1; }, -EINVAL)},
      {suite, "LooksAtItsFieldsBeforeThePath", unlink,
       each_refuses(
           [](io_uring_sqe& sqe) {
             sqe.addr = 8;
             sqe.buf_index = 1;
             sqe.flags |= IOSQE_FIXED_FILE;
           },
           -EINVAL)},
      {suite, "RefusesAnAddressThatIsNoPath", unlink, each_refuses([](io_uring_sqe& sqe) { sqe.addr = 8; }, -EFAULT)},
      {suite, "RefusesAnEmptyPath", unlink,
       each_refuses([](io_uring_sqe& sqe) { sqe.addr = reinterpret_cast<std::uint64_t>(""); }, -ENOENT)},
      {suite, "RefusesAPathThatIsTooLong", unlink,
       each_refuses(
           [](io_uring_sqe& sqe) {
             static const std::string path(PATH_MAX, 'x');
             sqe.addr = reinterpret_cast<std::uint64_t>(path.c_str());
           },
           -ENAMETOOLONG)},
  };
}

}  // namespace assay::conformance
