// io_uring_register(2): files, buffers, eventfds, the probe, ring fds, and rings that start disabled.

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <string>
#include <vector>

#include "assay/conformance/ring_actions.h"
#include "assay/conformance/ring_suites.h"

namespace assay::conformance {
namespace {

constexpr unsigned kProbeOps = 256;

/// io_uring_probe with room for all opcodes there can be.
class Probe {
 public:
  Probe() : memory_(sizeof(io_uring_probe) + kProbeOps * sizeof(io_uring_probe_op)) {}
  io_uring_probe* get() { return reinterpret_cast<io_uring_probe*>(memory_.data()); }

 private:
  std::vector<char> memory_;
};

/// Reads four bytes through the file table.
Completion read_fixed_file(Ring& ring, unsigned index, std::string* text = nullptr) {
  char bytes[4] = {};
  iovec buffer{.iov_base = bytes, .iov_len = sizeof bytes};
  io_uring_sqe& sqe = next_sqe(ring);
  io_uring_prep_readv(&sqe, static_cast<int>(index), &buffer, 1, 0);
  sqe.flags = IOSQE_FIXED_FILE;
  const Completion completion = run_one(ring);
  if (text != nullptr) text->assign(bytes, sizeof bytes);
  return completion;
}

/// Reads four bytes through the file table and returns them, or the error as a number.
std::string fixed_file_content(Ring& ring, unsigned index) {
  std::string text;
  const int result = read_fixed_file(ring, index, &text).res;
  return result == 4 ? text : std::to_string(result);
}

void add_file_behaviours(std::vector<Behaviour>& behaviours) {
  const std::string suite = "RingFileTable";
  const Needs sparse{.register_ops = {IORING_REGISTER_FILES_UPDATE}};
  const std::vector<Behaviour> added = {
      {suite,
       "ServesRequestsByIndex",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd first = make_file("aaaa");
         const Fd second = make_file("bbbb");
         const int fds[] = {first.get(), second.get()};
         ASSERT_EQ(ring.register_files(fds), 0);
         EXPECT_EQ(fixed_file_content(ring, 1), "bbbb");
         EXPECT_EQ(fixed_file_content(ring, 0), "aaaa");
         EXPECT_EQ(ring.unregister_files(), 0);
       }},
      {suite,
       "KeepsFilesOpenThatTheCallerCloses",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         Fd file = make_file("kept");
         const int fd = file.get();
         ASSERT_EQ(ring.register_files({&fd, 1}), 0);
         file.reset();
         EXPECT_EQ(fixed_file_content(ring, 0), "kept");
         EXPECT_EQ(ring.unregister_files(), 0);
       }},
      {suite,
       "LetsGoOfFilesWhenTheyAreUnregistered",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         Pipe pipe = make_pipe();
         const int fd = pipe.write_end.get();
         ASSERT_EQ(ring.register_files({&fd, 1}), 0);
         pipe.write_end.reset();
         EXPECT_EQ(ring.unregister_files(), 0);
         // The kernel may take its time; the hang-up comes when the last reference is gone.
         prepare_nop(ring, 1);
         run_one(ring);
         pollfd entry{.fd = pipe.read_end.get(), .events = POLLIN, .revents = 0};
         EXPECT_EQ(::poll(&entry, 1, 10'000), 1);
         EXPECT_EQ(entry.revents & POLLHUP, POLLHUP);
       }},
      {suite,
       "RefusesASecondTable",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("aaaa");
         const int fd = file.get();
         ASSERT_EQ(ring.register_files({&fd, 1}), 0);
         EXPECT_EQ(ring.register_files({&fd, 1}), -EBUSY);
         EXPECT_EQ(ring.unregister_files(), 0);
         EXPECT_EQ(ring.unregister_files(), -ENXIO);
       }},
      {suite,
       "RefusesATableOfNothing",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         int none = -1;
         EXPECT_EQ(ring.register_op(IORING_REGISTER_FILES, &none, 0), -EINVAL);
       }},
      {suite,
       "TakesNoneOfThemWhenOneIsNotOpen",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("aaaa");
         int closed = -1;
         {
           const Fd gone = make_file();
           closed = gone.get();
         }
         const int fds[] = {file.get(), closed};
         EXPECT_EQ(ring.register_files(fds), -EBADF);
         EXPECT_EQ(ring.unregister_files(), -ENXIO);
       }},
      {suite,
       "RefusesAnIndexOutOfRange",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("aaaa");
         const int fd = file.get();
         EXPECT_EQ(read_fixed_file(ring, 0).res, -EBADF) << "there is no table yet";
         ASSERT_EQ(ring.register_files({&fd, 1}), 0);
         EXPECT_EQ(read_fixed_file(ring, 1).res, -EBADF);
         EXPECT_EQ(ring.unregister_files(), 0);
       }},
      {suite, "HasEmptySlots", sparse,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("aaaa");
         const int fds[] = {-1, file.get()};
         ASSERT_EQ(ring.register_files(fds), 0);
         EXPECT_EQ(read_fixed_file(ring, 0).res, -EBADF);
         EXPECT_EQ(fixed_file_content(ring, 1), "aaaa");
         EXPECT_EQ(ring.unregister_files(), 0);
       }},
      {suite, "PutsFilesIntoSlotsAndTakesThemOut", sparse,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd first = make_file("aaaa");
         const Fd second = make_file("bbbb");
         ASSERT_EQ(ring.register_files_sparse(3), 0);
         const int fds[] = {first.get(), second.get()};
         EXPECT_EQ(ring.update_files(1, fds), 2) << "how many slots were changed";
         EXPECT_EQ(fixed_file_content(ring, 1), "aaaa");
         EXPECT_EQ(fixed_file_content(ring, 2), "bbbb");
         const int other[] = {second.get(), -1};
         EXPECT_EQ(ring.update_files(1, other), 2);
         EXPECT_EQ(fixed_file_content(ring, 1), "bbbb");
         EXPECT_EQ(read_fixed_file(ring, 2).res, -EBADF);
         EXPECT_EQ(ring.unregister_files(), 0);
       }},
      {suite, "RefusesToUpdateBeyondItsEnd", sparse,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd file = make_file("aaaa");
         const int fds[] = {file.get(), file.get()};
         EXPECT_EQ(ring.update_files(0, fds), -ENXIO) << "there is no table yet";
         ASSERT_EQ(ring.register_files_sparse(2), 0);
         EXPECT_EQ(ring.update_files(1, fds), -EINVAL);
         EXPECT_EQ(ring.unregister_files(), 0);
       }},
      {suite, "LetsARequestKeepTheFileThatItStartedWith", sparse,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe pipe = make_pipe();
         const Fd other = make_file("bbbb");
         int fd = pipe.read_end.get();
         ASSERT_EQ(ring.register_files({&fd, 1}), 0);
         io_uring_sqe& sqe = next_sqe(ring);
         io_uring_prep_poll_add(&sqe, 0, POLLIN);
         sqe.flags = IOSQE_FIXED_FILE;
         sqe.user_data = 1;
         submit_all(ring);
         fd = other.get();
         ASSERT_EQ(ring.update_files(0, {&fd, 1}), 1);
         EXPECT_EQ(ring.get_events(), 0);
         EXPECT_EQ(ring.cq_ready(), 0u);
         write_text(pipe.write_end.get(), "x");
         EXPECT_EQ(take(ring).res & POLLIN, POLLIN);
         EXPECT_EQ(fixed_file_content(ring, 0), "bbbb");
         EXPECT_EQ(ring.unregister_files(), 0);
       }},
  };
  behaviours.insert(behaviours.end(), added.begin(), added.end());
}

