// SEND_ZC and SENDMSG_ZC, and the notification that the buffers are the program's again; commands to sockets.

#include <netinet/tcp.h>

#include <cerrno>
#include <cstring>
#include <optional>

#include "assay/conformance/ring_suites.h"
#include "assay/conformance/socket_actions.h"

namespace assay::conformance {
namespace {

io_uring_sqe& prepare_send_zc(Ring& ring, int fd, std::string_view text, std::uint64_t user_data) {
  io_uring_sqe& sqe = prepare_send(ring, fd, text, user_data);
  sqe.opcode = IORING_OP_SEND_ZC;
  return sqe;
}

/// A send's completion, and its notification if it announced one.
struct Sent {
  Completion send;
  std::optional<Completion> notification;
};

Sent take_sent(Ring& ring) {
  Sent sent{take(ring), std::nullopt};
  if ((sent.send.flags & IORING_CQE_F_MORE) != 0) {
    sent.notification = take(ring);
    EXPECT_EQ(sent.notification->flags, IORING_CQE_F_NOTIF);
    EXPECT_EQ(sent.notification->user_data, sent.send.user_data);
  }
  // None comes that was not announced.
  EXPECT_EQ(ring.get_events(), 0);
  EXPECT_EQ(ring.cq_ready(), 0u);
  return sent;
}

Sent run_send(Ring& ring) {
  submit_all(ring);
  return take_sent(ring);
}

std::vector<Behaviour> send_behaviours() {
  const std::string suite = "RingZeroCopy";
  const Needs zero_copy{.opcodes = {IORING_OP_SEND_ZC}};
  const Needs messages{.opcodes = {IORING_OP_SENDMSG_ZC}};
  return {
      {suite, "SendsAndNotifies", zero_copy,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_tcp_pair();
         prepare_send_zc(ring, pair.near.get(), "hello", 1);
         const Sent sent = run_send(ring);
         EXPECT_EQ(sent.send, (Completion{1, 5, IORING_CQE_F_MORE}));
         ASSERT_TRUE(sent.notification.has_value());
         EXPECT_EQ(sent.notification->res, 0);
         EXPECT_EQ(receive_all(pair.far.get(), 5), "hello");
       }},
      {suite,
       "SendsFromSeveralBuffers",
       {.opcodes = {IORING_OP_SEND_ZC}, .since = {6, 17}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_tcp_pair();
         std::string first = "hel";
         std::string second = "lo";
         const iovec buffers[] = {{first.data(), first.size()}, {second.data(), second.size()}};
         for (const std::uint8_t opcode : {IORING_OP_SEND, IORING_OP_SEND_ZC}) {
           io_uring_sqe& sqe = next_sqe(ring, 1);
           sqe.opcode = opcode;
           sqe.fd = pair.near.get();
           sqe.addr = reinterpret_cast<std::uintptr_t>(buffers);
           sqe.len = 2;
           sqe.ioprio = uapi::kSendVectorized;
           EXPECT_EQ(run_send(ring).send.res, 5);
           EXPECT_EQ(receive_all(pair.far.get(), 5), "hello");
         }
       }},
      {suite, "SendsToAnAddress", zero_copy,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const BoundSocket from = make_udp_socket();
         const BoundSocket to = make_udp_socket();
         io_uring_sqe& sqe = prepare_send_zc(ring, from.socket.get(), "hello", 1);
         sqe.addr2 = reinterpret_cast<std::uintptr_t>(&to.address);
         sqe.addr_len = sizeof to.address;
         submit_all(ring);
         EXPECT_EQ(receive_all(to.socket.get(), 5), "hello");
         EXPECT_EQ(take_sent(ring).send.res, 5);
       }},
      {suite, "SendsMessages", messages,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_tcp_pair();
         std::string hello = "hello";
         iovec parts[2] = {{hello.data(), 3}, {hello.data() + 3, 2}};
         msghdr message{};
         message.msg_iov = parts;
         message.msg_iovlen = 2;
         io_uring_sqe& sqe = prepare_opcode(ring, IORING_OP_SENDMSG_ZC, pair.near.get(), 1);
         sqe.addr = reinterpret_cast<std::uintptr_t>(&message);
         sqe.len = 1;
         const Sent sent = run_send(ring);
         EXPECT_EQ(sent.send, (Completion{1, 5, IORING_CQE_F_MORE}));
         EXPECT_EQ(receive_all(pair.far.get(), 5), "hello");
       }},
      {suite, "SendsFromARegisteredBuffer", zero_copy,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_tcp_pair();
         std::string hello = "hello";
         const iovec buffer{hello.data(), hello.size()};
         ASSERT_EQ(ring.register_buffers({&buffer, 1}), 0);
         prepare_send_zc(ring, pair.near.get(), std::string_view(hello).substr(1, 3), 1).ioprio =
             IORING_RECVSEND_FIXED_BUF;
         EXPECT_EQ(run_send(ring).send.res, 3);
         EXPECT_EQ(receive_all(pair.far.get(), 3), "ell");
       }},
      {suite, "SendsNothingFromBeyondARegisteredBuffer", zero_copy,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_tcp_pair();
         std::string hello = "hello";
         const iovec buffer{hello.data(), 3};
         prepare_send_zc(ring, pair.near.get(), hello, 1).ioprio = IORING_RECVSEND_FIXED_BUF;
         EXPECT_EQ(run_send(ring).send.res, -EFAULT) << "none is registered";
         ASSERT_EQ(ring.register_buffers({&buffer, 1}), 0);
         prepare_send_zc(ring, pair.near.get(), hello, 1).ioprio = IORING_RECVSEND_FIXED_BUF;
         EXPECT_EQ(run_send(ring).send.res, -EFAULT);
       }},
      {suite, "PollsFirstWhenToldSo", zero_copy,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_tcp_pair();
         prepare_send_zc(ring, pair.near.get(), "hello", 1).ioprio = IORING_RECVSEND_POLL_FIRST;
         EXPECT_EQ(run_send(ring).send.res, 5);
       }},
      {suite,
       "TellsWhetherTheBytesWereCopied",
       {.opcodes = {IORING_OP_SEND_ZC}, .switches_on = {&Semantics::send_zc_report}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_tcp_pair();
         prepare_send_zc(ring, pair.near.get(), "hello", 1).ioprio = uapi::kSendZcReportUsage;
         const Sent sent = run_send(ring);
         EXPECT_EQ(sent.send.res, 5);
         ASSERT_TRUE(sent.notification.has_value());
         // The loopback device hands the pages to whoever receives, so they have to be copied.
         EXPECT_EQ(static_cast<std::uint32_t>(sent.notification->res), uapi::kNotifUsageZcCopied);
       }},
      {suite,
       "DoesNotTellWhereThatCameLater",
       {.opcodes = {IORING_OP_SEND_ZC}, .switches_off = {&Semantics::send_zc_report}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_tcp_pair();
         prepare_send_zc(ring, pair.near.get(), "hello", 1).ioprio = uapi::kSendZcReportUsage;
         EXPECT_EQ(run_send(ring).send.res, -EINVAL);
       }},
      {suite, "SendsAllWhenToldSo", zero_copy,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_tcp_pair();
         const std::string much(16u << 20, 'x');
         prepare_send_zc(ring, pair.near.get(), much, 1).msg_flags = MSG_WAITALL;
         submit_all(ring);
         std::size_t received = 0;
         while (received < much.size()) {
           ring.get_events();
           received += read_text(pair.far.get(), 1u << 20).size();
         }
         EXPECT_EQ(take_sent(ring).send.res, static_cast<std::int32_t>(much.size()));
       }},
      {suite, "RefusesUnixSockets", zero_copy,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_stream_pair();
         prepare_send_zc(ring, pair.near.get(), "hello", 1);
         EXPECT_EQ(run_send(ring).send.res, -EOPNOTSUPP);
       }},
      {suite, "RefusesWhatIsNoSocket", zero_copy,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe pipe = make_pipe();
         prepare_send_zc(ring, pipe.write_end.get(), "hello", 1);
         EXPECT_EQ(run_send(ring).send.res, -ENOTSOCK);
       }},
      {suite, "RefusesAClosedFd", zero_copy,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         prepare_send_zc(ring, -1, "hello", 1);
         EXPECT_EQ(run_send(ring).send.res, -EBADF);
       }},
      {suite,
       "RefusesToSkipItsCompletion",
       {.opcodes = {IORING_OP_SEND_ZC}, .features = IORING_FEAT_CQE_SKIP},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_tcp_pair();
         prepare_send_zc(ring, pair.near.get(), "hello", 1).flags = IOSQE_CQE_SKIP_SUCCESS;
         EXPECT_EQ(run_send(ring).send, (Completion{1, -EINVAL, 0}));
       }},
      {suite,
       "RefusesAThirdAddressBefore71",
       {.opcodes = {IORING_OP_SEND_ZC}, .until = {7, 1}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_tcp_pair();
         prepare_send_zc(ring, pair.near.get(), "hello", 1).addr3 = 1;
         EXPECT_EQ(run_send(ring).send, (Completion{1, -EINVAL, 0}));
       }},
      {suite, "RefusesFieldsThatMeanNothing", zero_copy,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_tcp_pair();
         prepare_send_zc(ring, pair.near.get(), "hello", 1).ioprio = 1u << 14;
         EXPECT_EQ(run_send(ring).send.res, -EINVAL);
       }},
      {suite, "RefusesProvidedBuffers", zero_copy,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_tcp_pair();
         prepare_send_zc(ring, pair.near.get(), "hello", 1).flags = IOSQE_BUFFER_SELECT;
         EXPECT_EQ(run_send(ring).send, (Completion{1, -EOPNOTSUPP, 0}));
       }},
      {suite, "IsCanceledWhileItWaits", zero_copy,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_tcp_pair();
         fill(pair.near.get());
         // TCP may find a little room yet, until it has none.
         for (std::uint64_t attempt = 1;; ++attempt) {
           prepare_send_zc(ring, pair.near.get(), "hello", attempt);
           submit_all(ring);
           prepare_cancel(ring, attempt, 0);
           submit_all(ring);
           const std::vector<Completion> completions = take(ring, 2);
           if (find(completions, attempt).res == 5) continue;
           EXPECT_EQ(find(completions, 0).res, 0);
           EXPECT_EQ(find(completions, attempt), (Completion{attempt, -ECANCELED, IORING_CQE_F_MORE}));
           EXPECT_EQ(take(ring), (Completion{attempt, 0, IORING_CQE_F_NOTIF}));
           break;
         }
       }},
      {suite, "LetsItsChainGoOnBeforeItNotifies", zero_copy,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_tcp_pair();
         prepare_send_zc(ring, pair.near.get(), "hello", 1).flags = IOSQE_IO_LINK;
         prepare_nop(ring, 2);
         submit_all(ring);
         const std::vector<Completion> completions = take(ring, 3);
         EXPECT_EQ(completions.front(), (Completion{1, 5, IORING_CQE_F_MORE}));
         EXPECT_EQ(find(completions, 2).res, 0);
       }},
  };
}

