// REGISTER_FILES2 and REGISTER_FILES_UPDATE2: tables that start empty, and tags.

#include <cerrno>
#include <string>
#include <thread>

#include "assay/conformance/ring_actions.h"
#include "assay/conformance/ring_suites.h"

namespace assay::conformance {
namespace {

int register_tagged(Ring& ring, const std::vector<int>& fds, const std::vector<std::uint64_t>& tags) {
  io_uring_rsrc_register request{};
  request.nr = static_cast<std::uint32_t>(fds.size());
  request.data = reinterpret_cast<std::uint64_t>(fds.data());
  request.tags = reinterpret_cast<std::uint64_t>(tags.data());
  return ring.register_op(IORING_REGISTER_FILES2, &request, sizeof request);
}

int update(Ring& ring, std::uint32_t offset, const std::vector<int>& fds, const std::vector<std::uint64_t>& tags = {}) {
  io_uring_rsrc_update2 request{};
  request.offset = offset;
  request.nr = static_cast<std::uint32_t>(fds.size());
  request.data = reinterpret_cast<std::uint64_t>(fds.data());
  if (!tags.empty()) request.tags = reinterpret_cast<std::uint64_t>(tags.data());
  return ring.register_op(IORING_REGISTER_FILES_UPDATE2, &request, sizeof request);
}

/// Four bytes read through a slot, or the error as a number.
std::string slot_content(Ring& ring, int slot) {
  char bytes[4] = {};
  iovec buffer{.iov_base = bytes, .iov_len = sizeof bytes};
  io_uring_sqe& sqe = next_sqe(ring);
  io_uring_prep_readv(&sqe, slot, &buffer, 1, 0);
  sqe.flags = IOSQE_FIXED_FILE;
  const int count = run_one(ring).res;
  return count == 4 ? std::string(bytes, 4) : std::to_string(count);
}

/// A table of two, tagged 77 and 78, and a read from the first that waits.
class WaitingRead {
 public:
  explicit WaitingRead(Ring& ring) : ring_(ring) {
    EXPECT_EQ(register_tagged(ring, {pipe_.read_end.get(), other_.get()}, {77, 78}), 0);
    io_uring_sqe& read = next_sqe(ring);
    io_uring_prep_readv(&read, 0, &buffer_, 1, 0);
    read.user_data = 1;
    read.flags = IOSQE_FIXED_FILE;
    submit_all(ring);
  }

  void give() { write_text(pipe_.write_end.get(), "x"); }
  void end() {
    give();
    EXPECT_EQ(take(ring_), (Completion{1, 1, 0}));
  }