void add_buffer_behaviours(std::vector<Behaviour>& behaviours) {
  const std::string suite = "RingBufferTable";
  const std::vector<Behaviour> added = {
      {suite,
       "IsRegisteredOnceAtATime",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         std::string memory(4096, '\0');
         const iovec buffer{.iov_base = memory.data(), .iov_len = memory.size()};
         EXPECT_EQ(ring.unregister_buffers(), -ENXIO);
         ASSERT_EQ(ring.register_buffers({&buffer, 1}), 0);
         EXPECT_EQ(ring.register_buffers({&buffer, 1}), -EBUSY);
         EXPECT_EQ(ring.unregister_buffers(), 0);
         EXPECT_EQ(ring.register_buffers({&buffer, 1}), 0);
         EXPECT_EQ(ring.unregister_buffers(), 0);
       }},
      {suite,
       "RefusesATableOfNothing",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         iovec none{};
         EXPECT_EQ(ring.register_op(IORING_REGISTER_BUFFERS, &none, 0), -EINVAL);
       }},
      {suite,
       "RefusesAListThatItCannotRead",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         EXPECT_EQ(ring.register_op(IORING_REGISTER_BUFFERS, reinterpret_cast<void*>(8), 1), -EFAULT);
         EXPECT_EQ(ring.unregister_buffers(), -ENXIO);
       }},
      {suite,
       "RefusesMemoryThatIsNotThere",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const iovec nowhere{.iov_base = reinterpret_cast<void*>(4096), .iov_len = 4096};
         EXPECT_EQ(ring.register_buffers({&nowhere, 1}), -EFAULT);
         EXPECT_EQ(ring.unregister_buffers(), -ENXIO);
       }},
  };
  behaviours.insert(behaviours.end(), added.begin(), added.end());
}

