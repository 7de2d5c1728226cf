// FIXED_FD_INSTALL.

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "assay/conformance/file_table_actions.h"
#include "assay/conformance/folder.h"
#include "assay/conformance/ring_actions.h"
#include "assay/conformance/ring_suites.h"

namespace assay::conformance {
namespace {

io_uring_sqe& prepare_install(Ring& ring, int slot, std::uint32_t flags = 0) {
  io_uring_sqe& sqe = next_sqe(ring);
  sqe.opcode = uapi::kOpFixedFdInstall;
  sqe.fd = slot;
  sqe.flags = IOSQE_FIXED_FILE;
  sqe.rw_flags = static_cast<int>(flags);
  return sqe;
}

void add_install_behaviours(std::vector<Behaviour>& behaviours) {
  const std::string suite = "RingDirectDescriptors";
  const Needs install{.opcodes = {uapi::kOpFixedFdInstall}};
  const std::vector<Behaviour> added = {
      {suite, "GivesASlotADescriptor", install,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("text");
         const int fd = file.get();
         ASSERT_EQ(ring.register_files({&fd, 1}), 0);
         prepare_install(ring, 0);
         const Fd installed(run_one(ring).res);
         ASSERT_GE(installed.get(), 0);
         EXPECT_NE(installed.get(), fd);
         EXPECT_EQ(file_content(installed.get()), "text");
         EXPECT_EQ(::fcntl(installed.get(), F_GETFD), FD_CLOEXEC);
         EXPECT_EQ(slot_content(ring, 0), "text") << "the slot keeps it, too";
       }},
      {suite, "GivesADescriptorThatSurvivesExecWhenAskedTo", install,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("text");
         const int fd = file.get();
         ASSERT_EQ(ring.register_files({&fd, 1}), 0);
         prepare_install(ring, 0, uapi::kFixedFdNoCloexec);
         const Fd installed(run_one(ring).res);
         EXPECT_EQ(::fcntl(installed.get(), F_GETFD), 0);
       }},
      {suite, "GivesDescriptorsToSlotsOnly", install,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("text");
         prepare_install(ring, file.get()).flags = 0;
         EXPECT_EQ(run_one(ring).res, -EBADF);
         prepare_install(ring, 0);
         EXPECT_EQ(run_one(ring).res, -EBADF) << "there is no table";
       }},
      {suite, "RefusesToInstallWithWhatItDoesNotKnow", install,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("text");
         const int fd = file.get();
         ASSERT_EQ(ring.register_files({&fd, 1}), 0);
         prepare_install(ring, 0, 2);
         EXPECT_EQ(run_one(ring).res, -EINVAL);
         prepare_install(ring, 0).off = 1;
         EXPECT_EQ(run_one(ring).res, -EINVAL);
         prepare_install(ring, 0).addr = 1;
         EXPECT_EQ(run_one(ring).res, -EINVAL);
         prepare_install(ring, 0).len = 1;
         EXPECT_EQ(run_one(ring).res, -EINVAL);
         prepare_install(ring, 0).addr3 = 1;
         EXPECT_EQ(run_one(ring).res, -EINVAL);
         io_uring_sqe& both = prepare_install(ring, 0);
         both.flags = 0;
         both.len = 1;
         EXPECT_EQ(run_one(ring).res, -EINVAL) << "fields are looked at before the flag is";
       }},
  };
  behaviours.insert(behaviours.end(), added.begin(), added.end());
}

}  // namespace

std::vector<Behaviour> ring_fixed_fd_install_behaviours() {
  std::vector<Behaviour> behaviours;
  add_install_behaviours(behaviours);
  return behaviours;
}

}  // namespace assay::conformance