std::vector<Behaviour> command_behaviours() {
  const std::string suite = "RingSocketCommands";
  const Needs commands{.opcodes = {IORING_OP_URING_CMD}, .switches_on = {&Semantics::socket_commands}};
  const auto prepare = [](Ring& ring, int fd, std::uint32_t command) -> io_uring_sqe& {
    io_uring_sqe& sqe = prepare_opcode(ring, IORING_OP_URING_CMD, fd, 1);
    sqe.cmd_op = command;
    return sqe;
  };
  const auto set_option = [](io_uring_sqe& sqe, std::uint32_t level, std::uint32_t name, int* value) {
    sqe.addr = std::uint64_t{level} | (std::uint64_t{name} << 32);
    sqe.file_index = sizeof *value;
    sqe.addr3 = reinterpret_cast<std::uintptr_t>(value);
  };
  return {
      {suite, "TellHowMuchWaits", commands,
       [prepare](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_tcp_pair();
         write_text(pair.near.get(), "hello");
         prepare(ring, pair.far.get(), uapi::kSocketOpSiocinq);
         EXPECT_EQ(run_one(ring), (Completion{1, 5, 0}));
       }},
      {suite, "TellHowMuchIsUnsent", commands,
       [prepare](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_tcp_pair();
         prepare(ring, pair.far.get(), uapi::kSocketOpSiocoutq);
         EXPECT_EQ(run_one(ring), (Completion{1, 0, 0}));
       }},
      {suite, "GetOptions", commands,
       [prepare, set_option](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_tcp_pair();
         int type = 0;
         set_option(prepare(ring, pair.near.get(), uapi::kSocketOpGetsockopt), SOL_SOCKET, SO_TYPE, &type);
         EXPECT_EQ(run_one(ring), (Completion{1, sizeof type, 0}));
         EXPECT_EQ(type, SOCK_STREAM);
       }},
      {suite, "SetOptions", commands,
       [prepare, set_option](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_tcp_pair();
         int on = 1;
         set_option(prepare(ring, pair.near.get(), uapi::kSocketOpSetsockopt), SOL_SOCKET, SO_KEEPALIVE, &on);
         EXPECT_EQ(run_one(ring), (Completion{1, 0, 0}));
         int found = 0;
         socklen_t bytes = sizeof found;
         ASSERT_EQ(::getsockopt(pair.near.get(), SOL_SOCKET, SO_KEEPALIVE, &found, &bytes), 0);
         EXPECT_EQ(found, 1);
       }},
      {suite, "SetOptionsOfProtocols", commands,
       [prepare, set_option](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_tcp_pair();
         int on = 1;
         set_option(prepare(ring, pair.near.get(), uapi::kSocketOpSetsockopt), IPPROTO_TCP, TCP_NODELAY, &on);
         EXPECT_EQ(run_one(ring), (Completion{1, 0, 0}));
       }},
      {suite, "GetNoOptionsOfProtocols", commands,
       [prepare, set_option](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_tcp_pair();
         int value = 0;
         set_option(prepare(ring, pair.near.get(), uapi::kSocketOpGetsockopt), IPPROTO_TCP, TCP_NODELAY, &value);
         EXPECT_EQ(run_one(ring), (Completion{1, -EOPNOTSUPP, 0}));
       }},
      {suite, "TellOfOptionsThatThereAreNot", commands,
       [prepare, set_option](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_tcp_pair();
         int value = 0;
         set_option(prepare(ring, pair.near.get(), uapi::kSocketOpGetsockopt), SOL_SOCKET, 9999, &value);
         EXPECT_EQ(run_one(ring), (Completion{1, -ENOPROTOOPT, 0}));
       }},
      {suite, "AreRefusedWhereTheyAreUnknown", commands,
       [prepare](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_tcp_pair();
         prepare(ring, pair.near.get(), 9999);
         EXPECT_EQ(run_one(ring), (Completion{1, -EOPNOTSUPP, 0}));
         prepare(ring, pair.near.get(), 0).__pad1 = 1;
         EXPECT_EQ(run_one(ring), (Completion{1, -EINVAL, 0}));
         prepare(ring, pair.near.get(), 0).rw_flags = 1 << 20;
         EXPECT_EQ(run_one(ring), (Completion{1, -EINVAL, 0}));
       }},
      {suite,
       "AreForSocketsOnly",
       {.opcodes = {IORING_OP_URING_CMD}},
       [prepare](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe pipe = make_pipe();
         prepare(ring, pipe.read_end.get(), 0);
         EXPECT_EQ(run_one(ring), (Completion{1, -EOPNOTSUPP, 0}));
       }},
      {suite, "TellNothingOfUnixSockets", commands,
       [prepare](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_stream_pair();
         prepare(ring, pair.near.get(), uapi::kSocketOpSiocinq);
         EXPECT_EQ(run_one(ring), (Completion{1, -EOPNOTSUPP, 0}));
       }},
  };
}

}  // namespace

std::vector<Behaviour> ring_zero_copy_behaviours() {
  std::vector<Behaviour> all = send_behaviours();
  for (Behaviour& each : command_behaviours()) all.push_back(std::move(each));
  return all;
}

}  // namespace assay::conformance
