// SEND, RECV, SENDMSG and RECVMSG.

#include <fcntl.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "assay/conformance/ring_suites.h"
#include "assay/conformance/socket_actions.h"

namespace assay::conformance {
namespace {

io_uring_sqe& prepare_message(Ring& ring, std::uint8_t opcode, int fd, msghdr& message, std::uint64_t user_data) {
  io_uring_sqe& sqe = prepare_opcode(ring, opcode, fd, user_data);
  sqe.addr = reinterpret_cast<std::uintptr_t>(&message);
  sqe.len = 1;
  return sqe;
}

std::vector<Behaviour> plain_behaviours() {
  const std::string suite = "RingSendReceive";
  const Needs both{.opcodes = {IORING_OP_SEND, IORING_OP_RECV}};
  const Needs poll_first{.opcodes = {IORING_OP_SEND, IORING_OP_RECV}, .switches_on = {&Semantics::poll_first}};
  return {
      {suite, "SendsAndReceives", both,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_tcp_pair();
         char bytes[8] = {};
         prepare_send(ring, pair.near.get(), "hello", 1);
         EXPECT_EQ(run_one(ring), (Completion{1, 5, 0}));
         prepare_recv(ring, pair.far.get(), bytes, sizeof bytes, 2);
         EXPECT_EQ(run_one(ring).res, 5);
         EXPECT_EQ(std::string(bytes, 5), "hello");
       }},
      {suite, "WaitsForData", both,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_stream_pair();
         char bytes[8] = {};
         prepare_recv(ring, pair.far.get(), bytes, sizeof bytes, 1);
         submit_all(ring);
         EXPECT_EQ(ring.cq_ready(), 0u);
         write_text(pair.near.get(), "hello");
         EXPECT_EQ(take(ring).res, 5);
       }},
      {suite, "WaitsForDataSentByTheSameRing", both,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_stream_pair();
         char bytes[8] = {};
         prepare_recv(ring, pair.far.get(), bytes, sizeof bytes, 1);
         prepare_send(ring, pair.near.get(), "hello", 2);
         submit_all(ring);
         const std::vector<Completion> completions = take(ring, 2);
         EXPECT_EQ(find(completions, 1).res, 5);
         EXPECT_EQ(find(completions, 2).res, 5);
       }},
      {suite, "WaitsOnANonblockingSocketToo", both,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_stream_pair(SOCK_NONBLOCK);
         char bytes[8] = {};
         prepare_recv(ring, pair.far.get(), bytes, sizeof bytes, 1);
         submit_all(ring);
         EXPECT_EQ(ring.cq_ready(), 0u);
         write_text(pair.near.get(), "hello");
         EXPECT_EQ(take(ring).res, 5);
       }},
      {suite, "WaitsForRoom", both,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_stream_pair();
         const std::size_t bytes = fill(pair.near.get());
         prepare_send(ring, pair.near.get(), "hello", 1);
         submit_all(ring);
         EXPECT_EQ(ring.cq_ready(), 0u);
         receive_all(pair.far.get(), bytes);
         EXPECT_EQ(take(ring), (Completion{1, 5, 0}));
         EXPECT_EQ(receive_all(pair.far.get(), 5), "hello");
       }},
      {suite, "DoesNotWaitWhenToldSo", both,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_stream_pair();
         char bytes[8] = {};
         prepare_recv(ring, pair.far.get(), bytes, sizeof bytes, 1, MSG_DONTWAIT);
         EXPECT_EQ(run_one(ring), (Completion{1, -EAGAIN, 0}));
         fill(pair.near.get());
         prepare_send(ring, pair.near.get(), "hello", 2, MSG_DONTWAIT);
         EXPECT_EQ(run_one(ring), (Completion{2, -EAGAIN, 0}));
       }},
      {suite, "ReceivesWhatIsThereAndNoMore", both,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_stream_pair();
         write_text(pair.near.get(), "hello");
         char bytes[64] = {};
         prepare_recv(ring, pair.far.get(), bytes, sizeof bytes, 1).flags = IOSQE_IO_LINK;
         prepare_nop(ring, 2);
         submit_all(ring);
         const std::vector<Completion> completions = take(ring, 2);
         EXPECT_EQ(find(completions, 1).res, 5);
         EXPECT_EQ(find(completions, 2).res, 0) << "without MSG_WAITALL a short receive cuts no chain";
       }},
      {suite, "PeeksWithoutTaking", both,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_stream_pair();
         write_text(pair.near.get(), "hello");
         char bytes[8] = {};
         prepare_recv(ring, pair.far.get(), bytes, 2, 1, MSG_PEEK);
         EXPECT_EQ(run_one(ring).res, 2);
         EXPECT_EQ(receive_all(pair.far.get(), 5), "hello");
       }},
      {suite, "TellsOfThePeersEnd", both,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         SocketPair pair = make_stream_pair();
         char byte = 0;
         prepare_recv(ring, pair.far.get(), &byte, 1, 1);
         submit_all(ring);
         pair.near.reset();
         EXPECT_EQ(take(ring).res, 0);
       }},
      {suite, "GivesNoSignalWhenThePeerIsGone", both,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         SocketPair pair = make_stream_pair();
         pair.far.reset();
         prepare_send(ring, pair.near.get(), "hello", 1);
         EXPECT_EQ(run_one(ring), (Completion{1, -EPIPE, 0}));
       }},
      {suite, "KeepsTheBordersOfDatagrams", both,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_datagram_pair();
         prepare_send(ring, pair.near.get(), "hello", 1);
         EXPECT_EQ(run_one(ring).res, 5);
         prepare_send(ring, pair.near.get(), "world", 1);
         EXPECT_EQ(run_one(ring).res, 5);
         char bytes[64] = {};
         prepare_recv(ring, pair.far.get(), bytes, 3, 2);
         EXPECT_EQ(run_one(ring).res, 3);
         prepare_recv(ring, pair.far.get(), bytes, sizeof bytes, 2);
         EXPECT_EQ(run_one(ring).res, 5);
         EXPECT_EQ(std::string(bytes, 5), "world");
       }},
      {suite, "TellsTheWholeLengthOfADatagramWhenAsked", both,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_datagram_pair();
         write_text(pair.near.get(), "hello");
         char bytes[2] = {};
         prepare_recv(ring, pair.far.get(), bytes, sizeof bytes, 1, MSG_TRUNC);
         EXPECT_EQ(run_one(ring).res, 5);
       }},
      {suite, "RefusesWhatIsNoSocket", both,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe pipe = make_pipe();
         char byte = 0;
         prepare_send(ring, pipe.write_end.get(), "x", 1);
         EXPECT_EQ(run_one(ring), (Completion{1, -ENOTSOCK, 0}));
         prepare_recv(ring, pipe.read_end.get(), &byte, 1, 2);
         EXPECT_EQ(run_one(ring), (Completion{2, -ENOTSOCK, 0}));
       }},
      {suite, "RefusesMemoryOutsideTheProcess", both,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_stream_pair();
         prepare_send(ring, pair.near.get(), "hello", 1).addr = 8;
         EXPECT_EQ(run_one(ring), (Completion{1, -EFAULT, 0}));
         write_text(pair.near.get(), "x");
         prepare_recv(ring, pair.far.get(), reinterpret_cast<void*>(8), 1, 2);
         EXPECT_EQ(run_one(ring), (Completion{2, -EFAULT, 0}));
       }},
      {suite, "RefusesUnknownFlags", both,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_stream_pair();
         char byte = 0;
         prepare_send(ring, pair.near.get(), "x", 1).ioprio = 1u << 14;
         EXPECT_EQ(run_one(ring), (Completion{1, -EINVAL, 0}));
         prepare_recv(ring, pair.far.get(), &byte, 1, 2).ioprio = 1u << 14;
         EXPECT_EQ(run_one(ring), (Completion{2, -EINVAL, 0}));
       }},
      {suite, "ReceivingRefusesASecondAddress", both,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_stream_pair();
         write_text(pair.near.get(), "x");
         char byte = 0;
         prepare_recv(ring, pair.far.get(), &byte, 1, 1).addr2 = 1;
         EXPECT_EQ(run_one(ring), (Completion{1, -EINVAL, 0}));
       }},
      {suite,
       "SendsToAnAddress",
       {.opcodes = {IORING_OP_SEND, IORING_OP_SEND_ZC}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const BoundSocket from = make_udp_socket();
         const BoundSocket to = make_udp_socket();
         io_uring_sqe& sqe = prepare_send(ring, from.socket.get(), "hello", 1);
         sqe.addr2 = reinterpret_cast<std::uintptr_t>(&to.address);
         sqe.addr_len = sizeof to.address;
         EXPECT_EQ(run_one(ring), (Completion{1, 5, 0}));
         EXPECT_EQ(receive_all(to.socket.get(), 5), "hello");
       }},
      {suite,
       "RefusesAnAddressBefore60",
       {.opcodes = {IORING_OP_SEND}, .until = {6, 0}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const BoundSocket from = make_udp_socket();
         const BoundSocket to = make_udp_socket();
         prepare_send(ring, from.socket.get(), "hello", 1).addr2 = reinterpret_cast<std::uintptr_t>(&to.address);
         EXPECT_EQ(run_one(ring), (Completion{1, -EINVAL, 0}));
       }},
      {suite,
       "ReceiveIsCanceledWhileItWaits",
       {.opcodes = {IORING_OP_RECV}, .features = IORING_FEAT_FAST_POLL},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_stream_pair();
         char byte = 0;
         prepare_recv(ring, pair.far.get(), &byte, 1, 1);
         submit_all(ring);
         prepare_cancel(ring, 1, 2);
         submit_all(ring);
         const std::vector<Completion> completions = take(ring, 2);
         EXPECT_EQ(find(completions, 1), (Completion{1, -ECANCELED, 0}));
         EXPECT_EQ(find(completions, 2).res, 0);
       }},
      {suite,
       "SendIsCanceledWhileItWaits",
       {.opcodes = {IORING_OP_SEND}, .features = IORING_FEAT_FAST_POLL},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_stream_pair();
         fill(pair.near.get());
         prepare_send(ring, pair.near.get(), "hello", 1);
         submit_all(ring);
         prepare_cancel(ring, 1, 2);
         submit_all(ring);
         const std::vector<Completion> completions = take(ring, 2);
         EXPECT_EQ(find(completions, 1), (Completion{1, -ECANCELED, 0}));
         EXPECT_EQ(find(completions, 2).res, 0);
       }},
      {suite,
       "ReceiveEndsAtItsTimeLimit",
       {.opcodes = {IORING_OP_RECV, IORING_OP_LINK_TIMEOUT}, .features = IORING_FEAT_FAST_POLL},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_stream_pair();
         char byte = 0;
         __kernel_timespec limit{0, 1'000'000};
         prepare_recv(ring, pair.far.get(), &byte, 1, 1).flags = IOSQE_IO_LINK;
         io_uring_sqe& sqe = next_sqe(ring);
         io_uring_prep_link_timeout(&sqe, &limit, 0);
         sqe.user_data = 2;
         submit_all(ring);
         const std::vector<Completion> completions = take(ring, 2);
         EXPECT_EQ(find(completions, 1).res, -ECANCELED);
         EXPECT_EQ(find(completions, 2).res, -ETIME);
       }},
      {suite, "GoesOnWhenTheFdIsClosedUnderIt", both,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         SocketPair pair = make_stream_pair();
         char bytes[8] = {};
         prepare_recv(ring, pair.far.get(), bytes, sizeof bytes, 1);
         submit_all(ring);
         pair.far.reset();
         write_text(pair.near.get(), "hello");
         EXPECT_EQ(take(ring).res, 5);
       }},
      {suite, "PollsFirstWhenToldSo", poll_first,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_stream_pair();
         char bytes[8] = {};
         prepare_send(ring, pair.near.get(), "hello", 1).ioprio = IORING_RECVSEND_POLL_FIRST;
         EXPECT_EQ(run_one(ring).res, 5);
         prepare_recv(ring, pair.far.get(), bytes, sizeof bytes, 2).ioprio = IORING_RECVSEND_POLL_FIRST;
         EXPECT_EQ(run_one(ring).res, 5);
         EXPECT_EQ(std::string(bytes, 5), "hello");
       }},
      {suite,
       "RefusesToPollFirstWhereThatCameLater",
       {.opcodes = {IORING_OP_RECV}, .switches_off = {&Semantics::poll_first}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_stream_pair();
         char byte = 0;
         prepare_recv(ring, pair.far.get(), &byte, 1, 1).ioprio = IORING_RECVSEND_POLL_FIRST;
         EXPECT_EQ(run_one(ring), (Completion{1, -EINVAL, 0}));
       }},
      {suite, "TellsThatMoreDataWaits", poll_first,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_tcp_pair();
         write_text(pair.near.get(), "hello");
         char bytes[8] = {};
         prepare_recv(ring, pair.far.get(), bytes, 2, 1);
         EXPECT_EQ(run_one(ring), (Completion{1, 2, IORING_CQE_F_SOCK_NONEMPTY}));
         prepare_recv(ring, pair.far.get(), bytes, 3, 2);
         EXPECT_EQ(run_one(ring), (Completion{2, 3, 0}));
       }},
  };
}

