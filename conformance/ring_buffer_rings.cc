// Rings of provided buffers: registering them, taking from them, using their buffers bit by bit.

#include <unistd.h>

#include <cerrno>

#include "assay/conformance/ring_suites.h"
#include "assay/conformance/socket_actions.h"

namespace assay::conformance {
namespace {

constexpr std::uint16_t kGroup = 100;

/// A registration that is about to be tried.
io_uring_buf_reg request_for(const Page& page, unsigned entries) {
  io_uring_buf_reg request{};
  request.ring_addr = reinterpret_cast<std::uintptr_t>(page.get());
  request.ring_entries = entries;
  request.bgid = kGroup;
  return request;
}

int try_register(Ring& ring, io_uring_buf_reg request, unsigned count = 1) {
  return ring.register_op(IORING_REGISTER_PBUF_RING, &request, count);
}

int try_unregister(Ring& ring, std::uint16_t group) {
  io_uring_buf_reg request{};
  request.bgid = group;
  return ring.register_op(IORING_UNREGISTER_PBUF_RING, &request, 1);
}

/// Sends and receives over a pair of its own.
Completion receive_text(Ring& ring, std::string_view text, std::uint16_t group = kGroup) {
  const SocketPair pair = make_stream_pair();
  write_text(pair.near.get(), text);
  prepare_recv_provided(ring, pair.far.get(), group, 90);
  Completion completion = run_one(ring);
  // Whether more data waits is another matter.
  completion.flags &= ~static_cast<std::uint32_t>(IORING_CQE_F_SOCK_NONEMPTY);
  return completion;
}

std::vector<Behaviour> registration_behaviours() {
  const std::string suite = "RingBufferRings";
  const Needs rings{.register_ops = {IORING_REGISTER_PBUF_RING}};
  const Needs with_provide{.opcodes = {IORING_OP_PROVIDE_BUFFERS}, .register_ops = {IORING_REGISTER_PBUF_RING}};
  const Needs status{.register_ops = {IORING_REGISTER_PBUF_RING, uapi::kRegisterPbufStatus}};
  return {
      {suite, "HaveAPowerOfTwoOfEntries", rings,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Page page;
         EXPECT_EQ(try_register(ring, request_for(page, 0)), -EINVAL);
         EXPECT_EQ(try_register(ring, request_for(page, 3)), -EINVAL);
         EXPECT_EQ(try_register(ring, request_for(page, 65536)), -EINVAL);
         EXPECT_EQ(try_register(ring, request_for(page, 4)), 0);
       }},
      {suite, "LieOnAPage", rings,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Page page;
         io_uring_buf_reg request = request_for(page, 4);
         request.ring_addr += 16;
         EXPECT_EQ(try_register(ring, request), -EINVAL);
         request.ring_addr = 0;
         EXPECT_EQ(try_register(ring, request), -EFAULT);
       }},
      {suite, "RefuseFieldsThatMeanNothing", rings,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Page page;
         io_uring_buf_reg request = request_for(page, 4);
         request.resv[2] = 1;
         EXPECT_EQ(try_register(ring, request), -EINVAL);
         request = request_for(page, 4);
         uapi::set_pbuf_flags(request, 1u << 15);
         EXPECT_EQ(try_register(ring, request), -EINVAL);
       }},
      {suite, "AreRegisteredOneAtATime", rings,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Page page;
         EXPECT_EQ(try_register(ring, request_for(page, 4), 2), -EINVAL);
         EXPECT_EQ(try_register(ring, request_for(page, 4), 0), -EINVAL);
         EXPECT_EQ(ring.register_op(IORING_REGISTER_PBUF_RING, nullptr, 1), -EINVAL);
       }},
      {suite, "AreOneToAGroup", rings,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Page page;
         const Page other;
         EXPECT_EQ(try_register(ring, request_for(page, 4)), 0);
         EXPECT_EQ(try_register(ring, request_for(other, 4)), -EEXIST);
       }},
      {suite, "DoNotShareAGroupWithAList", with_provide,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Page page;
         BufferPool pool(2, 16);
         ASSERT_EQ(provide(ring, pool, kGroup), 0);
         EXPECT_EQ(try_register(ring, request_for(page, 4)), -EEXIST);
         EXPECT_EQ(try_unregister(ring, kGroup), -EINVAL);
       }},
      {suite, "TakeAGroupThatIsEmpty", with_provide,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Page page;
         BufferPool pool(2, 16);
         ASSERT_EQ(provide(ring, pool, kGroup), 0);
         ASSERT_EQ(remove_buffers(ring, 2, kGroup), 2);
         EXPECT_EQ(try_register(ring, request_for(page, 4)), 0);
       }},
      {suite, "AreNoListToProvideTo", with_provide,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferRing buffers(ring, kGroup, 4);
         BufferPool pool(2, 16);
         EXPECT_EQ(provide(ring, pool, kGroup), -EINVAL);
         EXPECT_EQ(remove_buffers(ring, 2, kGroup), -EINVAL);
       }},
      {suite, "AreUnregisteredOnce", rings,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Page page;
         ASSERT_EQ(try_register(ring, request_for(page, 4)), 0);
         EXPECT_EQ(try_unregister(ring, kGroup), 0);
         EXPECT_EQ(try_unregister(ring, kGroup), -ENOENT);
         EXPECT_EQ(try_register(ring, request_for(page, 4)), 0) << "the group is free again";
       }},
      {suite, "AreUnregisteredWithoutFieldsThatMeanNothing", rings,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Page page;
         ASSERT_EQ(try_register(ring, request_for(page, 4)), 0);
         io_uring_buf_reg request{};
         request.bgid = kGroup;
         request.resv[1] = 1;
         EXPECT_EQ(ring.register_op(IORING_UNREGISTER_PBUF_RING, &request, 1), -EINVAL);
       }},
      {suite, "TellTheirHead", status,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferRing buffers(ring, kGroup, 4);
         BufferPool pool(3, 16);
         buffers.add(pool);
         EXPECT_EQ(buffers.head(), 0);
         receive_text(ring, "x");
         receive_text(ring, "x");
         EXPECT_EQ(buffers.head(), 2);
       }},
      {suite,
       "TellNoHeadOfWhatIsNoRing",
       {.opcodes = {IORING_OP_PROVIDE_BUFFERS}, .register_ops = {IORING_REGISTER_PBUF_RING, uapi::kRegisterPbufStatus}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferPool pool(2, 16);
         uapi::BufferStatus request{};
         request.buf_group = kGroup;
         EXPECT_EQ(ring.register_op(uapi::kRegisterPbufStatus, &request, 1), -ENOENT);
         ASSERT_EQ(provide(ring, pool, kGroup), 0);
         EXPECT_EQ(ring.register_op(uapi::kRegisterPbufStatus, &request, 1), -EINVAL);
         request.resv[7] = 1;
         EXPECT_EQ(ring.register_op(uapi::kRegisterPbufStatus, &request, 1), -EINVAL);
       }},
  };
}

