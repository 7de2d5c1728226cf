// Operations of the user's own, cancelation, and more work than the rings hold.

#include <gtest/gtest.h>
#include <poll.h>

#include <cerrno>
#include <string>
#include <vector>

#include "assay/conformance/backend_scenario.h"
#include "assay/conformance/backend_suites.h"
#include "assay/conformance/ring_actions.h"

namespace assay::conformance {
namespace {

using C = Capability;

void prepare_nop_sqe(io_uring_sqe& sqe) { io_uring_prep_nop(&sqe); }

std::span<std::byte> bytes_of(std::string& text) { return std::as_writable_bytes(std::span(text)); }

OperationId make_nop(BackendScenario& s, OperationCallback done) {
  return must(s.backend().make_operation(prepare_nop_sqe, std::move(done)));
}

/// A poll for input: idle until something is written, and cancelable on every kernel that can cancel at all.
OperationId make_poll(BackendScenario& s, int fd, OperationCallback done) {
  return must(s.backend().make_operation([fd](io_uring_sqe& sqe) { io_uring_prep_poll_add(&sqe, fd, POLLIN); },
                                         std::move(done)));
}

void completes_with_the_kernels_result(BackendScenario& s) {
  Owed &nop = s.owe("the NOP"), &bad = s.owe("the read of a bad fd");
  static char byte;
  static iovec buffer{&byte, 1};
  must(s.backend().submit(make_nop(s, nop.callback())));
  must(s.backend().submit(must(s.backend().make_operation(
      [](io_uring_sqe& sqe) { io_uring_prep_readv(&sqe, -1, &buffer, 1, 0); }, bad.callback()))));
  s.run(RunMode::kUntilIdle);
  EXPECT_EQ(nop.res, 0);
  EXPECT_EQ(bad.res, -EBADF);
}

void may_be_submitted_again_from_its_completion(BackendScenario& s) {
  unsigned completions = 0;
  OperationId nop{};
  nop = make_nop(s, [&](int res) {
    EXPECT_EQ(res, 0);
    if (++completions < 10) must(s.backend().submit(nop));
  });
  must(s.backend().submit(nop));
  s.run(RunMode::kUntilIdle);
  EXPECT_EQ(completions, 10u);
}

void is_refused_while_in_flight(BackendScenario& s) {
  Pipe pipe = make_pipe();
  Owed& owed = s.owe("the poll");
  unsigned prepared = 0;
  const int fd = pipe.read_end.get();
  const OperationId poll = must(s.backend().make_operation(
      [&prepared, fd](io_uring_sqe& sqe) {
        ++prepared;
        io_uring_prep_poll_add(&sqe, fd, POLLIN);
      },
      owed.callback()));
  must(s.backend().submit(poll));
  EXPECT_FALSE(s.backend().submit(poll)) << "it is queued";
  s.settle();
  EXPECT_FALSE(s.backend().submit(poll)) << "it is in flight";
  write_text(pipe.write_end.get(), "x");
  s.run_until(owed);
  s.settle();
  EXPECT_EQ(owed.calls, 1u);
  EXPECT_EQ(prepared, 1u);
}

void completions_keep_their_order(BackendScenario& s) {
  // NOPs complete as they are taken, so whatever splits a batch must not change the order.
  std::vector<int> order;
  for (int i = 0; i < 20; ++i) {
    must(s.backend().submit(make_nop(s, [&order, i](int) { order.push_back(i); })));
  }
  s.run(RunMode::kUntilIdle);
  ASSERT_EQ(order.size(), 20u);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(order[static_cast<std::size_t>(i)], i);
}

void cancels_what_is_idle(BackendScenario& s) {
  Pipe pipe = make_pipe();
  Owed& owed = s.owe("the poll");
  const OperationId poll = make_poll(s, pipe.read_end.get(), owed.callback());
  must(s.backend().submit(poll));
  s.settle();
  must(s.backend().cancel(poll));
  s.run_until(owed);
  s.settle();
  EXPECT_EQ(owed.res, -ECANCELED);
}

void cancels_an_idle_read(BackendScenario& s) {
  Pipe pipe = make_pipe();
  std::string buffer(8, '-');
  Owed& owed = s.owe("the read");
  const OperationId read = must(s.backend().read(pipe.read_end.get(), bytes_of(buffer), 0, owed.callback()));
  s.settle();
  must(s.backend().cancel(read));
  s.run_until(owed);
  EXPECT_EQ(owed.res, -ECANCELED);
  write_text(pipe.write_end.get(), "x");
  s.settle();
  EXPECT_EQ(buffer, "--------") << "the buffer is the caller's again";
  EXPECT_EQ(read_text(pipe.read_end.get(), 1), "x") << "a cancelled read takes no data";
}

void cancels_what_was_not_submitted_yet(BackendScenario& s) {
  Pipe pipe = make_pipe();
  Owed& owed = s.owe("the poll");
  const OperationId poll = make_poll(s, pipe.read_end.get(), owed.callback());
  must(s.backend().submit(poll));
  must(s.backend().cancel(poll));
  EXPECT_FALSE(owed.done()) << "callbacks run inside the loop";
  s.run_until(owed);
  s.settle();
  EXPECT_EQ(owed.res, -ECANCELED);
}

void cancelling_what_is_over_is_reported(BackendScenario& s) {
  Owed& owed = s.owe("the NOP");
  const OperationId nop = make_nop(s, owed.callback());
  EXPECT_FALSE(s.backend().cancel(nop)) << "it was never submitted";
  must(s.backend().submit(nop));
  s.run_until(owed);
  EXPECT_FALSE(s.backend().cancel(nop)) << "it is over";
  s.settle();
  EXPECT_EQ(s.run(RunMode::kUntilIdle), RunResult::kNoEvents);
}

void cancelling_twice_is_harmless(BackendScenario& s) {
  Pipe pipe = make_pipe();
  Owed& owed = s.owe("the poll");
  const OperationId poll = make_poll(s, pipe.read_end.get(), owed.callback());
  must(s.backend().submit(poll));
  s.settle();
  must(s.backend().cancel(poll));
  static_cast<void>(s.backend().cancel(poll));
  s.run_until(owed);
  s.settle();
  EXPECT_EQ(owed.res, -ECANCELED);
}

// Either may win. What may not be is both, or neither.
void cancelation_and_completion_race(BackendScenario& s) {
  for (int round = 0; round < 8; ++round) {
    Pipe pipe = make_pipe();
    std::string buffer(1, '-');
    Owed& owed = s.owe("the read of round " + std::to_string(round));
    const OperationId read = must(s.backend().read(pipe.read_end.get(), bytes_of(buffer), 0, owed.callback()));
    for (int turns = 0; turns < round % 4; ++turns) s.run(RunMode::kNonBlock);
    write_text(pipe.write_end.get(), "x");
    static_cast<void>(s.backend().cancel(read));
    s.run_until(owed);
    if (owed.res == -ECANCELED) {
      EXPECT_EQ(read_text(pipe.read_end.get(), 1), "x") << "a cancelled read takes no data";
    } else {
      EXPECT_EQ(owed.res, 1);
      EXPECT_EQ(buffer, "x");
    }
  }
}

void cancels_another_in_a_callback(BackendScenario& s) {
  Pipe one = make_pipe(), two = make_pipe();
  Owed &first = s.owe("the first poll"), &second = s.owe("the second poll");
  const OperationId victim = make_poll(s, two.read_end.get(), second.callback());
  must(s.backend().submit(victim));
  must(s.backend().submit(
      make_poll(s, one.read_end.get(), first.callback([&](int) { must(s.backend().cancel(victim)); }))));
  s.settle();
  write_text(one.write_end.get(), "x");
  s.run_until(second);
  EXPECT_EQ(first.res, POLLIN);
  EXPECT_EQ(second.res, -ECANCELED);
}

void may_be_submitted_again_after_cancelation(BackendScenario& s) {
  Pipe pipe = make_pipe();
  std::vector<int> results;
  const OperationId poll = make_poll(s, pipe.read_end.get(), [&](int res) { results.push_back(res); });
  must(s.backend().submit(poll));
  s.settle();
  must(s.backend().cancel(poll));
  s.run_until([&] { return results.size() == 1; });
  must(s.backend().submit(poll));
  s.settle();
  EXPECT_EQ(results.size(), 1u) << "a late answer to the cancelation must not be taken for the operation's";
  write_text(pipe.write_end.get(), "x");
  s.run_until([&] { return results.size() == 2; });
  EXPECT_EQ(results, (std::vector<int>{-ECANCELED, POLLIN}));
}

void cancels_many(BackendScenario& s) {
  constexpr std::size_t kCount = 20;
  s.backend({.sq_entries = 4, .cq_entries = 8});
  Pipe pipe = make_pipe();
  std::vector<Owed*> owed;
  std::vector<OperationId> polls;
  for (std::size_t i = 0; i < kCount; ++i) {
    owed.push_back(&s.owe("poll " + std::to_string(i)));
    polls.push_back(make_poll(s, pipe.read_end.get(), owed[i]->callback()));
    must(s.backend().submit(polls[i]));
  }
  s.settle();
  for (const OperationId poll : polls) must(s.backend().cancel(poll));
  s.run(RunMode::kUntilIdle);
  for (const Owed* each : owed) EXPECT_EQ(each->res, -ECANCELED);
}

void more_than_the_cq_holds(BackendScenario& s) {
  constexpr int kCount = 100;
  s.backend({.sq_entries = 2, .cq_entries = 4});
  for (int i = 0; i < kCount; ++i) {
    must(s.backend().submit(make_nop(s, s.owe("NOP " + std::to_string(i)).callback())));
  }
  EXPECT_EQ(s.run(RunMode::kUntilIdle), RunResult::kHadEvents);
  EXPECT_EQ(s.run(RunMode::kUntilIdle), RunResult::kNoEvents);
}

void more_in_flight_than_the_cq_holds(BackendScenario& s) {
  constexpr std::size_t kCount = 24;
  s.backend({.sq_entries = 4, .cq_entries = 8});
  std::vector<Pipe> pipes;
  std::vector<Owed*> owed;
  for (std::size_t i = 0; i < kCount; ++i) {
    pipes.push_back(make_pipe());
    owed.push_back(&s.owe("poll " + std::to_string(i)));
    must(s.backend().submit(make_poll(s, pipes[i].read_end.get(), owed[i]->callback())));
  }
  s.settle();
  // All become ready before the loop looks again: their completions come at once.
  for (Pipe& pipe : pipes) write_text(pipe.write_end.get(), "x");
  EXPECT_EQ(s.run(RunMode::kUntilIdle), RunResult::kHadEvents);
  for (const Owed* each : owed) EXPECT_EQ(each->res, POLLIN);
}

void callbacks_that_submit_more(BackendScenario& s) {
  constexpr int kLimit = 150;
  s.backend({.sq_entries = 2, .cq_entries = 4});
  int submitted = 0;
  std::function<void()> submit_one = [&] {
    if (submitted == kLimit) return;
    ++submitted;
    must(s.backend().submit(make_nop(s, s.owe("NOP " + std::to_string(submitted)).callback([&](int) {
      submit_one();
      submit_one();
    }))));
  };
  submit_one();
  s.run(RunMode::kUntilIdle);
  EXPECT_EQ(submitted, kLimit);
}

void everything_at_once_on_the_smallest_rings(BackendScenario& s) {
  s.backend({.sq_entries = 1, .cq_entries = 2});
  Pipe pipe = make_pipe();
  write_text(pipe.write_end.get(), "x");
  Told &ready = s.tell(), &due = s.tell();
  Fd file = make_file("content");
  std::vector<std::string> buffers(10, std::string(4, '-'));
  const EventId event = s.fd_event(pipe.read_end.get(), kReadable | kPersist, ready.callback());
  s.timer(s.moment(), due.callback());
  for (std::size_t i = 0; i < buffers.size(); ++i) {
    must(s.backend().read(file.get(), bytes_of(buffers[i]), 0, s.owe("read " + std::to_string(i)).callback()));
    must(s.backend().submit(make_nop(s, s.owe("NOP " + std::to_string(i)).callback())));
  }
  s.run_until(ready, 10);
  must(s.backend().delete_event(event));
  s.run(RunMode::kUntilIdle);
  EXPECT_EQ(due.calls(), 1u);
  for (const std::string& buffer : buffers) EXPECT_EQ(buffer.front(), 'c');
}

}  // namespace

void internal::add_backend_operations(BackendBehaviours& behaviours) {
  const auto add = [&](const char* name, CapabilitySet capabilities, void (*body)(BackendScenario&), Needs needs = {},
                       FaultPoints cannot_carry = {}) {
    behaviours.push_back({.suite = "BackendOperations",
                          .name = name,
                          .capabilities = capabilities,
                          .body = body,
                          .needs = std::move(needs),
                          .cannot_carry = cannot_carry});
  };
  const Needs cancelation{.opcodes = {IORING_OP_ASYNC_CANCEL}};
  // Before 6.0 a completion may overtake those in the overflow backlog.
  const FaultPoints reorders{FaultPointId::kCqeLater, FaultPointId::kCqeReorder, FaultPointId::kCqeFull};
  add("CompleteWithTheKernelsResult", {C::kUserOperations}, completes_with_the_kernels_result);
  add("MayBeSubmittedAgainFromTheirCompletion", {C::kUserOperations}, may_be_submitted_again_from_its_completion);
  add("AreRefusedWhileInFlight", {C::kUserOperations, C::kInFlightRefusal}, is_refused_while_in_flight);
  add("CompletionsKeepTheirOrder", {C::kUserOperations}, completions_keep_their_order, {}, reorders);
  add("CancelWhatIsIdle", {C::kCancel, C::kUserOperations}, cancels_what_is_idle, cancelation);
  add("CancelAnIdleRead", {C::kCancel, C::kReadWrite}, cancels_an_idle_read, cancelation);
  add("CancelWhatWasNotSubmittedYet", {C::kCancel, C::kUserOperations}, cancels_what_was_not_submitted_yet,
      cancelation);
  add("CancellingWhatIsOverIsReported", {C::kCancel, C::kUserOperations}, cancelling_what_is_over_is_reported);
  add("CancellingTwiceIsHarmless", {C::kCancel, C::kUserOperations}, cancelling_twice_is_harmless, cancelation);
  add("CancelationAndCompletionRace", {C::kCancel, C::kReadWrite}, cancelation_and_completion_race, cancelation);
  add("CancelAnotherInACallback", {C::kCancel, C::kUserOperations}, cancels_another_in_a_callback, cancelation);
  add("MayBeSubmittedAgainAfterCancelation", {C::kCancel, C::kUserOperations}, may_be_submitted_again_after_cancelation,
      cancelation);
  add("CancelManyOnSmallRings", {C::kCancel, C::kUserOperations, C::kBacklog}, cancels_many, cancelation);
  add("MoreThanTheCqHolds", {C::kUserOperations, C::kBacklog}, more_than_the_cq_holds);
  add("MoreInFlightThanTheCqHolds", {C::kUserOperations, C::kBacklog}, more_in_flight_than_the_cq_holds);
  add("CallbacksThatSubmitMore", {C::kUserOperations, C::kBacklog}, callbacks_that_submit_more);
  add("EverythingAtOnceOnTheSmallestRings",
      {C::kUserOperations, C::kBacklog, C::kPersistentFdEvents, C::kTimers, C::kReadWrite},
      everything_at_once_on_the_smallest_rings);
}

}  // namespace assay::conformance
