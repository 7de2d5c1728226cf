// IORING_REGISTER_CLONE_BUFFERS.

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

int clone(Ring& to, uapi::CloneBuffers request) { return to.register_op(uapi::kRegisterCloneBuffers, &request, 1); }

uapi::CloneBuffers all_of(const Ring& from) {
  uapi::CloneBuffers request{};
  request.src_fd = static_cast<std::uint32_t>(from.fd());
  return request;
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
         EXPECT_EQ(update_buffers(from, 0, {iovec{}}), 1);
         EXPECT_EQ(take(from).user_data, 77u) << "the tag is the other ring's";
         EXPECT_EQ(read_fixed(to, file.get(), memory, 4, 0), 4) << "the copy stays";
         EXPECT_EQ(update_buffers(to, 0, {iovec{}}), 1);
         EXPECT_TRUE(take_ready(to).empty()) << "a copy has no tag";
       }},
      {suite, "RefusesToCloneOverATable", cloned,
       [](KernelUnderTest& kernel) {
         Ring from = open_ring(kernel);
         Ring to = open_ring(kernel);
         char memory[4] = {};
         register_buffer(from, memory, 4);
         register_buffer(to, memory, 4);
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
         register_buffer(from, memory, 4);
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
         register_buffer(from, memory, 4);
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
         register_buffer(from, memory, 4);
         ASSERT_EQ(register_tagged(to, {part_of(memory + 4, 4), part_of(memory + 8, 4)}, {77, 78}), 0);
         uapi::CloneBuffers request = all_of(from);
         request.flags = uapi::kCloneDstReplace;
         request.dst_off = 1;
         request.nr = 1;
         EXPECT_EQ(clone(to, request), 0);
         EXPECT_EQ(take(to), (Completion{78, 0, 0}));
         EXPECT_EQ(read_fixed(to, file.get(), memory, 4, 1), 4);
         EXPECT_EQ(read_fixed(to, file.get(), memory + 4, 4, 0), 4) << "what is not in the range stays";
         EXPECT_EQ(update_buffers(to, 0, {iovec{}}), 1);
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

std::vector<Behaviour> ring_cloned_buffers_behaviours() {
  std::vector<Behaviour> behaviours;
  add_clone_behaviours(behaviours);
  return behaviours;
}

}  // namespace assay::conformance
