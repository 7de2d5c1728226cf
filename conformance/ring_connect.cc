// CONNECT, and what makes and ends sockets: SOCKET, BIND, LISTEN, SHUTDOWN.

#include <fcntl.h>
#include <poll.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>

#include "assay/conformance/ring_suites.h"
#include "assay/conformance/socket_actions.h"

namespace assay::conformance {
namespace {

io_uring_sqe& prepare_socket(Ring& ring, int domain, int type, int protocol, std::uint64_t user_data) {
  io_uring_sqe& sqe = prepare_opcode(ring, IORING_OP_SOCKET, domain, user_data);
  sqe.off = static_cast<std::uint64_t>(type);
  sqe.len = static_cast<std::uint32_t>(protocol);
  return sqe;
}

io_uring_sqe& prepare_shutdown(Ring& ring, int fd, int how, std::uint64_t user_data) {
  io_uring_sqe& sqe = prepare_opcode(ring, IORING_OP_SHUTDOWN, fd, user_data);
  sqe.len = static_cast<std::uint32_t>(how);
  return sqe;
}

io_uring_sqe& prepare_bind(Ring& ring, int fd, const sockaddr_in& address, std::uint64_t user_data) {
  io_uring_sqe& sqe = prepare_connect(ring, fd, address, user_data);
  sqe.opcode = uapi::kOpBind;
  return sqe;
}

sockaddr_in loopback() {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

std::vector<Behaviour> connect_behaviours() {
  const std::string suite = "RingConnect";
  const Needs connect{.opcodes = {IORING_OP_CONNECT}};
  return {
      {suite, "ConnectsToAListener", connect,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Listener listener = make_listener();
         const Fd client = make_tcp_socket();
         prepare_connect(ring, client.get(), listener.address, 1);
         EXPECT_EQ(run_one(ring), (Completion{1, 0, 0}));
         const Fd server(::accept4(listener.socket.get(), nullptr, nullptr, SOCK_CLOEXEC));
         write_text(client.get(), "x");
         EXPECT_EQ(receive_all(server.get(), 1), "x");
       }},
      {suite, "ConnectsASocketThatDoesNotBlock", connect,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Listener listener = make_listener();
         const Fd client = make_tcp_socket(SOCK_NONBLOCK);
         prepare_connect(ring, client.get(), listener.address, 1);
         EXPECT_EQ(run_one(ring), (Completion{1, 0, 0}));
       }},
      {suite, "LeavesTheSocketBlocking", connect,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Listener listener = make_listener();
         const Fd client = make_tcp_socket();
         prepare_connect(ring, client.get(), listener.address, 1);
         run_one(ring);
         EXPECT_EQ(::fcntl(client.get(), F_GETFL) & O_NONBLOCK, 0);
         timeval limit{};
         socklen_t bytes = sizeof limit;
         EXPECT_EQ(::getsockopt(client.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, &bytes), 0);
         EXPECT_EQ(limit.tv_sec, 0);
         EXPECT_EQ(limit.tv_usec, 0);
       }},
      {suite, "TellsThatNobodyListens", connect,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const sockaddr_in address = make_dead_address();
         const Fd client = make_tcp_socket();
         prepare_connect(ring, client.get(), address, 1);
         EXPECT_EQ(run_one(ring), (Completion{1, -ECONNREFUSED, 0}));
       }},
      {suite, "TellsThatItIsConnectedAlready", connect,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Listener listener = make_listener();
         const Fd client = connect_to(listener);
         prepare_connect(ring, client.get(), listener.address, 1);
         EXPECT_EQ(run_one(ring), (Completion{1, -EISCONN, 0}));
       }},
      {suite, "ConnectsOverAUnixSocket", connect,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
         const sa_family_t family = AF_UNIX;
         ASSERT_EQ(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&family), sizeof family), 0);
         ASSERT_EQ(::listen(listener.get(), 1), 0);
         sockaddr_un address{};
         socklen_t bytes = sizeof address;
         ASSERT_EQ(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &bytes), 0);
         const Fd client(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
         io_uring_sqe& sqe = prepare_opcode(ring, IORING_OP_CONNECT, client.get(), 1);
         sqe.addr = reinterpret_cast<std::uintptr_t>(&address);
         sqe.addr2 = bytes;
         EXPECT_EQ(run_one(ring), (Completion{1, 0, 0}));
       }},
      {suite, "RefusesAnAddressThatIsTooLong", connect,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Listener listener = make_listener();
         const Fd client = make_tcp_socket();
         prepare_connect(ring, client.get(), listener.address, 1).addr2 = sizeof(sockaddr_storage) + 1;
         EXPECT_EQ(run_one(ring), (Completion{1, -EINVAL, 0}));
       }},
      {suite, "RefusesAnAddressThatIsTooShort", connect,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Listener listener = make_listener();
         const Fd client = make_tcp_socket();
         prepare_connect(ring, client.get(), listener.address, 1).addr2 = 4;
         EXPECT_EQ(run_one(ring), (Completion{1, -EINVAL, 0}));
       }},
      {suite, "RefusesAnAddressOutsideTheProcess", connect,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Listener listener = make_listener();
         const Fd client = make_tcp_socket();
         prepare_connect(ring, client.get(), listener.address, 1).addr = 8;
         EXPECT_EQ(run_one(ring), (Completion{1, -EFAULT, 0}));
       }},
      {suite, "RefusesFieldsThatMeanNothing", connect,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Listener listener = make_listener();
         const Fd client = make_tcp_socket();
         prepare_connect(ring, client.get(), listener.address, 1).len = 1;
         EXPECT_EQ(run_one(ring), (Completion{1, -EINVAL, 0}));
         prepare_connect(ring, client.get(), listener.address, 1).buf_index = 1;
         EXPECT_EQ(run_one(ring), (Completion{1, -EINVAL, 0}));
         prepare_connect(ring, client.get(), listener.address, 1).rw_flags = 1;
         EXPECT_EQ(run_one(ring), (Completion{1, -EINVAL, 0}));
         prepare_connect(ring, client.get(), listener.address, 1).ioprio = 1;
         EXPECT_EQ(run_one(ring), (Completion{1, -EINVAL, 0}));
       }},
      {suite, "RefusesWhatIsNoSocket", connect,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Listener listener = make_listener();
         const Pipe pipe = make_pipe();
         prepare_connect(ring, pipe.write_end.get(), listener.address, 1);
         EXPECT_EQ(run_one(ring), (Completion{1, -ENOTSOCK, 0}));
       }},
      {suite,
       "SendsAsSoonAsItIsConnectedInAChain",
       {.opcodes = {IORING_OP_CONNECT, IORING_OP_SEND}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Listener listener = make_listener();
         const Fd client = make_tcp_socket();
         prepare_connect(ring, client.get(), listener.address, 1).flags = IOSQE_IO_LINK;
         prepare_send(ring, client.get(), "hello", 2);
         submit_all(ring);
         EXPECT_EQ(take(ring, 2), (std::vector<Completion>{{1, 0, 0}, {2, 5, 0}}));
         const Fd server(::accept4(listener.socket.get(), nullptr, nullptr, SOCK_CLOEXEC));
         EXPECT_EQ(receive_all(server.get(), 5), "hello");
       }},
      {suite,
       "CutsItsChainWhenNobodyListens",
       {.opcodes = {IORING_OP_CONNECT, IORING_OP_SEND}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const sockaddr_in address = make_dead_address();
         const Fd client = make_tcp_socket();
         prepare_connect(ring, client.get(), address, 1).flags = IOSQE_IO_LINK;
         prepare_send(ring, client.get(), "hello", 2);
         submit_all(ring);
         EXPECT_EQ(take(ring, 2), (std::vector<Completion>{{1, -ECONNREFUSED, 0}, {2, -ECANCELED, 0}}));
       }},
  };
}