std::vector<Behaviour> selection_behaviours() {
  const std::string suite = "RingBufferRings";
  const Needs rings{.register_ops = {IORING_REGISTER_PBUF_RING}};
  const Needs status{.register_ops = {IORING_REGISTER_PBUF_RING, uapi::kRegisterPbufStatus}};
  return {
      {suite, "ReceiveWhatComes", rings,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferRing buffers(ring, kGroup, 4);
         BufferPool pool(2, 16);
         buffers.add(pool);
         const Completion completion = receive_text(ring, "hello");
         EXPECT_EQ(completion.res, 5);
         EXPECT_EQ(buffer_id(completion), 0u);
         EXPECT_EQ(pool.text(0, 5), "hello");
       }},
      {suite, "ReadWhatComes", rings,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferRing buffers(ring, kGroup, 4);
         BufferPool pool(2, 16);
         buffers.add(pool);
         const Pipe pipe = make_pipe();
         io_uring_sqe& sqe = prepare_recv_provided(ring, pipe.read_end.get(), kGroup, 1);
         sqe.opcode = IORING_OP_READ;
         submit_all(ring);
         write_text(pipe.write_end.get(), "hello");
         const Completion completion = take(ring);
         EXPECT_EQ(completion.res, 5);
         EXPECT_EQ(pool.text(buffer_id(completion), 5), "hello");
       }},
      {suite, "ReadAFile", rings,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferRing buffers(ring, kGroup, 4);
         BufferPool pool(2, 4);
         buffers.add(pool);
         const Fd file = make_file("hello");
         for (unsigned i = 0; i < 2; ++i) {
           io_uring_sqe& sqe = prepare_recv_provided(ring, file.get(), kGroup, 1);
           sqe.opcode = IORING_OP_READ;
           const Completion completion = run_one(ring);
           EXPECT_EQ(completion.res, 4);
           EXPECT_EQ(buffer_id(completion), i);
         }
       }},
      {suite, "AreUsedInTheirOrder", rings,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferRing buffers(ring, kGroup, 4);
         BufferPool pool(3, 16);
         buffers.add(pool.at(0), 16, 30);
         buffers.add(pool.at(1), 16, 10);
         buffers.add(pool.at(2), 16, 20);
         EXPECT_EQ(buffer_id(receive_text(ring, "x")), 30u);
         EXPECT_EQ(buffer_id(receive_text(ring, "x")), 10u);
         EXPECT_EQ(buffer_id(receive_text(ring, "x")), 20u);
       }},
      {suite, "AreMissedUntilMoreAreAdded", rings,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferRing buffers(ring, kGroup, 4);
         BufferPool pool(1, 16);
         EXPECT_EQ(receive_text(ring, "x").res, -ENOBUFS);
         buffers.add(pool);
         EXPECT_EQ(receive_text(ring, "x").res, 1);
         EXPECT_EQ(receive_text(ring, "x").res, -ENOBUFS);
       }},
      {suite, "GoRound", rings,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferRing buffers(ring, kGroup, 2);
         BufferPool pool(1, 16);
         for (std::uint16_t i = 0; i < 9; ++i) {
           buffers.add(pool.at(0), 16, i);
           const Completion completion = receive_text(ring, "x");
           EXPECT_EQ(completion.res, 1);
           EXPECT_EQ(buffer_id(completion), i);
         }
       }},
      {suite, "AreGoneWhenUnregistered", rings,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferRing buffers(ring, kGroup, 2);
         BufferPool pool(1, 16);
         buffers.add(pool);
         EXPECT_EQ(buffers.unregister(), 0);
         EXPECT_EQ(receive_text(ring, "x").res, -ENOBUFS);
       }},
      {suite, "AreNotHeldByWhoWaits", rings,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferRing buffers(ring, kGroup, 2);
         BufferPool pool(1, 16);
         buffers.add(pool);
         const SocketPair waiting = make_stream_pair();
         prepare_recv_provided(ring, waiting.far.get(), kGroup, 1);
         submit_all(ring);
         EXPECT_EQ(receive_text(ring, "x").res, 1);
         write_text(waiting.near.get(), "x");
         EXPECT_EQ(take(ring), (Completion{1, -ENOBUFS, 0}));
       }},
      {suite, "AreNotUsedByACanceledReceive", rings,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferRing buffers(ring, kGroup, 2);
         BufferPool pool(1, 16);
         buffers.add(pool);
         const SocketPair pair = make_stream_pair();
         prepare_recv_provided(ring, pair.far.get(), kGroup, 1);
         submit_all(ring);
         prepare_cancel(ring, 1, 2);
         submit_all(ring);
         EXPECT_EQ(find(take(ring, 2), 1), (Completion{1, -ECANCELED, 0}));
         EXPECT_EQ(receive_text(ring, "x").res, 1);
       }},
      {suite, "AreNotUsedByAReceiveAtThePeersEnd", status,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferRing buffers(ring, kGroup, 2);
         BufferPool pool(1, 16);
         buffers.add(pool);
         SocketPair pair = make_stream_pair();
         pair.near.reset();
         prepare_recv_provided(ring, pair.far.get(), kGroup, 1);
         const Completion completion = run_one(ring);
         EXPECT_EQ(completion.res, 0);
         EXPECT_FALSE(has_buffer(completion));
         EXPECT_EQ(buffers.head(), 0);
       }},
      {suite, "GoWithTheRing", rings,
       [](KernelUnderTest& kernel) {
         const Page page;
         {
           Ring ring = open_ring(kernel);
           ASSERT_EQ(try_register(ring, request_for(page, 4)), 0);
         }
         Ring ring = open_ring(kernel);
         EXPECT_EQ(try_register(ring, request_for(page, 4)), 0);
       }},
  };
}

