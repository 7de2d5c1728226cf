// PIPE.

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
         const Folder folder{{"file", "text"}};
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

std::vector<Behaviour> ring_pipe_behaviours() {
  std::vector<Behaviour> behaviours;
  add_pipe_behaviours(behaviours);
  return behaviours;
}

}  // namespace assay::conformance
