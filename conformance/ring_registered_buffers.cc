// READ_FIXED, WRITE_FIXED, READV_FIXED and WRITEV_FIXED, and the table of buffers they use: updates, tags, copies.

#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "assay/conformance/ring_actions.h"
#include "assay/conformance/ring_suites.h"

namespace assay::conformance {
namespace {

iovec part_of(char* from, std::size_t bytes) { return {.iov_base = from, .iov_len = bytes}; }

/// READ_FIXED at the start of the file.
int read_fixed(Ring& ring, int fd, char* to, unsigned bytes, int index) {
  io_uring_prep_read_fixed(&next_sqe(ring), fd, to, bytes, 0, index);
  return run_one(ring).res;
}

io_uring_sqe& prepare_vectored(Ring& ring, std::uint8_t opcode, int fd, const iovec* vector, unsigned count,
                               std::uint16_t index) {
  io_uring_sqe& sqe = next_sqe(ring);
  io_uring_prep_rw(opcode, &sqe, fd, vector, count, 0);
  sqe.buf_index = index;
  return sqe;
}

int register_tagged(Ring& ring, const std::vector<iovec>& buffers, const std::vector<std::uint64_t>& tags) {
  io_uring_rsrc_register request{};
  request.nr = static_cast<std::uint32_t>(buffers.size());
  request.data = reinterpret_cast<std::uint64_t>(buffers.data());
  request.tags = reinterpret_cast<std::uint64_t>(tags.data());
  return ring.register_op(IORING_REGISTER_BUFFERS2, &request, sizeof request);
}

int update(Ring& ring, std::uint32_t offset, const std::vector<iovec>& buffers,
           const std::vector<std::uint64_t>& tags = {}) {
  io_uring_rsrc_update2 request{};
  request.offset = offset;
  request.nr = static_cast<std::uint32_t>(buffers.size());
  request.data = reinterpret_cast<std::uint64_t>(buffers.data());
  if (!tags.empty()) request.tags = reinterpret_cast<std::uint64_t>(tags.data());
  return ring.register_op(IORING_REGISTER_BUFFERS_UPDATE, &request, sizeof request);
}

int register_sparse(Ring& ring, std::uint32_t count) {
  io_uring_rsrc_register request{};
  request.nr = count;
  request.flags = IORING_RSRC_REGISTER_SPARSE;
  return ring.register_op(IORING_REGISTER_BUFFERS2, &request, sizeof request);
}

int unregister_buffers(Ring& ring) { return ring.register_op(IORING_UNREGISTER_BUFFERS, nullptr, 0); }

int clone(Ring& to, uapi::CloneBuffers request) { return to.register_op(uapi::kRegisterCloneBuffers, &request, 1); }

uapi::CloneBuffers all_of(const Ring& from) {
  uapi::CloneBuffers request{};
  request.src_fd = static_cast<std::uint32_t>(from.fd());
  return request;
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
         const iovec buffer = part_of(memory, 7);
         ASSERT_EQ(ring.register_buffers({&buffer, 1}), 0);
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
         const iovec buffer = part_of(memory + 4, 8);
         ASSERT_EQ(ring.register_buffers({&buffer, 1}), 0);
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
         const iovec buffer = part_of(memory, 4);
         ASSERT_EQ(ring.register_buffers({&buffer, 1}), 0);
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
         const iovec buffer = part_of(memory, 4);
         ASSERT_EQ(ring.register_buffers({&buffer, 1}), 0);
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
         const iovec buffer = part_of(memory, sizeof memory);
         ASSERT_EQ(ring.register_buffers({&buffer, 1}), 0);
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
         const iovec buffer = part_of(memory, 8);
         ASSERT_EQ(ring.register_buffers({&buffer, 1}), 0);
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
         const iovec buffer = part_of(memory, 8);
         ASSERT_EQ(ring.register_buffers({&buffer, 1}), 0);
         prepare_vectored(ring, uapi::kOpReadvFixed, file.get(), reinterpret_cast<const iovec*>(8), 1, 0);
         EXPECT_EQ(run_one(ring).res, -EFAULT);
         const std::vector<iovec> many(1025, part_of(memory, 1));
         prepare_vectored(ring, uapi::kOpReadvFixed, file.get(), many.data(), 1025, 0);
         EXPECT_EQ(run_one(ring).res, -EINVAL);
       }},
  };
  behaviours.insert(behaviours.end(), added.begin(), added.end());
}

