// FSETXATTR, SETXATTR, FGETXATTR and GETXATTR.
//
// Not every file system has attributes that users may set, so each behaviour is held to what the ordinary system call
// says on the same file.

#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "assay/conformance/folder.h"
#include "assay/conformance/ring_actions.h"
#include "assay/conformance/ring_suites.h"

namespace assay::conformance {
namespace {

constexpr char kName[] = "user.assay";

/// What an ordinary system call says: its value, or -errno.
int plain(long value) { return value < 0 ? -errno : static_cast<int>(value); }

/// A file of a folder of its own, and whether it takes attributes: 0, or the errno that says that it does not.
struct Subject {
  Subject() : file(folder.make("file", "text")), path(folder.path("file")) {
    support = plain(::fsetxattr(file.get(), "user.assay.support", "x", 1, 0));
  }

  Folder folder;
  Fd file;
  std::string path;
  int support;
};

std::string attribute(const Subject& subject, const char* name = kName) {
  char value[64];
  const ssize_t bytes = ::fgetxattr(subject.file.get(), name, value, sizeof value);
  return bytes < 0 ? "(none)" : std::string(value, static_cast<std::size_t>(bytes));
}

}  // namespace

std::vector<Behaviour> ring_xattr_behaviours() {
  const std::string suite = "RingXattr";
  const Needs xattr{.opcodes = {IORING_OP_FSETXATTR, IORING_OP_SETXATTR, IORING_OP_FGETXATTR, IORING_OP_GETXATTR}};
  return {
      {suite, "SetsAnAttributeOfAnOpenFile", xattr,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Subject subject;
         io_uring_prep_fsetxattr(&next_sqe(ring), subject.file.get(), kName, "value", 0, 5);
         EXPECT_EQ(result(ring), subject.support);
         EXPECT_EQ(attribute(subject), subject.support == 0 ? "value" : "(none)");
       }},
      {suite, "SetsAnAttributeByPath", xattr,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Subject subject;
         io_uring_prep_setxattr(&next_sqe(ring), kName, "value", subject.path.c_str(), 0, 5);
         EXPECT_EQ(result(ring), subject.support);
         EXPECT_EQ(attribute(subject), subject.support == 0 ? "value" : "(none)");
       }},
      {suite, "GetsAnAttributeOfAnOpenFile", xattr,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Subject subject;
         ::fsetxattr(subject.file.get(), kName, "value", 5, 0);
         char by_call[16] = {};
         const int called = plain(::fgetxattr(subject.file.get(), kName, by_call, sizeof by_call));
         char by_ring[16] = {};
         io_uring_prep_fgetxattr(&next_sqe(ring), subject.file.get(), kName, by_ring, sizeof by_ring);
         EXPECT_EQ(result(ring), called);
         EXPECT_EQ(std::string(by_ring), by_call);
       }},
      {suite, "GetsAnAttributeByPath", xattr,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Subject subject;
         ::fsetxattr(subject.file.get(), kName, "value", 5, 0);
         char by_call[16] = {};
         const int called = plain(::fgetxattr(subject.file.get(), kName, by_call, sizeof by_call));
         char by_ring[16] = {};
         io_uring_prep_getxattr(&next_sqe(ring), kName, by_ring, subject.path.c_str(), sizeof by_ring);
         EXPECT_EQ(result(ring), called);
         EXPECT_EQ(std::string(by_ring), by_call);
       }},
      {suite, "TellsHowLongAnAttributeIs", xattr,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Subject subject;
         ::fsetxattr(subject.file.get(), kName, "value", 5, 0);
         char small[2];
         const int length = plain(::fgetxattr(subject.file.get(), kName, nullptr, 0));
         io_uring_prep_fgetxattr(&next_sqe(ring), subject.file.get(), kName, nullptr, 0);
         EXPECT_EQ(result(ring), length);
         const int too_small = plain(::fgetxattr(subject.file.get(), kName, small, sizeof small));
         io_uring_prep_fgetxattr(&next_sqe(ring), subject.file.get(), kName, small, sizeof small);
         EXPECT_EQ(result(ring), too_small);
       }},
      {suite, "TellsThatAnAttributeIsNotThere", xattr,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Subject subject;
         char value[16];
         const int called = plain(::fgetxattr(subject.file.get(), kName, value, sizeof value));
         io_uring_prep_fgetxattr(&next_sqe(ring), subject.file.get(), kName, value, sizeof value);
         EXPECT_EQ(result(ring), called);
       }},
      {suite, "MakesOrReplacesAnAttributeOnlyAsToldTo", xattr,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Subject subject;
         const bool supported = subject.support == 0;
         io_uring_prep_fsetxattr(&next_sqe(ring), subject.file.get(), kName, "value", XATTR_REPLACE, 5);
         EXPECT_EQ(result(ring), supported ? -ENODATA : subject.support);
         io_uring_prep_fsetxattr(&next_sqe(ring), subject.file.get(), kName, "value", XATTR_CREATE, 5);
         EXPECT_EQ(result(ring), subject.support);
         io_uring_prep_fsetxattr(&next_sqe(ring), subject.file.get(), kName, "other", XATTR_CREATE, 5);
         EXPECT_EQ(result(ring), supported ? -EEXIST : subject.support);
         EXPECT_EQ(attribute(subject), supported ? "value" : "(none)");
       }},
      {suite, "FollowsALinkByItsPath", xattr,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Subject subject;
         ASSERT_EQ(::symlinkat("file", subject.folder.fd(), "link"), 0);
         const std::string link = subject.folder.path("link");
         io_uring_prep_setxattr(&next_sqe(ring), kName, "value", link.c_str(), 0, 5);
         EXPECT_EQ(result(ring), subject.support);
         EXPECT_EQ(attribute(subject), subject.support == 0 ? "value" : "(none)");
       }},
      {suite, "TellsThatThereIsNoSuchFile", xattr,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Subject subject;
         const std::string missing = subject.folder.path("missing");
         char value[16];
         io_uring_prep_setxattr(&next_sqe(ring), kName, "value", missing.c_str(), 0, 5);
         EXPECT_EQ(result(ring), -ENOENT);
         io_uring_prep_getxattr(&next_sqe(ring), kName, value, missing.c_str(), sizeof value);
         EXPECT_EQ(result(ring), -ENOENT);
         io_uring_prep_fsetxattr(&next_sqe(ring), -1, kName, "value", 0, 5);
         EXPECT_EQ(result(ring), -EBADF);
         io_uring_prep_fgetxattr(&next_sqe(ring), -1, kName, value, sizeof value);
         EXPECT_EQ(result(ring), -EBADF);
       }},
      {suite, "RefusesNamesThatAreNone", xattr,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Subject subject;
         const std::string longest = "user." + std::string(250, 'x');
         const std::string too_long = longest + "x";
         char value[16];
         io_uring_prep_fsetxattr(&next_sqe(ring), subject.file.get(), "", "value", 0, 5);
         EXPECT_EQ(result(ring), -ERANGE);
         io_uring_prep_fsetxattr(&next_sqe(ring), subject.file.get(), too_long.c_str(), "value", 0, 5);
         EXPECT_EQ(result(ring), -ERANGE);
         io_uring_prep_fgetxattr(&next_sqe(ring), subject.file.get(), too_long.c_str(), value, sizeof value);
         EXPECT_EQ(result(ring), -ERANGE);
         io_uring_prep_fgetxattr(&next_sqe(ring), subject.file.get(), longest.c_str(), value, sizeof value);
         EXPECT_EQ(result(ring), plain(::fgetxattr(subject.file.get(), longest.c_str(), value, sizeof value)));
         io_uring_prep_fsetxattr(&next_sqe(ring), subject.file.get(), reinterpret_cast<const char*>(8), "value", 0, 5);
         EXPECT_EQ(result(ring), -EFAULT);
       }},
      {suite, "RefusesValuesThatAreTooLongOrNotThere", xattr,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Subject subject;
         io_uring_prep_fsetxattr(&next_sqe(ring), subject.file.get(), kName, "value", 0, 65537);
         EXPECT_EQ(result(ring), -E2BIG);
         io_uring_prep_fsetxattr(&next_sqe(ring), subject.file.get(), kName, reinterpret_cast<const char*>(8), 0, 5);
         EXPECT_EQ(result(ring), -EFAULT);
         EXPECT_EQ(attribute(subject), "(none)");
       }},
      {suite, "RefusesFlagsThatMeanNothing", xattr,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Subject subject;
         char value[16];
         io_uring_prep_fsetxattr(&next_sqe(ring), subject.file.get(), kName, "value", 1 << 10, 5);
         EXPECT_EQ(result(ring), -EINVAL);
         io_uring_sqe& get = next_sqe(ring);
         io_uring_prep_fgetxattr(&get, subject.file.get(), kName, value, sizeof value);
         get.xattr_flags = XATTR_CREATE;
         EXPECT_EQ(result(ring), -EINVAL);
       }},
      {suite, "RefusesARegisteredFileForAPath", xattr,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Subject subject;
         char value[16];
         io_uring_sqe& set = next_sqe(ring);
         io_uring_prep_setxattr(&set, kName, "value", subject.path.c_str(), 0, 5);
         set.flags = IOSQE_FIXED_FILE;
         EXPECT_EQ(result(ring), -EBADF);
         io_uring_sqe& get = next_sqe(ring);
         io_uring_prep_getxattr(&get, kName, value, subject.path.c_str(), sizeof value);
         get.flags = IOSQE_FIXED_FILE;
         EXPECT_EQ(result(ring), -EBADF);
       }},
      {suite,
       "TakesARegisteredFileSinceLinux613",
       {.opcodes = {IORING_OP_FSETXATTR, IORING_OP_FGETXATTR}, .since = {6, 13}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Subject subject;
         const int fd = subject.file.get();
         ASSERT_EQ(ring.register_files({&fd, 1}), 0);
         io_uring_sqe& set = next_sqe(ring);
         io_uring_prep_fsetxattr(&set, 0, kName, "value", 0, 5);
         set.flags = IOSQE_FIXED_FILE;
         EXPECT_EQ(result(ring), subject.support);
         EXPECT_EQ(attribute(subject), subject.support == 0 ? "value" : "(none)");
       }},
      {suite,
       "RefusesARegisteredFileBeforeLinux613",
       {.opcodes = {IORING_OP_FSETXATTR, IORING_OP_FGETXATTR}, .until = {6, 13}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Subject subject;
         const int fd = subject.file.get();
         ASSERT_EQ(ring.register_files({&fd, 1}), 0);
         io_uring_sqe& set = next_sqe(ring);
         io_uring_prep_fsetxattr(&set, 0, kName, "value", 0, 5);
         set.flags = IOSQE_FIXED_FILE;
         EXPECT_EQ(result(ring), -EBADF);
         EXPECT_EQ(attribute(subject), "(none)");
       }},
      {suite, "NeedsNameAndValueDuringSubmissionOnly", xattr,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Subject subject;
         std::string name = kName;
         std::string value = "value";
         io_uring_prep_fsetxattr(&next_sqe(ring), subject.file.get(), name.c_str(), value.c_str(), 0, 5);
         submit_all(ring);
         name.assign(name.size(), '/');
         value.assign(value.size(), '/');
         EXPECT_EQ(take(ring).res, subject.support);
         EXPECT_EQ(attribute(subject), subject.support == 0 ? "value" : "(none)");
       }},
  };
}

}  // namespace assay::conformance
