// SEND and RECV.

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "assay/conformance/ring_suites.h"
#include "assay/conformance/socket_actions.h"

namespace assay::conformance {
namespace {

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
         EXPECT_EQ(run_one(ring).res, -EFAULT);
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

}  // namespace

std::vector<Behaviour> ring_send_receive_behaviours() {
  std::vector<Behaviour> all = plain_behaviours();
  for (Behaviour& each : waitall_behaviours()) all.push_back(std::move(each));
  return all;
}

}  // namespace assay::conformance
