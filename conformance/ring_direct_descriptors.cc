// Direct descriptors: OPENAT, OPENAT2, CLOSE, PIPE, FILES_UPDATE and FIXED_FD_INSTALL on slots of the file table.

#include <fcntl.h>
#include <linux/openat2.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "assay/conformance/folder.h"
#include "assay/conformance/ring_actions.h"
#include "assay/conformance/ring_suites.h"

namespace assay::conformance {
namespace {

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

/// A table of empty slots; older kernels than 5.19 are given one of fds that are none.
void register_empty_table(Ring& ring, unsigned slots) {
  const std::vector<int> none(slots, -1);
  ASSERT_EQ(ring.register_files(none), 0);
}

/// Four bytes read through a slot, or the error as a number.
std::string slot_content(Ring& ring, unsigned slot) {
  char bytes[4] = {};
  iovec buffer{.iov_base = bytes, .iov_len = sizeof bytes};
  io_uring_sqe& sqe = next_sqe(ring);
  io_uring_prep_readv(&sqe, static_cast<int>(slot), &buffer, 1, 0);
  sqe.flags = IOSQE_FIXED_FILE;
  const int count = run_one(ring).res;
  return count == 4 ? std::string(bytes, 4) : std::to_string(count);
}

/// Opens NAME of the folder into a slot (or whichever is free, for IORING_FILE_INDEX_ALLOC).
int open_direct(Ring& ring, const Folder& folder, const char* name, std::uint32_t slot, int flags = O_RDONLY) {
  io_uring_sqe& sqe = next_sqe(ring);
  io_uring_prep_openat(&sqe, folder.fd(), name, flags, 0640);
  // (liburing 2.3's function for this adds one even to IORING_FILE_INDEX_ALLOC.)
  sqe.file_index = slot == IORING_FILE_INDEX_ALLOC ? slot : slot + 1;
  return run_one(ring).res;
}

int open_anywhere(Ring& ring, const Folder& folder, const char* name) {
  return open_direct(ring, folder, name, IORING_FILE_INDEX_ALLOC);
}

int close_direct(Ring& ring, unsigned slot) {
  io_uring_prep_close_direct(&next_sqe(ring), slot);
  return run_one(ring).res;
}

io_uring_sqe& prepare_install(Ring& ring, int slot, std::uint32_t flags = 0) {
  io_uring_sqe& sqe = next_sqe(ring);
  sqe.opcode = uapi::kOpFixedFdInstall;
  sqe.fd = slot;
  sqe.flags = IOSQE_FIXED_FILE;
  sqe.rw_flags = static_cast<int>(flags);
  return sqe;
}

io_uring_sqe& prepare_pipe(Ring& ring, int (&fds)[2], std::uint32_t flags = 0, std::uint32_t file_index = 0) {
  io_uring_sqe& sqe = next_sqe(ring);
  sqe.opcode = uapi::kOpPipe;
  sqe.addr = reinterpret_cast<std::uint64_t>(fds);
  sqe.rw_flags = static_cast<int>(flags);
  sqe.file_index = file_index;
  return sqe;
}

/// Sends "ab" from one slot to another.
void expect_piped_through_slots(Ring& ring, int read_slot, int write_slot) {
  char sent[] = "ab";
  io_uring_sqe& write = next_sqe(ring);
  io_uring_prep_write(&write, write_slot, sent, 2, 0);
  write.flags = IOSQE_FIXED_FILE;
  EXPECT_EQ(run_one(ring).res, 2);
  char received[2] = {};
  io_uring_sqe& read = next_sqe(ring);
  io_uring_prep_read(&read, read_slot, received, 2, 0);
  read.flags = IOSQE_FIXED_FILE;
  EXPECT_EQ(run_one(ring).res, 2);
  EXPECT_EQ(std::string(received, 2), "ab");
}

void add_open_behaviours(std::vector<Behaviour>& behaviours) {
  const std::string suite = "RingDirectDescriptors";
  const Needs direct{.opcodes = {IORING_OP_OPENAT, IORING_OP_CLOSE}, .switches_on = {&Semantics::direct_descriptors}};
  const Needs chosen{.opcodes = {IORING_OP_OPENAT, IORING_OP_CLOSE}, .switches_on = {&Semantics::direct_allocation}};
  const std::vector<Behaviour> added = {
      {suite, "OpensAFileIntoASlot", direct,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder;
         folder.make("file", "text");
         register_empty_table(ring, 2);
         EXPECT_EQ(open_direct(ring, folder, "file", 1), 0) << "a slot was asked for, so there is no number to tell";
         EXPECT_EQ(slot_content(ring, 1), "text");
         EXPECT_EQ(slot_content(ring, 0), std::to_string(-EBADF));
       }},
      {suite, "TakesNoDescriptorNumber", direct,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder;
         folder.make("file", "text");
         register_empty_table(ring, 2);
         const int next = ::dup(folder.fd());
         ::close(next);
         EXPECT_EQ(open_direct(ring, folder, "file", 0), 0);
         EXPECT_FALSE(is_open(next)) << "the number that open(2) would have given";
       }},
      {suite, "PutsAFileInThePlaceOfAnother", direct,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder;
         folder.make("old", "old.");
         folder.make("new", "new.");
         register_empty_table(ring, 1);
         EXPECT_EQ(open_direct(ring, folder, "old", 0), 0);
         EXPECT_EQ(open_direct(ring, folder, "new", 0), 0);
         EXPECT_EQ(slot_content(ring, 0), "new.");
       }},
      {suite, "LeavesTheSlotAloneWhenTheFileCannotBeOpened", direct,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder;
         folder.make("file", "text");
         register_empty_table(ring, 1);
         EXPECT_EQ(open_direct(ring, folder, "file", 0), 0);
         EXPECT_EQ(open_direct(ring, folder, "missing", 0), -ENOENT);
         EXPECT_EQ(slot_content(ring, 0), "text");
       }},
      {suite, "RefusesASlotOutOfRange", direct,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder;
         folder.make("file", "text");
         register_empty_table(ring, 2);
         EXPECT_EQ(open_direct(ring, folder, "file", 2), -EINVAL);
         EXPECT_EQ(close_direct(ring, 2), -EINVAL);
       }},
      {suite, "RefusesASlotWhereThereIsNoTable", direct,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder;
         folder.make("file", "text");
         EXPECT_EQ(open_direct(ring, folder, "file", 0), -ENXIO);
         EXPECT_EQ(close_direct(ring, 0), -ENXIO);
       }},
      {suite, "RefusesCloseOnExecForASlot", direct,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder;
         folder.make("file", "text");
         register_empty_table(ring, 1);
         EXPECT_EQ(open_direct(ring, folder, "file", 0, O_RDONLY | O_CLOEXEC), -EINVAL);
         EXPECT_EQ(slot_content(ring, 0), std::to_string(-EBADF));
       }},
      {suite, "ClosesASlotOnce", direct,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder;
         folder.make("file", "text");
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
         const Folder folder;
         folder.make("file", "text");
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
         const Folder folder;
         folder.make("file", "text");
         register_empty_table(ring, 3);
         EXPECT_EQ(open_direct(ring, folder, "file", 0), 0);
         EXPECT_EQ(open_anywhere(ring, folder, "file"), 1);
         EXPECT_EQ(open_anywhere(ring, folder, "file"), 2);
         EXPECT_EQ(slot_content(ring, 2), "text");
       }},
      {suite, "TellsThatNoSlotIsFree", chosen,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder;
         folder.make("file", "text");
         EXPECT_EQ(open_anywhere(ring, folder, "file"), -ENFILE) << "there is no table";
         register_empty_table(ring, 1);
         EXPECT_EQ(open_anywhere(ring, folder, "file"), 0);
         EXPECT_EQ(open_anywhere(ring, folder, "file"), -ENFILE);
       }},
      {suite, "ChoosesTheSlotThatWasJustEmptied", chosen,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder;
         folder.make("file", "text");
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
         const Folder folder;
         folder.make("file", "text");
         register_empty_table(ring, 3);
         EXPECT_EQ(open_anywhere(ring, folder, "file"), -EINVAL);
       }},
      {suite,
       "OpensIntoASlotWithOpenat2",
       {.opcodes = {IORING_OP_OPENAT2}, .switches_on = {&Semantics::direct_descriptors}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder;
         folder.make("file", "text");
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
         const Folder folder;
         folder.make("file", "text");
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
         const Folder folder;
         folder.make("file", "text");
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

void add_update_behaviours(std::vector<Behaviour>& behaviours) {
  const std::string suite = "RingDirectDescriptors";
  const Needs update{.opcodes = {IORING_OP_FILES_UPDATE}};
  const Needs chosen{.opcodes = {IORING_OP_FILES_UPDATE}, .switches_on = {&Semantics::direct_allocation}};
  const auto update_anywhere = [](Ring& ring, int* fds, unsigned count) {
    io_uring_prep_files_update(&next_sqe(ring), fds, count, static_cast<int>(IORING_FILE_INDEX_ALLOC));
    return run_one(ring).res;
  };
  const std::vector<Behaviour> added = {
      {suite, "ChangesSlotsByARequest", update,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd first = make_file("aaaa");
         const Fd second = make_file("bbbb");
         register_empty_table(ring, 3);
         int fds[] = {first.get(), second.get()};
         io_uring_prep_files_update(&next_sqe(ring), fds, 2, 1);
         EXPECT_EQ(run_one(ring).res, 2) << "how many slots were changed";
         EXPECT_EQ(slot_content(ring, 1), "aaaa");
         EXPECT_EQ(slot_content(ring, 2), "bbbb");
         int none = -1;
         io_uring_prep_files_update(&next_sqe(ring), &none, 1, 1);
         EXPECT_EQ(run_one(ring).res, 1);
         EXPECT_EQ(slot_content(ring, 1), std::to_string(-EBADF));
       }},
      {suite, "RefusesToChangeSlotsThatAreNotThere", update,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("aaaa");
         int fds[] = {file.get(), file.get()};
         io_uring_prep_files_update(&next_sqe(ring), fds, 1, 0);
         EXPECT_EQ(run_one(ring).res, -ENXIO) << "there is no table";
         register_empty_table(ring, 2);
         io_uring_prep_files_update(&next_sqe(ring), fds, 2, 1);
         EXPECT_EQ(run_one(ring).res, -EINVAL);
         EXPECT_EQ(slot_content(ring, 1), std::to_string(-EBADF)) << "not even the one that is there";
         io_uring_prep_files_update(&next_sqe(ring), fds, 0, 0);
         EXPECT_EQ(run_one(ring).res, -EINVAL) << "nothing is to be changed";
       }},
      {suite, "TellsHowFarAnUpdateByARequestGot", update,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("aaaa");
         const int old = file.get();
         const int olds[] = {old, old, old};
         ASSERT_EQ(ring.register_files(olds), 0);
         int closed = -1;
         {
           const Fd gone = make_file();
           closed = gone.get();
         }
         int fds[] = {-1, closed, -1};
         io_uring_prep_files_update(&next_sqe(ring), fds, 3, 0);
         EXPECT_EQ(run_one(ring).res, 1);
         EXPECT_EQ(slot_content(ring, 2), "aaaa");
         io_uring_prep_files_update(&next_sqe(ring), &closed, 1, 2);
         EXPECT_EQ(run_one(ring).res, -EBADF);
         EXPECT_EQ(slot_content(ring, 2), std::to_string(-EBADF)) << "a slot is emptied before it is filled";
       }},
      {suite, "RefusesToChangeSlotsOfARegisteredFile", update,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         register_empty_table(ring, 2);
         int none = -1;
         io_uring_sqe& sqe = next_sqe(ring);
         io_uring_prep_files_update(&sqe, &none, 1, 0);
         sqe.flags = IOSQE_FIXED_FILE;
         EXPECT_EQ(run_one(ring).res, -EINVAL);
       }},
      {suite, "PutsFilesWhereverThereIsRoom", chosen,
       [update_anywhere](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd first = make_file("aaaa");
         const Fd second = make_file("bbbb");
         register_empty_table(ring, 4);
         int taken[] = {first.get(), first.get()};
         io_uring_prep_files_update(&next_sqe(ring), taken, 2, 0);
         EXPECT_EQ(run_one(ring).res, 2);
         int fds[] = {first.get(), second.get()};
         EXPECT_EQ(update_anywhere(ring, fds, 2), 2);
         EXPECT_EQ(fds[0], 2) << "the slots take the place of the descriptors";
         EXPECT_EQ(fds[1], 3);
         EXPECT_EQ(slot_content(ring, 3), "bbbb");
       }},
      {suite, "TellsHowManyFilesFoundRoom", chosen,
       [update_anywhere](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("aaaa");
         int fds[] = {file.get(), file.get()};
         EXPECT_EQ(update_anywhere(ring, fds, 2), -ENXIO) << "there is no table";
         register_empty_table(ring, 1);
         EXPECT_EQ(update_anywhere(ring, fds, 2), 1);
         EXPECT_EQ(fds[0], 0);
         EXPECT_EQ(fds[1], file.get()) << "untouched";
         EXPECT_EQ(update_anywhere(ring, fds + 1, 1), -ENFILE);
         int bad = -1;
         EXPECT_EQ(update_anywhere(ring, &bad, 1), -EBADF);
       }},
  };
  behaviours.insert(behaviours.end(), added.begin(), added.end());
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