std::vector<Behaviour> waitall_behaviours() {
  const std::string suite = "RingSendReceive";
  const Needs waitall{.opcodes = {IORING_OP_SEND, IORING_OP_RECV},
                      .features = IORING_FEAT_FAST_POLL,
                      .switches_on = {&Semantics::waitall_retries}};
  return {
      {suite, "WaitsForAllThatIsAskedForWhenToldSo", waitall,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_stream_pair();
         write_text(pair.near.get(), "hel");
         char bytes[5] = {};
         prepare_recv(ring, pair.far.get(), bytes, sizeof bytes, 1, MSG_WAITALL);
         submit_all(ring);
         EXPECT_EQ(ring.cq_ready(), 0u);
         write_text(pair.near.get(), "lo");
         EXPECT_EQ(take(ring).res, 5);
         EXPECT_EQ(std::string(bytes, 5), "hello");
       }},
      {suite, "TellsWhatItGotWhenThePeerEndsBeforeAllIsThere", waitall,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         SocketPair pair = make_stream_pair();
         write_text(pair.near.get(), "hel");
         char bytes[5] = {};
         prepare_recv(ring, pair.far.get(), bytes, sizeof bytes, 1, MSG_WAITALL).flags = IOSQE_IO_LINK;
         prepare_nop(ring, 2);
         submit_all(ring);
         pair.near.reset();
         const std::vector<Completion> completions = take(ring, 2);
         EXPECT_EQ(find(completions, 1).res, 3);
         EXPECT_EQ(find(completions, 2).res, -ECANCELED) << "what is short of MSG_WAITALL cuts its chain";
       }},
      {suite, "TellsWhatItGotWhenItIsCanceledBeforeAllIsThere", waitall,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_stream_pair();
         write_text(pair.near.get(), "hel");
         char bytes[5] = {};
         prepare_recv(ring, pair.far.get(), bytes, sizeof bytes, 1, MSG_WAITALL);
         submit_all(ring);
         prepare_cancel(ring, 1, 2);
         submit_all(ring);
         const std::vector<Completion> completions = take(ring, 2);
         const bool tells = kernel.profile().semantics.poll_first;
         EXPECT_EQ(find(completions, 1).res, tells ? 3 : -ECANCELED);
         EXPECT_EQ(find(completions, 2).res, 0);
       }},
      {suite, "SendsAllWhenToldSo", waitall,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_stream_pair();
         // More than any send buffer takes at once.
         const std::string much(8u << 20, 'x');
         prepare_send(ring, pair.near.get(), much, 1, MSG_WAITALL);
         submit_all(ring);
         std::size_t received = 0;
         while (received < much.size()) {
           ring.get_events();
           received += read_text(pair.far.get(), 1u << 20).size();
         }
         EXPECT_EQ(take(ring), (Completion{1, static_cast<std::int32_t>(much.size()), 0}));
       }},
      {suite,
       "SendsWhatFitsOtherwise",
       {.opcodes = {IORING_OP_SEND}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_stream_pair();
         const std::string much(8u << 20, 'x');
         prepare_send(ring, pair.near.get(), much, 1).flags = IOSQE_IO_LINK;
         prepare_nop(ring, 2);
         submit_all(ring);
         const std::vector<Completion> completions = take(ring, 2);
         EXPECT_GT(find(completions, 1).res, 0);
         EXPECT_LT(find(completions, 1).res, static_cast<std::int32_t>(much.size()));
         EXPECT_EQ(find(completions, 2).res, 0) << "without MSG_WAITALL a short send cuts no chain";
       }},
  };
}