void add_table_behaviours(std::vector<Behaviour>& behaviours) {
  const std::string suite = "RingBufferTable";
  const Needs tags{.register_ops = {IORING_REGISTER_BUFFERS2, IORING_REGISTER_BUFFERS_UPDATE}};
  const Needs sparse{.register_ops = {IORING_REGISTER_BUFFERS2, IORING_REGISTER_BUFFERS_UPDATE}, .since = {5, 19}};
  const std::vector<Behaviour> added = {
      {suite, "PutsABufferInThePlaceOfAnother", tags,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("0123");
         char old[4] = {};
         char next[4] = {};
         ASSERT_EQ(register_tagged(ring, {part_of(old, 4)}, {0}), 0);
         EXPECT_EQ(update(ring, 0, {part_of(next, 4)}), 1) << "how many were changed";
         EXPECT_EQ(read_fixed(ring, file.get(), next, 4, 0), 4);
         EXPECT_EQ(read_fixed(ring, file.get(), old, 4, 0), -EFAULT);
       }},
      {suite, "TellsTheTagOfABufferThatIsReplaced", tags,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         char memory[8] = {};
         ASSERT_EQ(register_tagged(ring, {part_of(memory, 4), part_of(memory + 4, 4)}, {77, 78}), 0);
         EXPECT_TRUE(take_ready(ring).empty());
         EXPECT_EQ(update(ring, 1, {part_of(memory, 8)}, {79}), 1);
         EXPECT_EQ(take(ring), (Completion{78, 0, 0}));
         EXPECT_EQ(update(ring, 1, {iovec{}}), 1) << "a null pointer empties the slot";
         EXPECT_EQ(take(ring), (Completion{79, 0, 0}));
       }},
      {suite,
       "TellsTheTagsWhenTheTableGoesSinceLinux613",
       {.register_ops = {IORING_REGISTER_BUFFERS2}, .since = {6, 13}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         char memory[12] = {};
         ASSERT_EQ(
             register_tagged(ring, {part_of(memory, 4), part_of(memory + 4, 4), part_of(memory + 8, 4)}, {77, 0, 79}),
             0);
         EXPECT_EQ(unregister_buffers(ring), 0);
         const auto completions = take(ring, 2);
         EXPECT_EQ(find(completions, 77).res, 0);
         EXPECT_EQ(find(completions, 79).res, 0);
         EXPECT_TRUE(take_ready(ring).empty());
       }},
      {suite,
       "TellsNoTagWhenTheTableGoesBeforeLinux613",
       {.register_ops = {IORING_REGISTER_BUFFERS2}, .until = {6, 13}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         char memory[4] = {};
         ASSERT_EQ(register_tagged(ring, {part_of(memory, 4)}, {77}), 0);
         EXPECT_EQ(unregister_buffers(ring), 0);
         prepare_nop(ring, 1);
         EXPECT_EQ(run_one(ring).user_data, 1u);
         EXPECT_TRUE(take_ready(ring).empty());
       }},
      {suite, "TellsATagOnlyWhenNoRequestUsesTheBuffer", tags,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe pipe = make_pipe();
         char memory[8] = {};
         ASSERT_EQ(register_tagged(ring, {part_of(memory, 4)}, {77}), 0);
         io_uring_sqe& read = next_sqe(ring);
         io_uring_prep_read_fixed(&read, pipe.read_end.get(), memory, 4, 0, 0);
         read.user_data = 1;
         submit_all(ring);
         EXPECT_EQ(update(ring, 0, {part_of(memory + 4, 4)}), 1);
         prepare_nop(ring, 2);
         EXPECT_EQ(run_one(ring).user_data, 2u) << "the read still waits";
         write_text(pipe.write_end.get(), "abcd");
         EXPECT_EQ(take(ring), (Completion{1, 4, 0}));
         EXPECT_EQ(take(ring), (Completion{77, 0, 0}));
       }},
      {suite, "TellsNoTagOfATableThatWasRefused", tags,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         char memory[4] = {};
         const iovec bad{.iov_base = reinterpret_cast<void*>(8), .iov_len = 4};
         EXPECT_EQ(register_tagged(ring, {part_of(memory, 4), bad}, {77, 78}), -EFAULT);
         prepare_nop(ring, 1);
         EXPECT_EQ(run_one(ring).user_data, 1u);
         EXPECT_TRUE(take_ready(ring).empty());
         EXPECT_EQ(unregister_buffers(ring), -ENXIO);
       }},
      {suite, "RefusesATagForNothing", tags,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         char memory[4] = {};
         EXPECT_EQ(register_tagged(ring, {part_of(memory, 4), iovec{}}, {0, 78}), -EINVAL);
         ASSERT_EQ(register_tagged(ring, {part_of(memory, 4)}, {0}), 0);
         EXPECT_EQ(update(ring, 0, {iovec{}}, {78}), -EINVAL);
       }},
      {suite, "RefusesUpdatesThatLeaveTheTable", tags,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         char memory[4] = {};
         EXPECT_EQ(update(ring, 0, {part_of(memory, 4)}), -ENXIO) << "there is no table";
         ASSERT_EQ(register_tagged(ring, {part_of(memory, 4), part_of(memory, 4)}, {0, 0}), 0);
         EXPECT_EQ(update(ring, 1, {part_of(memory, 4), part_of(memory, 4)}), -EINVAL);
         EXPECT_EQ(update(ring, ~0u, {part_of(memory, 4), part_of(memory, 4)}), -EOVERFLOW);
         EXPECT_EQ(update(ring, 0, {}), -EINVAL) << "nothing is to be changed";
         io_uring_rsrc_update2 request{};
         request.nr = 1;
         request.data = reinterpret_cast<std::uint64_t>(memory);
         EXPECT_EQ(ring.register_op(IORING_REGISTER_BUFFERS_UPDATE, &request, sizeof request - 1), -EINVAL);
         request.resv2 = 1;
         EXPECT_EQ(ring.register_op(IORING_REGISTER_BUFFERS_UPDATE, &request, sizeof request), -EINVAL);
       }},
      {suite, "TellsHowFarAnUpdateGot", tags,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("0123");
         char memory[8] = {};
         const iovec bad{.iov_base = reinterpret_cast<void*>(8), .iov_len = 4};
         ASSERT_EQ(register_tagged(ring, {part_of(memory, 4), part_of(memory, 4)}, {0, 0}), 0);
         EXPECT_EQ(update(ring, 0, {part_of(memory + 4, 4), bad}), 1);
         EXPECT_EQ(read_fixed(ring, file.get(), memory, 4, 1), 4) << "a buffer is replaced only by a good one";
         EXPECT_EQ(update(ring, 1, {bad}), -EFAULT);
       }},
      {suite, "StartsEmptyWhenAskedTo", sparse,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("0123");
         char memory[4] = {};
         ASSERT_EQ(register_sparse(ring, 4), 0);
         EXPECT_EQ(register_sparse(ring, 4), -EBUSY);
         EXPECT_EQ(read_fixed(ring, file.get(), memory, 4, 2), -EFAULT);
         EXPECT_EQ(update(ring, 2, {part_of(memory, 4)}), 1);
         EXPECT_EQ(read_fixed(ring, file.get(), memory, 4, 2), 4);
       }},
      {suite, "RefusesAnEmptyTableWithBuffers", sparse,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         char memory[4] = {};
         const iovec buffer = part_of(memory, 4);
         io_uring_rsrc_register request{};
         request.nr = 1;
         request.flags = IORING_RSRC_REGISTER_SPARSE;
         request.data = reinterpret_cast<std::uint64_t>(&buffer);
         EXPECT_EQ(ring.register_op(IORING_REGISTER_BUFFERS2, &request, sizeof request), -EINVAL);
         request.data = 0;
         request.flags = 1u << 5;
         EXPECT_EQ(ring.register_op(IORING_REGISTER_BUFFERS2, &request, sizeof request), -EINVAL);
         request.flags = IORING_RSRC_REGISTER_SPARSE;
         request.resv2 = 1;
         EXPECT_EQ(ring.register_op(IORING_REGISTER_BUFFERS2, &request, sizeof request), -EINVAL);
         EXPECT_EQ(register_sparse(ring, 0), -EINVAL);
         EXPECT_EQ(register_sparse(ring, (1u << 14) + 1), -EINVAL);
         EXPECT_EQ(register_sparse(ring, 1u << 14), 0) << "as many as there can be";
       }},
  };
  behaviours.insert(behaviours.end(), added.begin(), added.end());
}

