// Recovery from completions that the kernel dropped: no callback is lost, every operation ends or goes on, and files,
// sockets, events and timers work as before.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <vector>

#include "assay/conformance/assay_backend_adapter.h"
#include "assay/conformance/backend_scenario.h"
#include "assay/conformance/backend_suites.h"
#include "assay/conformance/ring_actions.h"

namespace assay::conformance {
namespace {

using C = Capability;

constexpr const char* kDropsOneNop = "cqe/full:nth=1:op=NOP,cqe/drop:nth=1";

std::span<std::byte> bytes_of(std::string& text) { return std::as_writable_bytes(std::span(text)); }

OperationId make_nop(BackendScenario& s, OperationCallback done) {
  return must(s.backend().make_operation([](io_uring_sqe& sqe) { io_uring_prep_nop(&sqe); }, std::move(done)));
}

/// Has the kernel drop the completion of one NOP, and the loop find out.
void lose_a_nop(BackendScenario& s) {
  Owed& lost = s.owe("the NOP whose completion is dropped");
  FaultScope scope = s.inject(kDropsOneNop);
  must(s.backend().submit(make_nop(s, lost.callback())));
  s.timer(s.moment(), s.tell().callback());
  s.run_until(lost);
  EXPECT_EQ(lost.res, -EBADR);
}

void only_what_was_dropped_is_lost(BackendScenario& s) {
  Backend& backend = reference_backend(s);
  Pipe pipe = make_pipe();
  Owed& read = s.owe("a read that waits");
  std::string buffer(8, '-');
  must(s.backend().read(pipe.read_end.get(), bytes_of(buffer), 0, read.callback()));
  s.settle();
  lose_a_nop(s);
  EXPECT_EQ(backend.counters().recoveries, 1u);
  EXPECT_EQ(backend.counters().lost, 1u);
  s.settle();
  EXPECT_FALSE(read.done()) << read.res;
  write_text(pipe.write_end.get(), "abc");
  s.run_until(read);
  EXPECT_EQ(read.res, 3);
  EXPECT_EQ(buffer.substr(0, 3), "abc");
}

void what_the_user_cancelled_is_not_started_again(BackendScenario& s) {
  Pipe pipe = make_pipe();
  Owed& read = s.owe("a read that waits");
  std::string buffer(8, '-');
  const OperationId id = must(s.backend().read(pipe.read_end.get(), bytes_of(buffer), 0, read.callback()));
  s.settle();
  must(s.backend().cancel(id));
  lose_a_nop(s);
  s.run_until(read);
  EXPECT_EQ(read.res, -ECANCELED);
}

void events_timers_and_wakers_go_on(BackendScenario& s) {
  std::vector<Pipe> pipes;
  std::vector<Told*> told;
  for (std::size_t i = 0; i < 3; ++i) {
    pipes.push_back(make_pipe());
    told.push_back(&s.tell());
    const int fd = pipes[i].read_end.get();
    s.fd_event(fd, kReadable | kPersist, told[i]->callback([fd](unsigned) { read_text(fd, 1); }));
  }
  const auto wake = must(s.backend().make_waker());
  for (std::size_t round = 1; round <= 3; ++round) {
    for (Pipe& pipe : pipes) write_text(pipe.write_end.get(), "x");
    for (const Told* each : told) s.run_until(*each, round);
    lose_a_nop(s);
    wake();
    s.run(RunMode::kOnce);
    s.settle();
    for (const Told* each : told) EXPECT_EQ(each->calls(), round);
  }
}

void many_in_flight_lose_one(BackendScenario& s) {
  constexpr std::size_t kCount = 200;
  s.backend({.sq_entries = 16, .cq_entries = 32});
  Pipe pipe = make_pipe();
  std::vector<Owed*> polls;
  for (std::size_t i = 0; i < kCount; ++i) {
    polls.push_back(&s.owe("poll " + std::to_string(i)));
    must(s.backend().submit(must(s.backend().make_operation(
        [&](io_uring_sqe& sqe) { io_uring_prep_poll_add(&sqe, pipe.read_end.get(), POLLIN); },
        polls.back()->callback()))));
  }
  s.settle();
  lose_a_nop(s);
  s.settle();
  for (const Owed* each : polls) EXPECT_FALSE(each->done()) << each->what << ": " << each->res;
  write_text(pipe.write_end.get(), "x");
  for (const Owed* each : polls) {
    s.run_until(*each);
    EXPECT_EQ(each->res, POLLIN);
  }
}

void the_old_ring_serves_where_no_other_can_be_had(BackendScenario& s) {
  Backend& backend = reference_backend(s);
  Pipe pipe = make_pipe();
  Owed& read = s.owe("a read that waits");
  std::string buffer(8, '-');
  must(s.backend().read(pipe.read_end.get(), bytes_of(buffer), 0, read.callback()));
  s.settle();
  const int fd = backend.ring().fd();
  {
    FaultScope no_ring = s.inject("setup/enomem");
    lose_a_nop(s);
  }
  EXPECT_EQ(backend.ring().fd(), fd);
  write_text(pipe.write_end.get(), "abc");
  s.run_until(read);
  EXPECT_EQ(read.res, 3);
}

void a_chain_that_was_not_submitted_stays_whole(BackendScenario& s) {
  s.backend({.sq_entries = 8});
  Owed &first = s.owe("the first"), &second = s.owe("the second");
  // Their turn comes in the callback of the timer, when what was dropped is not known yet.
  lose_a_nop(s);
  const std::vector<OperationId> chain{make_nop(s, first.callback()), make_nop(s, second.callback())};
  must(s.backend().submit_chain(chain));
  s.run_until(second);
  EXPECT_EQ(first.res, 0);
  EXPECT_EQ(second.res, 0);
}

void again_and_again(BackendScenario& s) {
  Backend& backend = reference_backend(s);
  for (unsigned round = 1; round <= 5; ++round) {
    lose_a_nop(s);
    EXPECT_EQ(backend.counters().recoveries, round);
  }
}

void its_callbacks_may_start_more(BackendScenario& s) {
  Owed &lost = s.owe("the NOP whose completion is dropped"), &next = s.owe("one that its callback starts");
  {
    FaultScope scope = s.inject(kDropsOneNop);
    must(s.backend().submit(
        make_nop(s, lost.callback([&](int) { must(s.backend().submit(make_nop(s, next.callback()))); }))));
    s.timer(s.moment(), s.tell().callback());
    s.run_until(lost);
  }
  s.run_until(next);
  EXPECT_EQ(next.res, 0);
}

}  // namespace

void internal::add_reference_recovery(BackendBehaviours& behaviours) {
  const Needs ebadr{.switches_on = {&Semantics::ebadr_after_drop}};
  const auto add = [&](const char* name, void (*body)(BackendScenario&)) {
    behaviours.push_back({.suite = "ReferenceRecovery",
                          .name = name,
                          .capabilities = {C::kReference},
                          .body = body,
                          .needs = ebadr,
                          .own_plan = kFaultLayer,
                          .injects = kDropsOneNop});
  };
  add("OnlyWhatWasDroppedIsLost", only_what_was_dropped_is_lost);
  add("WhatTheUserCancelledIsNotStartedAgain", what_the_user_cancelled_is_not_started_again);
  add("EventsTimersAndWakersGoOn", events_timers_and_wakers_go_on);
  add("ManyInFlightLoseOne", many_in_flight_lose_one);
  add("TheOldRingServesWhereNoOtherCanBeHad", the_old_ring_serves_where_no_other_can_be_had);
  add("AChainThatWasNotSubmittedStaysWhole", a_chain_that_was_not_submitted_stays_whole);
  add("AgainAndAgain", again_and_again);
  add("ItsCallbacksMayStartMore", its_callbacks_may_start_more);
}

}  // namespace assay::conformance
