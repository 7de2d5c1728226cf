// RECV and RECVMSG that go on, and READ_MULTISHOT.

#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "assay/conformance/ring_suites.h"
#include "assay/conformance/socket_actions.h"

namespace assay::conformance {
namespace {

constexpr std::uint16_t kGroup = 7;

bool goes_on(const Completion& completion) { return (completion.flags & IORING_CQE_F_MORE) != 0; }

io_uring_sqe& prepare_message_multishot(Ring& ring, int fd, msghdr& message, std::uint64_t user_data) {
  io_uring_sqe& sqe = prepare_recv_multishot(ring, fd, kGroup, user_data);
  sqe.opcode = IORING_OP_RECVMSG;
  sqe.addr = reinterpret_cast<std::uintptr_t>(&message);
  return sqe;
}

io_uring_recvmsg_out header_of(BufferPool& pool, unsigned id) {
  io_uring_recvmsg_out header;
  std::memcpy(&header, pool.at(id), sizeof header);
  return header;
}

std::vector<Behaviour> receive_behaviours() {
  const std::string suite = "RingRecvMultishot";
  const Needs multishot{.opcodes = {IORING_OP_RECV, IORING_OP_PROVIDE_BUFFERS},
                        .switches_on = {&Semantics::recv_multishot}};
  return {
      {suite, "ReceivesAgainAndAgain", multishot,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferPool pool(4, 16);
         ASSERT_EQ(provide(ring, pool, kGroup), 0);
         const SocketPair pair = make_tcp_pair();
         prepare_recv_multishot(ring, pair.far.get(), kGroup, 1);
         submit_all(ring);
         for (unsigned i = 0; i < 3; ++i) {
           write_text(pair.near.get(), "hello");
           const Completion completion = take(ring);
           EXPECT_EQ(completion.user_data, 1u);
           EXPECT_EQ(completion.res, 5);
           EXPECT_TRUE(goes_on(completion));
           EXPECT_EQ(buffer_id(completion), i);
           EXPECT_EQ(pool.text(i, 5), "hello");
         }
       }},
      {suite, "ReceivesAllThatWaits", multishot,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferPool pool(4, 4);
         ASSERT_EQ(provide(ring, pool, kGroup), 0);
         const SocketPair pair = make_tcp_pair();
         write_text(pair.near.get(), "0123456789");
         prepare_recv_multishot(ring, pair.far.get(), kGroup, 1);
         submit_all(ring);
         std::string text;
         while (text.size() < 10) {
           const Completion completion = take(ring);
           ASSERT_GT(completion.res, 0);
           EXPECT_TRUE(goes_on(completion));
           text += pool.text(buffer_id(completion), static_cast<std::size_t>(completion.res));
         }
         EXPECT_EQ(text, "0123456789");
       }},
      {suite, "EndsAtThePeersEnd", multishot,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferPool pool(4, 16);
         ASSERT_EQ(provide(ring, pool, kGroup), 0);
         SocketPair pair = make_tcp_pair();
         prepare_recv_multishot(ring, pair.far.get(), kGroup, 1);
         submit_all(ring);
         write_text(pair.near.get(), "hello");
         EXPECT_TRUE(goes_on(take(ring)));
         pair.near.reset();
         const Completion last = take(ring);
         EXPECT_EQ(last.res, 0);
         EXPECT_FALSE(goes_on(last));
         EXPECT_FALSE(has_buffer(last));
       }},
      {suite, "EndsWhenBuffersAreMissed", multishot,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferPool pool(1, 4);
         ASSERT_EQ(provide(ring, pool, kGroup), 0);
         const SocketPair pair = make_tcp_pair();
         write_text(pair.near.get(), "01234567");
         prepare_recv_multishot(ring, pair.far.get(), kGroup, 1);
         submit_all(ring);
         EXPECT_EQ(take(ring).res, 4);
         const Completion last = take(ring);
         EXPECT_EQ(last.res, -ENOBUFS);
         EXPECT_FALSE(goes_on(last));
         EXPECT_FALSE(has_buffer(last));
         EXPECT_EQ(receive_all(pair.far.get(), 4), "4567") << "nothing is lost";
       }},
      {suite,
       "LetsOthersHaveTheirTurn",
       {.opcodes = {IORING_OP_RECV, IORING_OP_PROVIDE_BUFFERS}, .switches_on = {&Semantics::multishot_takes_turns}},
       [](KernelUnderTest& kernel) {
         constexpr unsigned kEach = 40;
         Ring ring = open_ring(kernel, {.sq_entries = 8, .cq_entries = 4 * kEach});
         BufferPool pool(2 * kEach, 1);
         ASSERT_EQ(provide(ring, pool, kGroup), 0);
         const SocketPair pairs[2] = {make_stream_pair(), make_stream_pair()};
         for (std::uint64_t which = 0; which < 2; ++which) {
           write_text(pairs[which].near.get(), std::string(kEach, 'x'));
           prepare_recv_multishot(ring, pairs[which].far.get(), kGroup, which);
         }
         submit_all(ring);
         const std::vector<Completion> completions = take(ring, 2 * kEach);
         EXPECT_EQ(completions[32].user_data, 0u);
         EXPECT_EQ(completions[33].user_data, 1u) << "after the first try and 32 more";
         EXPECT_EQ(completions[2 * 33].user_data, 0u);
       }},
      {suite,
       "MissesBuffersOnlyWhenDataComes",
       {.opcodes = {IORING_OP_RECV, IORING_OP_PROVIDE_BUFFERS},
        .switches_on = {&Semantics::recv_multishot},
        .since = {6, 4}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferPool pool(1, 16);
         ASSERT_EQ(provide(ring, pool, kGroup), 0);
         const SocketPair pair = make_tcp_pair();
         prepare_recv_multishot(ring, pair.far.get(), kGroup, 1);
         submit_all(ring);
         write_text(pair.near.get(), "hello");
         EXPECT_EQ(take(ring).res, 5);
         EXPECT_EQ(ring.get_events(), 0);
         EXPECT_EQ(ring.cq_ready(), 0u);
         ASSERT_EQ(provide(ring, pool, kGroup), 0);
         write_text(pair.near.get(), "world");
         EXPECT_EQ(take(ring).res, 5);
       }},
      {suite, "EndsAtOnceWithoutBuffers", multishot,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_tcp_pair();
         prepare_recv_multishot(ring, pair.far.get(), kGroup, 1);
         EXPECT_EQ(run_one(ring), (Completion{1, -ENOBUFS, 0}));
       }},
      {suite, "IsCanceled", multishot,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferPool pool(4, 16);
         ASSERT_EQ(provide(ring, pool, kGroup), 0);
         const SocketPair pair = make_tcp_pair();
         prepare_recv_multishot(ring, pair.far.get(), kGroup, 1);
         submit_all(ring);
         write_text(pair.near.get(), "hello");
         EXPECT_EQ(take(ring).res, 5);
         prepare_cancel(ring, 1, 2);
         submit_all(ring);
         const std::vector<Completion> completions = take(ring, 2);
         EXPECT_EQ(find(completions, 1), (Completion{1, -ECANCELED, 0}));
         EXPECT_EQ(find(completions, 2).res, 0);
       }},
      {suite, "LosesNothingToAFullCq", multishot,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel, {.sq_entries = 1});
         BufferPool pool(8, 2);
         ASSERT_EQ(provide(ring, pool, kGroup), 0);
         const SocketPair pair = make_tcp_pair();
         write_text(pair.near.get(), "0123456789");
         prepare_recv_multishot(ring, pair.far.get(), kGroup, 1);
         submit_all(ring);
         std::string text;
         bool ended = false;
         for (int i = 0; i < 8; ++i) {
           ring.get_events();
           for (const Completion& each : take_ready(ring)) {
             EXPECT_FALSE(ended);
             ended = !goes_on(each);
             text += pool.text(buffer_id(each), static_cast<std::size_t>(each.res));
           }
         }
         // What a request that ended left behind is still there.
         if (ended) text += receive_all(pair.far.get(), 10 - text.size());
         EXPECT_EQ(text, "0123456789");
       }},
      {suite, "RefusesToDoWithoutProvidedBuffers", multishot,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_tcp_pair();
         prepare_recv_multishot(ring, pair.far.get(), kGroup, 1).flags = 0;
         EXPECT_EQ(run_one(ring), (Completion{1, -EINVAL, 0}));
       }},
      {suite, "RefusesToWaitForAll", multishot,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_tcp_pair();
         prepare_recv_multishot(ring, pair.far.get(), kGroup, 1).msg_flags = MSG_WAITALL;
         EXPECT_EQ(run_one(ring), (Completion{1, -EINVAL, 0}));
       }},
      {suite,
       "RefusesALengthBefore617",
       {.opcodes = {IORING_OP_RECV}, .switches_on = {&Semantics::recv_multishot}, .until = {6, 17}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_tcp_pair();
         prepare_recv_multishot(ring, pair.far.get(), kGroup, 1).len = 4;
         EXPECT_EQ(run_one(ring), (Completion{1, -EINVAL, 0}));
       }},
      {suite,
       "FillsNoMoreOfABufferThanAskedFor",
       {.opcodes = {IORING_OP_RECV, IORING_OP_PROVIDE_BUFFERS}, .since = {6, 17}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferPool pool(4, 16);
         ASSERT_EQ(provide(ring, pool, kGroup), 0);
         const SocketPair pair = make_tcp_pair();
         write_text(pair.near.get(), "012345");
         prepare_recv_multishot(ring, pair.far.get(), kGroup, 1).len = 4;
         submit_all(ring);
         EXPECT_EQ(take(ring).res, 4);
         EXPECT_EQ(take(ring).res, 2);
       }},
      {suite,
       "EndsWhenItHasReceivedAsMuchAsAskedFor",
       {.opcodes = {IORING_OP_RECV, IORING_OP_PROVIDE_BUFFERS}, .since = {6, 17}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferPool pool(4, 4);
         ASSERT_EQ(provide(ring, pool, kGroup), 0);
         const SocketPair pair = make_tcp_pair();
         write_text(pair.near.get(), "0123456789");
         // In the place of file_index: io_uring_sqe::optlen.
         prepare_recv_multishot(ring, pair.far.get(), kGroup, 1).file_index = 6;
         submit_all(ring);
         const Completion first = take(ring);
         EXPECT_EQ(first.res, 4);
         EXPECT_TRUE(goes_on(first));
         const Completion last = take(ring);
         EXPECT_EQ(last.res, 4) << "it ends once it has as much; the last buffer is filled all the same";
         EXPECT_FALSE(goes_on(last));
         EXPECT_EQ(receive_all(pair.far.get(), 2), "89");
       }},
      {suite,
       "IsRefusedWhereItCameLater",
       {.opcodes = {IORING_OP_RECV}, .switches_off = {&Semantics::recv_multishot}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_tcp_pair();
         prepare_recv_multishot(ring, pair.far.get(), kGroup, 1);
         EXPECT_EQ(run_one(ring), (Completion{1, -EINVAL, 0}));
       }},
  };
}

