// Buffers that PROVIDE_BUFFERS hands to the kernel, and who gets them; REMOVE_BUFFERS. Rings of buffers have a suite of
// their own.

#include <unistd.h>

#include <cerrno>

#include "assay/conformance/ring_suites.h"
#include "assay/conformance/socket_actions.h"

namespace assay::conformance {
namespace {

constexpr std::uint16_t kGroup = 7;
constexpr std::uint16_t kOther = 8;

io_uring_sqe& prepare_read_provided(Ring& ring, int fd, std::uint16_t group, std::uint64_t user_data) {
  io_uring_sqe& sqe = prepare_recv_provided(ring, fd, group, user_data);
  sqe.opcode = IORING_OP_READ;
  return sqe;
}

io_uring_sqe& prepare_provide(Ring& ring, BufferPool& pool, std::uint16_t group, std::uint64_t user_data) {
  io_uring_sqe& sqe = next_sqe(ring);
  io_uring_prep_provide_buffers(&sqe, pool.at(0), static_cast<int>(pool.bytes()), static_cast<int>(pool.count()), group,
                                0);
  sqe.user_data = user_data;
  return sqe;
}

io_uring_sqe& prepare_remove(Ring& ring, unsigned count, std::uint16_t group, std::uint64_t user_data) {
  io_uring_sqe& sqe = next_sqe(ring);
  io_uring_prep_remove_buffers(&sqe, static_cast<int>(count), group);
  sqe.user_data = user_data;
  return sqe;
}

/// Receives one byte into a buffer of the group: its number, or the error.
int next_buffer(Ring& ring, std::uint16_t group) {
  const SocketPair pair = make_stream_pair();
  write_text(pair.near.get(), "x");
  prepare_recv_provided(ring, pair.far.get(), group, 90);
  const Completion completion = run_one(ring);
  return completion.res < 0 ? completion.res : static_cast<int>(buffer_id(completion));
}

std::vector<Behaviour> selection_behaviours() {
  const std::string suite = "RingProvidedBuffers";
  const Needs recv{.opcodes = {IORING_OP_PROVIDE_BUFFERS, IORING_OP_RECV}};
  const Needs keeps{.opcodes = {IORING_OP_PROVIDE_BUFFERS, IORING_OP_RECV}, .until = {5, 18}};
  const Needs recycles{.opcodes = {IORING_OP_PROVIDE_BUFFERS, IORING_OP_RECV}, .since = {5, 19}};
  return {
      {suite, "ReceiveWhatComes", recv,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferPool pool(4, 16);
         ASSERT_GE(provide(ring, pool, kGroup), 0);
         const SocketPair pair = make_stream_pair();
         prepare_recv_provided(ring, pair.far.get(), kGroup, 1);
         submit_all(ring);
         write_text(pair.near.get(), "hello");
         const Completion completion = take(ring);
         EXPECT_EQ(completion.res, 5);
         EXPECT_EQ(pool.text(buffer_id(completion), 5), "hello");
       }},
      {suite, "ReadWhatComes", recv,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferPool pool(4, 16);
         ASSERT_GE(provide(ring, pool, kGroup), 0);
         const Pipe pipe = make_pipe();
         prepare_read_provided(ring, pipe.read_end.get(), kGroup, 1);
         submit_all(ring);
         write_text(pipe.write_end.get(), "hello");
         const Completion completion = take(ring);
         EXPECT_EQ(completion.res, 5);
         EXPECT_EQ(pool.text(buffer_id(completion), 5), "hello");
       }},
      {suite, "ReadAFile", recv,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferPool pool(2, 4);
         ASSERT_GE(provide(ring, pool, kGroup), 0);
         const Fd file = make_file("hello");
         prepare_read_provided(ring, file.get(), kGroup, 1).off = 1;
         const Completion completion = run_one(ring);
         EXPECT_EQ(completion.res, 4);
         EXPECT_EQ(pool.text(buffer_id(completion), 4), "ello");
       }},
      {suite, "ReadAVectorOfOne", recv,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferPool pool(2, 16);
         ASSERT_GE(provide(ring, pool, kGroup), 0);
         const Pipe pipe = make_pipe();
         write_text(pipe.write_end.get(), "hello");
         iovec vector{nullptr, 3};
         io_uring_sqe& sqe = prepare_read_provided(ring, pipe.read_end.get(), kGroup, 1);
         sqe.opcode = IORING_OP_READV;
         sqe.addr = reinterpret_cast<std::uintptr_t>(&vector);
         sqe.len = 1;
         const Completion completion = run_one(ring);
         EXPECT_EQ(completion.res, 3);
         EXPECT_EQ(pool.text(buffer_id(completion), 3), "hel");
       }},
      {suite, "ReadNoVectorOfTwo", recv,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferPool pool(2, 16);
         ASSERT_GE(provide(ring, pool, kGroup), 0);
         const Pipe pipe = make_pipe();
         write_text(pipe.write_end.get(), "hello");
         iovec vectors[2] = {{nullptr, 3}, {nullptr, 3}};
         io_uring_sqe& sqe = prepare_read_provided(ring, pipe.read_end.get(), kGroup, 1);
         sqe.opcode = IORING_OP_READV;
         sqe.addr = reinterpret_cast<std::uintptr_t>(vectors);
         sqe.len = 2;
         EXPECT_EQ(run_one(ring).res, -EINVAL);
       }},
      {suite,
       "ReceiveMessages",
       {.opcodes = {IORING_OP_PROVIDE_BUFFERS, IORING_OP_RECVMSG}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferPool pool(2, 16);
         ASSERT_GE(provide(ring, pool, kGroup), 0);
         const SocketPair pair = make_stream_pair();
         write_text(pair.near.get(), "hello");
         iovec vector{nullptr, 16};
         msghdr message{};
         message.msg_iov = &vector;
         message.msg_iovlen = 1;
         io_uring_sqe& sqe = prepare_opcode(ring, IORING_OP_RECVMSG, pair.far.get(), 1);
         sqe.addr = reinterpret_cast<std::uintptr_t>(&message);
         sqe.flags = IOSQE_BUFFER_SELECT;
         sqe.buf_group = kGroup;
         const Completion completion = run_one(ring);
         EXPECT_EQ(completion.res, 5);
         EXPECT_EQ(pool.text(buffer_id(completion), 5), "hello");
       }},
      {suite, "AreUsedOnceEach", recv,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferPool pool(2, 16);
         ASSERT_GE(provide(ring, pool, kGroup), 0);
         const int first = next_buffer(ring, kGroup);
         const int second = next_buffer(ring, kGroup);
         EXPECT_EQ(first + second, 1) << "one is 0, the other 1";
         EXPECT_EQ(next_buffer(ring, kGroup), -ENOBUFS);
       }},
      {suite,
       "AreUsedInTheirOrder",
       {.opcodes = {IORING_OP_PROVIDE_BUFFERS, IORING_OP_RECV}, .since = {5, 18}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferPool pool(3, 16);
         ASSERT_GE(provide(ring, pool, kGroup), 0);
         for (int i = 0; i < 3; ++i) EXPECT_EQ(next_buffer(ring, kGroup), i);
       }},
      {suite, "AreUsedFromTheLastOneBefore518", keeps,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferPool pool(3, 16);
         ASSERT_GE(provide(ring, pool, kGroup), 0);
         for (int i = 3; i-- > 0;) EXPECT_EQ(next_buffer(ring, kGroup), i);
       }},
      {suite, "AreMissedWhereThereIsNoGroup", recv,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         EXPECT_EQ(next_buffer(ring, kGroup), -ENOBUFS);
       }},
      {suite, "AreMissedEvenBeforeDataComes", recv,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_stream_pair();
         prepare_recv_provided(ring, pair.far.get(), kGroup, 1);
         EXPECT_EQ(run_one(ring), (Completion{1, -ENOBUFS, 0}));
       }},
      {suite, "CutTheirChainWhenTheyAreMissed", recv,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_stream_pair();
         prepare_recv_provided(ring, pair.far.get(), kGroup, 1).flags |= IOSQE_IO_LINK;
         prepare_nop(ring, 2);
         submit_all(ring);
         EXPECT_EQ(take(ring, 2), (std::vector<Completion>{{1, -ENOBUFS, 0}, {2, -ECANCELED, 0}}));
       }},
      {suite, "AreFilledNoFurtherThanTheyGo", recv,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferPool pool(1, 3);
         ASSERT_GE(provide(ring, pool, kGroup), 0);
         const SocketPair pair = make_stream_pair();
         write_text(pair.near.get(), "hello");
         prepare_recv_provided(ring, pair.far.get(), kGroup, 1);
         EXPECT_EQ(run_one(ring).res, 3);
         EXPECT_EQ(receive_all(pair.far.get(), 2), "lo");
       }},
      {suite, "AreFilledNoFurtherThanAskedFor", recv,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferPool pool(1, 16);
         ASSERT_GE(provide(ring, pool, kGroup), 0);
         const SocketPair pair = make_stream_pair();
         write_text(pair.near.get(), "hello");
         prepare_recv_provided(ring, pair.far.get(), kGroup, 1).len = 2;
         EXPECT_EQ(run_one(ring).res, 2);
       }},
      {suite,
       "AreFilledAsFarAsTheyGoWhenNoLengthIsTold",
       {.opcodes = {IORING_OP_PROVIDE_BUFFERS, IORING_OP_RECV}, .since = {6, 0}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferPool pool(2, 16);
         ASSERT_GE(provide(ring, pool, kGroup), 0);
         const SocketPair pair = make_stream_pair();
         write_text(pair.near.get(), "hello");
         prepare_recv_provided(ring, pair.far.get(), kGroup, 1).len = 0;
         EXPECT_EQ(run_one(ring).res, 5);
         const Pipe pipe = make_pipe();
         write_text(pipe.write_end.get(), "world");
         prepare_read_provided(ring, pipe.read_end.get(), kGroup, 2).len = 0;
         EXPECT_EQ(run_one(ring).res, 5);
       }},
      {suite, "AreNotHeldByWhoWaits", recycles,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferPool pool(1, 16);
         ASSERT_GE(provide(ring, pool, kGroup), 0);
         const SocketPair waiting = make_stream_pair();
         prepare_recv_provided(ring, waiting.far.get(), kGroup, 1);
         submit_all(ring);
         EXPECT_EQ(next_buffer(ring, kGroup), 0);
         write_text(waiting.near.get(), "x");
         EXPECT_EQ(take(ring), (Completion{1, -ENOBUFS, 0})) << "another one was faster";
       }},
      {suite, "AreHeldByWhoWaitsBefore518", keeps,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferPool pool(1, 16);
         ASSERT_GE(provide(ring, pool, kGroup), 0);
         const SocketPair waiting = make_stream_pair();
         prepare_recv_provided(ring, waiting.far.get(), kGroup, 1);
         submit_all(ring);
         EXPECT_EQ(next_buffer(ring, kGroup), -ENOBUFS);
         write_text(waiting.near.get(), "x");
         EXPECT_EQ(take(ring).res, 1);
       }},
      {suite, "AreNotUsedByACanceledReceive", recycles,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferPool pool(1, 16);
         ASSERT_GE(provide(ring, pool, kGroup), 0);
         const SocketPair pair = make_stream_pair();
         prepare_recv_provided(ring, pair.far.get(), kGroup, 1);
         submit_all(ring);
         prepare_cancel(ring, 1, 2);
         submit_all(ring);
         EXPECT_EQ(find(take(ring, 2), 1), (Completion{1, -ECANCELED, 0}));
         EXPECT_EQ(next_buffer(ring, kGroup), 0);
       }},
      {suite, "AreNotUsedByAReceiveAtThePeersEnd", recycles,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferPool pool(1, 16);
         ASSERT_GE(provide(ring, pool, kGroup), 0);
         SocketPair pair = make_stream_pair();
         pair.near.reset();
         prepare_recv_provided(ring, pair.far.get(), kGroup, 1);
         const Completion completion = run_one(ring);
         EXPECT_EQ(completion.res, 0);
         EXPECT_FALSE(has_buffer(completion));
         EXPECT_EQ(next_buffer(ring, kGroup), 0);
       }},
      {suite, "AreUsedByAReadAtTheEnd", recv,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferPool pool(1, 16);
         ASSERT_GE(provide(ring, pool, kGroup), 0);
         Pipe pipe = make_pipe();
         pipe.write_end.reset();
         prepare_read_provided(ring, pipe.read_end.get(), kGroup, 1);
         const Completion completion = run_one(ring);
         EXPECT_EQ(completion.res, 0);
         EXPECT_EQ(buffer_id(completion), 0u);
         EXPECT_EQ(next_buffer(ring, kGroup), -ENOBUFS);
       }},
      {suite, "StayInTheirGroups", recv,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferPool pool(1, 16);
         BufferPool other(1, 16);
         ASSERT_GE(provide(ring, pool, kGroup, 3), 0);
         ASSERT_GE(provide(ring, other, kOther, 4), 0);
         EXPECT_EQ(next_buffer(ring, kOther), 4);
         EXPECT_EQ(next_buffer(ring, kOther), -ENOBUFS);
         EXPECT_EQ(next_buffer(ring, kGroup), 3);
       }},
      {suite, "AreProvidedAndUsedInOneChain", recv,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferPool pool(1, 16);
         const SocketPair pair = make_stream_pair();
         write_text(pair.near.get(), "hello");
         prepare_provide(ring, pool, kGroup, 1).flags = IOSQE_IO_LINK;
         prepare_recv_provided(ring, pair.far.get(), kGroup, 2);
         submit_all(ring);
         const std::vector<Completion> completions = take(ring, 2);
         EXPECT_EQ(find(completions, 1).res, 0);
         EXPECT_EQ(find(completions, 2).res, 5);
       }},
      {suite, "AreRefusedByOperationsThatTakeNone", recv,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const SocketPair pair = make_stream_pair();
         const Pipe pipe = make_pipe();
         prepare_nop(ring, 1).flags = IOSQE_BUFFER_SELECT;
         EXPECT_EQ(run_one(ring), (Completion{1, -EOPNOTSUPP, 0}));
         io_uring_sqe& sqe = prepare_read_provided(ring, pipe.write_end.get(), kGroup, 2);
         sqe.opcode = IORING_OP_WRITE;
         EXPECT_EQ(run_one(ring), (Completion{2, -EOPNOTSUPP, 0}));
       }},
  };
}

