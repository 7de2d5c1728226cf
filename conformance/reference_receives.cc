// Receiving on and on, by the reference backend, into buffers of a pool, which the kernel picks or, where it cannot,
// the loop does.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <deque>
#include <string>
#include <thread>
#include <utility>

#include "assay/conformance/backend_suites.h"
#include "assay/conformance/folder.h"
#include "assay/conformance/receive_actions.h"
#include "assay/conformance/socket_actions.h"

namespace assay::conformance {
namespace {

void receives_until_the_end_of_file(BackendScenario& s) {
  SocketPair pair = make_stream_pair();
  const Pool pool = new_pool(s);
  Received received(s);
  reference_backend(s).recv_each(pair.near.get(), pool, 0, received.callback());
  s.settle();
  std::string sent_so_far;
  for (const char* part : {"one", "two", "three"}) {
    write_text(pair.far.get(), part);
    sent_so_far += part;
    s.run_until([&] { return received.text.size() >= sent_so_far.size(); });
    EXPECT_EQ(received.text, sent_so_far);
  }
  EXPECT_FALSE(received.last.done());
  pair.far.reset();
  s.run_until(received.last);
  EXPECT_EQ(received.last.res, 0);
  EXPECT_EQ(pool.free(), pool.count()) << "the end of file has no buffer";
}

void what_came_at_once_comes_in_order(BackendScenario& s) {
  SocketPair pair = make_stream_pair();
  const Pool pool = new_pool(s);
  Received received(s);
  const std::string text = numbers(10 * kBufferBytes + 7);
  write_text(pair.far.get(), text);
  const OperationHandle handle = reference_backend(s).recv_each(pair.near.get(), pool, 0, received.callback());
  s.run_until([&] { return received.text.size() >= text.size(); });
  EXPECT_EQ(received.text, text);
  EXPECT_GE(received.pieces, 11u);
  cancel_and_see(s, handle, received.last);
  EXPECT_EQ(pool.free(), pool.count());
}

void it_waits_for_buffers(BackendScenario& s) {
  SocketPair pair = make_stream_pair();
  const Pool pool = new_pool(s, 2);
  Received received(s);
  received.keeps = true;
  const std::string text = numbers(5 * kBufferBytes);
  const OperationHandle handle = reference_backend(s).recv_each(pair.near.get(), pool, 0, received.callback());
  write_text(pair.far.get(), text);
  s.run_until([&] { return received.kept.size() == 2; });
  s.settle();
  EXPECT_EQ(pool.free(), 0u);
  EXPECT_EQ(received.kept.size(), 2u);
  EXPECT_FALSE(received.last.done());
  for (unsigned given_back = 1; received.text.size() < text.size(); ++given_back) {
    ASSERT_LE(given_back, text.size()) << "no piece is of no bytes";
    received.kept.pop_front();
    s.run_until([&] { return received.kept.size() == 2 || received.text.size() == text.size(); });
  }
  EXPECT_EQ(received.text, text);
  cancel_and_see(s, handle, received.last);
  received.kept.clear();
  EXPECT_EQ(pool.free(), pool.count());
}

void buffers_may_come_back_in_any_order(BackendScenario& s) {
  // Over TCP, since kernels fill several buffers at once where the socket tells them how much there is.
  SocketPair pair = make_tcp_pair();
  const Pool pool = new_pool(s, 4);
  Received received(s);
  received.keeps = true;
  const std::string text = numbers(12 * kBufferBytes);
  const OperationHandle handle = reference_backend(s).recv_each(pair.near.get(), pool, 0, received.callback());
  write_text(pair.far.get(), text);
  while (received.text.size() < text.size()) {
    s.run_until([&] { return received.kept.size() == 4 || received.text.size() == text.size(); });
    // The next four come while all of these are free, so that one completion may fill several.
    for (const std::size_t i : {2u, 0u, 3u, 1u}) {
      if (i < received.kept.size()) received.kept[i].give_back();
    }
    received.kept.clear();
  }
  EXPECT_EQ(received.text, text);
  cancel_and_see(s, handle, received.last);
}

void one_that_waits_for_a_buffer_can_be_cancelled(BackendScenario& s) {
  SocketPair first = make_stream_pair(), second = make_stream_pair();
  const Pool pool = new_pool(s, 2);
  Received received(s), starved(s);
  received.keeps = true;
  const OperationHandle holder = reference_backend(s).recv_each(first.near.get(), pool, 0, received.callback());
  write_text(first.far.get(), numbers(2 * kBufferBytes));
  s.run_until([&] { return received.kept.size() == 2; });
  const OperationHandle handle = reference_backend(s).recv_each(second.near.get(), pool, 0, starved.callback());
  write_text(second.far.get(), "x");
  s.settle();
  EXPECT_EQ(starved.text, "");
  cancel_and_see(s, handle, starved.last);
  received.kept.clear();
  s.settle();
  EXPECT_EQ(starved.text, "");
  // It is told what `received` keeps, which ends here.
  cancel_and_see(s, holder, received.last);
}

void buffers_are_given_back_by_other_threads(BackendScenario& s) {
  SocketPair pair = make_stream_pair();
  const Pool pool = new_pool(s, 2);
  Received received(s);
  received.keeps = true;
  const std::string text = numbers(20 * kBufferBytes);
  const OperationHandle handle = reference_backend(s).recv_each(pair.near.get(), pool, 0, received.callback());
  write_text(pair.far.get(), text);
  while (received.text.size() < text.size()) {
    s.run_until([&] { return received.kept.size() == 2 || received.text.size() == text.size(); });
    std::thread([&received] { received.kept.clear(); }).join();
  }
  EXPECT_EQ(received.text, text);
  cancel_and_see(s, handle, received.last);
}

void buffers_outlive_pool_and_backend(BackendScenario& s) {
  SocketPair pair = make_stream_pair();
  Received received(s);
  received.keeps = true;
  {
    // The operation goes on without the handle.
    const Pool pool = new_pool(s);
    reference_backend(s).recv_each(pair.near.get(), pool, 0, received.callback());
  }
  write_text(pair.far.get(), "kept");
  s.run_until([&] { return received.text.size() == 4; });
  s.destroy_backend();
  EXPECT_EQ(received.last.res, -ECANCELED);
  std::string kept;
  for (const ProvidedBuffer& buffer : received.kept) kept += text_of(buffer.data());
  EXPECT_EQ(kept, "kept");
  std::thread([&received] { received.kept.clear(); }).join();
}

void a_pool_may_outlive_the_backend(BackendScenario& s) {
  const Pool pool = new_pool(s);
  s.destroy_backend();
  EXPECT_EQ(pool.free(), pool.count());
}

void the_callback_may_cancel(BackendScenario& s) {
  SocketPair pair = make_stream_pair();
  const Pool pool = new_pool(s);
  Received received(s);
  OperationHandle handle;
  bool asked = false;
  handle = reference_backend(s).recv_each(pair.near.get(), pool, 0, received.callback([&] {
    if (!std::exchange(asked, true)) must(reference_backend(s).cancel(handle));
  }));
  write_text(pair.far.get(), "x");
  s.run_until(received.last);
  EXPECT_EQ(received.last.res, -ECANCELED);
  EXPECT_EQ(received.text, "x");
}

void the_silent_hold_no_buffer(BackendScenario& s) {
  constexpr unsigned kCount = 20;
  std::deque<SocketPair> pairs;
  std::deque<Received> received;
  const Pool pool = new_pool(s, 2);
  for (unsigned i = 0; i < kCount; ++i) {
    pairs.push_back(make_stream_pair());
    received.emplace_back(s, "receive " + std::to_string(i));
    reference_backend(s).recv_each(pairs.back().near.get(), pool, 0, received.back().callback());
  }
  s.settle();
  EXPECT_EQ(pool.free(), pool.count());
  for (unsigned i = 0; i < kCount; ++i) write_text(pairs[i].far.get(), std::to_string(i));
  for (unsigned i = 0; i < kCount; ++i) {
    const std::string text = std::to_string(i);
    s.run_until([&] { return received[i].text.size() >= text.size(); });
    EXPECT_EQ(received[i].text, text);
  }
  s.destroy_backend();
  for (const Received& each : received) EXPECT_EQ(each.last.res, -ECANCELED);
}

void a_closed_descriptor_is_an_error(BackendScenario& s) {
  const Pool pool = new_pool(s);
  Received received(s), read(s);
  reference_backend(s).recv_each(closed_fd(), pool, 0, received.callback());
  s.run_until(received.last);
  EXPECT_EQ(received.last.res, -EBADF);
  const Fd file = Fd(::eventfd(0, EFD_CLOEXEC));
  reference_backend(s).recv_each(file.get(), pool, 0, read.callback());
  // Some kernels try only when there is something to be had.
  const std::uint64_t one = 1;
  ASSERT_EQ(::write(file.get(), &one, sizeof one), static_cast<ssize_t>(sizeof one));
  s.run_until(read.last);
  EXPECT_EQ(read.last.res, -ENOTSOCK);
  EXPECT_EQ(pool.free(), pool.count());
}

void reads_a_pipe_to_its_end(BackendScenario& s) {
  for (const int flags : {0, O_NONBLOCK}) {
    Pipe pipe = make_pipe(flags);
    const Pool pool = new_pool(s);
    Received received(s);
    reference_backend(s).read_each(pipe.read_end.get(), pool, received.callback());
    s.settle();
    const std::string text = numbers(6 * kBufferBytes + 1);
    write_text(pipe.write_end.get(), text);
    s.run_until([&] { return received.text.size() >= text.size(); });
    EXPECT_EQ(received.text, text);
    pipe.write_end.reset();
    s.run_until(received.last);
    EXPECT_EQ(received.last.res, 0);
    EXPECT_EQ(pool.free(), pool.count());
  }
}

void reads_a_file_from_its_position_on(BackendScenario& s) {
  const Folder folder;
  const std::string text = numbers(3 * kBufferBytes + 5);
  const Fd file(::open(folder.path("file").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  write_text(file.get(), text);
  ASSERT_EQ(::lseek(file.get(), 2, SEEK_SET), 2);
  const Pool pool = new_pool(s);
  Received received(s);
  reference_backend(s).read_each(file.get(), pool, received.callback());
  s.run_until(received.last);
  EXPECT_EQ(received.last.res, 0);
  EXPECT_EQ(received.text, text.substr(2));
  EXPECT_EQ(pool.free(), pool.count());
}

// What the kernel may answer.

void a_refused_ring_of_buffers_is_no_failure(BackendScenario& s) {
  const FaultScope scope = s.inject("register/errno:nth=1:op=REGISTER_PBUF_RING:errno=ENOMEM");
  const Pool pool = new_pool(s);
  EXPECT_FALSE(pool.in_kernel());
  EXPECT_NE(pool.reason().find("Cannot allocate memory"), std::string::npos) << pool.reason();
  SocketPair pair = make_stream_pair();
  Received received(s);
  reference_backend(s).recv_each(pair.near.get(), pool, 0, received.callback());
  const std::string text = numbers(6 * kBufferBytes);
  write_text(pair.far.get(), text);
  pair.far.reset();
  s.run_until(received.last);
  EXPECT_EQ(received.last.res, 0);
  EXPECT_EQ(received.text, text);
}

void answers_that_pass_do_not_end_it(BackendScenario& s) {
  for (const char* error : {"EINVAL", "ENOBUFS", "EINTR", "EAGAIN"}) {
    SocketPair pair = make_stream_pair();
    const Pool pool = new_pool(s);
    Received received(s);
    const FaultScope scope = s.inject("cqe/errno:nth=1:fd=" + std::to_string(pair.near.get()) + ":errno=" + error);
    reference_backend(s).recv_each(pair.near.get(), pool, 0, received.callback());
    s.settle();
    write_text(pair.far.get(), "hello");
    s.run_until([&] { return received.text.size() >= 5 || received.last.done(); });
    pair.far.reset();
    s.run_until(received.last);
    EXPECT_EQ(received.last.res, 0) << error;
    // The faulted completion may have been that of data.
    EXPECT_TRUE(received.text == "hello" || received.text.empty()) << error << ": " << received.text;
  }
}

/// Has the kernel drop the completion of one NOP, and the loop find out.
void lose_a_nop(BackendScenario& s) {
  Owed& lost = s.owe("the NOP whose completion is dropped");
  const FaultScope scope = s.inject("cqe/full:nth=1:op=NOP,cqe/drop:nth=1");
  must(s.backend().submit(
      must(s.backend().make_operation([](io_uring_sqe& sqe) { io_uring_prep_nop(&sqe); }, lost.callback()))));
  s.timer(s.moment(), s.tell().callback());
  s.run_until(lost);
  EXPECT_EQ(lost.res, -EBADR);
}

void buffers_and_receives_survive_a_recovery(BackendScenario& s) {
  SocketPair pair = make_stream_pair();
  const Pool pool = new_pool(s);
  Received received(s);
  received.keeps = true;
  reference_backend(s).recv_each(pair.near.get(), pool, 0, received.callback());
  write_text(pair.far.get(), "before ");
  s.run_until([&] { return received.text.size() == 7; });
  lose_a_nop(s);
  EXPECT_EQ(reference_backend(s).counters().recoveries, 1u);
  received.kept.clear();
  received.keeps = false;
  const std::string text = numbers(9 * kBufferBytes);
  write_text(pair.far.get(), text);
  s.run_until([&] { return received.text.size() >= 7 + text.size(); });
  EXPECT_EQ(received.text, "before " + text);
  pair.far.reset();
  s.run_until(received.last);
  EXPECT_EQ(received.last.res, 0);
  EXPECT_EQ(pool.free(), pool.count());
}

void one_that_waits_for_a_buffer_survives_a_recovery(BackendScenario& s) {
  SocketPair pair = make_stream_pair();
  const Pool pool = new_pool(s, 2);
  Received received(s);
  received.keeps = true;
  const std::string text = numbers(5 * kBufferBytes);
  reference_backend(s).recv_each(pair.near.get(), pool, 0, received.callback());
  write_text(pair.far.get(), text);
  pair.far.reset();
  s.run_until([&] { return received.kept.size() == 2; });
  s.settle();
  lose_a_nop(s);
  EXPECT_EQ(received.kept.size(), 2u);
  received.keeps = false;
  received.kept.clear();
  s.run_until(received.last);
  EXPECT_EQ(received.last.res, 0);
  EXPECT_EQ(received.text, text);
  EXPECT_EQ(pool.free(), pool.count());
}

// The pool itself.

void sizes_are_rounded_up_and_bounded(BackendScenario& s) {
  Backend& backend = reference_backend(s);
  const Pool small = must(Pool::create(backend, {.count = 1, .bytes = 1}));
  EXPECT_EQ(small.count(), 2u);
  EXPECT_EQ(small.buffer_bytes(), 32u);
  EXPECT_EQ(small.in_kernel(), small.reason().empty()) << small.reason();
  const Pool odd = must(Pool::create(backend, {.count = 5, .bytes = 33}));
  EXPECT_EQ(odd.count(), 8u);
  EXPECT_EQ(odd.buffer_bytes(), 64u);
  EXPECT_EQ(odd.free(), 8u);
  for (const BufferPoolSize& size :
       {BufferPoolSize{.count = 0}, BufferPoolSize{.count = 32769}, BufferPoolSize{.count = 2, .bytes = 0}}) {
    const Result<Pool> refused = Pool::create(backend, size);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error(), std::errc::invalid_argument);
  }
}

void pools_do_not_mix(BackendScenario& s) {
  const Pool small = new_pool(s);
  const Pool large = must(Pool::create(reference_backend(s), {.count = 4, .bytes = 1024}));
  SocketPair first = make_stream_pair(), second = make_stream_pair();
  Received from_small(s), from_large(s);
  reference_backend(s).recv_each(first.near.get(), small, 0, from_small.callback());
  reference_backend(s).recv_each(second.near.get(), large, 0, from_large.callback());
  const std::string text = numbers(4 * kBufferBytes);
  write_text(first.far.get(), text);
  write_text(second.far.get(), text);
  first.far.reset();
  second.far.reset();
  s.run_until([&] { return from_small.last.done() && from_large.last.done(); });
  EXPECT_EQ(from_small.text, text);
  EXPECT_EQ(from_large.text, text);
  EXPECT_EQ(small.free(), small.count());
  EXPECT_EQ(large.free(), large.count());
}

}  // namespace

void internal::add_reference_receives(BackendBehaviours& behaviours) {
  // Without SEND_ZC the backend takes a kernel for one that has no multishot receive.
  ReferenceSuite pools(behaviours, "ReferenceReceives", {IORING_OP_SEND_ZC, IORING_OP_RECV, IORING_OP_RECVMSG});
  pools.add("ReceivesUntilTheEndOfFile", receives_until_the_end_of_file);
  pools.add("WhatCameAtOnceComesInOrder", what_came_at_once_comes_in_order);
  pools.add("ItWaitsForBuffers", it_waits_for_buffers);
  pools.add("BuffersMayComeBackInAnyOrder", buffers_may_come_back_in_any_order);
  pools.add("OneThatWaitsForABufferCanBeCancelled", one_that_waits_for_a_buffer_can_be_cancelled);
  pools.add("BuffersAreGivenBackByOtherThreads", buffers_are_given_back_by_other_threads);
  pools.add("BuffersOutlivePoolAndBackend", buffers_outlive_pool_and_backend);
  pools.add("APoolMayOutliveTheBackend", a_pool_may_outlive_the_backend);
  pools.add("TheCallbackMayCancel", the_callback_may_cancel);
  pools.add("TheSilentHoldNoBuffer", the_silent_hold_no_buffer);
  pools.add("AClosedDescriptorIsAnError", a_closed_descriptor_is_an_error);
  pools.add("ReadsAPipeToItsEnd", reads_a_pipe_to_its_end);
  pools.add("ReadsAFileFromItsPositionOn", reads_a_file_from_its_position_on, {.features = IORING_FEAT_RW_CUR_POS});
  pools.add("SizesAreRoundedUpAndBounded", sizes_are_rounded_up_and_bounded);
  pools.add("PoolsDoNotMix", pools_do_not_mix);
  const Needs buffer_rings{.opcodes = {IORING_OP_SEND_ZC}};
  pools.add_injecting("ARefusedRingOfBuffersIsNoFailure", a_refused_ring_of_buffers_is_no_failure,
                      "register/errno:op=REGISTER_PBUF_RING:errno=ENOMEM", buffer_rings);
  pools.add_injecting("AnswersThatPassDoNotEndIt", answers_that_pass_do_not_end_it, "cqe/errno:errno=EINVAL",
                      buffer_rings);
  pools.add_injecting("BuffersAndReceivesSurviveARecovery", buffers_and_receives_survive_a_recovery,
                      "cqe/full:nth=1:op=NOP,cqe/drop:nth=1", {.opcodes = {IORING_OP_ASYNC_CANCEL}});
  pools.add_injecting("OneThatWaitsForABufferSurvivesARecovery", one_that_waits_for_a_buffer_survives_a_recovery,
                      "cqe/full:nth=1:op=NOP,cqe/drop:nth=1", {.opcodes = {IORING_OP_ASYNC_CANCEL}});
}

}  // namespace assay::conformance