/// A group that there is not, and one whose ring is the program's own memory.
void map_what_is_not_there(KernelUnderTest& kernel, int error) {
  Ring ring = open_ring(kernel);
  void* memory = nullptr;
  const std::uint64_t offset = uapi::kOffPbufRing | (std::uint64_t{kGroup} << uapi::kOffPbufShift);
  EXPECT_EQ(kernel.kernel().map(ring.fd(), offset, 4096, &memory), error);
  BufferRing own(ring, kGroup, 4);
  EXPECT_EQ(kernel.kernel().map(ring.fd(), offset, 4096, &memory), error) << "it is the program's memory";
}

std::vector<Behaviour> mapped_behaviours() {
  const std::string suite = "RingBufferRings";
  const Needs mapped{.register_ops = {IORING_REGISTER_PBUF_RING}, .switches_on = {&Semantics::buffer_ring_mmap}};
  const Needs mapped_before_72{
      .register_ops = {IORING_REGISTER_PBUF_RING}, .switches_on = {&Semantics::buffer_ring_mmap}, .until = {7, 2}};
  const Needs mapped_since_72{
      .register_ops = {IORING_REGISTER_PBUF_RING}, .switches_on = {&Semantics::buffer_ring_mmap}, .since = {7, 2}};
  return {
      {suite, "AreMappedFromTheKernel", mapped,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferRing buffers(ring, kGroup, 4, uapi::kPbufRingMmap);
         BufferPool pool(2, 16);
         buffers.add(pool);
         const Completion completion = receive_text(ring, "hello");
         EXPECT_EQ(completion.res, 5);
         EXPECT_EQ(pool.text(buffer_id(completion), 5), "hello");
       }},
      {suite, "AreMappedOnlyWhereTheyAre", mapped_since_72,
       [](KernelUnderTest& kernel) { map_what_is_not_there(kernel, -EINVAL); }},
      {suite, "AreMappedOnlyWhereTheyAreBefore72", mapped_before_72,
       [](KernelUnderTest& kernel) { map_what_is_not_there(kernel, -ENOMEM); }},
      {suite,
       "AreNotMappedWhereThatCameLater",
       {.register_ops = {IORING_REGISTER_PBUF_RING}, .switches_off = {&Semantics::buffer_ring_mmap}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Page page;
         io_uring_buf_reg request = request_for(page, 4);
         uapi::set_pbuf_flags(request, uapi::kPbufRingMmap);
         EXPECT_EQ(try_register(ring, request), -EINVAL);
       }},
  };
}

