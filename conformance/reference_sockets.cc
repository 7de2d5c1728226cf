// Operations on sockets of the reference backend: making them, connecting them, sending and receiving bytes. They need
// nothing of the kernel, since the backend has another way where a request is missing; and they wait, whether the
// socket is O_NONBLOCK or not.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <vector>

#include "assay/conformance/backend_suites.h"
#include "assay/conformance/reference_actions.h"
#include "assay/conformance/socket_actions.h"

namespace assay::conformance {
namespace {

const sockaddr* generic(const sockaddr_in& address) { return reinterpret_cast<const sockaddr*>(&address); }

sockaddr_in address_of(int socket) {
  sockaddr_in address{};
  socklen_t bytes = sizeof address;
  EXPECT_EQ(::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &bytes), 0);
  return address;
}

void a_server_from_nothing(BackendScenario& s) {
  Backend& backend = reference_backend(s);
  const int type = SOCK_STREAM | SOCK_CLOEXEC;
  const Fd server(result_of(s, "the socket", [&](auto done) { backend.socket(AF_INET, type, 0, done); }));
  ASSERT_GE(server.get(), 0);
  EXPECT_NE(::fcntl(server.get(), F_GETFD) & FD_CLOEXEC, 0);
  Owed& bound = s.owe("the bind");
  {
    // The address is the caller's only during the call.
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    backend.bind(server.get(), generic(address), sizeof address, bound.callback());
    address.sin_family = AF_UNIX;
  }
  s.run_until(bound);
  EXPECT_EQ(bound.res, 0);
  EXPECT_EQ(result_of(s, "the listen", [&](auto done) { backend.listen(server.get(), 4, done); }), 0);

  sockaddr_in peer{};
  socklen_t peer_bytes = sizeof peer;
  Owed &accepted = s.owe("the accept"), &connected = s.owe("the connect");
  backend.accept(server.get(), reinterpret_cast<sockaddr*>(&peer), &peer_bytes, SOCK_CLOEXEC, accepted.callback());
  s.settle();
  EXPECT_FALSE(accepted.done());
  const Fd client = make_tcp_socket();
  {
    sockaddr_in address = address_of(server.get());
    backend.connect(client.get(), generic(address), sizeof address, connected.callback());
    address.sin_port = 0;
  }
  s.run_until([&] { return accepted.done() && connected.done(); });
  EXPECT_EQ(connected.res, 0);
  ASSERT_GE(accepted.res, 0);
  const Fd far(accepted.res);
  EXPECT_NE(::fcntl(far.get(), F_GETFD) & FD_CLOEXEC, 0);
  EXPECT_EQ(peer_bytes, sizeof peer);
  EXPECT_EQ(peer.sin_port, address_of(client.get()).sin_port);
}

void connects_whether_o_nonblock_or_not(BackendScenario& s) {
  for (const int flags : {0, static_cast<int>(SOCK_NONBLOCK)}) {
    const Listener listener = make_listener();
    const Fd client = make_tcp_socket(flags);
    EXPECT_EQ(result_of(s, "the connect",
                        [&](auto done) {
                          reference_backend(s).connect(client.get(), generic(listener.address), sizeof listener.address,
                                                       done);
                        }),
              0);
    EXPECT_EQ(::fcntl(client.get(), F_GETFL) & O_NONBLOCK, flags == 0 ? 0 : O_NONBLOCK) << "the flag is the caller's";
  }
}

void a_refused_connection_is_a_result(BackendScenario& s) {
  for (const int flags : {0, static_cast<int>(SOCK_NONBLOCK)}) {
    const sockaddr_in address = make_dead_address();
    const Fd client = make_tcp_socket(flags);
    EXPECT_EQ(result_of(s, "the connect",
                        [&](auto done) {
                          reference_backend(s).connect(client.get(), generic(address), sizeof address, done);
                        }),
              -ECONNREFUSED);
  }
}

void a_receive_waits(BackendScenario& s) {
  for (const int flags : {0, static_cast<int>(SOCK_NONBLOCK)}) {
    const SocketPair pair = make_stream_pair(flags);
    std::string buffer(8, '-');
    Owed& received = s.owe("the recv");
    reference_backend(s).recv(pair.near.get(), bytes_of(buffer), 0, received.callback());
    s.settle();
    EXPECT_FALSE(received.done());
    write_text(pair.far.get(), "data");
    s.run_until(received);
    const std::size_t bytes = moved(received.res, 4);
    EXPECT_EQ(buffer.substr(0, bytes), std::string("data").substr(0, bytes));
  }
}

void a_receive_that_may_not_wait_does_not(BackendScenario& s) {
  const SocketPair pair = make_stream_pair();
  std::string buffer(8, '-');
  EXPECT_EQ(
      result_of(s, "the recv",
                [&](auto done) { reference_backend(s).recv(pair.near.get(), bytes_of(buffer), MSG_DONTWAIT, done); }),
      -EAGAIN);
}

void a_send_arrives(BackendScenario& s) {
  const SocketPair pair = make_stream_pair();
  const std::string text = "hello";
  const std::size_t bytes =
      moved(result_of(s, "the send",
                      [&](auto done) { reference_backend(s).send(pair.near.get(), sent(text), MSG_NOSIGNAL, done); }),
            5);
  EXPECT_EQ(receive_all(pair.far.get(), bytes), text.substr(0, bytes));
}

void a_send_waits_for_room(BackendScenario& s) {
  for (const int flags : {0, static_cast<int>(SOCK_NONBLOCK)}) {
    const SocketPair pair = make_stream_pair(flags);
    const std::size_t filled = fill(pair.near.get());
    const std::string text = "more";
    Owed& told = s.owe("the send");
    reference_backend(s).send(pair.near.get(), sent(text), MSG_NOSIGNAL, told.callback());
    s.settle();
    EXPECT_FALSE(told.done());
    receive_all(pair.far.get(), filled);
    s.run_until(told);
    const std::size_t bytes = moved(told.res, 4);
    EXPECT_EQ(receive_all(pair.far.get(), bytes), text.substr(0, bytes));
  }
}

void a_shutdown_ends_the_stream(BackendScenario& s) {
  const SocketPair pair = make_stream_pair();
  std::string buffer(8, '-');
  Owed& received = s.owe("the recv");
  reference_backend(s).recv(pair.far.get(), bytes_of(buffer), 0, received.callback());
  s.settle();
  EXPECT_EQ(
      result_of(s, "the shutdown", [&](auto done) { reference_backend(s).shutdown(pair.near.get(), SHUT_WR, done); }),
      0);
  s.run_until(received);
  EXPECT_EQ(received.res, 0);
  const std::string text = "late";
  EXPECT_EQ(result_of(s, "the send",
                      [&](auto done) { reference_backend(s).send(pair.near.get(), sent(text), MSG_NOSIGNAL, done); }),
            -EPIPE);
}

void bad_arguments_are_results(BackendScenario& s) {
  const Pipe pipe = make_pipe();
  const sockaddr_in address = make_dead_address();
  std::string buffer(8, '-');
  for (const auto& [fd, error] : {std::pair(closed_fd(), -EBADF), std::pair(pipe.read_end.get(), -ENOTSOCK)}) {
    Backend& backend = reference_backend(s);
    const std::vector<std::pair<const char*, std::function<void(OperationCallback)>>> operations = {
        {"bind", [&, fd = fd](auto done) { backend.bind(fd, generic(address), sizeof address, done); }},
        {"listen", [&, fd = fd](auto done) { backend.listen(fd, 1, done); }},
        {"connect", [&, fd = fd](auto done) { backend.connect(fd, generic(address), sizeof address, done); }},
        {"accept", [&, fd = fd](auto done) { backend.accept(fd, nullptr, nullptr, 0, done); }},
        {"shutdown", [&, fd = fd](auto done) { backend.shutdown(fd, SHUT_RD, done); }}};
    // Where a poll comes first, an idle pipe is waited for, and is what a socket of that sort would be.
    write_text(pipe.write_end.get(), "x");
    for (const auto& [name, start] : operations) EXPECT_EQ(result_of(s, name, start), error) << name;
    EXPECT_EQ(result_of(s, "recv", [&, fd = fd](auto done) { backend.recv(fd, bytes_of(buffer), 0, done); }), error);
  }
  EXPECT_EQ(result_of(s, "the socket", [&](auto done) { reference_backend(s).socket(AF_INET, 77, 0, done); }), -EINVAL);
}

void what_waits_is_cancelled(BackendScenario& s) {
  const SocketPair pair = make_stream_pair();
  const Listener listener = make_listener();
  fill(pair.near.get());
  std::string buffer(8, '-');
  const std::string text = "more";
  Backend& backend = reference_backend(s);
  Owed &received = s.owe("the recv"), &told = s.owe("the send"), &accepted = s.owe("the accept");
  const std::vector<OperationHandle> handles = {
      backend.recv(pair.near.get(), bytes_of(buffer), 0, received.callback()),
      backend.send(pair.near.get(), sent(text), MSG_NOSIGNAL, told.callback()),
      backend.accept(listener.socket.get(), nullptr, nullptr, 0, accepted.callback())};
  s.settle();
  for (const OperationHandle handle : handles) must(backend.cancel(handle));
  s.run_until([&] { return received.done() && told.done() && accepted.done(); });
  EXPECT_EQ(received.res, -ECANCELED);
  EXPECT_EQ(told.res, -ECANCELED);
  EXPECT_EQ(accepted.res, -ECANCELED);
}

void destruction_tells_each_once(BackendScenario& s) {
  const SocketPair pair = make_stream_pair();
  const Listener listener = make_listener();
  std::string buffer(8, '-');
  Owed &received = s.owe("the recv"), &accepted = s.owe("the accept"), &late = s.owe("the late recv");
  Backend& backend = reference_backend(s);
  backend.recv(pair.near.get(), bytes_of(buffer), 0, received.callback());
  backend.accept(listener.socket.get(), nullptr, nullptr, 0, accepted.callback());
  s.settle();
  backend.recv(pair.far.get(), bytes_of(buffer), 0, late.callback());
  s.destroy_backend();
  EXPECT_EQ(received.res, -ECANCELED);
  EXPECT_EQ(accepted.res, -ECANCELED);
  EXPECT_EQ(late.res, -ECANCELED);
}

// What the kernel may say of a call that is to be made again concerns nobody, whichever step it is said of.
void refusals_of_the_moment_are_tried_again(BackendScenario& s) {
  s.backend();
  for (const char* error : {"EINTR", "EAGAIN"}) {
    const SocketPair pair = make_stream_pair();
    const Listener listener = make_listener();
    const Fd client = connect_to(listener);
    const std::string text = "x";
    std::string buffer(1, '-');
    // A connection that cannot be begun for want of ports is one of the results, as EAGAIN.
    const bool connects = std::string(error) == "EINTR";
    const Fd other = make_tcp_socket();
    const auto plan = [&](int fd) { return "cqe/errno:nth=1:fd=" + std::to_string(fd) + ":errno=" + error; };
    Owed &told = s.owe("the send"), &received = s.owe("the recv"), &accepted = s.owe("the accept");
    {
      const FaultScope send = s.inject(plan(pair.near.get())), recv = s.inject(plan(pair.far.get())),
                       accept = s.inject(plan(listener.socket.get()));
      reference_backend(s).send(pair.near.get(), sent(text), MSG_NOSIGNAL, told.callback());
      reference_backend(s).recv(pair.far.get(), bytes_of(buffer), 0, received.callback());
      reference_backend(s).accept(listener.socket.get(), nullptr, nullptr, SOCK_CLOEXEC, accepted.callback());
      s.run_until([&] { return told.done() && received.done() && accepted.done(); });
    }
    EXPECT_EQ(told.res, 1);
    EXPECT_EQ(received.res, 1);
    EXPECT_GE(accepted.res, 0);
    const Fd far(accepted.res);
    if (!connects || !has_opcode(s, IORING_OP_CONNECT)) continue;
    const FaultScope connect = s.inject(plan(other.get()));
    EXPECT_EQ(result_of(s, "the connect",
                        [&](auto done) {
                          reference_backend(s).connect(other.get(), generic(listener.address), sizeof listener.address,
                                                       done);
                        }),
              0);
  }
}

// Many at a time, so that those which wait for an SQE are kept apart.
void many_exchanges_at_once(BackendScenario& s) {
  constexpr std::size_t kCount = 40;
  const SocketPair pair = make_stream_pair();
  std::vector<std::string> buffers(kCount, std::string(1, '-'));
  const std::string letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMN";
  std::vector<Owed*> all;
  std::size_t received = 0;
  for (std::size_t i = 0; i < kCount; ++i) {
    all.push_back(&s.owe("a recv"));
    reference_backend(s).recv(pair.far.get(), bytes_of(buffers[i]), 0,
                              all.back()->callback([&](int res) { received += res == 1 ? 1 : 0; }));
    all.push_back(&s.owe("a send"));
    reference_backend(s).send(pair.near.get(), sent(letters).subspan(i, 1), MSG_NOSIGNAL, all.back()->callback());
  }
  s.run_until([&] {
    for (const Owed* owed : all) {
      if (!owed->done()) return false;
    }
    return true;
  });
  EXPECT_EQ(received, kCount);
  std::string sorted;
  for (const std::string& buffer : buffers) sorted += buffer;
  std::sort(sorted.begin(), sorted.end());
  std::string expected = letters;
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(sorted, expected) << "each letter arrives once";
}

}  // namespace

