// EPOLL_CTL and EPOLL_WAIT.

#include <sys/epoll.h>
#include <unistd.h>

#include <cerrno>

#include "assay/conformance/ring_actions.h"
#include "assay/conformance/ring_suites.h"

namespace assay::conformance {
namespace {

Fd make_epoll() { return Fd(::epoll_create1(EPOLL_CLOEXEC)); }

int control(Ring& ring, int epoll, int fd, int op, epoll_event* event) {
  io_uring_prep_epoll_ctl(&next_sqe(ring), epoll, fd, op, event);
  return run_one(ring).res;
}

/// What is ready in an epoll, asked without waiting: its data, or 0.
std::uint64_t ready_data(int epoll) {
  epoll_event event{};
  return ::epoll_wait(epoll, &event, 1, 0) == 1 ? event.data.u64 : 0;
}

io_uring_sqe& prepare_wait(Ring& ring, int epoll, epoll_event* events, unsigned most, std::uint64_t user_data = 0) {
  io_uring_sqe& sqe = next_sqe(ring, user_data);
  sqe.opcode = uapi::kOpEpollWait;
  sqe.fd = epoll;
  sqe.addr = reinterpret_cast<std::uint64_t>(events);
  sqe.len = most;
  return sqe;
}

void watch(int epoll, int fd, std::uint64_t data) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = data;
  ASSERT_EQ(::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), 0);
}

}  // namespace

