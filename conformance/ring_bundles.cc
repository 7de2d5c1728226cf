// Bundles: several provided buffers in one SEND or RECV; and SEND from one provided buffer, which came with them.

#include <cerrno>
#include <cstring>

#include "assay/conformance/ring_suites.h"
#include "assay/conformance/socket_actions.h"

namespace assay::conformance {
namespace {

constexpr std::uint16_t kGroup = 7;

io_uring_sqe& prepare_send_provided(Ring& ring, int fd, std::uint16_t flags, std::uint64_t user_data) {
  io_uring_sqe& sqe = prepare_opcode(ring, IORING_OP_SEND, fd, user_data);
  sqe.flags = IOSQE_BUFFER_SELECT;
  sqe.buf_group = kGroup;
  sqe.ioprio = flags;
  return sqe;
}

void add_text(BufferRing& buffers, BufferPool& pool, std::uint16_t id, std::string_view text) {
  std::memcpy(pool.at(id), text.data(), text.size());
  buffers.add(pool.at(id), static_cast<unsigned>(text.size()), id);
}

/// Completions of one request until the last; each goes on from the buffer after the one before it.
std::vector<Completion> take_all(Ring& ring) {
  std::vector<Completion> completions;
  do {
    completions.push_back(take(ring));
  } while ((completions.back().flags & IORING_CQE_F_MORE) != 0);
  return completions;
}

}  // namespace

std::vector<Behaviour> ring_bundles_behaviours() {
  const std::string suite = "RingBundles";
  const Needs bundles{.opcodes = {IORING_OP_SEND, IORING_OP_RECV},
                      .features = uapi::kFeatRecvsendBundle,
                      .register_ops = {IORING_REGISTER_PBUF_RING}};
  const Needs none{.opcodes = {IORING_OP_SEND, IORING_OP_RECV}, .without_features = uapi::kFeatRecvsendBundle};
  return {
      {suite,
       "GiveOthersTheirTurn",
       {.opcodes = {IORING_OP_RECV},
        .features = uapi::kFeatRecvsendBundle,
        .register_ops = {IORING_REGISTER_PBUF_RING},
        .since = {6, 17}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferRing buffers(ring, kGroup, 16);
         BufferPool pool(16, 4);
         buffers.add(pool);
         const SocketPair pairs[2] = {make_tcp_pair(), make_tcp_pair()};
         for (std::uint64_t which = 0; which < 2; ++which) {
           write_text(pairs[which].near.get(), "0123456789abcdef");
           io_uring_sqe& sqe = prepare_recv_multishot(ring, pairs[which].far.get(), kGroup, which);
           sqe.ioprio = IORING_RECV_MULTISHOT | uapi::kRecvsendBundle;
           sqe.len = 8;  // at a time
         }
         submit_all(ring);
         std::vector<Completion> completions = take(ring, 4);
         for (unsigned turn = 0; turn < 4; ++turn) {
           EXPECT_EQ(completions[turn].user_data, turn % 2);
           EXPECT_EQ(completions[turn].res, 8);
         }
       }},
      {suite, "LeaveBuffersWholeAtThePeersEnd", bundles,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferRing buffers(ring, kGroup, 8);
         BufferPool pool(8, 4);
         buffers.add(pool);
         SocketPair ended = make_tcp_pair();
         ended.near.reset();
         prepare_recv_multishot(ring, ended.far.get(), kGroup, 1).ioprio =
             IORING_RECV_MULTISHOT | uapi::kRecvsendBundle;
         EXPECT_EQ(run_one(ring).res, 0);
         EXPECT_EQ(buffers.entry(0).len, 4u);
       }},
      {suite, "ReceiveIntoSeveralBuffers", bundles,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferRing buffers(ring, kGroup, 8);
         BufferPool pool(8, 4);
         buffers.add(pool);
         const SocketPair pair = make_tcp_pair();
         const std::string sent = "0123456789";
         write_text(pair.near.get(), sent);
         std::string text;
         unsigned next = 0;
         // One receive or several, as the kernel likes; each fills buffers that follow each other.
         while (text.size() < sent.size()) {
           io_uring_sqe& sqe = prepare_recv_provided(ring, pair.far.get(), kGroup, 1);
           sqe.len = 0;
           sqe.ioprio = uapi::kRecvsendBundle;
           const Completion completion = run_one(ring);
           ASSERT_GT(completion.res, 0);
           EXPECT_EQ(buffer_id(completion), next);
           text += pool.text(next, static_cast<std::size_t>(completion.res));
           next += (static_cast<unsigned>(completion.res) + pool.bytes() - 1) / pool.bytes();
         }
         EXPECT_EQ(text, sent);
         EXPECT_EQ(buffers.head(), 3);
       }},
      {suite, "ReceiveAgainAndAgain", bundles,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferRing buffers(ring, kGroup, 8);
         BufferPool pool(8, 4);
         buffers.add(pool);
         const SocketPair pair = make_tcp_pair();
         prepare_recv_multishot(ring, pair.far.get(), kGroup, 1).ioprio = IORING_RECV_MULTISHOT | uapi::kRecvsendBundle;
         submit_all(ring);
         unsigned next = 0;
         for (const std::string_view sent : {"0123456", "89"}) {
           write_text(pair.near.get(), sent);
           std::string text;
           while (text.size() < sent.size()) {
             const Completion completion = take(ring);
             ASSERT_GT(completion.res, 0);
             EXPECT_EQ(completion.flags & IORING_CQE_F_MORE, IORING_CQE_F_MORE);
             EXPECT_EQ(buffer_id(completion), next);
             text += pool.text(next, static_cast<std::size_t>(completion.res));
             next += (static_cast<unsigned>(completion.res) + pool.bytes() - 1) / pool.bytes();
           }
           EXPECT_EQ(text, sent);
         }
       }},
      {suite, "ReceiveNothingWithoutBuffers", bundles,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferRing buffers(ring, kGroup, 8);
         const SocketPair pair = make_tcp_pair();
         write_text(pair.near.get(), "hello");
         io_uring_sqe& sqe = prepare_recv_provided(ring, pair.far.get(), kGroup, 1);
         sqe.len = 0;
         sqe.ioprio = uapi::kRecvsendBundle;
         EXPECT_EQ(run_one(ring).res, -ENOBUFS);
       }},
      {suite, "SendFromSeveralBuffers", bundles,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferRing buffers(ring, kGroup, 8);
         BufferPool pool(8, 8);
         add_text(buffers, pool, 0, "one ");
         add_text(buffers, pool, 1, "two ");
         add_text(buffers, pool, 2, "three");
         const SocketPair pair = make_tcp_pair();
         prepare_send_provided(ring, pair.near.get(), uapi::kRecvsendBundle, 1);
         submit_all(ring);
         int sent = 0;
         const std::vector<Completion> completions = take_all(ring);
         EXPECT_EQ(buffer_id(completions.front()), 0u);
         for (const Completion& each : completions) sent += each.res;
         EXPECT_EQ(sent, 13);
         EXPECT_EQ(receive_all(pair.far.get(), 13), "one two three");
         EXPECT_EQ(buffers.head(), 3);
       }},
      {suite, "SendNothingWithoutBuffers", bundles,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_tcp_pair();
         prepare_send_provided(ring, pair.near.get(), uapi::kRecvsendBundle, 1);
         EXPECT_EQ(run_one(ring), (Completion{1, -ENOENT, 0})) << "there is no such group";
         BufferRing buffers(ring, kGroup, 8);
         prepare_send_provided(ring, pair.near.get(), uapi::kRecvsendBundle, 1);
         EXPECT_EQ(run_one(ring), (Completion{1, -ENOBUFS, 0})) << "there is nothing in it";
       }},
      {suite,
       "NeedProvidedBuffersToSend",
       {.opcodes = {IORING_OP_SEND}, .features = uapi::kFeatRecvsendBundle, .until = {6, 15}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_tcp_pair();
         prepare_send(ring, pair.near.get(), "x", 1).ioprio = uapi::kRecvsendBundle;
         EXPECT_EQ(run_one(ring), (Completion{1, -EINVAL, 0}));
       }},
      {suite,
       "AreNotForMessages",
       {.opcodes = {IORING_OP_SENDMSG, IORING_OP_RECVMSG}, .features = uapi::kFeatRecvsendBundle},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_tcp_pair();
         msghdr message{};
         io_uring_sqe& sqe = prepare_opcode(ring, IORING_OP_RECVMSG, pair.far.get(), 1);
         sqe.addr = reinterpret_cast<std::uintptr_t>(&message);
         sqe.ioprio = uapi::kRecvsendBundle;
         sqe.flags = IOSQE_BUFFER_SELECT;
         EXPECT_EQ(run_one(ring), (Completion{1, -EINVAL, 0}));
         io_uring_sqe& send = prepare_opcode(ring, IORING_OP_SENDMSG, pair.near.get(), 2);
         send.addr = reinterpret_cast<std::uintptr_t>(&message);
         send.ioprio = uapi::kRecvsendBundle;
         EXPECT_EQ(run_one(ring), (Completion{2, -EINVAL, 0}));
       }},
      {suite, "CameWithSendingFromOneProvidedBuffer", bundles,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferRing buffers(ring, kGroup, 8);
         BufferPool pool(8, 8);
         add_text(buffers, pool, 0, "one");
         add_text(buffers, pool, 1, "two");
         const SocketPair pair = make_tcp_pair();
         prepare_send_provided(ring, pair.near.get(), 0, 1);
         const Completion completion = run_one(ring);
         EXPECT_EQ(completion.res, 3);
         EXPECT_EQ(buffer_id(completion), 0u);
         EXPECT_EQ(receive_all(pair.far.get(), 3), "one");
         EXPECT_EQ(buffers.head(), 1);
       }},
      {suite,
       "CameWithSendingFromAListOfBuffers",
       {.opcodes = {IORING_OP_SEND, IORING_OP_PROVIDE_BUFFERS}, .features = uapi::kFeatRecvsendBundle},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferPool pool(2, 3);
         std::memcpy(pool.at(0), "onetwo", 6);
         ASSERT_EQ(provide(ring, pool, kGroup), 0);
         const SocketPair pair = make_tcp_pair();
         for (unsigned i = 0; i < 2; ++i) {
           prepare_send_provided(ring, pair.near.get(), 0, 1);
           const Completion completion = run_one(ring);
           EXPECT_EQ(completion.res, 3);
           EXPECT_EQ(buffer_id(completion), i);
         }
         EXPECT_EQ(receive_all(pair.far.get(), 6), "onetwo");
       }},
      {suite, "AreRefusedWhereTheyCameLater", none,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_tcp_pair();
         io_uring_sqe& sqe = prepare_recv_provided(ring, pair.far.get(), kGroup, 1);
         sqe.ioprio = uapi::kRecvsendBundle;
         EXPECT_EQ(run_one(ring), (Completion{1, -EINVAL, 0}));
       }},
      {suite,
       "AreWhatSendTakesNoProvidedBufferWithout",
       {.opcodes = {IORING_OP_SEND, IORING_OP_PROVIDE_BUFFERS}, .without_features = uapi::kFeatRecvsendBundle},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_tcp_pair();
         prepare_send_provided(ring, pair.near.get(), 0, 1);
         EXPECT_EQ(run_one(ring), (Completion{1, -EOPNOTSUPP, 0}));
       }},
  };
}

}  // namespace assay::conformance