void add_clone_behaviours(std::vector<Behaviour>& behaviours) {
  const std::string suite = "RingClonedBuffers";
  const Needs cloned{.register_ops = {uapi::kRegisterCloneBuffers}};
  const Needs ranged{.register_ops = {uapi::kRegisterCloneBuffers}, .since = {6, 13}};
  const std::vector<Behaviour> added = {
      {suite, "SharesTheBuffersOfAnotherRing", cloned,
       [](KernelUnderTest& kernel) {
         Ring from = open_ring(kernel);
         Ring to = open_ring(kernel);
         const Fd file = make_file("0123");
         char memory[8] = {};
         ASSERT_EQ(register_tagged(from, {part_of(memory, 4), part_of(memory + 4, 4)}, {77, 0}), 0);
         EXPECT_EQ(clone(to, all_of(from)), 0);
         EXPECT_EQ(read_fixed(to, file.get(), memory + 4, 4, 1), 4);
         EXPECT_EQ(update(from, 0, {iovec{}}), 1);
         EXPECT_EQ(take(from).user_data, 77u) << "the tag is the other ring's";
         EXPECT_EQ(read_fixed(to, file.get(), memory, 4, 0), 4) << "the copy stays";
         EXPECT_EQ(update(to, 0, {iovec{}}), 1);
         EXPECT_TRUE(take_ready(to).empty()) << "a copy has no tag";
       }},
      {suite, "RefusesToCloneOverATable", cloned,
       [](KernelUnderTest& kernel) {
         Ring from = open_ring(kernel);
         Ring to = open_ring(kernel);
         char memory[4] = {};
         const iovec buffer = part_of(memory, 4);
         ASSERT_EQ(from.register_buffers({&buffer, 1}), 0);
         ASSERT_EQ(to.register_buffers({&buffer, 1}), 0);
         EXPECT_EQ(clone(to, all_of(from)), -EBUSY);
       }},
      {suite, "RefusesToCloneNothing", cloned,
       [](KernelUnderTest& kernel) {
         Ring from = open_ring(kernel);
         Ring to = open_ring(kernel);
         EXPECT_EQ(clone(to, all_of(from)), -ENXIO);
         uapi::CloneBuffers request{};
         request.src_fd = ~0u;
         EXPECT_EQ(clone(to, request), -EBADF);
         const Fd file = make_file();
         request.src_fd = static_cast<std::uint32_t>(file.get());
         EXPECT_EQ(clone(to, request), -EOPNOTSUPP) << "no ring";
       }},
      {suite, "RefusesToCloneWithWhatItDoesNotKnow", cloned,
       [](KernelUnderTest& kernel) {
         Ring from = open_ring(kernel);
         Ring to = open_ring(kernel);
         char memory[4] = {};
         const iovec buffer = part_of(memory, 4);
         ASSERT_EQ(from.register_buffers({&buffer, 1}), 0);
         uapi::CloneBuffers request = all_of(from);
         request.flags = 1u << 10;
         EXPECT_EQ(clone(to, request), -EINVAL);
         request = all_of(from);
         request.pad[2] = 1;
         EXPECT_EQ(clone(to, request), -EINVAL);
         request = all_of(from);
         EXPECT_EQ(to.register_op(uapi::kRegisterCloneBuffers, &request, 2), -EINVAL);
         EXPECT_EQ(to.register_op(uapi::kRegisterCloneBuffers, nullptr, 1), -EINVAL);
         EXPECT_EQ(to.register_op(uapi::kRegisterCloneBuffers, reinterpret_cast<void*>(8), 1), -EFAULT);
       }},
      {suite, "ClonesFromARegisteredRing", cloned,
       [](KernelUnderTest& kernel) {
         Ring from = open_ring(kernel);
         Ring to = open_ring(kernel);
         char memory[4] = {};
         const iovec buffer = part_of(memory, 4);
         ASSERT_EQ(from.register_buffers({&buffer, 1}), 0);
         io_uring_rsrc_update ring_fd{};
         ring_fd.offset = 5;
         ring_fd.data = static_cast<std::uint64_t>(from.fd());
         ASSERT_EQ(to.register_op(IORING_REGISTER_RING_FDS, &ring_fd, 1), 1);
         uapi::CloneBuffers request{};
         request.flags = uapi::kCloneSrcRegistered;
         request.src_fd = 6;
         EXPECT_EQ(clone(to, request), -EBADF);
         request.src_fd = 77;
         EXPECT_EQ(clone(to, request), -EINVAL);
         request.src_fd = 5;
         EXPECT_EQ(clone(to, request), 0);
         ring_fd.data = 0;
         EXPECT_EQ(to.register_op(IORING_UNREGISTER_RING_FDS, &ring_fd, 1), 1);
       }},
      {suite, "ClonesARangeToAnotherPlace", ranged,
       [](KernelUnderTest& kernel) {
         Ring from = open_ring(kernel);
         Ring to = open_ring(kernel);
         const Fd file = make_file("0123");
         char memory[12] = {};
         const iovec buffers[] = {part_of(memory, 4), part_of(memory + 4, 4), part_of(memory + 8, 4)};
         ASSERT_EQ(from.register_buffers(buffers), 0);
         uapi::CloneBuffers request = all_of(from);
         request.src_off = 1;
         request.dst_off = 3;
         request.nr = 2;
         EXPECT_EQ(clone(to, request), 0);
         EXPECT_EQ(read_fixed(to, file.get(), memory + 8, 4, 4), 4);
         EXPECT_EQ(read_fixed(to, file.get(), memory + 4, 4, 3), 4);
         EXPECT_EQ(read_fixed(to, file.get(), memory, 4, 0), -EFAULT) << "before the place is nothing";
       }},
      {suite, "ReplacesBuffersWhenAskedTo", ranged,
       [](KernelUnderTest& kernel) {
         Ring from = open_ring(kernel);
         Ring to = open_ring(kernel);
         const Fd file = make_file("0123");
         char memory[12] = {};
         const iovec source = part_of(memory, 4);
         ASSERT_EQ(from.register_buffers({&source, 1}), 0);
         ASSERT_EQ(register_tagged(to, {part_of(memory + 4, 4), part_of(memory + 8, 4)}, {77, 78}), 0);
         uapi::CloneBuffers request = all_of(from);
         request.flags = uapi::kCloneDstReplace;
         request.dst_off = 1;
         request.nr = 1;
         EXPECT_EQ(clone(to, request), 0);
         EXPECT_EQ(take(to), (Completion{78, 0, 0}));
         EXPECT_EQ(read_fixed(to, file.get(), memory, 4, 1), 4);
         EXPECT_EQ(read_fixed(to, file.get(), memory + 4, 4, 0), 4) << "what is not in the range stays";
         EXPECT_EQ(update(to, 0, {iovec{}}), 1);
         EXPECT_EQ(take(to), (Completion{77, 0, 0})) << "with its tag";
       }},
      {suite, "RefusesRangesThatLeaveTheTables", ranged,
       [](KernelUnderTest& kernel) {
         Ring from = open_ring(kernel);
         Ring to = open_ring(kernel);
         char memory[8] = {};
         const iovec buffers[] = {part_of(memory, 4), part_of(memory + 4, 4)};
         ASSERT_EQ(from.register_buffers(buffers), 0);
         const auto with_range = [&](std::uint32_t source, std::uint32_t target, std::uint32_t count) {
           uapi::CloneBuffers request = all_of(from);
           request.src_off = source;
           request.dst_off = target;
           request.nr = count;
           return clone(to, request);
         };
         EXPECT_EQ(with_range(1, 0, 0), -EINVAL) << "a place, and no number";
         EXPECT_EQ(with_range(0, 1, 0), -EINVAL);
         EXPECT_EQ(with_range(0, 0, 3), -EINVAL);
         EXPECT_EQ(with_range(1, 0, 2), -EOVERFLOW);
         EXPECT_EQ(with_range(0, ~0u, 2), -EOVERFLOW);
         EXPECT_EQ(with_range(0, 1u << 14, 1), -EINVAL);
         EXPECT_EQ(with_range(0, 0, 2), 0);
       }},
  };
  behaviours.insert(behaviours.end(), added.begin(), added.end());
}

}  // namespace

std::vector<Behaviour> ring_registered_buffers_behaviours() {
  std::vector<Behaviour> behaviours;
  add_transfer_behaviours(behaviours);
  add_table_behaviours(behaviours);
  add_clone_behaviours(behaviours);
  return behaviours;
}

}  // namespace assay::conformance