std::vector<Behaviour> ring_epoll_behaviours() {
  const std::string suite = "RingEpoll";
  const Needs ctl{.opcodes = {IORING_OP_EPOLL_CTL}};
  const Needs wait{.opcodes = {uapi::kOpEpollWait}};
  return {
      {suite, "AddsChangesAndRemovesAFile", ctl,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd epoll = make_epoll();
         const Pipe pipe = make_pipe();
         write_text(pipe.write_end.get(), "x");
         epoll_event event{};
         event.events = EPOLLIN;
         event.data.u64 = 5;
         EXPECT_EQ(control(ring, epoll.get(), pipe.read_end.get(), EPOLL_CTL_ADD, &event), 0);
         EXPECT_EQ(ready_data(epoll.get()), 5u);
         event.data.u64 = 6;
         EXPECT_EQ(control(ring, epoll.get(), pipe.read_end.get(), EPOLL_CTL_MOD, &event), 0);
         EXPECT_EQ(ready_data(epoll.get()), 6u);
         EXPECT_EQ(control(ring, epoll.get(), pipe.read_end.get(), EPOLL_CTL_DEL, nullptr), 0);
         EXPECT_EQ(ready_data(epoll.get()), 0u);
       }},
      {suite, "TellsWhyAFileCannotBeControlled", ctl,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd epoll = make_epoll();
         const Pipe pipe = make_pipe();
         const Fd file = make_file("text");
         epoll_event event{};
         EXPECT_EQ(control(ring, epoll.get(), pipe.read_end.get(), EPOLL_CTL_MOD, &event), -ENOENT);
         EXPECT_EQ(control(ring, epoll.get(), pipe.read_end.get(), EPOLL_CTL_ADD, &event), 0);
         EXPECT_EQ(control(ring, epoll.get(), pipe.read_end.get(), EPOLL_CTL_ADD, &event), -EEXIST);
         EXPECT_EQ(control(ring, epoll.get(), file.get(), EPOLL_CTL_ADD, &event), -EPERM);
         EXPECT_EQ(control(ring, pipe.write_end.get(), pipe.read_end.get(), EPOLL_CTL_ADD, &event), -EINVAL);
         EXPECT_EQ(control(ring, epoll.get(), -1, EPOLL_CTL_ADD, &event), -EBADF);
         EXPECT_EQ(control(ring, -1, pipe.read_end.get(), EPOLL_CTL_ADD, &event), -EBADF);
         EXPECT_EQ(control(ring, epoll.get(), pipe.read_end.get(), 77, &event), -EINVAL);
       }},
      {suite, "NeedsTheEventUnlessAFileIsRemoved", ctl,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd epoll = make_epoll();
         const Pipe pipe = make_pipe();
         auto* nowhere = reinterpret_cast<epoll_event*>(8);
         EXPECT_EQ(control(ring, epoll.get(), pipe.read_end.get(), EPOLL_CTL_ADD, nowhere), -EFAULT);
         EXPECT_EQ(control(ring, -1, pipe.read_end.get(), EPOLL_CTL_ADD, nowhere), -EFAULT)
             << "it is copied before the files are looked up";
         EXPECT_EQ(control(ring, epoll.get(), pipe.read_end.get(), EPOLL_CTL_DEL, nowhere), -ENOENT);
       }},
      {suite, "RefusesToControlWithABufferIndex", ctl,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd epoll = make_epoll();
         const Pipe pipe = make_pipe();
         epoll_event event{};
         io_uring_sqe& sqe = next_sqe(ring);
         io_uring_prep_epoll_ctl(&sqe, epoll.get(), pipe.read_end.get(), EPOLL_CTL_ADD, &event);
         sqe.buf_index = 1;
         EXPECT_EQ(run_one(ring).res, -EINVAL);
       }},
      {suite, "RefusesARingForAnEpoll", ctl,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe pipe = make_pipe();
         epoll_event event{};
         EXPECT_EQ(control(ring, ring.fd(), pipe.read_end.get(), EPOLL_CTL_ADD, &event), -EINVAL);
       }},
      {suite, "GivesTheEventsThatAreThere", wait,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd epoll = make_epoll();
         const Pipe first = make_pipe();
         const Pipe second = make_pipe();
         watch(epoll.get(), first.read_end.get(), 1);
         watch(epoll.get(), second.read_end.get(), 2);
         write_text(first.write_end.get(), "x");
         write_text(second.write_end.get(), "x");
         epoll_event events[4] = {};
         prepare_wait(ring, epoll.get(), events, 4);
         EXPECT_EQ(run_one(ring).res, 2);
         EXPECT_EQ(events[0].data.u64 + events[1].data.u64, 3u);
         EXPECT_EQ(std::uint32_t{events[0].events}, std::uint32_t{EPOLLIN});
       }},
      {suite, "GivesNoMoreEventsThanThereIsRoomFor", wait,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd epoll = make_epoll();
         const Pipe first = make_pipe();
         const Pipe second = make_pipe();
         watch(epoll.get(), first.read_end.get(), 1);
         watch(epoll.get(), second.read_end.get(), 2);
         write_text(first.write_end.get(), "x");
         write_text(second.write_end.get(), "x");
         epoll_event events[2] = {};
         prepare_wait(ring, epoll.get(), events, 1);
         EXPECT_EQ(run_one(ring).res, 1);
         EXPECT_EQ(std::uint64_t{events[1].data.u64}, 0u);
       }},
      {suite, "WaitsForAnEvent", wait,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd epoll = make_epoll();
         const Pipe pipe = make_pipe();
         watch(epoll.get(), pipe.read_end.get(), 5);
         epoll_event events[2] = {};
         prepare_wait(ring, epoll.get(), events, 2, 1);
         submit_all(ring);
         EXPECT_TRUE(take_ready(ring).empty());
         write_text(pipe.write_end.get(), "x");
         EXPECT_EQ(take(ring), (Completion{1, 1, 0}));
         EXPECT_EQ(std::uint64_t{events[0].data.u64}, 5u);
       }},
      {suite, "StopsWaitingForEventsWhenCancelled", wait,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd epoll = make_epoll();
         epoll_event events[2] = {};
         prepare_wait(ring, epoll.get(), events, 2, 1);
         submit_all(ring);
         io_uring_sqe& cancel = next_sqe(ring);
         io_uring_prep_cancel64(&cancel, 1, 0);
         cancel.user_data = 2;
         submit_all(ring);
         const auto completions = take(ring, 2);
         EXPECT_EQ(find(completions, 1).res, -ECANCELED);
         EXPECT_EQ(find(completions, 2).res, 0);
       }},
      {suite, "WaitsForEventsOfARegisteredEpoll", wait,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd epoll = make_epoll();
         const Pipe pipe = make_pipe();
         watch(epoll.get(), pipe.read_end.get(), 5);
         write_text(pipe.write_end.get(), "x");
         const int fd = epoll.get();
         ASSERT_EQ(ring.register_files({&fd, 1}), 0);
         epoll_event events[2] = {};
         prepare_wait(ring, 0, events, 2).flags = IOSQE_FIXED_FILE;
         EXPECT_EQ(run_one(ring).res, 1);
       }},
      {suite, "WaitsForEventsOfAnEpollOnly", wait,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe pipe = make_pipe();
         epoll_event events[2] = {};
         prepare_wait(ring, pipe.read_end.get(), events, 2);
         EXPECT_EQ(run_one(ring).res, -EINVAL);
         prepare_wait(ring, -1, events, 2);
         EXPECT_EQ(run_one(ring).res, -EBADF);
         prepare_wait(ring, ring.fd(), events, 2);
         EXPECT_EQ(run_one(ring).res, -EINVAL);
       }},
      {suite, "RefusesAWaitThatHasNoRoom", wait,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd epoll = make_epoll();
         const Pipe pipe = make_pipe();
         watch(epoll.get(), pipe.read_end.get(), 5);
         write_text(pipe.write_end.get(), "x");
         epoll_event events[2] = {};
         prepare_wait(ring, epoll.get(), events, 0);
         EXPECT_EQ(run_one(ring).res, -EINVAL);
         prepare_wait(ring, epoll.get(), events, 0x7fffffff);
         EXPECT_EQ(run_one(ring).res, -EINVAL);
         prepare_wait(ring, epoll.get(), reinterpret_cast<epoll_event*>(8), 2);
         EXPECT_EQ(run_one(ring).res, -EFAULT);
       }},
      {suite, "RefusesAWaitWithWhatItDoesNotKnow", wait,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd epoll = make_epoll();
         epoll_event events[2] = {};
         prepare_wait(ring, epoll.get(), events, 2).off = 1;
         EXPECT_EQ(run_one(ring).res, -EINVAL);
         prepare_wait(ring, epoll.get(), events, 2).rw_flags = 1 << 30;
         EXPECT_EQ(run_one(ring).res, -EINVAL);
         prepare_wait(ring, epoll.get(), events, 2).buf_index = 1;
         EXPECT_EQ(run_one(ring).res, -EINVAL);
         prepare_wait(ring, epoll.get(), events, 2).splice_fd_in = 1;
         EXPECT_EQ(run_one(ring).res, -EINVAL);
       }},
  };
}

}  // namespace assay::conformance
