// Beginnings and ends: whatever is owed is told, nothing is left behind, and nothing hangs.

#include <gtest/gtest.h>
#include <poll.h>

#include <cerrno>
#include <string>
#include <vector>

#include "assay/conformance/backend_scenario.h"
#include "assay/conformance/backend_suites.h"
#include "assay/conformance/resources.h"
#include "assay/conformance/ring_actions.h"

namespace assay::conformance {
namespace {

using C = Capability;

std::span<std::byte> bytes_of(std::string& text) { return std::as_writable_bytes(std::span(text)); }

OperationId make_nop(BackendScenario& s, OperationCallback done) {
  return must(s.backend().make_operation([](io_uring_sqe& sqe) { io_uring_prep_nop(&sqe); }, std::move(done)));
}

OperationId make_poll(BackendScenario& s, int fd, OperationCallback done) {
  return must(s.backend().make_operation([fd](io_uring_sqe& sqe) { io_uring_prep_poll_add(&sqe, fd, POLLIN); },
                                         std::move(done)));
}

void ends_without_a_run(BackendScenario& s) {
  const Resources before = held_resources();
  for (int times = 0; times < 3; ++times) s.another_backend().reset();
  EXPECT_EQ(resource_difference(before, held_resources()), "");
}

void two_on_one_kernel_do_not_meet(BackendScenario& s) {
  auto other = s.another_backend();
  Pipe here = make_pipe(), there = make_pipe();
  Told &told_here = s.tell(), &told_there = s.tell();
  s.fd_event(here.read_end.get(), kReadable, told_here.callback());
  must(other->add_event(must(other->make_fd_event(there.read_end.get(), kReadable, told_there.callback()))));
  write_text(there.write_end.get(), "x");
  s.settle();
  EXPECT_EQ(told_there.calls(), 0u);
  for (int turns = 0; turns < 100 && told_there.calls() == 0; ++turns) must(other->run(RunMode::kNonBlock));
  EXPECT_EQ(told_there.calls(), 1u);
  EXPECT_EQ(told_here.calls(), 0u);
}

void ends_with_events_added(BackendScenario& s) {
  Pipe idle = make_pipe(), ready = make_pipe();
  write_text(ready.write_end.get(), "x");
  Told& told = s.tell();
  for (const bool run : {false, true}) {
    const Resources before = held_resources();
    told.bits.clear();
    s.fd_event(idle.read_end.get(), kReadable, told.callback());
    s.fd_event(idle.read_end.get(), kReadable | kPersist, told.callback());
    s.timer(std::chrono::hours(1), told.callback());
    if (run) s.settle();
    s.fd_event(ready.read_end.get(), kReadable | kPersist, told.callback());
    s.destroy_backend();
    EXPECT_EQ(told.calls(), 0u) << "events are not told of the end";
    EXPECT_EQ(resource_difference(before, held_resources()), "");
  }
}

void tells_an_idle_read(BackendScenario& s) {
  Pipe pipe = make_pipe();
  std::string buffer(8, '-');
  Owed& owed = s.owe("the read");
  must(s.backend().read(pipe.read_end.get(), bytes_of(buffer), 0, owed.callback()));
  s.settle();
  s.destroy_backend();
  EXPECT_EQ(owed.calls, 1u);
  EXPECT_EQ(owed.res, -ECANCELED);
}

void tells_what_is_in_flight(BackendScenario& s) {
  Pipe pipe = make_pipe();
  std::vector<Owed*> owed;
  for (int i = 0; i < 10; ++i) {
    owed.push_back(&s.owe("poll " + std::to_string(i)));
    must(s.backend().submit(make_poll(s, pipe.read_end.get(), owed.back()->callback())));
  }
  s.settle();
  s.destroy_backend();
  for (const Owed* each : owed) {
    EXPECT_EQ(each->calls, 1u);
    EXPECT_EQ(each->res, -ECANCELED);
  }
}

void tells_what_was_not_submitted(BackendScenario& s) {
  Pipe pipe = make_pipe();
  std::vector<Owed*> owed;
  s.backend({.sq_entries = 4, .cq_entries = 8});
  // More than fit: some wait in the SQ, some before it. The loop never runs.
  for (int i = 0; i < 20; ++i) {
    owed.push_back(&s.owe("poll " + std::to_string(i)));
    must(s.backend().submit(make_poll(s, pipe.read_end.get(), owed.back()->callback())));
  }
  s.destroy_backend();
  for (const Owed* each : owed) {
    EXPECT_EQ(each->calls, 1u);
    EXPECT_EQ(each->res, -ECANCELED);
  }
}

void tells_more_than_the_cq_holds(BackendScenario& s) {
  Pipe pipe = make_pipe();
  std::vector<Owed*> owed;
  s.backend({.sq_entries = 4, .cq_entries = 8});
  for (int i = 0; i < 40; ++i) {
    owed.push_back(&s.owe("poll " + std::to_string(i)));
    must(s.backend().submit(make_poll(s, pipe.read_end.get(), owed.back()->callback())));
    if (i % 5 == 0) s.run(RunMode::kNonBlock);
  }
  s.destroy_backend();
  for (const Owed* each : owed) {
    EXPECT_EQ(each->calls, 1u);
    EXPECT_EQ(each->res, -ECANCELED);
  }
}

void tells_what_was_completed_and_not_told(BackendScenario& s) {
  // The first completion breaks the loop; the others have happened, and may say so, or that they were cancelled.
  std::vector<Owed*> owed;
  for (int i = 0; i < 6; ++i) {
    owed.push_back(&s.owe("NOP " + std::to_string(i)));
    must(s.backend().submit(
        make_nop(s, owed.back()->callback([&](int) { static_cast<void>(s.backend().break_loop()); }))));
  }
  s.run(RunMode::kUntilIdle);
  s.destroy_backend();
  for (const Owed* each : owed) {
    EXPECT_EQ(each->calls, 1u);
    EXPECT_TRUE(each->res == 0 || each->res == -ECANCELED) << each->res;
  }
}

// A callback that is told of the end may not know that it is the end, and go on as it always does.
void a_callback_may_try_to_go_on(BackendScenario& s) {
  Pipe pipe = make_pipe();
  const int fd = pipe.read_end.get();
  unsigned calls = 0, accepted = 0;
  BackendUnderTest& backend = s.backend();
  std::vector<OperationId> polls;
  const auto again = [&](std::size_t i) {
    return [&, i](int res) {
      EXPECT_EQ(res, -ECANCELED);
      if (++calls < 100 && backend.submit(polls[i])) ++accepted;
    };
  };
  for (std::size_t i = 0; i < 3; ++i) {
    polls.push_back(make_poll(s, fd, again(i)));
    must(backend.submit(polls[i]));
  }
  s.settle();
  s.destroy_backend();
  EXPECT_EQ(calls, 3 + accepted) << "what is accepted is told of, too";
}

void ends_with_an_operation_being_cancelled(BackendScenario& s) {
  Pipe pipe = make_pipe();
  Owed& owed = s.owe("the poll");
  const OperationId poll = make_poll(s, pipe.read_end.get(), owed.callback());
  must(s.backend().submit(poll));
  s.settle();
  must(s.backend().cancel(poll));
  s.destroy_backend();
  EXPECT_EQ(owed.calls, 1u);
  EXPECT_EQ(owed.res, -ECANCELED);
}

}  // namespace

void internal::add_backend_life(BackendBehaviours& behaviours) {
  const auto add = [&](const char* name, CapabilitySet capabilities, void (*body)(BackendScenario&), Needs needs = {}) {
    behaviours.push_back(
        {.suite = "BackendLife", .name = name, .capabilities = capabilities, .body = body, .needs = std::move(needs)});
  };
  const Needs cancelation{.opcodes = {IORING_OP_ASYNC_CANCEL}};
  const CapabilitySet ends{C::kDestroyInFlight, C::kUserOperations};
  add("EndsWithoutARun", {}, ends_without_a_run);
  add("TwoOnOneKernelDoNotMeet", {C::kFdEvents, C::kPromptTurns}, two_on_one_kernel_do_not_meet);
  add("EndsWithEventsAdded", {C::kPersistentFdEvents, C::kTimers}, ends_with_events_added);
  add("TellsAnIdleRead", {C::kDestroyInFlight, C::kReadWrite}, tells_an_idle_read, cancelation);
  add("TellsWhatIsInFlight", ends, tells_what_is_in_flight);
  add("TellsWhatWasNotSubmitted", ends | CapabilitySet{C::kBacklog}, tells_what_was_not_submitted);
  add("TellsMoreThanTheCqHolds", ends | CapabilitySet{C::kBacklog}, tells_more_than_the_cq_holds);
  add("TellsWhatWasCompletedAndNotTold", ends | CapabilitySet{C::kBreak}, tells_what_was_completed_and_not_told);
  add("ACallbackMayTryToGoOn", ends, a_callback_may_try_to_go_on);
  add("EndsWithAnOperationBeingCancelled", ends | CapabilitySet{C::kCancel}, ends_with_an_operation_being_cancelled,
      cancelation);
}

}  // namespace assay::conformance
