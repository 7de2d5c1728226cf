// What waits for something else than a transfer, in the reference backend: readiness, time, another ring, a futex.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "assay/conformance/backend_suites.h"
#include "assay/conformance/reference_actions.h"
#include "assay/conformance/ring_actions.h"

namespace assay::conformance {
namespace {

void a_poll_tells_what_is_there(BackendScenario& s) {
  Pipe pipe = make_pipe();
  EXPECT_EQ(result_of(s, "the poll for room",
                      [&](auto done) { reference_backend(s).poll(pipe.write_end.get(), POLLOUT, done); }),
            POLLOUT);
  Owed& told = s.owe("the poll for data");
  reference_backend(s).poll(pipe.read_end.get(), POLLIN, told.callback());
  s.settle();
  EXPECT_FALSE(told.done());
  write_text(pipe.write_end.get(), "x");
  s.run_until(told);
  EXPECT_EQ(told.res, POLLIN);
  read_text(pipe.read_end.get(), 1);
  pipe.write_end.reset();
  EXPECT_EQ(result_of(s, "the poll of a pipe without writers",
                      [&](auto done) { reference_backend(s).poll(pipe.read_end.get(), POLLIN, done); }),
            POLLHUP);
  EXPECT_EQ(result_of(s, "the poll of no descriptor",
                      [&](auto done) { reference_backend(s).poll(closed_fd(), POLLIN, done); }),
            -EBADF);
}

void a_poll_goes_on_until_cancelled(BackendScenario& s) {
  const Pipe pipe = make_pipe();
  Repeated polls(s, "the polls");
  std::size_t rounds = 0;
  // Each readiness is used up where it is told, so that both sorts of poll tell of the next one as something new.
  const OperationHandle handle =
      reference_backend(s).poll_each(pipe.read_end.get(), POLLIN, polls.callback([&](int res) {
        EXPECT_EQ(res, POLLIN);
        pollfd still{.fd = pipe.read_end.get(), .events = POLLIN, .revents = 0};
        if (::poll(&still, 1, 0) != 1) return;  // told twice of one
        read_text(pipe.read_end.get(), 1);
        ++rounds;
      }));
  for (std::size_t round = 1; round <= 3; ++round) {
    s.settle();
    EXPECT_EQ(rounds, round - 1);
    write_text(pipe.write_end.get(), "x");
    s.run_until([&] { return rounds == round; });
  }
  must(reference_backend(s).cancel(handle));
  s.run_until(polls.last);
  EXPECT_EQ(polls.last.res, -ECANCELED);
}

void polls_of_nothing_end(BackendScenario& s) {
  Repeated polls(s, "the polls");
  reference_backend(s).poll_each(closed_fd(), POLLIN, polls.callback());
  s.run_until(polls.last);
  EXPECT_EQ(polls.last.res, -EBADF);
  EXPECT_TRUE(polls.results.empty());
}

void a_timeout_takes_its_time(BackendScenario& s) {
  const std::chrono::nanoseconds before = s.now();
  std::vector<std::chrono::nanoseconds> order;
  std::vector<Owed*> all;
  for (const std::chrono::nanoseconds duration : {2 * s.moment(), s.moment(), std::chrono::nanoseconds{-5}}) {
    all.push_back(&s.owe("the timeout"));
    reference_backend(s).timeout(duration, all.back()->callback([&, duration](int res) {
      EXPECT_EQ(res, -ETIME);
      EXPECT_GE(s.now() - before, duration) << "never early";
      order.push_back(duration);
    }));
  }
  for (const Owed* owed : all) s.run_until(*owed);
  // On a real clock so much time may pass between the first and the last that all are late.
  if (s.virtual_clock()) {
    EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
  }
}

void a_timeout_is_cancelled(BackendScenario& s) {
  Owed& told = s.owe("the timeout");
  const OperationHandle handle = reference_backend(s).timeout(std::chrono::hours(1), told.callback());
  s.settle();
  EXPECT_FALSE(told.done());
  must(reference_backend(s).cancel(handle));
  s.run_until(told);
  EXPECT_EQ(told.res, -ECANCELED);
  EXPECT_EQ(reference_backend(s).cancel(handle).error(), std::errc::no_such_file_or_directory);
}

/// Another backend on the same kernel, of which this one can be told.
std::unique_ptr<Backend> make_other(BackendScenario& s) { return must(Backend::create(s.kernel())); }

/// Runs the other's loop until `done`, without waiting: what it waits for has happened already.
void run_other(Backend& other, const std::function<bool()>& done) {
  for (int turns = 0; !done() && turns < 1000; ++turns) must(other.loop(LoopMode::kNonblock));
  EXPECT_TRUE(done());
}

void messages_come_to_the_other_loop(BackendScenario& s) {
  const std::unique_ptr<Backend> other = make_other(s);
  std::vector<std::uint32_t> messages;
  other->receive_messages([&](std::uint32_t message) { messages.push_back(message); });
  for (const std::uint32_t message : {1u, 0xffff'ffffu, 0u}) {
    EXPECT_EQ(result_of(s, "the msg_ring", [&](auto done) { reference_backend(s).msg_ring(*other, message, done); }),
              0);
  }
  run_other(*other, [&] { return messages.size() == 3; });
  EXPECT_EQ(messages, (std::vector<std::uint32_t>{1, 0xffff'ffff, 0}));
  // Whoever waits for messages has something that can happen, and nothing any more when he is not interested.
  EXPECT_EQ(must(other->loop(LoopMode::kNonblock)), LoopStatus::kNothingToDo);
  other->receive_messages(nullptr);
  EXPECT_EQ(must(other->loop(LoopMode::kNonblock)), LoopStatus::kNoEvents);
}

void a_receiver_may_give_its_place_away(BackendScenario& s) {
  const std::unique_ptr<Backend> other = make_other(s);
  std::vector<int> order;
  other->receive_messages([&](std::uint32_t) {
    order.push_back(1);
    other->receive_messages([&](std::uint32_t) {
      order.push_back(2);
      other->receive_messages(nullptr);
    });
  });
  for (const std::uint32_t message : {1u, 2u, 3u}) {
    EXPECT_EQ(result_of(s, "the msg_ring", [&](auto done) { reference_backend(s).msg_ring(*other, message, done); }),
              0);
  }
  run_other(*other, [&] { return order.size() == 2; });
  EXPECT_EQ(must(other->loop(LoopMode::kNonblock)), LoopStatus::kNoEvents);
  EXPECT_EQ(order, (std::vector<int>{1, 2}));
}

void a_futex_is_waited_for(BackendScenario& s) {
  constexpr unsigned kAll = ~0u, kPrivate = 128;
  alignas(4) std::uint32_t word = 7;
  Backend& backend = reference_backend(s);
  Owed &waited = s.owe("the futex_wait"), &woken = s.owe("the futex_wake"), &other = s.owe("another value's wait");
  backend.futex_wait(&word, 8, kAll, kPrivate, other.callback());
  s.run_until(other);
  backend.futex_wait(&word, 7, kAll, kPrivate, waited.callback());
  s.settle();
  EXPECT_EQ(waited.done(), !has_opcode(s, uapi::kOpFutexWait));
  backend.futex_wake(&word, 1, kAll, kPrivate, woken.callback());
  s.run_until([&] { return waited.done() && woken.done(); });
  if (has_opcode(s, uapi::kOpFutexWait)) {
    EXPECT_EQ(other.res, -EAGAIN);
    EXPECT_EQ(waited.res, 0);
    EXPECT_EQ(woken.res, 1);
  } else {
    EXPECT_EQ(other.res, -ENOTSUP);
    EXPECT_EQ(waited.res, -ENOTSUP);
    EXPECT_EQ(woken.res, 0) << "waking needs no request, and there was nobody";
  }
}

void what_waits_is_cancelled(BackendScenario& s) {
  constexpr unsigned kAll = ~0u, kPrivate = 128;
  const Pipe pipe = make_pipe();
  alignas(4) std::uint32_t word = 7;
  Backend& backend = reference_backend(s);
  Owed& poll = s.owe("the poll");
  std::vector<Owed*> all{&poll};
  std::vector<OperationHandle> handles{backend.poll(pipe.read_end.get(), POLLIN, poll.callback())};
  if (has_opcode(s, uapi::kOpFutexWait)) {
    all.push_back(&s.owe("the futex_wait"));
    handles.push_back(backend.futex_wait(&word, 7, kAll, kPrivate, all.back()->callback()));
  }
  s.settle();
  for (const OperationHandle handle : handles) must(backend.cancel(handle));
  for (const Owed* owed : all) {
    s.run_until(*owed);
    EXPECT_EQ(owed->res, -ECANCELED) << owed->what;
  }
}

// A kernel may overlook a request that is on its way, and a worker its interruption; both say so, or seem to.
void a_cancelation_that_came_to_nothing_is_repeated(BackendScenario& s) {
  s.backend();
  for (const char* error : {"ENOENT", "EALREADY"}) {
    const Pipe pipe = make_pipe();
    Owed& told = s.owe("the poll");
    const OperationHandle handle = reference_backend(s).poll(pipe.read_end.get(), POLLIN, told.callback());
    s.settle();
    const FaultScope scope = s.inject(std::string("cqe/errno:to=2:op=ASYNC_CANCEL:errno=") + error);
    must(reference_backend(s).cancel(handle));
    s.run_until(told);
    EXPECT_EQ(told.res, -ECANCELED);
  }
}

void destruction_tells_each_once(BackendScenario& s) {
  const Pipe pipe = make_pipe();
  Backend& backend = reference_backend(s);
  Owed &poll = s.owe("the poll"), &timeout = s.owe("the timeout"), &late = s.owe("the timeout that came late");
  Repeated polls(s, "the polls");
  backend.poll(pipe.read_end.get(), POLLIN, poll.callback());
  backend.poll_each(pipe.read_end.get(), POLLIN, polls.callback());
  backend.timeout(std::chrono::hours(1), timeout.callback());
  s.settle();
  backend.timeout(std::chrono::hours(1), late.callback());
  s.destroy_backend();
  for (const Owed* owed : {&poll, &timeout, &late, &polls.last}) EXPECT_EQ(owed->res, -ECANCELED) << owed->what;
}

}  // namespace

void internal::add_reference_waits(BackendBehaviours& behaviours) {
  ReferenceSuite suite(behaviours, "ReferenceWaits", {IORING_OP_TIMEOUT_REMOVE});
  suite.add("APollTellsWhatIsThere", a_poll_tells_what_is_there);
  suite.add("APollGoesOnUntilCancelled", a_poll_goes_on_until_cancelled);
  suite.add("PollsOfNothingEnd", polls_of_nothing_end);
  suite.add("ATimeoutTakesItsTime", a_timeout_takes_its_time);
  suite.add("ATimeoutIsCancelled", a_timeout_is_cancelled);
  suite.add("MessagesComeToTheOtherLoop", messages_come_to_the_other_loop);
  suite.add("AReceiverMayGiveItsPlaceAway", a_receiver_may_give_its_place_away);
  suite.add("AFutexIsWaitedFor", a_futex_is_waited_for);
  suite.add("WhatWaitsIsCancelled", what_waits_is_cancelled);
  suite.add_injecting("ACancelationThatCameToNothingIsRepeated", a_cancelation_that_came_to_nothing_is_repeated,
                      "cqe/errno:op=ASYNC_CANCEL:errno=ENOENT", {.opcodes = {IORING_OP_ASYNC_CANCEL}});
  suite.add("DestructionTellsEachOnce", destruction_tells_each_once);
}

}  // namespace assay::conformance
