// The table of registered buffers: updates, tags, empty slots.

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

int register_sparse(Ring& ring, std::uint32_t count) {
  io_uring_rsrc_register request{};
  request.nr = count;
  request.flags = IORING_RSRC_REGISTER_SPARSE;
  return ring.register_op(IORING_REGISTER_BUFFERS2, &request, sizeof request);
}

int unregister_buffers(Ring& ring) { return ring.register_op(IORING_UNREGISTER_BUFFERS, nullptr, 0); }

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
         EXPECT_EQ(update_buffers(ring, 0, {part_of(next, 4)}), 1) << "how many were changed";
         EXPECT_EQ(read_fixed(ring, file.get(), next, 4, 0), 4);
         EXPECT_EQ(read_fixed(ring, file.get(), old, 4, 0), -EFAULT);
       }},
      {suite, "TellsTheTagOfABufferThatIsReplaced", tags,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         char memory[8] = {};
         ASSERT_EQ(register_tagged(ring, {part_of(memory, 4), part_of(memory + 4, 4)}, {77, 78}), 0);
         EXPECT_TRUE(take_ready(ring).empty());
         EXPECT_EQ(update_buffers(ring, 1, {part_of(memory, 8)}, {79}), 1);
         EXPECT_EQ(take(ring), (Completion{78, 0, 0}));
         EXPECT_EQ(update_buffers(ring, 1, {iovec{}}), 1) << "a null pointer empties the slot";
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
         EXPECT_EQ(update_buffers(ring, 0, {part_of(memory + 4, 4)}), 1);
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
         EXPECT_EQ(update_buffers(ring, 0, {iovec{}}, {78}), -EINVAL);
       }},
      {suite, "RefusesUpdatesThatLeaveTheTable", tags,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         char memory[4] = {};
         EXPECT_EQ(update_buffers(ring, 0, {part_of(memory, 4)}), -ENXIO) << "there is no table";
         ASSERT_EQ(register_tagged(ring, {part_of(memory, 4), part_of(memory, 4)}, {0, 0}), 0);
         EXPECT_EQ(update_buffers(ring, 1, {part_of(memory, 4), part_of(memory, 4)}), -EINVAL);
         EXPECT_EQ(update_buffers(ring, ~0u, {part_of(memory, 4), part_of(memory, 4)}), -EOVERFLOW);
         EXPECT_EQ(update_buffers(ring, 0, {}), -EINVAL) << "nothing is to be changed";
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
         EXPECT_EQ(update_buffers(ring, 0, {part_of(memory + 4, 4), bad}), 1);
         EXPECT_EQ(read_fixed(ring, file.get(), memory, 4, 1), 4) << "a buffer is replaced only by a good one";
         EXPECT_EQ(update_buffers(ring, 1, {bad}), -EFAULT);
       }},
      {suite, "StartsEmptyWhenAskedTo", sparse,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("0123");
         char memory[4] = {};
         ASSERT_EQ(register_sparse(ring, 4), 0);
         EXPECT_EQ(register_sparse(ring, 4), -EBUSY);
         EXPECT_EQ(read_fixed(ring, file.get(), memory, 4, 2), -EFAULT);
         EXPECT_EQ(update_buffers(ring, 2, {part_of(memory, 4)}), 1);
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

}  // namespace

std::vector<Behaviour> ring_registered_buffers_behaviours() {
  std::vector<Behaviour> behaviours;
  add_table_behaviours(behaviours);
  return behaviours;
}

}  // namespace assay::conformance