std::vector<Behaviour> message_behaviours() {
  const std::string suite = "RingRecvMultishot";
  const Needs multishot{.opcodes = {IORING_OP_RECVMSG, IORING_OP_PROVIDE_BUFFERS},
                        .switches_on = {&Semantics::recv_multishot}};
  return {
      {suite, "TellsOfEachMessageBeforeItsPayload", multishot,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferPool pool(4, 128);
         ASSERT_EQ(provide(ring, pool, kGroup), 0);
         const BoundSocket from = make_udp_socket();
         const BoundSocket to = make_udp_socket();
         msghdr message{};
         message.msg_namelen = sizeof(sockaddr_in);  // how much room to leave; where is the buffer's matter
         prepare_message_multishot(ring, to.socket.get(), message, 1);
         submit_all(ring);
         for (unsigned i = 0; i < 2; ++i) {
           ASSERT_EQ(::sendto(from.socket.get(), "hello", 5, 0, reinterpret_cast<const sockaddr*>(&to.address),
                              sizeof to.address),
                     5);
           const Completion completion = take(ring);
           const std::size_t before = sizeof(io_uring_recvmsg_out) + sizeof(sockaddr_in);
           ASSERT_EQ(completion.res, static_cast<std::int32_t>(before + 5));
           EXPECT_TRUE(goes_on(completion));
           const unsigned id = buffer_id(completion);
           const io_uring_recvmsg_out header = header_of(pool, id);
           EXPECT_EQ(header.namelen, sizeof(sockaddr_in));
           EXPECT_EQ(header.controllen, 0u);
           EXPECT_EQ(header.payloadlen, 5u);
           EXPECT_EQ(header.flags, 0u);
           sockaddr_in sender;
           std::memcpy(&sender, pool.at(id) + sizeof header, sizeof sender);
           EXPECT_EQ(sender.sin_port, from.address.sin_port);
           EXPECT_EQ(std::string(pool.at(id) + before, 5), "hello");
         }
       }},
      {suite, "TellsOfAMessageThatWasCut", multishot,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferPool pool(4, sizeof(io_uring_recvmsg_out) + 2);
         ASSERT_EQ(provide(ring, pool, kGroup), 0);
         const SocketPair pair = make_datagram_pair();
         msghdr message{};
         prepare_message_multishot(ring, pair.far.get(), message, 1);
         submit_all(ring);
         write_text(pair.near.get(), "hello");
         const Completion completion = take(ring);
         EXPECT_EQ(completion.res, static_cast<std::int32_t>(sizeof(io_uring_recvmsg_out) + 2));
         EXPECT_EQ(header_of(pool, buffer_id(completion)).flags & MSG_TRUNC, static_cast<std::uint32_t>(MSG_TRUNC));
       }},
      {suite, "NeedsRoomForWhatItTells", multishot,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferPool pool(1, sizeof(io_uring_recvmsg_out) - 1);
         ASSERT_EQ(provide(ring, pool, kGroup), 0);
         const SocketPair pair = make_datagram_pair();
         msghdr message{};
         write_text(pair.near.get(), "hello");
         prepare_message_multishot(ring, pair.far.get(), message, 1);
         EXPECT_EQ(run_one(ring), (Completion{1, -EFAULT, 0}));
       }},
      {suite, "TellsOfControlData", multishot,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferPool pool(2, 128);
         ASSERT_EQ(provide(ring, pool, kGroup), 0);
         const SocketPair pair = make_datagram_pair();
         const int on = 1;
         ASSERT_EQ(::setsockopt(pair.far.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on), 0);
         constexpr std::size_t kControl = CMSG_SPACE(sizeof(ucred));
         msghdr message{};
         message.msg_controllen = kControl;
         prepare_message_multishot(ring, pair.far.get(), message, 1);
         submit_all(ring);
         write_text(pair.near.get(), "hello");
         const Completion completion = take(ring);
         const std::size_t before = sizeof(io_uring_recvmsg_out) + kControl;
         ASSERT_EQ(completion.res, static_cast<std::int32_t>(before + 5));
         const unsigned id = buffer_id(completion);
         EXPECT_EQ(header_of(pool, id).controllen, kControl);
         cmsghdr control;
         std::memcpy(&control, pool.at(id) + sizeof(io_uring_recvmsg_out), sizeof control);
         EXPECT_EQ(control.cmsg_type, SCM_CREDENTIALS);
         EXPECT_EQ(std::string(pool.at(id) + before, 5), "hello");
       }},
  };
}