void add_eventfd_behaviours(std::vector<Behaviour>& behaviours) {
  const std::string suite = "RingEventfd";
  const Needs eventfds{.register_ops = {IORING_REGISTER_EVENTFD}};  // 5.2
  const std::vector<Behaviour> added = {
      {suite, "IsSignalledByCompletions", eventfds,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd eventfd = make_eventfd();
         ASSERT_EQ(ring.register_eventfd(eventfd.get()), 0);
         EXPECT_EQ(eventfd_count(eventfd.get()), 0u);
         prepare_nop(ring, 1);
         submit_all(ring);
         EXPECT_GE(eventfd_count(eventfd.get()), 1u);
         take(ring);
         EXPECT_EQ(eventfd_count(eventfd.get()), 0u) << "not by what was there already";
         EXPECT_EQ(ring.unregister_eventfd(), 0);
       }},
      {suite, "IsSignalledByWhatCompletesLater", eventfds,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd eventfd = make_eventfd();
         const Pipe pipe = make_pipe();
         ASSERT_EQ(ring.register_eventfd(eventfd.get()), 0);
         io_uring_prep_poll_add(&next_sqe(ring), pipe.read_end.get(), POLLIN);
         submit_all(ring);
         EXPECT_EQ(eventfd_count(eventfd.get()), 0u);
         write_text(pipe.write_end.get(), "x");
         take(ring);
         EXPECT_GE(eventfd_count(eventfd.get()), 1u);
         EXPECT_EQ(ring.unregister_eventfd(), 0);
       }},
      {suite,
       "IsSignalledLaterWhereItWasWhatWokeTheRequest",
       {.opcodes = {IORING_OP_READ},
        .setup_flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
        .register_ops = {IORING_REGISTER_EVENTFD}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(
             kernel, {.sq_entries = 8, .setup_flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN});
         const Fd eventfd = make_eventfd();
         ASSERT_EQ(ring.register_eventfd(eventfd.get()), 0);
         std::uint64_t count = 0;
         io_uring_prep_read(&next_sqe(ring, 1), eventfd.get(), &count, sizeof count, 0);
         submit_all(ring);
         prepare_nop(ring, 2);
         submit_all(ring);
         const std::vector<Completion> completions = take(ring, 2);
         EXPECT_EQ(find(completions, 1).res, static_cast<std::int32_t>(sizeof count));
         EXPECT_EQ(count, 1u) << "the NOP's; that it woke the read is told when the read is over";
         EXPECT_EQ(ring.unregister_eventfd(), 0);
       }},
      {suite, "IsLeftAloneOnceUnregistered", eventfds,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd eventfd = make_eventfd();
         ASSERT_EQ(ring.register_eventfd(eventfd.get()), 0);
         EXPECT_EQ(ring.unregister_eventfd(), 0);
         prepare_nop(ring, 1);
         run_one(ring);
         EXPECT_EQ(eventfd_count(eventfd.get()), 0u);
       }},
      {suite, "IsRegisteredOnceAtATime", eventfds,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd eventfd = make_eventfd();
         EXPECT_EQ(ring.unregister_eventfd(), -ENXIO);
         ASSERT_EQ(ring.register_eventfd(eventfd.get()), 0);
         EXPECT_EQ(ring.register_eventfd(eventfd.get()), -EBUSY);
         EXPECT_EQ(ring.unregister_eventfd(), 0);
       }},
      {suite, "MustBeAnEventfd", eventfds,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe pipe = make_pipe();
         EXPECT_EQ(ring.register_eventfd(-1), -EBADF);
         EXPECT_EQ(ring.register_eventfd(pipe.read_end.get()), -EINVAL);
         int fds[] = {-1, -1};
         EXPECT_EQ(ring.register_op(IORING_REGISTER_EVENTFD, fds, 2), -EINVAL) << "there is room for one";
       }},
      {suite,
       "IsSignalledOnlyByWhatDidNotCompleteAtOnceWhenAsync",
       {.register_ops = {IORING_REGISTER_EVENTFD_ASYNC}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd eventfd = make_eventfd();
         int fd = eventfd.get();
         ASSERT_EQ(ring.register_op(IORING_REGISTER_EVENTFD_ASYNC, &fd, 1), 0);
         prepare_nop(ring, 1);
         run_one(ring);
         EXPECT_EQ(eventfd_count(eventfd.get()), 0u);
         EXPECT_EQ(ring.unregister_eventfd(), 0);
       }},
      {suite,
       "IsHeldBackByTheCqsFlag",
       {.since = {5, 8}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd eventfd = make_eventfd();
         ASSERT_NE(ring.raw()->cq.kflags, nullptr);
         ASSERT_EQ(ring.register_eventfd(eventfd.get()), 0);
         *ring.raw()->cq.kflags |= IORING_CQ_EVENTFD_DISABLED;
         prepare_nop(ring, 1);
         run_one(ring);
         EXPECT_EQ(eventfd_count(eventfd.get()), 0u);
         *ring.raw()->cq.kflags &= ~IORING_CQ_EVENTFD_DISABLED;
         prepare_nop(ring, 2);
         run_one(ring);
         EXPECT_GE(eventfd_count(eventfd.get()), 1u);
         EXPECT_EQ(ring.unregister_eventfd(), 0);
       }},
  };
  behaviours.insert(behaviours.end(), added.begin(), added.end());
}

}  // namespace

