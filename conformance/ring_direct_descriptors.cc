// Direct descriptors: OPENAT, OPENAT2 and CLOSE on slots of the file table.

#include <fcntl.h>
#include <linux/openat2.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "assay/conformance/file_table_actions.h"
#include "assay/conformance/folder.h"
#include "assay/conformance/ring_actions.h"
#include "assay/conformance/ring_suites.h"

namespace assay::conformance {
namespace {

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

int close_direct(Ring& ring, unsigned slot) {
  io_uring_prep_close_direct(&next_sqe(ring), slot);
  return run_one(ring).res;
}

void add_open_behaviours(std::vector<Behaviour>& behaviours) {
  const std::string suite = "RingDirectDescriptors";
  const Needs direct{.opcodes = {IORING_OP_OPENAT, IORING_OP_CLOSE}, .switches_on = {&Semantics::direct_descriptors}};
  const Needs chosen{.opcodes = {IORING_OP_OPENAT, IORING_OP_CLOSE}, .switches_on = {&Semantics::direct_allocation}};
  const std::vector<Behaviour> added = {
      {suite, "OpensAFileIntoASlot", direct,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder{{"file", "text"}};
         register_empty_table(ring, 2);
         EXPECT_EQ(open_direct(ring, folder, "file", 1), 0) << "a slot was asked for, so there is no number to tell";
         EXPECT_EQ(slot_content(ring, 1), "text");
         EXPECT_EQ(slot_content(ring, 0), std::to_string(-EBADF));
       }},
      {suite, "TakesNoDescriptorNumber", direct,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder{{"file", "text"}};
         register_empty_table(ring, 2);
         const int next = ::dup(folder.fd());
         ::close(next);
         EXPECT_EQ(open_direct(ring, folder, "file", 0), 0);
         EXPECT_FALSE(is_open(next)) << "the number that open(2) would have given";
       }},
      {suite, "PutsAFileInThePlaceOfAnother", direct,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder{{"old", "old."}, {"new", "new."}};
         register_empty_table(ring, 1);
         EXPECT_EQ(open_direct(ring, folder, "old", 0), 0);
         EXPECT_EQ(open_direct(ring, folder, "new", 0), 0);
         EXPECT_EQ(slot_content(ring, 0), "new.");
       }},
      {suite, "LeavesTheSlotAloneWhenTheFileCannotBeOpened", direct,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder{{"file", "text"}};
         register_empty_table(ring, 1);
         EXPECT_EQ(open_direct(ring, folder, "file", 0), 0);
         EXPECT_EQ(open_direct(ring, folder, "missing", 0), -ENOENT);
         EXPECT_EQ(slot_content(ring, 0), "text");
       }},
      {suite, "RefusesASlotOutOfRange", direct,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder{{"file", "text"}};
         register_empty_table(ring, 2);
         EXPECT_EQ(open_direct(ring, folder, "file", 2), -EINVAL);
         EXPECT_EQ(close_direct(ring, 2), -EINVAL);
       }},
      {suite, "RefusesASlotWhereThereIsNoTable", direct,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder{{"file", "text"}};
         EXPECT_EQ(open_direct(ring, folder, "file", 0), -ENXIO);
         EXPECT_EQ(close_direct(ring, 0), -ENXIO);
       }},
      {suite, "RefusesCloseOnExecForASlot", direct,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder{{"file", "text"}};
         register_empty_table(ring, 1);
         EXPECT_EQ(open_direct(ring, folder, "file", 0, O_RDONLY | O_CLOEXEC), -EINVAL);
         EXPECT_EQ(slot_content(ring, 0), std::to_string(-EBADF));
       }},
      {suite, "ClosesASlotOnce", direct,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder{{"file", "text"}};
         register_empty_table(ring, 1);
         EXPECT_EQ(open_direct(ring, folder, "file", 0), 0);
         EXPECT_EQ(close_direct(ring, 0), 0);
         EXPECT_EQ(slot_content(ring, 0), std::to_string(-EBADF));
         EXPECT_EQ(close_direct(ring, 0), -EBADF);
       }},
      {suite, "ClosesOnlyTheSlotAndNotTheDescriptor", direct,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("kept");
         const int fd = file.get();
         ASSERT_EQ(ring.register_files({&fd, 1}), 0);
         EXPECT_EQ(close_direct(ring, 0), 0);
         EXPECT_TRUE(is_open(fd));
       }},
      {suite, "RefusesToCloseASlotAndADescriptorAtOnce", direct,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("kept");
         const int fd = file.get();
         ASSERT_EQ(ring.register_files({&fd, 1}), 0);
         io_uring_sqe& sqe = next_sqe(ring);
         io_uring_prep_close_direct(&sqe, 0);
         sqe.fd = fd;
         EXPECT_EQ(run_one(ring).res, -EINVAL);
         EXPECT_TRUE(is_open(fd));
         EXPECT_EQ(slot_content(ring, 0), "kept");
       }},
      {suite, "KeepsAFileForARequestThatUsesIt", direct,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe pipe = make_pipe();
         const int fd = pipe.read_end.get();
         ASSERT_EQ(ring.register_files({&fd, 1}), 0);
         char byte = 0;
         iovec buffer{.iov_base = &byte, .iov_len = 1};
         io_uring_sqe& read = next_sqe(ring);
         io_uring_prep_readv(&read, 0, &buffer, 1, 0);
         read.user_data = 1;
         read.flags = IOSQE_FIXED_FILE;
         submit_all(ring);
         io_uring_sqe& close = next_sqe(ring);
         io_uring_prep_close_direct(&close, 0);
         close.user_data = 2;
         submit_all(ring);
         EXPECT_EQ(take(ring), (Completion{2, 0, 0}));
         write_text(pipe.write_end.get(), "x");
         EXPECT_EQ(take(ring), (Completion{1, 1, 0}));
         EXPECT_EQ(byte, 'x');
       }},
      {suite,
       "OpensReadsAndClosesASlotInOneChain",
       {.opcodes = {IORING_OP_OPENAT, IORING_OP_CLOSE},
        .switches_on = {&Semantics::direct_descriptors, &Semantics::linked_file_at_execution}},
       [](KernelUnderTest& kernel) {
         // Since 5.18 a linked request looks its file up when it runs, so that it finds what the one before it opened.
         Ring ring = open_ring(kernel);
         const Folder folder{{"file", "text"}};
         register_empty_table(ring, 1);
         char bytes[4] = {};
         io_uring_sqe& open = next_sqe(ring);
         io_uring_prep_openat_direct(&open, folder.fd(), "file", O_RDONLY, 0, 0);
         open.user_data = 1;
         open.flags = IOSQE_IO_LINK;
         io_uring_sqe& read = next_sqe(ring);
         io_uring_prep_read(&read, 0, bytes, sizeof bytes, 0);
         read.user_data = 2;
         read.flags = IOSQE_FIXED_FILE | IOSQE_IO_LINK;
         io_uring_sqe& close = next_sqe(ring);
         io_uring_prep_close_direct(&close, 0);
         close.user_data = 3;
         submit_all(ring);
         EXPECT_EQ(take(ring), (Completion{1, 0, 0}));
         EXPECT_EQ(take(ring), (Completion{2, 4, 0}));
         EXPECT_EQ(take(ring), (Completion{3, 0, 0}));
         EXPECT_EQ(std::string(bytes, 4), "text");
       }},
      {suite, "ChoosesAFreeSlotWhenAskedTo", chosen,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder{{"file", "text"}};
         register_empty_table(ring, 3);
         EXPECT_EQ(open_direct(ring, folder, "file", 0), 0);
         EXPECT_EQ(open_anywhere(ring, folder, "file"), 1);
         EXPECT_EQ(open_anywhere(ring, folder, "file"), 2);
         EXPECT_EQ(slot_content(ring, 2), "text");
       }},
      {suite, "TellsThatNoSlotIsFree", chosen,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder{{"file", "text"}};
         EXPECT_EQ(open_anywhere(ring, folder, "file"), -ENFILE) << "there is no table";
         register_empty_table(ring, 1);
         EXPECT_EQ(open_anywhere(ring, folder, "file"), 0);
         EXPECT_EQ(open_anywhere(ring, folder, "file"), -ENFILE);
       }},
      {suite, "ChoosesTheSlotThatWasJustEmptied", chosen,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder{{"file", "text"}};
         register_empty_table(ring, 8);
         for (int slot = 0; slot < 4; ++slot) EXPECT_EQ(open_anywhere(ring, folder, "file"), slot);
         EXPECT_EQ(close_direct(ring, 1), 0);
         EXPECT_EQ(open_anywhere(ring, folder, "file"), 1);
         EXPECT_EQ(open_anywhere(ring, folder, "file"), 4);
       }},
      {suite,
       "TakesAnyFreeSlotForOneOutOfRangeWhereItCannotChoose",
       {.opcodes = {IORING_OP_OPENAT},
        .switches_on = {&Semantics::direct_descriptors},
        .switches_off = {&Semantics::direct_allocation}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder{{"file", "text"}};
         register_empty_table(ring, 3);
         EXPECT_EQ(open_anywhere(ring, folder, "file"), -EINVAL);
       }},
      {suite,
       "OpensIntoASlotWithOpenat2",
       {.opcodes = {IORING_OP_OPENAT2}, .switches_on = {&Semantics::direct_descriptors}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder{{"file", "text"}};
         register_empty_table(ring, 2);
         open_how how{};
         how.flags = O_RDONLY;
         io_uring_prep_openat2_direct(&next_sqe(ring), folder.fd(), "file", &how, 1);
         EXPECT_EQ(run_one(ring).res, 0);
         EXPECT_EQ(slot_content(ring, 1), "text");
         how.flags = O_RDONLY | O_CLOEXEC;
         io_uring_prep_openat2_direct(&next_sqe(ring), folder.fd(), "file", &how, 0);
         EXPECT_EQ(run_one(ring).res, -EINVAL);
       }},
  };
  behaviours.insert(behaviours.end(), added.begin(), added.end());
}