std::vector<Behaviour> incremental_behaviours() {
  const std::string suite = "RingBufferRings";
  const Needs incremental{.register_ops = {IORING_REGISTER_PBUF_RING},
                          .switches_on = {&Semantics::buffer_ring_incremental}};
  const Needs min_left{.register_ops = {IORING_REGISTER_PBUF_RING}, .switches_on = {&Semantics::buffer_ring_min_left}};
  return {
      {suite, "AreUsedBitByBitWhenIncremental", incremental,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferRing buffers(ring, kGroup, 2, uapi::kPbufRingInc);
         BufferPool pool(1, 8);
         buffers.add(pool);
         constexpr std::uint32_t kMore = IORING_CQE_F_BUFFER | uapi::kCqeFBufMore;
         EXPECT_EQ(receive_text(ring, "abc"), (Completion{90, 3, kMore}));
         EXPECT_EQ(receive_text(ring, "de"), (Completion{90, 2, kMore}));
         EXPECT_EQ(receive_text(ring, "fgh"), (Completion{90, 3, IORING_CQE_F_BUFFER}));
         EXPECT_EQ(pool.text(0, 8), "abcdefgh");
         EXPECT_EQ(receive_text(ring, "x").res, -ENOBUFS);
       }},
      {suite, "AreCutInTheRingWhenIncremental", incremental,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferRing buffers(ring, kGroup, 2, uapi::kPbufRingInc);
         BufferPool pool(1, 8);
         buffers.add(pool);
         receive_text(ring, "abc");
         EXPECT_EQ(buffers.entry(0).addr, reinterpret_cast<std::uintptr_t>(pool.at(0)) + 3);
         EXPECT_EQ(buffers.entry(0).len, 5u);
         EXPECT_EQ(buffers.head(), 0);
       }},
      {suite, "AreFilledNoFurtherThanTheyGoWhenIncremental", incremental,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferRing buffers(ring, kGroup, 2, uapi::kPbufRingInc);
         BufferPool pool(2, 4);
         buffers.add(pool);
         EXPECT_EQ(receive_text(ring, "abc").res, 3);
         EXPECT_EQ(receive_text(ring, "def"), (Completion{90, 1, IORING_CQE_F_BUFFER}));
         const Completion next = receive_text(ring, "gh");
         EXPECT_EQ(buffer_id(next), 1u);
         EXPECT_EQ(next.flags & uapi::kCqeFBufMore, uapi::kCqeFBufMore);
       }},
      {suite, "AreUsedBitByBitByReadsToo", incremental,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferRing buffers(ring, kGroup, 2, uapi::kPbufRingInc);
         BufferPool pool(1, 8);
         buffers.add(pool);
         const Pipe pipe = make_pipe();
         for (int i = 0; i < 2; ++i) {
           write_text(pipe.write_end.get(), "ab");
           io_uring_sqe& sqe = prepare_recv_provided(ring, pipe.read_end.get(), kGroup, 1);
           sqe.opcode = IORING_OP_READ;
           EXPECT_EQ(run_one(ring), (Completion{1, 2, IORING_CQE_F_BUFFER | uapi::kCqeFBufMore}));
         }
         EXPECT_EQ(pool.text(0, 4), "abab");
       }},
      {suite, "AreNotUsedByNothingWhenIncremental", incremental,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferRing buffers(ring, kGroup, 2, uapi::kPbufRingInc);
         BufferPool pool(1, 8);
         buffers.add(pool);
         Pipe pipe = make_pipe();
         pipe.write_end.reset();
         const bool told = kernel.profile().semantics.incremental_rest_told;
         const std::uint32_t rest = told ? uapi::kCqeFBufMore : 0;
         for (int i = 0; i < 2; ++i) {
           io_uring_sqe& sqe = prepare_recv_provided(ring, pipe.read_end.get(), kGroup, 1);
           sqe.opcode = IORING_OP_READ;
           EXPECT_EQ(run_one(ring), (Completion{1, 0, IORING_CQE_F_BUFFER | rest}));
           EXPECT_EQ(buffers.entry(0).len, 8u);
         }
       }},
      {suite, "AreUsedByWhatAReadOfAFileAsksForWhenIncremental", incremental,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         BufferRing buffers(ring, kGroup, 2, uapi::kPbufRingInc);
         BufferPool pool(1, 8);
         buffers.add(pool);
         const Fd file = make_file("ab");
         const bool told = kernel.profile().semantics.incremental_rest_told;
         io_uring_sqe& sqe = prepare_recv_provided(ring, file.get(), kGroup, 1);
         sqe.opcode = IORING_OP_READ;
         sqe.len = 5;
         EXPECT_EQ(run_one(ring), (Completion{1, 2, IORING_CQE_F_BUFFER | (told ? uapi::kCqeFBufMore : 0u)}));
         EXPECT_EQ(buffers.entry(0).len, 3u) << "the file was not waited for, so it was taken for good before";
       }},
      {suite, "AreUsedUpWhenTooLittleIsLeft", min_left,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Page page;
         io_uring_buf_reg request = request_for(page, 2);
         uapi::set_pbuf_flags(request, uapi::kPbufRingInc);
         uapi::set_pbuf_min_left(request, 4);
         ASSERT_EQ(try_register(ring, request), 0);
         BufferPool pool(1, 8);
         auto* memory = static_cast<io_uring_buf_ring*>(page.get());
         auto* first = static_cast<io_uring_buf*>(page.get());
         first->addr = reinterpret_cast<std::uintptr_t>(pool.at(0));
         first->len = pool.bytes();
         __atomic_store_n(&memory->tail, 1, __ATOMIC_RELEASE);
         EXPECT_EQ(receive_text(ring, "abcd"), (Completion{90, 4, IORING_CQE_F_BUFFER | uapi::kCqeFBufMore}));
         EXPECT_EQ(receive_text(ring, "e"), (Completion{90, 1, IORING_CQE_F_BUFFER}));
         EXPECT_EQ(receive_text(ring, "x").res, -ENOBUFS);
       }},
      {suite, "HaveALimitOfWhatIsLeftOnlyWhenIncremental", min_left,
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Page page;
         io_uring_buf_reg request = request_for(page, 2);
         uapi::set_pbuf_min_left(request, 4);
         EXPECT_EQ(try_register(ring, request), -EINVAL);
       }},
      {suite,
       "AreNotIncrementalWhereThatCameLater",
       {.register_ops = {IORING_REGISTER_PBUF_RING}, .switches_off = {&Semantics::buffer_ring_incremental}},
       [](KernelUnderTest& kernel) {
         Ring ring = open_ring(kernel);
         const Page page;
         io_uring_buf_reg request = request_for(page, 4);
         uapi::set_pbuf_flags(request, uapi::kPbufRingInc);
         EXPECT_EQ(try_register(ring, request), -EINVAL);
       }},
  };
}

}  // namespace

std::vector<Behaviour> ring_buffer_rings_behaviours() {
  std::vector<Behaviour> all = registration_behaviours();
  for (auto* more : {selection_behaviours, mapped_behaviours, incremental_behaviours}) {
    for (Behaviour& each : more()) all.push_back(std::move(each));
  }
  return all;
}

}  // namespace assay::conformance