std::vector<Behaviour> ring_registration_behaviours() {
  std::vector<Behaviour> behaviours;
  add_file_behaviours(behaviours);
  add_buffer_behaviours(behaviours);
  add_eventfd_behaviours(behaviours);
  const std::string suite = "RingRegister";
  const Needs probe{.register_ops = {IORING_REGISTER_PROBE}};
  const Needs ring_fds{.register_ops = {IORING_REGISTER_RING_FDS}};
  const std::vector<Behaviour> added = {
      {suite,
       "RefusesEveryOpcodeItDoesNotHave",
       {},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         for (unsigned opcode = 0; opcode < 256; ++opcode) {
           if (kernel.profile().register_ops[opcode]) continue;
           EXPECT_EQ(ring.register_op(opcode, nullptr, 0), -EINVAL) << "register opcode " << opcode;
         }
       }},
      {suite,
       "RefusesAFdThatIsNoRing",
       {},
       [](KernelUnderTest& kernel) {
         Pipe pipe = make_pipe();
         const int fd = pipe.read_end.get();
         EXPECT_EQ(kernel.kernel().register_op(fd, IORING_UNREGISTER_FILES, nullptr, 0), -EOPNOTSUPP);
         pipe.read_end.reset();
         // Not -1, which names no ring at all and is a call of its own since 6.13.
         EXPECT_EQ(kernel.kernel().register_op(fd, IORING_UNREGISTER_FILES, nullptr, 0), -EBADF);
       }},
      {suite, "ProbesTheOpcodesThatItHas", probe,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         Probe answer;
         ASSERT_EQ(ring.register_probe(answer.get(), kProbeOps), 0);
         for (unsigned opcode = 0; opcode < answer.get()->ops_len; ++opcode) {
           const bool supported = (answer.get()->ops[opcode].flags & IO_URING_OP_SUPPORTED) != 0;
           EXPECT_EQ(supported, kernel.profile().opcodes[opcode]) << "opcode " << opcode;
         }
         for (unsigned opcode = answer.get()->ops_len; opcode < 256; ++opcode) {
           EXPECT_FALSE(kernel.profile().opcodes[opcode]) << "opcode " << opcode;
         }
       }},
      {suite, "ProbesIntoTheRoomThatThereIs", probe,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         Probe answer;
         ASSERT_EQ(ring.register_probe(answer.get(), 3), 0);
         EXPECT_EQ(answer.get()->ops_len, 3);
         EXPECT_EQ(answer.get()->ops[2].op, 2);
         EXPECT_EQ(answer.get()->ops[3].flags, 0) << "nothing is written beyond it";
         EXPECT_GT(answer.get()->last_op, 3) << "but it tells how many there are";
       }},
      {suite, "RefusesAProbeThatIsNotCleared", probe,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         Probe answer;
         answer.get()->ops[0].flags = 1;
         EXPECT_EQ(ring.register_probe(answer.get(), kProbeOps), -EINVAL);
         EXPECT_EQ(ring.register_probe(answer.get(), kProbeOps + 1), -EINVAL);
       }},
      {suite, "EntersByARegisteredRingFd", ring_fds,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         ASSERT_EQ(ring.register_ring_fd(), 0);
         EXPECT_TRUE(ring.ring_fd_registered());
         prepare_nop(ring, 1);
         EXPECT_EQ(ring.submit_and_wait(1), 1);
         EXPECT_EQ(take(ring).user_data, 1u);
         EXPECT_EQ(ring.unregister_ring_fd(), 0);
         prepare_nop(ring, 2);
         EXPECT_EQ(run_one(ring).user_data, 2u);
       }},
      {suite, "RefusesARegisteredRingFdThatIsNotThere", ring_fds,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         ASSERT_EQ(ring.register_ring_fd(), 0);
         EXPECT_EQ(kernel.kernel().enter(15, 0, 0, IORING_ENTER_REGISTERED_RING, nullptr, 0), -EBADF);
         EXPECT_EQ(kernel.kernel().enter(16, 0, 0, IORING_ENTER_REGISTERED_RING, nullptr, 0), -EINVAL);
       }},
      {suite,
       "StartsDisabledUntilItIsEnabled",
       {.setup_flags = IORING_SETUP_R_DISABLED},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel, {.sq_entries = 8, .setup_flags = IORING_SETUP_R_DISABLED});
         prepare_nop(ring, 1);
         EXPECT_EQ(ring.submit(), -EBADFD);
         EXPECT_EQ(ring.enable(), 0);
         EXPECT_EQ(run_one(ring).user_data, 1u);
         EXPECT_EQ(ring.enable(), -EBADFD) << "once is enough";
       }},
      {suite,
       "RefusesToEnableWhatNeverWasDisabled",
       {.setup_flags = IORING_SETUP_R_DISABLED},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         EXPECT_EQ(ring.enable(), -EBADFD);
       }},
      {suite,
       "RegistersFilesOnADisabledRing",
       {.setup_flags = IORING_SETUP_R_DISABLED},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel, {.sq_entries = 8, .setup_flags = IORING_SETUP_R_DISABLED});
         const Fd file = make_file("aaaa");
         const int fd = file.get();
         EXPECT_EQ(ring.register_files({&fd, 1}), 0);
         EXPECT_EQ(ring.enable(), 0);
         EXPECT_EQ(fixed_file_content(ring, 0), "aaaa");
         EXPECT_EQ(ring.unregister_files(), 0);
       }},
  };
  behaviours.insert(behaviours.end(), added.begin(), added.end());
  return behaviours;
}

}  // namespace assay::conformance