std::vector<Behaviour> socket_behaviours() {
  const std::string suite = "RingSocket";
  const Needs socket{.opcodes = {IORING_OP_SOCKET}};
  const Needs bind{.opcodes = {uapi::kOpBind, uapi::kOpListen}};
  const Needs shutdown{.opcodes = {IORING_OP_SHUTDOWN}};
  return {
      {suite, "MakesASocket", socket,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         prepare_socket(ring, AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, 1);
         const Fd made(run_one(ring).res);
         ASSERT_GE(made.get(), 0);
         EXPECT_EQ(::fcntl(made.get(), F_GETFL) & O_NONBLOCK, O_NONBLOCK);
         EXPECT_EQ(::fcntl(made.get(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
         const Listener listener = make_listener();
         ::connect(made.get(), reinterpret_cast<const sockaddr*>(&listener.address), sizeof listener.address);
         const Fd server(::accept4(listener.socket.get(), nullptr, nullptr, SOCK_CLOEXEC));
         EXPECT_GE(server.get(), 0);
       }},
      {suite, "TellsOfAFamilyThatThereIsNot", socket,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         prepare_socket(ring, 9999, SOCK_STREAM, 0, 1);
         EXPECT_EQ(run_one(ring), (Completion{1, -EAFNOSUPPORT, 0}));
       }},
      {suite, "RefusesFieldsThatMeanNothing", socket,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         prepare_socket(ring, AF_INET, SOCK_STREAM, 0, 1).addr = 1;
         EXPECT_EQ(run_one(ring), (Completion{1, -EINVAL, 0}));
         prepare_socket(ring, AF_INET, SOCK_STREAM, 0, 1).rw_flags = 1;
         EXPECT_EQ(run_one(ring), (Completion{1, -EINVAL, 0}));
         prepare_socket(ring, AF_INET, SOCK_STREAM, 0, 1).buf_index = 1;
         EXPECT_EQ(run_one(ring), (Completion{1, -EINVAL, 0}));
         prepare_socket(ring, AF_INET, SOCK_STREAM | O_APPEND, 0, 1);
         EXPECT_EQ(run_one(ring), (Completion{1, -EINVAL, 0}));
       }},
      {suite, "MakesASocketInASlot", socket,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const std::vector<int> none(2, -1);
         ASSERT_EQ(ring.register_files(none), 0);
         const Listener listener = make_listener();
         prepare_socket(ring, AF_INET, SOCK_STREAM, 0, 1).file_index = 2;
         EXPECT_EQ(run_one(ring), (Completion{1, 0, 0}));
         prepare_socket(ring, AF_INET, SOCK_STREAM, 0, 2).file_index = IORING_FILE_INDEX_ALLOC;
         EXPECT_EQ(run_one(ring), (Completion{2, 0, 0})) << "the slot that was free";
         prepare_connect(ring, 1, listener.address, 3).flags = IOSQE_FIXED_FILE;
         EXPECT_EQ(run_one(ring), (Completion{3, 0, 0}));
       }},
      {suite, "RefusesCloexecForASlot", socket,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         prepare_socket(ring, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0, 1).file_index = 1;
         EXPECT_EQ(run_one(ring), (Completion{1, -EINVAL, 0}));
       }},
      {suite, "RefusesASlotWithoutATable", socket,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         prepare_socket(ring, AF_INET, SOCK_STREAM, 0, 1).file_index = 1;
         EXPECT_EQ(run_one(ring), (Completion{1, -ENXIO, 0}));
       }},
      {suite, "BindsAndListens", bind,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd socket_fd = make_tcp_socket();
         const sockaddr_in address = loopback();
         prepare_bind(ring, socket_fd.get(), address, 1).flags = IOSQE_IO_LINK;
         prepare_opcode(ring, uapi::kOpListen, socket_fd.get(), 2).len = 4;
         submit_all(ring);
         EXPECT_EQ(take(ring, 2), (std::vector<Completion>{{1, 0, 0}, {2, 0, 0}}));
         sockaddr_in bound{};
         socklen_t bytes = sizeof bound;
         ASSERT_EQ(::getsockname(socket_fd.get(), reinterpret_cast<sockaddr*>(&bound), &bytes), 0);
         const Fd client = make_tcp_socket();
         EXPECT_EQ(::connect(client.get(), reinterpret_cast<const sockaddr*>(&bound), bytes), 0);
       }},
      {suite, "BindsNothingToAPortInUse", bind,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Listener listener = make_listener();
         const Fd socket_fd = make_tcp_socket();
         prepare_bind(ring, socket_fd.get(), listener.address, 1);
         EXPECT_EQ(run_one(ring), (Completion{1, -EADDRINUSE, 0}));
       }},
      {suite, "BindsNoPipe", bind,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe pipe = make_pipe();
         const sockaddr_in address = loopback();
         prepare_bind(ring, pipe.read_end.get(), address, 1);
         EXPECT_EQ(run_one(ring), (Completion{1, -ENOTSOCK, 0}));
         prepare_opcode(ring, uapi::kOpListen, pipe.read_end.get(), 2);
         EXPECT_EQ(run_one(ring), (Completion{2, -ENOTSOCK, 0}));
       }},
      {suite, "BindAndListenRefuseFieldsThatMeanNothing", bind,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd socket_fd = make_tcp_socket();
         const sockaddr_in address = loopback();
         prepare_bind(ring, socket_fd.get(), address, 1).len = 1;
         EXPECT_EQ(run_one(ring), (Completion{1, -EINVAL, 0}));
         prepare_bind(ring, socket_fd.get(), address, 1).splice_fd_in = 1;
         EXPECT_EQ(run_one(ring), (Completion{1, -EINVAL, 0}));
         prepare_opcode(ring, uapi::kOpListen, socket_fd.get(), 2).addr = 1;
         EXPECT_EQ(run_one(ring), (Completion{2, -EINVAL, 0}));
         prepare_opcode(ring, uapi::kOpListen, socket_fd.get(), 2).addr2 = 1;
         EXPECT_EQ(run_one(ring), (Completion{2, -EINVAL, 0}));
       }},
      {suite, "ListensOnlyOnAStream", bind,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const BoundSocket udp = make_udp_socket();
         prepare_opcode(ring, uapi::kOpListen, udp.socket.get(), 1).len = 4;
         EXPECT_EQ(run_one(ring), (Completion{1, -EOPNOTSUPP, 0}));
       }},
      {suite, "ShutsDownOneDirection", shutdown,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_stream_pair();
         prepare_shutdown(ring, pair.near.get(), SHUT_WR, 1);
         EXPECT_EQ(run_one(ring), (Completion{1, 0, 0}));
         EXPECT_EQ(read_text(pair.far.get(), 1), "");
         write_text(pair.far.get(), "x");
         EXPECT_EQ(read_text(pair.near.get(), 1), "x");
       }},
      {suite,
       "ShutDownWakesAReceiver",
       {.opcodes = {IORING_OP_SHUTDOWN, IORING_OP_RECV}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_stream_pair();
         char byte;
         prepare_recv(ring, pair.near.get(), &byte, 1, 1);
         submit_all(ring);
         prepare_shutdown(ring, pair.near.get(), SHUT_RD, 2);
         submit_all(ring);
         const std::vector<Completion> completions = take(ring, 2);
         EXPECT_EQ(find(completions, 1).res, 0);
         EXPECT_EQ(find(completions, 2).res, 0);
       }},
      {suite, "ShutsDownNothingThatIsNotConnected", shutdown,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd socket_fd = make_tcp_socket();
         prepare_shutdown(ring, socket_fd.get(), SHUT_WR, 1);
         EXPECT_EQ(run_one(ring), (Completion{1, -ENOTCONN, 0}));
       }},
      {suite, "ShutDownRefusesADirectionThatThereIsNot", shutdown,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_stream_pair();
         prepare_shutdown(ring, pair.near.get(), 9, 1);
         EXPECT_EQ(run_one(ring), (Completion{1, -EINVAL, 0}));
       }},
      {suite, "ShutDownRefusesWhatIsNoSocket", shutdown,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe pipe = make_pipe();
         prepare_shutdown(ring, pipe.write_end.get(), SHUT_WR, 1);
         EXPECT_EQ(run_one(ring), (Completion{1, -ENOTSOCK, 0}));
       }},
      {suite, "ShutDownRefusesFieldsThatMeanNothing", shutdown,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_stream_pair();
         prepare_shutdown(ring, pair.near.get(), SHUT_WR, 1).off = 1;
         EXPECT_EQ(run_one(ring), (Completion{1, -EINVAL, 0}));
         prepare_shutdown(ring, pair.near.get(), SHUT_WR, 1).addr = 1;
         EXPECT_EQ(run_one(ring), (Completion{1, -EINVAL, 0}));
         prepare_shutdown(ring, pair.near.get(), SHUT_WR, 1).rw_flags = 1;
         EXPECT_EQ(run_one(ring), (Completion{1, -EINVAL, 0}));
         prepare_shutdown(ring, pair.near.get(), SHUT_WR, 1).buf_index = 1;
         EXPECT_EQ(run_one(ring), (Completion{1, -EINVAL, 0}));
       }},
      {suite,
       "ShutDownThatFailsCutsNoChain",
       {.opcodes = {IORING_OP_SHUTDOWN}, .since = {5, 19}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Fd socket_fd = make_tcp_socket();
         prepare_shutdown(ring, socket_fd.get(), SHUT_WR, 1).flags = IOSQE_IO_LINK;
         prepare_nop(ring, 2);
         submit_all(ring);
         EXPECT_EQ(take(ring, 2), (std::vector<Completion>{{1, -ENOTCONN, 0}, {2, 0, 0}}));
       }},
  };
}

}  // namespace

std::vector<Behaviour> ring_connect_behaviours() {
  std::vector<Behaviour> all = connect_behaviours();
  for (Behaviour& each : socket_behaviours()) all.push_back(std::move(each));
  return all;
}

}  // namespace assay::conformance