void add_range_behaviours(std::vector<Behaviour>& behaviours) {
  const std::string suite = "RingDirectDescriptors";
  const Needs ranged{.opcodes = {IORING_OP_OPENAT}, .register_ops = {IORING_REGISTER_FILE_ALLOC_RANGE}};
  const auto set_range = [](Ring& ring, std::uint32_t offset, std::uint32_t count, std::uint64_t reserved = 0) {
    io_uring_file_index_range range{.off = offset, .len = count, .resv = reserved};
    return ring.register_op(IORING_REGISTER_FILE_ALLOC_RANGE, &range, 0);
  };
  const std::vector<Behaviour> added = {
      {suite, "ChoosesSlotsOfTheRangeOnly", ranged,
       [set_range](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder{{"file", "text"}};
         register_empty_table(ring, 8);
         EXPECT_EQ(set_range(ring, 4, 2), 0);
         EXPECT_EQ(open_anywhere(ring, folder, "file"), 4);
         EXPECT_EQ(open_anywhere(ring, folder, "file"), 5);
         EXPECT_EQ(open_anywhere(ring, folder, "file"), -ENFILE);
         EXPECT_EQ(open_direct(ring, folder, "file", 0), 0) << "the range binds the kernel, not the caller";
       }},
      {suite, "ForgetsTheRangeWithItsTable", ranged,
       [set_range](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder{{"file", "text"}};
         register_empty_table(ring, 8);
         EXPECT_EQ(set_range(ring, 4, 2), 0);
         EXPECT_EQ(ring.unregister_files(), 0);
         register_empty_table(ring, 8);
         EXPECT_EQ(open_anywhere(ring, folder, "file"), 0);
       }},
      {suite, "RefusesARangeBeyondTheTable", ranged,
       [set_range](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         EXPECT_EQ(set_range(ring, 0, 1), -EINVAL) << "there is no table";
         register_empty_table(ring, 4);
         EXPECT_EQ(set_range(ring, 0, 5), -EINVAL);
         EXPECT_EQ(set_range(ring, 5, 0), -EINVAL);
         EXPECT_EQ(set_range(ring, ~0u, 2), -EOVERFLOW);
         EXPECT_EQ(set_range(ring, 0, 4), 0);
       }},
      {suite, "RefusesARangeWithReservedBits", ranged,
       [set_range](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         register_empty_table(ring, 4);
         EXPECT_EQ(set_range(ring, 0, 1, 1), -EINVAL);
         io_uring_file_index_range range{};
         EXPECT_EQ(ring.register_op(IORING_REGISTER_FILE_ALLOC_RANGE, &range, 1), -EINVAL) << "it has no count";
         EXPECT_EQ(ring.register_op(IORING_REGISTER_FILE_ALLOC_RANGE, nullptr, 0), -EINVAL);
         EXPECT_EQ(ring.register_op(IORING_REGISTER_FILE_ALLOC_RANGE, reinterpret_cast<void*>(8), 0), -EFAULT);
       }},
  };
  behaviours.insert(behaviours.end(), added.begin(), added.end());
}

}  // namespace

std::vector<Behaviour> ring_direct_descriptors_behaviours() {
  std::vector<Behaviour> behaviours;
  add_open_behaviours(behaviours);
  add_range_behaviours(behaviours);
  return behaviours;
}

}  // namespace assay::conformance
