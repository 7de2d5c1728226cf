// ACCEPT, once and many times, into fds and into slots; LISTEN, BIND, SOCKET and SHUTDOWN, which make what it needs.

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>

#include "assay/conformance/ring_suites.h"
#include "assay/conformance/socket_actions.h"

namespace assay::conformance {
namespace {

/// Takes over the fd that a completion tells of.
Fd accepted(const Completion& completion) {
  EXPECT_GE(completion.res, 0);
  return Fd(completion.res);
}

void register_empty_slots(Ring& ring, unsigned count) {
  const std::vector<int> none(count, -1);
  ASSERT_EQ(ring.register_files(none), 0);
}

/// Sends a byte through a slot of the file table.
int send_through(Ring& ring, int slot) {
  prepare_send(ring, slot, "x", 50).flags = IOSQE_FIXED_FILE;
  return run_one(ring).res;
}

}  // namespace

std::vector<Behaviour> ring_accept_behaviours() {
  const std::string suite = "RingAccept";
  const Needs accept{.opcodes = {IORING_OP_ACCEPT}};
  const Needs multishot{.opcodes = {IORING_OP_ACCEPT}, .switches_on = {&Semantics::accept_multishot}};
  const Needs dontwait{.opcodes = {IORING_OP_ACCEPT}, .switches_on = {&Semantics::accept_dontwait}};
  const Needs direct{.opcodes = {IORING_OP_ACCEPT, IORING_OP_SEND}, .since = {5, 15}};
  const Needs chosen{.opcodes = {IORING_OP_ACCEPT, IORING_OP_SEND}, .since = {5, 19}};
  return {
      {suite, "TakesAConnectionThatWaits", accept,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Listener listener = make_listener();
         const Fd client = connect_to(listener);
         prepare_accept(ring, listener.socket.get(), 1);
         const Fd server = accepted(run_one(ring));
         write_text(client.get(), "x");
         EXPECT_EQ(receive_all(server.get(), 1), "x");
       }},
      {suite, "WaitsForAConnection", accept,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Listener listener = make_listener();
         prepare_accept(ring, listener.socket.get(), 1);
         submit_all(ring);
         EXPECT_EQ(ring.cq_ready(), 0u);
         const Fd client = connect_to(listener);
         accepted(take(ring));
       }},
      {suite, "LeavesTheListenerBlocking", accept,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Listener listener = make_listener();
         prepare_accept(ring, listener.socket.get(), 1);
         submit_all(ring);
         EXPECT_EQ(::fcntl(listener.socket.get(), F_GETFL) & O_NONBLOCK, 0);
         const Fd client = connect_to(listener);
         const Fd server = accepted(take(ring));
         EXPECT_EQ(::fcntl(server.get(), F_GETFL) & O_NONBLOCK, 0);
         EXPECT_EQ(::fcntl(server.get(), F_GETFD) & FD_CLOEXEC, 0);
       }},
      {suite, "GivesTheFdTheFlagsThatItIsTold", accept,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Listener listener = make_listener();
         const Fd client = connect_to(listener);
         prepare_accept(ring, listener.socket.get(), 1).accept_flags = SOCK_NONBLOCK | SOCK_CLOEXEC;
         const Fd server = accepted(run_one(ring));
         EXPECT_EQ(::fcntl(server.get(), F_GETFL) & O_NONBLOCK, O_NONBLOCK);
         EXPECT_EQ(::fcntl(server.get(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
       }},
      {suite, "TellsThePeersAddress", accept,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Listener listener = make_listener();
         const Fd client = connect_to(listener);
         sockaddr_in own{};
         socklen_t own_bytes = sizeof own;
         ASSERT_EQ(::getsockname(client.get(), reinterpret_cast<sockaddr*>(&own), &own_bytes), 0);
         sockaddr_in peer{};
         socklen_t peer_bytes = sizeof peer;
         io_uring_sqe& sqe = prepare_accept(ring, listener.socket.get(), 1);
         sqe.addr = reinterpret_cast<std::uintptr_t>(&peer);
         sqe.addr2 = reinterpret_cast<std::uintptr_t>(&peer_bytes);
         accepted(run_one(ring));
         EXPECT_EQ(peer_bytes, sizeof peer);
         EXPECT_EQ(peer.sin_port, own.sin_port);
       }},
      {suite, "TellsTheAddressAfterAWaitToo", accept,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Listener listener = make_listener();
         sockaddr_in peer{};
         socklen_t peer_bytes = sizeof peer;
         io_uring_sqe& sqe = prepare_accept(ring, listener.socket.get(), 1);
         sqe.addr = reinterpret_cast<std::uintptr_t>(&peer);
         sqe.addr2 = reinterpret_cast<std::uintptr_t>(&peer_bytes);
         submit_all(ring);
         const Fd client = connect_to(listener);
         accepted(take(ring));
         EXPECT_EQ(peer.sin_family, AF_INET);
       }},
      {suite, "RefusesFieldsThatMeanNothing", accept,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Listener listener = make_listener();
         prepare_accept(ring, listener.socket.get(), 1).len = 1;
         EXPECT_EQ(run_one(ring), (Completion{1, -EINVAL, 0}));
         prepare_accept(ring, listener.socket.get(), 1).buf_index = 1;
         EXPECT_EQ(run_one(ring), (Completion{1, -EINVAL, 0}));
         prepare_accept(ring, listener.socket.get(), 1, 1u << 12);
         EXPECT_EQ(run_one(ring), (Completion{1, -EINVAL, 0}));
       }},
      {suite, "RefusesUnknownSocketFlags", accept,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Listener listener = make_listener();
         const Fd client = connect_to(listener);
         prepare_accept(ring, listener.socket.get(), 1).accept_flags = O_APPEND;
         EXPECT_EQ(run_one(ring), (Completion{1, -EINVAL, 0}));
       }},
      {suite, "RefusesWhatIsNoSocket", accept,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe pipe = make_pipe();
         prepare_accept(ring, pipe.read_end.get(), 1);
         EXPECT_EQ(run_one(ring), (Completion{1, -ENOTSOCK, 0}));
       }},
      {suite, "RefusesASocketThatDoesNotListen", accept,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd socket = make_tcp_socket();
         prepare_accept(ring, socket.get(), 1);
         EXPECT_EQ(run_one(ring), (Completion{1, -EINVAL, 0}));
       }},
      {suite, "RefusesAClosedFd", accept,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         prepare_accept(ring, -1, 1);
         EXPECT_EQ(run_one(ring), (Completion{1, -EBADF, 0}));
       }},
      {suite, "IsCanceledWhileItWaits", accept,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Listener listener = make_listener();
         prepare_accept(ring, listener.socket.get(), 1);
         submit_all(ring);
         prepare_cancel(ring, 1, 2);
         submit_all(ring);
         const std::vector<Completion> completions = take(ring, 2);
         const bool polls = (kernel.profile().features & IORING_FEAT_FAST_POLL) != 0;
         EXPECT_EQ(find(completions, 1).res, polls ? -ECANCELED : -EINTR);
         EXPECT_EQ(find(completions, 2).res, polls ? 0 : -EALREADY);
       }},
      {suite,
       "WaitsOnANonblockingSocketToo",
       {.opcodes = {IORING_OP_ACCEPT}, .switches_on = {&Semantics::nonblocking_accept_waits}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Listener listener = make_listener(SOCK_NONBLOCK);
         prepare_accept(ring, listener.socket.get(), 1);
         submit_all(ring);
         EXPECT_EQ(ring.cq_ready(), 0u);
         const Fd client = connect_to(listener);
         accepted(take(ring));
       }},
      {suite,
       "DoesNotWaitOnANonblockingSocket",
       {.opcodes = {IORING_OP_ACCEPT}, .switches_off = {&Semantics::nonblocking_accept_waits}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Listener listener = make_listener(SOCK_NONBLOCK);
         prepare_accept(ring, listener.socket.get(), 1);
         EXPECT_EQ(run_one(ring), (Completion{1, -EAGAIN, 0}));
       }},
      {suite, "DoesNotWaitWhenToldSo", dontwait,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Listener listener = make_listener();
         prepare_accept(ring, listener.socket.get(), 1, uapi::kAcceptDontwait);
         EXPECT_EQ(run_one(ring), (Completion{1, -EAGAIN, 0}));
         const Fd client = connect_to(listener);
         prepare_accept(ring, listener.socket.get(), 1, uapi::kAcceptDontwait);
         accepted(run_one(ring));
       }},
      {suite, "PollsFirstWhenToldSo", dontwait,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Listener listener = make_listener();
         const Fd client = connect_to(listener);
         prepare_accept(ring, listener.socket.get(), 1, uapi::kAcceptPollFirst);
         accepted(run_one(ring));
       }},
      {suite, "TellsWhetherMoreConnectionsWait", dontwait,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Listener listener = make_listener();
         const Fd first = connect_to(listener);
         const Fd second = connect_to(listener);
         prepare_accept(ring, listener.socket.get(), 1);
         const Completion more = run_one(ring);
         accepted(more);
         EXPECT_EQ(more.flags, IORING_CQE_F_SOCK_NONEMPTY);
         prepare_accept(ring, listener.socket.get(), 1);
         const Completion last = run_one(ring);
         accepted(last);
         EXPECT_EQ(last.flags, 0u);
       }},
      {suite,
       "RefusesAMultishotThatCameLater",
       {.opcodes = {IORING_OP_ACCEPT}, .switches_off = {&Semantics::accept_multishot}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Listener listener = make_listener();
         prepare_accept(ring, listener.socket.get(), 1, IORING_ACCEPT_MULTISHOT);
         EXPECT_EQ(run_one(ring), (Completion{1, -EINVAL, 0}));
       }},
      {suite, "AcceptsAgainAndAgainWhenMultishot", multishot,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Listener listener = make_listener();
         prepare_accept(ring, listener.socket.get(), 1, IORING_ACCEPT_MULTISHOT);
         submit_all(ring);
         for (int i = 0; i < 3; ++i) {
           const Fd client = connect_to(listener);
           const Completion completion = take(ring);
           const Fd server = accepted(completion);
           EXPECT_EQ(completion.user_data, 1u);
           EXPECT_EQ(completion.flags & IORING_CQE_F_MORE, IORING_CQE_F_MORE);
           write_text(client.get(), "x");
           EXPECT_EQ(receive_all(server.get(), 1), "x");
         }
       }},
      {suite, "AcceptsAllThatWaitWhenMultishot", multishot,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Listener listener = make_listener();
         const Fd clients[3] = {connect_to(listener), connect_to(listener), connect_to(listener)};
         prepare_accept(ring, listener.socket.get(), 1, IORING_ACCEPT_MULTISHOT);
         submit_all(ring);
         for (const Completion& completion : take(ring, 3)) {
           accepted(completion);
           EXPECT_EQ(completion.flags & IORING_CQE_F_MORE, IORING_CQE_F_MORE);
         }
       }},
      {suite, "EndsAMultishotWithoutMoreWhenCanceled", multishot,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Listener listener = make_listener();
         const Fd client = connect_to(listener);
         prepare_accept(ring, listener.socket.get(), 1, IORING_ACCEPT_MULTISHOT);
         accepted(run_one(ring));
         prepare_cancel(ring, 1, 2);
         submit_all(ring);
         const std::vector<Completion> completions = take(ring, 2);
         EXPECT_EQ(find(completions, 1), (Completion{1, -ECANCELED, 0}));
         EXPECT_EQ(find(completions, 2).res, 0);
       }},
      {suite, "EndsAMultishotByAnError", multishot,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd socket = make_tcp_socket();
         prepare_accept(ring, socket.get(), 1, IORING_ACCEPT_MULTISHOT);
         EXPECT_EQ(run_one(ring), (Completion{1, -EINVAL, 0}));
       }},
      {suite, "LosesNoConnectionToAFullCqWhenMultishot", multishot,
       [](KernelUnderTest& kernel) {
         // Whether it goes on into the overflow backlog or ends there: every connection is told of once.
         Ring ring = open_ring(kernel, {.sq_entries = 1});
         const Listener listener = make_listener();
         std::vector<Fd> clients;
         for (int i = 0; i < 5; ++i) clients.push_back(connect_to(listener));
         prepare_accept(ring, listener.socket.get(), 1, IORING_ACCEPT_MULTISHOT);
         submit_all(ring);
         std::vector<Completion> completions;
         for (int i = 0; i < 8; ++i) {
           ring.get_events();
           for (const Completion& each : take_ready(ring)) completions.push_back(each);
         }
         ASSERT_GE(completions.size(), 2u);
         for (const Completion& each : completions) accepted(each);
         const bool ended = (completions.back().flags & IORING_CQE_F_MORE) == 0;
         EXPECT_TRUE(ended || completions.size() == 5u);
         for (std::size_t i = 0; i + 1 < completions.size(); ++i) {
           EXPECT_EQ(completions[i].flags & IORING_CQE_F_MORE, IORING_CQE_F_MORE);
         }
       }},
      {suite, "PutsAConnectionIntoASlot", direct,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         register_empty_slots(ring, 4);
         const Listener listener = make_listener();
         const Fd client = connect_to(listener);
         prepare_accept(ring, listener.socket.get(), 1).file_index = 3;
         EXPECT_EQ(run_one(ring).res, 0);
         EXPECT_EQ(send_through(ring, 2), 1);
         EXPECT_EQ(receive_all(client.get(), 1), "x");
       }},
      {suite, "RefusesASlotWithoutATable", direct,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Listener listener = make_listener();
         const Fd client = connect_to(listener);
         prepare_accept(ring, listener.socket.get(), 1).file_index = 1;
         EXPECT_EQ(run_one(ring).res, -ENXIO);
       }},
      {suite, "RefusesASlotBeyondTheTable", direct,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         register_empty_slots(ring, 4);
         const Listener listener = make_listener();
         const Fd client = connect_to(listener);
         prepare_accept(ring, listener.socket.get(), 1).file_index = 5;
         EXPECT_EQ(run_one(ring).res, -EINVAL);
       }},
      {suite, "RefusesCloexecForASlot", direct,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         register_empty_slots(ring, 4);
         const Listener listener = make_listener();
         io_uring_sqe& sqe = prepare_accept(ring, listener.socket.get(), 1);
         sqe.file_index = 1;
         sqe.accept_flags = SOCK_CLOEXEC;
         EXPECT_EQ(run_one(ring), (Completion{1, -EINVAL, 0}));
       }},
      {suite, "ChoosesASlot", chosen,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         register_empty_slots(ring, 2);
         const Listener listener = make_listener();
         const Fd first = connect_to(listener);
         const Fd second = connect_to(listener);
         const Fd third = connect_to(listener);
         std::vector<int> slots;
         for (int i = 0; i < 3; ++i) {
           prepare_accept(ring, listener.socket.get(), 1).file_index = IORING_FILE_INDEX_ALLOC;
           slots.push_back(run_one(ring).res);
         }
         EXPECT_EQ(slots, (std::vector<int>{0, 1, -ENFILE}));
         EXPECT_EQ(send_through(ring, 1), 1);
         EXPECT_EQ(receive_all(second.get(), 1), "x");
       }},
      {suite,
       "FillsSlotsWhenMultishot",
       {.opcodes = {IORING_OP_ACCEPT, IORING_OP_SEND}, .switches_on = {&Semantics::accept_multishot}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         register_empty_slots(ring, 2);
         const Listener listener = make_listener();
         prepare_accept(ring, listener.socket.get(), 1, IORING_ACCEPT_MULTISHOT).file_index = IORING_FILE_INDEX_ALLOC;
         submit_all(ring);
         const Fd first = connect_to(listener);
         EXPECT_EQ(take(ring).res, 0);
         const Fd second = connect_to(listener);
         EXPECT_EQ(take(ring).res, 1);
         const Fd third = connect_to(listener);
         const Completion last = take(ring);
         EXPECT_EQ(last.res, -ENFILE);
         EXPECT_EQ(last.flags & IORING_CQE_F_MORE, 0u);
       }},
      {suite, "RefusesOneSlotForMany", multishot,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         register_empty_slots(ring, 2);
         const Listener listener = make_listener();
         prepare_accept(ring, listener.socket.get(), 1, IORING_ACCEPT_MULTISHOT).file_index = 1;
         EXPECT_EQ(run_one(ring), (Completion{1, -EINVAL, 0}));
       }},
  };
}

}  // namespace assay::conformance
