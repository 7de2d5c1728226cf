// FILES_UPDATE, and the registrations that it repeats as a request.

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

}  // namespace

std::vector<Behaviour> ring_files_update_behaviours() {
  std::vector<Behaviour> behaviours;
  add_update_behaviours(behaviours);
  return behaviours;
}

}  // namespace assay::conformance