std::vector<Behaviour> command_behaviours() {
  const std::string suite = "RingProvidedBuffers";
  const Needs provide_needs{.opcodes = {IORING_OP_PROVIDE_BUFFERS}};
  const Needs remove_needs{.opcodes = {IORING_OP_PROVIDE_BUFFERS, IORING_OP_REMOVE_BUFFERS}};
  const Needs before{.opcodes = {IORING_OP_PROVIDE_BUFFERS, IORING_OP_REMOVE_BUFFERS}, .until = {5, 18}};
  const Needs since{.opcodes = {IORING_OP_PROVIDE_BUFFERS, IORING_OP_REMOVE_BUFFERS}, .since = {5, 18}};
  return {
      {suite, "AnswerZeroWhenProvided", provide_needs,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferPool pool(4, 16);
         EXPECT_EQ(provide(ring, pool, kGroup), 0);
       }},
      {suite, "AnswerZeroWhenMoreAreProvided", since,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferPool pool(4, 16);
         EXPECT_EQ(provide(ring, pool, kGroup), 0);
         EXPECT_EQ(provide(ring, pool, kGroup), 0);
       }},
      {suite, "AnswerTheirNumberWhenMoreAreProvidedBefore518", before,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferPool pool(4, 16);
         EXPECT_EQ(provide(ring, pool, kGroup), 0);
         EXPECT_EQ(provide(ring, pool, kGroup), 4);
       }},
      {suite, "AreProvidedByAWorkerToo", provide_needs,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferPool pool(4, 16);
         prepare_provide(ring, pool, kGroup, 1).flags = IOSQE_ASYNC;
         EXPECT_EQ(run_one(ring), (Completion{1, 0, 0}));
       }},
      {suite, "AreNotProvidedByNone", provide_needs,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferPool pool(4, 16);
         prepare_provide(ring, pool, kGroup, 1).fd = 0;
         EXPECT_EQ(run_one(ring), (Completion{1, -E2BIG, 0}));
         prepare_provide(ring, pool, kGroup, 1).fd = 1 << 17;
         EXPECT_EQ(run_one(ring), (Completion{1, -E2BIG, 0}));
       }},
      {suite, "HaveNumbersOf16Bits", provide_needs,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferPool pool(4, 16);
         prepare_provide(ring, pool, kGroup, 1).off = 1 << 16;
         EXPECT_EQ(run_one(ring), (Completion{1, -E2BIG, 0}));
       }},
      {suite, "AreRefusedBeyondTheAddressSpace", provide_needs,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferPool pool(4, 16);
         prepare_provide(ring, pool, kGroup, 1).addr = ~std::uint64_t{0};
         EXPECT_EQ(run_one(ring), (Completion{1, -EOVERFLOW, 0}));
         prepare_provide(ring, pool, kGroup, 1).addr = 0xffff'8000'0000'0000;
         EXPECT_EQ(run_one(ring), (Completion{1, -EFAULT, 0}));
       }},
      {suite, "AreRefusedWithFieldsThatMeanNothing", provide_needs,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferPool pool(4, 16);
         prepare_provide(ring, pool, kGroup, 1).rw_flags = 1;
         EXPECT_EQ(run_one(ring), (Completion{1, -EINVAL, 0}));
         prepare_provide(ring, pool, kGroup, 1).ioprio = 1;
         EXPECT_EQ(run_one(ring), (Completion{1, -EINVAL, 0}));
       }},
      {suite,
       "AreRefusedWithoutALength",
       {.opcodes = {IORING_OP_PROVIDE_BUFFERS}, .since = {6, 15}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferPool pool(4, 16);
         prepare_provide(ring, pool, kGroup, 1).len = 0;
         EXPECT_EQ(run_one(ring), (Completion{1, -EINVAL, 0}));
       }},
      {suite, "AnswerHowManyWereRemoved", remove_needs,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferPool pool(4, 16);
         ASSERT_EQ(provide(ring, pool, kGroup), 0);
         EXPECT_EQ(remove_buffers(ring, 3, kGroup), 3);
         EXPECT_EQ(remove_buffers(ring, 3, kGroup), 1);
       }},
      {suite,
       "AreMissedOnceTheyAreRemoved",
       {.opcodes = {IORING_OP_PROVIDE_BUFFERS, IORING_OP_REMOVE_BUFFERS, IORING_OP_RECV}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferPool pool(4, 16);
         ASSERT_EQ(provide(ring, pool, kGroup), 0);
         EXPECT_EQ(remove_buffers(ring, 4, kGroup), 4);
         EXPECT_EQ(next_buffer(ring, kGroup), -ENOBUFS);
       }},
      {suite, "LeaveAnEmptyGroup", since,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferPool pool(4, 16);
         ASSERT_EQ(provide(ring, pool, kGroup), 0);
         EXPECT_EQ(remove_buffers(ring, 4, kGroup), 4);
         EXPECT_EQ(remove_buffers(ring, 4, kGroup), 0);
       }},
      {suite, "LeaveNoGroupBefore518", before,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferPool pool(4, 16);
         ASSERT_EQ(provide(ring, pool, kGroup), 0);
         EXPECT_EQ(remove_buffers(ring, 4, kGroup), 4);
         EXPECT_EQ(remove_buffers(ring, 4, kGroup), -ENOENT);
       }},
      {suite, "AreNotRemovedFromAGroupThatThereIsNot", remove_needs,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         EXPECT_EQ(remove_buffers(ring, 1, 1000), -ENOENT);
       }},
      {suite, "AreNotRemovedByNone", remove_needs,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferPool pool(4, 16);
         ASSERT_EQ(provide(ring, pool, kGroup), 0);
         EXPECT_EQ(remove_buffers(ring, 0, kGroup), -EINVAL);
         EXPECT_EQ(remove_buffers(ring, 1 << 17, kGroup), -EINVAL);
       }},
      {suite, "AreNotRemovedWithFieldsThatMeanNothing", remove_needs,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferPool pool(4, 16);
         ASSERT_EQ(provide(ring, pool, kGroup), 0);
         prepare_remove(ring, 1, kGroup, 1).addr = 1;
         EXPECT_EQ(run_one(ring), (Completion{1, -EINVAL, 0}));
         prepare_remove(ring, 1, kGroup, 1).len = 1;
         EXPECT_EQ(run_one(ring), (Completion{1, -EINVAL, 0}));
         prepare_remove(ring, 1, kGroup, 1).off = 1;
         EXPECT_EQ(run_one(ring), (Completion{1, -EINVAL, 0}));
         prepare_remove(ring, 1, kGroup, 1).rw_flags = 1;
         EXPECT_EQ(run_one(ring), (Completion{1, -EINVAL, 0}));
       }},
  };
}

}  // namespace

std::vector<Behaviour> ring_provided_buffers_behaviours() {
  std::vector<Behaviour> all = selection_behaviours();
  for (Behaviour& each : command_behaviours()) all.push_back(std::move(each));
  return all;
}

}  // namespace assay::conformance
