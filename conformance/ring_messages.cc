// SENDMSG and RECVMSG: vectors, addresses, control data.

#include <fcntl.h>
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

/// The vector is longer than any system call takes.
void refuse_too_many_parts(KernelUnderTest& kernel, int error) {
  Ring ring = open_ring(kernel);
  const SocketPair pair = make_stream_pair();
  std::vector<iovec> parts(1025);
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  prepare_message(ring, IORING_OP_SENDMSG, pair.near.get(), message, 1);
  EXPECT_EQ(run_one(ring), (Completion{1, error, 0}));
  prepare_message(ring, IORING_OP_RECVMSG, pair.far.get(), message, 2);
  EXPECT_EQ(run_one(ring), (Completion{2, error, 0}));
}

}  // namespace

std::vector<Behaviour> ring_messages_behaviours() {
  const std::string suite = "RingMessages";
  const Needs both{.opcodes = {IORING_OP_SENDMSG, IORING_OP_RECVMSG}};
  // The kernels between looked at the vector first, and had another errno for its length.
  const Needs since_615{.opcodes = {IORING_OP_SENDMSG, IORING_OP_RECVMSG}, .since = {6, 15}};
  const Needs from_60_to_612{.opcodes = {IORING_OP_SENDMSG, IORING_OP_RECVMSG}, .since = {6, 0}, .until = {6, 13}};
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
      {suite, "RefuseTooManyParts", since_615,
       [](KernelUnderTest& kernel) { refuse_too_many_parts(kernel, -EMSGSIZE); }},
      {suite, "RefuseTooManyPartsFrom60To612", from_60_to_612,
       [](KernelUnderTest& kernel) { refuse_too_many_parts(kernel, -EINVAL); }},
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

}  // namespace assay::conformance