std::vector<Behaviour> read_behaviours() {
  const std::string suite = "RingReadMultishot";
  const Needs reads{.opcodes = {uapi::kOpReadMultishot, IORING_OP_PROVIDE_BUFFERS}};
  const auto prepare = [](Ring& ring, int fd, std::uint64_t user_data) -> io_uring_sqe& {
    io_uring_sqe& sqe = prepare_opcode(ring, uapi::kOpReadMultishot, fd, user_data);
    sqe.off = ~std::uint64_t{0};
    sqe.flags = IOSQE_BUFFER_SELECT;
    sqe.buf_group = kGroup;
    return sqe;
  };
  return {
      {suite, "ReadsAgainAndAgain", reads,
       [prepare](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferPool pool(4, 16);
         ASSERT_EQ(provide(ring, pool, kGroup), 0);
         const Pipe pipe = make_pipe();
         prepare(ring, pipe.read_end.get(), 1);
         submit_all(ring);
         for (unsigned i = 0; i < 3; ++i) {
           write_text(pipe.write_end.get(), "hello");
           const Completion completion = take(ring);
           EXPECT_EQ(completion.res, 5);
           EXPECT_TRUE(goes_on(completion));
           EXPECT_EQ(pool.text(buffer_id(completion), 5), "hello");
         }
       }},
      {suite, "EndsAtTheEnd", reads,
       [prepare](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferPool pool(4, 16);
         ASSERT_EQ(provide(ring, pool, kGroup), 0);
         Pipe pipe = make_pipe();
         prepare(ring, pipe.read_end.get(), 1);
         submit_all(ring);
         pipe.write_end.reset();
         EXPECT_EQ(take(ring), (Completion{1, 0, 0}));
       }},
      {suite, "EndsWhenBuffersAreMissed", reads,
       [prepare](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferPool pool(1, 4);
         ASSERT_EQ(provide(ring, pool, kGroup), 0);
         const Pipe pipe = make_pipe();
         write_text(pipe.write_end.get(), "01234567");
         prepare(ring, pipe.read_end.get(), 1);
         submit_all(ring);
         EXPECT_EQ(take(ring).res, 4);
         const Completion last = take(ring);
         EXPECT_EQ(last.res, -ENOBUFS);
         EXPECT_FALSE(goes_on(last));
         EXPECT_EQ(read_text(pipe.read_end.get(), 4), "4567");
       }},
      {suite, "IsCanceled", reads,
       [prepare](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferPool pool(1, 4);
         ASSERT_EQ(provide(ring, pool, kGroup), 0);
         const Pipe pipe = make_pipe();
         prepare(ring, pipe.read_end.get(), 1);
         submit_all(ring);
         prepare_cancel(ring, 1, 2);
         submit_all(ring);
         EXPECT_EQ(find(take(ring, 2), 1), (Completion{1, -ECANCELED, 0}));
       }},
      {suite, "RefusesToDoWithoutProvidedBuffers", reads,
       [prepare](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe pipe = make_pipe();
         prepare(ring, pipe.read_end.get(), 1).flags = 0;
         EXPECT_EQ(run_one(ring), (Completion{1, -EINVAL, 0}));
       }},
      {suite, "RefusesMemoryOfItsOwn", reads,
       [prepare](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Pipe pipe = make_pipe();
         prepare(ring, pipe.read_end.get(), 1).len = 4;
         EXPECT_EQ(run_one(ring), (Completion{1, -EINVAL, 0}));
         prepare(ring, pipe.read_end.get(), 1).addr = 4096;
         EXPECT_EQ(run_one(ring), (Completion{1, -EINVAL, 0}));
       }},
      {suite, "RefusesAFileThatCannotBePolled", reads,
       [prepare](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferPool pool(1, 4);
         ASSERT_EQ(provide(ring, pool, kGroup), 0);
         const Fd file = make_file("hello");
         prepare(ring, file.get(), 1);
         EXPECT_EQ(run_one(ring), (Completion{1, -EBADFD, 0}));
       }},
  };
}

}  // namespace

std::vector<Behaviour> ring_recv_multishot_behaviours() {
  std::vector<Behaviour> all = receive_behaviours();
  for (auto* more : {message_behaviours, read_behaviours}) {
    for (Behaviour& each : more()) all.push_back(std::move(each));
  }
  return all;
}

}  // namespace assay::conformance