 private:
  Ring& ring_;
  const Pipe pipe_ = make_pipe();
  const Fd other_ = make_file("other");
  char byte_ = 0;
  iovec buffer_{.iov_base = &byte_, .iov_len = 1};
};

}  // namespace

std::vector<Behaviour> ring_tagged_files_behaviours() {
  const std::string suite = "RingFileTags";
  const Needs tags{.register_ops = {IORING_REGISTER_FILES2, IORING_REGISTER_FILES_UPDATE2}};
  return {
      {suite, "TellsTheTagOfAFileThatIsReplaced", tags,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd old = make_file("old.");
         const Fd next = make_file("next");
         ASSERT_EQ(register_tagged(ring, {old.get(), old.get()}, {77, 78}), 0);
         EXPECT_TRUE(take_ready(ring).empty());
         EXPECT_EQ(update(ring, 1, {next.get()}, {79}), 1) << "how many were changed";
         EXPECT_EQ(take(ring), (Completion{78, 0, 0}));
         EXPECT_EQ(slot_content(ring, 1), "next");
         EXPECT_EQ(update(ring, 1, {-1}), 1);
         EXPECT_EQ(take(ring), (Completion{79, 0, 0}));
       }},
      {suite,
       "TellsTheTagsWhenTheTableGoesSinceLinux613",
       {.register_ops = {IORING_REGISTER_FILES2}, .since = {6, 13}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("file");
         ASSERT_EQ(register_tagged(ring, {file.get(), file.get(), file.get()}, {77, 0, 79}), 0);
         EXPECT_EQ(ring.unregister_files(), 0);
         const auto completions = take(ring, 2);
         EXPECT_EQ(find(completions, 77).res, 0);
         EXPECT_EQ(find(completions, 79).res, 0);
         EXPECT_TRUE(take_ready(ring).empty());
       }},
      {suite,
       "TellsNoTagWhenTheTableGoesBeforeLinux613",
       {.register_ops = {IORING_REGISTER_FILES2}, .until = {6, 13}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("file");
         ASSERT_EQ(register_tagged(ring, {file.get()}, {77}), 0);
         EXPECT_EQ(ring.unregister_files(), 0);
         prepare_nop(ring, 1);
         EXPECT_EQ(run_one(ring).user_data, 1u);
         EXPECT_TRUE(take_ready(ring).empty());
       }},
      {suite, "TellsATagOnlyWhenNoRequestUsesTheFile", tags,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe pipe = make_pipe();
         ASSERT_EQ(register_tagged(ring, {pipe.read_end.get()}, {77}), 0);
         char byte = 0;
         iovec buffer{.iov_base = &byte, .iov_len = 1};
         io_uring_sqe& read = next_sqe(ring);
         io_uring_prep_readv(&read, 0, &buffer, 1, 0);
         read.user_data = 1;
         read.flags = IOSQE_FIXED_FILE;
         submit_all(ring);
         EXPECT_EQ(update(ring, 0, {-1}), 1);
         prepare_nop(ring, 2);
         EXPECT_EQ(run_one(ring).user_data, 2u) << "the read still waits";
         write_text(pipe.write_end.get(), "x");
         EXPECT_EQ(take(ring), (Completion{1, 1, 0}));
         EXPECT_EQ(take(ring), (Completion{77, 0, 0}));
       }},
      {suite,
       "TellsATagThoughOthersAreInUse",
       {.register_ops = {IORING_REGISTER_FILES2, IORING_REGISTER_FILES_UPDATE2},
        .switches_off = {&Semantics::tags_wait_for_others}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         WaitingRead read(ring);
         EXPECT_EQ(update(ring, 1, {-1}), 1);
         EXPECT_EQ(take(ring), (Completion{78, 0, 0}));
         read.end();
       }},
      {suite,
       "TellsNoTagWhileOthersAreInUseWhereItWaitsForThem",
       {.register_ops = {IORING_REGISTER_FILES2, IORING_REGISTER_FILES_UPDATE2},
        .switches_on = {&Semantics::tags_wait_for_others}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         WaitingRead read(ring);
         EXPECT_EQ(update(ring, 1, {-1}), 1);
         prepare_nop(ring, 2);
         EXPECT_EQ(run_one(ring).user_data, 2u);
         read.end();
         EXPECT_EQ(take(ring), (Completion{78, 0, 0}));
       }},
      {suite,
       "WaitsForRequestsBeforeTheTableGoesBeforeLinux613",
       {.register_ops = {IORING_REGISTER_FILES2},
        .switches_off = {&Semantics::tags_of_gone_tables},
        .real_clock = true},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         WaitingRead read(ring);
         std::thread writer([&] { read.give(); });
         EXPECT_EQ(ring.unregister_files(), 0);
         EXPECT_EQ(ring.cq_ready(), 1u) << "it is over, or else the table would be there";
         writer.join();
         EXPECT_EQ(take(ring), (Completion{1, 1, 0}));
       }},
      {suite, "TellsNoTagOfATableThatWasRefused", tags,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("file");
         EXPECT_EQ(register_tagged(ring, {file.get(), ring.fd()}, {77, 78}), -EBADF);
         prepare_nop(ring, 1);
         EXPECT_EQ(run_one(ring).user_data, 1u);
         EXPECT_TRUE(take_ready(ring).empty());
         EXPECT_EQ(ring.unregister_files(), -ENXIO);
       }},
      {suite, "RefusesATagForNothing", tags,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("file");
         EXPECT_EQ(register_tagged(ring, {file.get(), -1}, {0, 78}), -EINVAL);
         ASSERT_EQ(register_tagged(ring, {file.get()}, {0}), 0);
         EXPECT_EQ(update(ring, 0, {-1}, {78}), -EINVAL);
         EXPECT_EQ(update(ring, 0, {-2}, {78}), -EINVAL) << "to leave a slot alone is nothing, too";
         EXPECT_EQ(slot_content(ring, 0), "file");
       }},
      {suite, "LeavesASlotAloneWhenToldTo", tags,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("file");
         const Fd other = make_file("othr");
         ASSERT_EQ(register_tagged(ring, {file.get(), file.get()}, {77, 0}), 0);
         EXPECT_EQ(update(ring, 0, {-2, other.get()}), 2) << "IORING_REGISTER_FILES_SKIP";
         EXPECT_EQ(slot_content(ring, 0), "file");
         EXPECT_EQ(slot_content(ring, 1), "othr");
         EXPECT_TRUE(take_ready(ring).empty());
       }},
      {suite,
       "TellsTheTagOfASlotThatARequestCloses",
       {.opcodes = {IORING_OP_CLOSE},
        .register_ops = {IORING_REGISTER_FILES2},
        .switches_on = {&Semantics::direct_descriptors}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("file");
         ASSERT_EQ(register_tagged(ring, {file.get()}, {77}), 0);
         io_uring_sqe& close = next_sqe(ring);
         io_uring_prep_close_direct(&close, 0);
         close.user_data = 1;
         submit_all(ring);
         const auto completions = take(ring, 2);
         EXPECT_EQ(find(completions, 1).res, 0);
         EXPECT_EQ(find(completions, 77).res, 0);
       }},
      {suite, "RefusesUpdatesThatLeaveTheTable", tags,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("file");
         EXPECT_EQ(update(ring, 0, {file.get()}), -ENXIO) << "there is no table";
         ASSERT_EQ(register_tagged(ring, {file.get(), file.get()}, {0, 0}), 0);
         EXPECT_EQ(update(ring, 1, {-1, -1}), -EINVAL);
         EXPECT_EQ(update(ring, ~0u, {-1, -1}), -EOVERFLOW);
         EXPECT_EQ(update(ring, 0, {}), -EINVAL) << "nothing is to be changed";
         io_uring_rsrc_update2 request{};
         request.nr = 1;
         const int none = -1;
         request.data = reinterpret_cast<std::uint64_t>(&none);
         EXPECT_EQ(ring.register_op(IORING_REGISTER_FILES_UPDATE2, &request, sizeof request - 1), -EINVAL);
         request.resv = 1;
         EXPECT_EQ(ring.register_op(IORING_REGISTER_FILES_UPDATE2, &request, sizeof request), -EINVAL);
         EXPECT_EQ(slot_content(ring, 0), "file");
       }},
      {suite, "RefusesTagsThatAreNotThere", tags,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("file");
         io_uring_rsrc_register request{};
         const int fd = file.get();
         request.nr = 1;
         request.data = reinterpret_cast<std::uint64_t>(&fd);
         request.tags = 8;
         EXPECT_EQ(ring.register_op(IORING_REGISTER_FILES2, &request, sizeof request), -EFAULT);
         request.tags = 0;
         request.resv2 = 1;
         EXPECT_EQ(ring.register_op(IORING_REGISTER_FILES2, &request, sizeof request), -EINVAL);
         request.resv2 = 0;
         request.flags = 1u << 5;
         EXPECT_EQ(ring.register_op(IORING_REGISTER_FILES2, &request, sizeof request), -EINVAL);
         EXPECT_EQ(ring.unregister_files(), -ENXIO);
       }},
      {suite,
       "StartsEmptyWhenAskedTo",
       {.register_ops = {IORING_REGISTER_FILES2, IORING_REGISTER_FILES_UPDATE2}, .since = {5, 19}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("file");
         io_uring_rsrc_register request{};
         request.nr = 4;
         request.flags = IORING_RSRC_REGISTER_SPARSE;
         const int fd = file.get();
         request.data = reinterpret_cast<std::uint64_t>(&fd);
         EXPECT_EQ(ring.register_op(IORING_REGISTER_FILES2, &request, sizeof request), -EINVAL) << "empty, with files";
         request.data = 0;
         EXPECT_EQ(ring.register_op(IORING_REGISTER_FILES2, &request, sizeof request), 0);
         EXPECT_EQ(slot_content(ring, 2), std::to_string(-EBADF));
         EXPECT_EQ(update(ring, 2, {file.get()}), 1);
         EXPECT_EQ(slot_content(ring, 2), "file");
       }},
      {suite,
       "RefusesToRegisterARing",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const int fd = ring.fd();
         EXPECT_EQ(ring.register_files({&fd, 1}), -EBADF);
       }},
  };
}

}  // namespace assay::conformance
