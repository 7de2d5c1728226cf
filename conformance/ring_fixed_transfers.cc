// READ_FIXED, WRITE_FIXED, READV_FIXED and WRITEV_FIXED.

#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "assay/conformance/buffer_table_actions.h"
#include "assay/conformance/ring_actions.h"
#include "assay/conformance/ring_suites.h"

namespace assay::conformance {
namespace {

io_uring_sqe& prepare_vectored(Ring& ring, std::uint8_t opcode, int fd, const iovec* vector, unsigned count,
                               std::uint16_t index) {
  io_uring_sqe& sqe = next_sqe(ring);
  io_uring_prep_rw(opcode, &sqe, fd, vector, count, 0);
  sqe.buf_index = index;
  return sqe;
}

void add_transfer_behaviours(std::vector<Behaviour>& behaviours) {
  const std::string suite = "RingFixedTransfers";
  const Needs vectored{.opcodes = {uapi::kOpReadvFixed, uapi::kOpWritevFixed}};
  const std::vector<Behaviour> added = {
      {suite,
       "ReadsIntoAnyPartOfABuffer",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("0123");
         char memory[8] = {};
         const iovec buffers[] = {part_of(memory, 2), part_of(memory + 2, 6)};
         ASSERT_EQ(ring.register_buffers(buffers), 0);
         EXPECT_EQ(read_fixed(ring, file.get(), memory + 3, 4, 1), 4);
         EXPECT_EQ(std::string(memory, 8), std::string("\0\0\0"
                                                       "0123\0",
                                                       8));
       }},
      {suite,
       "WritesFromAnyPartOfABuffer",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file();
         char memory[] = "0123456";
         register_buffer(ring, memory, 7);
         io_uring_prep_write_fixed(&next_sqe(ring), file.get(), memory + 2, 3, 1, 0);
         EXPECT_EQ(run_one(ring).res, 3);
         EXPECT_EQ(file_content(file.get()), std::string("\0"
                                                         "234",
                                                         4));
       }},
      {suite,
       "RefusesMemoryOutsideOfTheBuffer",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("0123456789");
         char memory[16] = {};
         register_buffer(ring, memory + 4, 8);
         EXPECT_EQ(read_fixed(ring, file.get(), memory + 3, 2, 0), -EFAULT) << "before it";
         EXPECT_EQ(read_fixed(ring, file.get(), memory + 11, 2, 0), -EFAULT) << "beyond it";
         EXPECT_EQ(read_fixed(ring, file.get(), memory, 16, 0), -EFAULT) << "around it";
         EXPECT_EQ(read_fixed(ring, file.get(), memory + 4, 9, 0), -EFAULT);
         EXPECT_EQ(read_fixed(ring, file.get(), memory + 4, 8, 0), 8);
         EXPECT_EQ(std::string(memory, 16), std::string("\0\0\0\0"
                                                        "01234567"
                                                        "\0\0\0\0",
                                                        16));
       }},
      {suite,
       "RefusesABufferThatIsNotThere",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("0123");
         char memory[4];
         EXPECT_EQ(read_fixed(ring, file.get(), memory, 4, 0), -EFAULT) << "there is no table";
         register_buffer(ring, memory, 4);
         EXPECT_EQ(read_fixed(ring, file.get(), memory, 4, 1), -EFAULT);
         EXPECT_EQ(read_fixed(ring, -1, memory, 4, 0), -EBADF);
       }},
      {suite,
       "WaitsForAFileAsOtherReadsDo",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe pipe = make_pipe();
         char memory[4] = {};
         register_buffer(ring, memory, 4);
         io_uring_prep_read_fixed(&next_sqe(ring), pipe.read_end.get(), memory, 4, 0, 0);
         submit_all(ring);
         EXPECT_TRUE(take_ready(ring).empty());
         write_text(pipe.write_end.get(), "ab");
         EXPECT_EQ(take(ring).res, 2);
         EXPECT_EQ(std::string(memory, 2), "ab");
       }},
      {suite,
       "LooksAtTheIndexDuringSubmissionFromLinux519To614",
       {.since = {5, 19}, .until = {6, 15}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("0123");
         char memory[4];
         io_uring_prep_read_fixed(&next_sqe(ring), file.get(), memory, 4, 0, 7);
         prepare_nop(ring, 2);
         EXPECT_EQ(ring.submit(), 1) << "a bad SQE ends the batch";
         EXPECT_EQ(take(ring).res, -EFAULT);
         submit_all(ring);
         EXPECT_EQ(take(ring).user_data, 2u);
       }},
      {suite,
       "LooksAtTheIndexWhenItRunsSinceLinux615",
       {.since = {6, 15}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("0123");
         char memory[4];
         io_uring_prep_read_fixed(&next_sqe(ring), file.get(), memory, 4, 0, 7);
         prepare_nop(ring, 2);
         EXPECT_EQ(ring.submit(), 2) << "it has only failed";
         const auto completions = take(ring, 2);
         EXPECT_EQ(find(completions, 2).res, 0);
       }},
      {suite, "ReadsAndWritesVectorsOfOneBuffer", vectored,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("012345");
         char memory[16] = {};
         register_buffer(ring, memory, sizeof memory);
         const iovec parts[] = {part_of(memory + 8, 2), part_of(memory, 4)};
         prepare_vectored(ring, uapi::kOpReadvFixed, file.get(), parts, 2, 0);
         EXPECT_EQ(run_one(ring).res, 6);
         EXPECT_EQ(std::string(memory, 10), std::string("2345\0\0\0\0"
                                                        "01",
                                                        10));
         const Fd copy = make_file();
         prepare_vectored(ring, uapi::kOpWritevFixed, copy.get(), parts, 2, 0);
         EXPECT_EQ(run_one(ring).res, 6);
         EXPECT_EQ(file_content(copy.get()), "012345");
       }},
      {suite, "RefusesVectorsThatLeaveTheBuffer", vectored,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("012345");
         char memory[16] = {};
         register_buffer(ring, memory, 8);
         const iovec outside[] = {part_of(memory, 2), part_of(memory + 7, 2)};
         prepare_vectored(ring, uapi::kOpReadvFixed, file.get(), outside, 2, 0);
         EXPECT_EQ(run_one(ring).res, -EFAULT);
         const iovec fine = part_of(memory, 2);
         prepare_vectored(ring, uapi::kOpReadvFixed, file.get(), &fine, 1, 1);
         EXPECT_EQ(run_one(ring).res, -EFAULT) << "no such buffer";
         const iovec empty[] = {part_of(memory, 2), part_of(memory + 2, 0)};
         prepare_vectored(ring, uapi::kOpReadvFixed, file.get(), empty, 2, 0);
         EXPECT_EQ(run_one(ring).res, -EFAULT) << "an empty part";
       }},
      {suite, "RefusesVectorsThatAreNone", vectored,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("012345");
         char memory[16] = {};
         register_buffer(ring, memory, 8);
         prepare_vectored(ring, uapi::kOpReadvFixed, file.get(), reinterpret_cast<const iovec*>(8), 1, 0);
         EXPECT_EQ(run_one(ring).res, -EFAULT);
         const std::vector<iovec> many(1025, part_of(memory, 1));
         prepare_vectored(ring, uapi::kOpReadvFixed, file.get(), many.data(), 1025, 0);
         EXPECT_EQ(run_one(ring).res, -EINVAL);
       }},
  };
  behaviours.insert(behaviours.end(), added.begin(), added.end());
}

}  // namespace

std::vector<Behaviour> ring_fixed_transfers_behaviours() {
  std::vector<Behaviour> behaviours;
  add_transfer_behaviours(behaviours);
  return behaviours;
}

}  // namespace assay::conformance