void add_pipe_behaviours(std::vector<Behaviour>& behaviours) {
  const std::string suite = "RingPipes";
  const Needs pipe{.opcodes = {uapi::kOpPipe}};
  const std::vector<Behaviour> added = {
      {suite, "MakesAPipe", pipe,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         int fds[2] = {-1, -1};
         prepare_pipe(ring, fds);
         ASSERT_EQ(run_one(ring).res, 0);
         const Fd read_end(fds[0]);
         const Fd write_end(fds[1]);
         write_text(write_end.get(), "through");
         EXPECT_EQ(read_text(read_end.get(), 16), "through");
         EXPECT_EQ(::fcntl(read_end.get(), F_GETFD), 0);
       }},
      {suite, "GivesThePipeItsFlags", pipe,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         int fds[2] = {-1, -1};
         prepare_pipe(ring, fds, O_CLOEXEC | O_NONBLOCK);
         ASSERT_EQ(run_one(ring).res, 0);
         const Fd read_end(fds[0]);
         const Fd write_end(fds[1]);
         EXPECT_EQ(::fcntl(read_end.get(), F_GETFD), FD_CLOEXEC);
         EXPECT_EQ(::fcntl(write_end.get(), F_GETFL) & O_NONBLOCK, O_NONBLOCK);
       }},
      {suite, "MakesAPipeOfTwoSlotsInARow", pipe,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         register_empty_table(ring, 4);
         int fds[2] = {-1, -1};
         prepare_pipe(ring, fds, 0, 2);
         EXPECT_EQ(run_one(ring).res, 0);
         expect_piped_through_slots(ring, 1, 2);
         const bool told = kernel.profile().semantics.pipe_tells_slots;
         EXPECT_EQ(fds[0], told ? 1 : 0);
         EXPECT_EQ(fds[1], told ? 2 : 0);
       }},
      {suite,
       "TakesBackAPipeThatItCannotTellOf",
       {.opcodes = {uapi::kOpPipe}, .switches_on = {&Semantics::pipe_tells_slots}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         register_empty_table(ring, 4);
         int unused[2];
         prepare_pipe(ring, unused, 0, 2).addr = 8;
         EXPECT_EQ(run_one(ring).res, -EFAULT);
         EXPECT_EQ(slot_content(ring, 1), std::to_string(-EBADF));
         EXPECT_EQ(slot_content(ring, 2), std::to_string(-EBADF));
       }},
      {suite, "MakesAPipeOfAnyTwoSlots", pipe,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         register_empty_table(ring, 4);
         int fds[2] = {-1, -1};
         prepare_pipe(ring, fds, 0, IORING_FILE_INDEX_ALLOC);
         EXPECT_EQ(run_one(ring).res, 0);
         EXPECT_EQ(fds[0], 0) << "the slots that were chosen";
         EXPECT_EQ(fds[1], 1);
         expect_piped_through_slots(ring, 0, 1);
       }},
      {suite, "MakesNoHalfOfAPipe", pipe,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Folder folder;
         folder.make("file", "text");
         register_empty_table(ring, 1);
         int fds[2] = {-1, -1};
         prepare_pipe(ring, fds, 0, IORING_FILE_INDEX_ALLOC);
         EXPECT_EQ(run_one(ring).res, -ENFILE);
         EXPECT_EQ(open_anywhere(ring, folder, "file"), 0) << "the slot is free again";
       }},
      {suite, "RefusesAPipeThatItCannotTellOf", pipe,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         int fds[2] = {-1, -1};
         prepare_pipe(ring, fds).addr = 8;
         EXPECT_EQ(run_one(ring).res, -EFAULT);
         register_empty_table(ring, 2);
         prepare_pipe(ring, fds, O_CLOEXEC, 1);
         EXPECT_EQ(run_one(ring).res, -EINVAL) << "a slot has no such flag";
         prepare_pipe(ring, fds, O_APPEND);
         EXPECT_EQ(run_one(ring).res, -EINVAL);
         prepare_pipe(ring, fds).fd = 1;
         EXPECT_EQ(run_one(ring).res, -EINVAL);
         prepare_pipe(ring, fds).off = 1;
         EXPECT_EQ(run_one(ring).res, -EINVAL);
         prepare_pipe(ring, fds).addr3 = 1;
         EXPECT_EQ(run_one(ring).res, -EINVAL);
       }},
  };
  behaviours.insert(behaviours.end(), added.begin(), added.end());
}

}  // namespace

std::vector<Behaviour> ring_direct_descriptors_behaviours() {
  std::vector<Behaviour> behaviours;
  add_open_behaviours(behaviours);
  add_range_behaviours(behaviours);
  add_update_behaviours(behaviours);
  add_install_behaviours(behaviours);
  add_pipe_behaviours(behaviours);
  return behaviours;
}

}  // namespace assay::conformance