std::vector<Behaviour> message_behaviours() {
  const std::string suite = "RingMessages";
  const Needs both{.opcodes = {IORING_OP_SENDMSG, IORING_OP_RECVMSG}};
  return {
      {suite, "GatherAndScatter", both,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_stream_pair();
         std::string hello = "hel";
         std::string world = "lo";
         std::array<iovec, 2> parts{iovec{hello.data(), 3}, iovec{world.data(), 2}};
         msghdr out{};
         out.msg_iov = parts.data();
         out.msg_iovlen = parts.size();
         prepare_message(ring, IORING_OP_SENDMSG, pair.near.get(), out, 1);
         EXPECT_EQ(run_one(ring), (Completion{1, 5, 0}));
         std::array<char, 4> first{};
         std::array<char, 4> second{};
         std::array<iovec, 2> places{iovec{first.data(), 4}, iovec{second.data(), 4}};
         msghdr in{};
         in.msg_iov = places.data();
         in.msg_iovlen = places.size();
         prepare_message(ring, IORING_OP_RECVMSG, pair.far.get(), in, 2);
         EXPECT_EQ(run_one(ring).res, 5);
         EXPECT_EQ(std::string(first.data(), 4), "hell");
         EXPECT_EQ(second[0], 'o');
       }},
      {suite, "CarryAddresses", both,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const BoundSocket from = make_udp_socket();
         BoundSocket to = make_udp_socket();
         std::string hello = "hello";
         iovec part{hello.data(), hello.size()};
         msghdr out{};
         out.msg_name = &to.address;
         out.msg_namelen = sizeof to.address;
         out.msg_iov = &part;
         out.msg_iovlen = 1;
         prepare_message(ring, IORING_OP_SENDMSG, from.socket.get(), out, 1);
         EXPECT_EQ(run_one(ring).res, 5);
         sockaddr_in sender{};
         char bytes[8];
         iovec place{bytes, sizeof bytes};
         msghdr in{};
         in.msg_name = &sender;
         in.msg_namelen = sizeof sender;
         in.msg_iov = &place;
         in.msg_iovlen = 1;
         prepare_message(ring, IORING_OP_RECVMSG, to.socket.get(), in, 2);
         EXPECT_EQ(run_one(ring).res, 5);
         EXPECT_EQ(in.msg_namelen, sizeof sender);
         EXPECT_EQ(sender.sin_port, from.address.sin_port);
       }},
      {suite, "CarryDescriptors", both,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_stream_pair();
         const Pipe pipe = make_pipe();
         alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
         char byte = 'x';
         iovec part{&byte, 1};
         msghdr message{};
         message.msg_iov = &part;
         message.msg_iovlen = 1;
         message.msg_control = control;
         message.msg_controllen = sizeof control;
         cmsghdr* header = CMSG_FIRSTHDR(&message);
         header->cmsg_level = SOL_SOCKET;
         header->cmsg_type = SCM_RIGHTS;
         header->cmsg_len = CMSG_LEN(sizeof(int));
         const int sent = pipe.read_end.get();
         std::memcpy(CMSG_DATA(header), &sent, sizeof sent);
         prepare_message(ring, IORING_OP_SENDMSG, pair.near.get(), message, 1);
         EXPECT_EQ(run_one(ring).res, 1);
         std::memset(control, 0, sizeof control);
         message.msg_flags = 0;
         prepare_message(ring, IORING_OP_RECVMSG, pair.far.get(), message, 2);
         EXPECT_EQ(run_one(ring).res, 1);
         EXPECT_EQ(message.msg_controllen, sizeof control);
         int received = -1;
         std::memcpy(&received, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof received);
         const Fd fd(received);
         write_text(pipe.write_end.get(), "y");
         EXPECT_EQ(read_text(fd.get(), 1), "y");
       }},
      {suite, "SayWhenADatagramWasCut", both,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_datagram_pair();
         write_text(pair.near.get(), "hello");
         char bytes[2];
         iovec place{bytes, sizeof bytes};
         msghdr in{};
         in.msg_iov = &place;
         in.msg_iovlen = 1;
         prepare_message(ring, IORING_OP_RECVMSG, pair.far.get(), in, 1);
         EXPECT_EQ(run_one(ring).res, 2);
         EXPECT_EQ(in.msg_flags & MSG_TRUNC, MSG_TRUNC);
       }},
      {suite, "RefuseAHeaderOutsideTheProcess", both,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_stream_pair();
         msghdr message{};
         prepare_message(ring, IORING_OP_SENDMSG, pair.near.get(), message, 1).addr = 8;
         EXPECT_EQ(run_one(ring), (Completion{1, -EFAULT, 0}));
         prepare_message(ring, IORING_OP_RECVMSG, pair.far.get(), message, 2).addr = 8;
         EXPECT_EQ(run_one(ring), (Completion{2, -EFAULT, 0}));
       }},
      {suite, "RefuseTooManyParts", both,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_stream_pair();
         std::vector<iovec> parts(1025);
         msghdr message{};
         message.msg_iov = parts.data();
         message.msg_iovlen = parts.size();
         prepare_message(ring, IORING_OP_SENDMSG, pair.near.get(), message, 1);
         EXPECT_EQ(run_one(ring), (Completion{1, -EMSGSIZE, 0}));
         prepare_message(ring, IORING_OP_RECVMSG, pair.far.get(), message, 2);
         EXPECT_EQ(run_one(ring), (Completion{2, -EMSGSIZE, 0}));
       }},
      {suite, "RefuseASecondAddress", both,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_stream_pair();
         msghdr message{};
         prepare_message(ring, IORING_OP_SENDMSG, pair.near.get(), message, 1).addr2 = 1;
         EXPECT_EQ(run_one(ring), (Completion{1, -EINVAL, 0}));
         prepare_message(ring, IORING_OP_RECVMSG, pair.far.get(), message, 2).addr2 = 1;
         EXPECT_EQ(run_one(ring), (Completion{2, -EINVAL, 0}));
       }},
      {suite,
       "StayAsTheyWereWhenSubmitted",
       {.opcodes = {IORING_OP_RECVMSG, IORING_OP_SENDMSG}, .features = IORING_FEAT_SUBMIT_STABLE},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_stream_pair();
         std::string hello = "hello";
         iovec part{hello.data(), hello.size()};
         msghdr message{};
         message.msg_iov = &part;
         message.msg_iovlen = 1;
         const std::size_t filled = fill(pair.near.get());
         prepare_message(ring, IORING_OP_SENDMSG, pair.near.get(), message, 1);
         submit_all(ring);
         part = {};
         message = {};
         receive_all(pair.far.get(), filled);
         EXPECT_EQ(take(ring), (Completion{1, 5, 0}));
       }},
      {suite, "AreSentAfterEachOtherInAChain", both,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_stream_pair();
         std::string texts[3] = {"a", "b", "c"};
         iovec parts[3];
         msghdr messages[3] = {};
         for (unsigned i = 0; i < 3; ++i) {
           parts[i] = {texts[i].data(), 1};
           messages[i].msg_iov = &parts[i];
           messages[i].msg_iovlen = 1;
           io_uring_sqe& sqe = prepare_message(ring, IORING_OP_SENDMSG, pair.near.get(), messages[i], i);
           if (i < 2) sqe.flags = IOSQE_IO_LINK;
         }
         submit_all(ring);
         for (const Completion& each : take(ring, 3)) EXPECT_EQ(each.res, 1);
         EXPECT_EQ(receive_all(pair.far.get(), 3), "abc");
       }},
  };
}

}  // namespace

std::vector<Behaviour> ring_send_receive_behaviours() {
  std::vector<Behaviour> all = plain_behaviours();
  for (Behaviour& each : waitall_behaviours()) all.push_back(std::move(each));
  for (Behaviour& each : message_behaviours()) all.push_back(std::move(each));
  return all;
}

}  // namespace assay::conformance