void internal::add_reference_sockets(BackendBehaviours& behaviours) {
  ReferenceSuite suite(
      behaviours, "ReferenceSockets",
      {IORING_OP_SEND, IORING_OP_RECV, IORING_OP_SENDMSG, IORING_OP_RECVMSG, IORING_OP_ACCEPT, IORING_OP_CONNECT});
  suite.add("AServerFromNothing", a_server_from_nothing);
  suite.add("ConnectsWhetherONonblockOrNot", connects_whether_o_nonblock_or_not);
  suite.add("ARefusedConnectionIsAResult", a_refused_connection_is_a_result);
  suite.add("AReceiveWaits", a_receive_waits);
  suite.add("AReceiveThatMayNotWaitDoesNot", a_receive_that_may_not_wait_does_not);
  suite.add("ASendArrives", a_send_arrives);
  suite.add("ASendWaitsForRoom", a_send_waits_for_room);
  suite.add("AShutdownEndsTheStream", a_shutdown_ends_the_stream);
  suite.add("BadArgumentsAreResults", bad_arguments_are_results);
  suite.add("WhatWaitsIsCancelled", what_waits_is_cancelled);
  suite.add("DestructionTellsEachOnce", destruction_tells_each_once);
  suite.add_injecting("RefusalsOfTheMomentAreTriedAgain", refusals_of_the_moment_are_tried_again,
                      "cqe/errno:errno=EINTR");
  suite.add("ManyExchangesAtOnce", many_exchanges_at_once);
}

}  // namespace assay::conformance
