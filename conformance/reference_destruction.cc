// The end of a backend inside a callback of its own: everything that is in flight is told so once and at once, nobody
// else is called any more, and the loop returns.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "assay/conformance/backend_suites.h"
#include "assay/conformance/reference_actions.h"
#include "assay/conformance/ring_actions.h"
#include "assay/conformance/socket_actions.h"

namespace assay::conformance {
namespace {

/// A backend that one of its callbacks destroys, and who looks on.
class Doomed {
 public:
  explicit Doomed(BackendScenario& s, BackendOptions options = {})
      : backend(must(Backend::create(s.kernel(), std::move(options)))),
        in_flight_(s.owe("the poll that is in flight")),
        queued_(s.owe("the poll that is queued")),
        event_(*backend, idle_.read_end.get(), {.read = true, .persistent = true},
               [](const Readiness&) { FAIL() << "an event was told of a pipe that is idle"; }),
        timer_(*backend, [this] { EXPECT_NE(backend, nullptr) << "a timer was told after the end"; }) {
    backend->poll(idle_.read_end.get(), POLLIN, in_flight_.callback());
    must(event_.add());
    must(timer_.start_after(std::chrono::hours(1)));
    // Both are in the kernel from here on, and the backend's own requests are.
    (void)backend->loop(LoopMode::kNonblock);
  }

  Backend* operator->() const { return backend.get(); }

  /// To be called by the callback.
  void destroy() {
    ASSERT_NE(backend, nullptr) << "told twice";
    backend->poll(idle_.read_end.get(), POLLIN, queued_.callback());
    // What is due in this very turn is not told any more.
    must(timer_.start_after(std::chrono::nanoseconds{-1}));
    backend->post([] { ADD_FAILURE() << "a function was run after the end"; });
    backend.reset();
    EXPECT_EQ(in_flight_.calls, 1u);
    EXPECT_EQ(in_flight_.res, -ECANCELED);
    EXPECT_EQ(queued_.calls, 1u);
    EXPECT_EQ(queued_.res, -ECANCELED);
    EXPECT_EQ(event_.add().error(), std::errc::operation_canceled);
    EXPECT_FALSE(timer_.armed());
  }

  /// Runs until it is no more.
  void run() {
    LoopStatus status{};
    for (int turns = 0; backend != nullptr && turns < 1000; ++turns) status = must(backend->loop(LoopMode::kOnce));
    EXPECT_EQ(backend, nullptr);
    EXPECT_EQ(status, LoopStatus::kNoEvents);
  }

  std::unique_ptr<Backend> backend;

 private:
  const Pipe idle_ = make_pipe();
  Owed& in_flight_;
  Owed& queued_;
  FdEvent event_;
  Timer timer_;
};

void by_an_operation(BackendScenario& s) {
  Doomed doomed(s);
  const Pipe pipe = make_pipe();
  Owed& told = s.owe("the poll whose callback ends it");
  doomed->poll(pipe.read_end.get(), POLLIN, told.callback([&](int) { doomed.destroy(); }));
  // Its completion is in the same batch, or waits to be told.
  Owed& other = s.owe("the other poll");
  doomed->poll(pipe.read_end.get(), POLLIN, other.callback());
  write_text(pipe.write_end.get(), "x");
  doomed.run();
  EXPECT_TRUE(other.done());
}

void by_one_that_goes_on(BackendScenario& s) {
  Doomed doomed(s);
  const Pipe pipe = make_pipe();
  Repeated polls(s, "the polls");
  doomed->poll_each(pipe.read_end.get(), POLLIN, polls.callback([&](int) { doomed.destroy(); }));
  write_text(pipe.write_end.get(), "x");
  doomed.run();
  EXPECT_EQ(polls.last.res, -ECANCELED);
  EXPECT_EQ(polls.results.size(), 1u);
}

// Several pieces may be told for one completion; none comes after the end.
void by_a_receive_that_goes_on(BackendScenario& s) {
  for (const bool pooled : {true, false}) {
    Doomed doomed(s);
    const SocketPair pair = make_stream_pair();
    Owed& last = s.owe("the end of the receives");
    unsigned pieces = 0;
    const auto told = [&, end = last.callback()](int res, bool more) {
      EXPECT_FALSE(last.done()) << "told after its last call";
      if (!more) {
        end(res);
        return;
      }
      // What has come already is told by the destruction, too: it is gone from the socket.
      if (++pieces > 1) return;
      doomed.destroy();
      EXPECT_TRUE(last.done()) << "the end was told by the destruction";
    };
    std::string memory(8, '-');
    std::optional<assay::BufferPool> pool;
    if (pooled) {
      pool = must(assay::BufferPool::create(*doomed.backend, {.count = 4, .bytes = 32}));
      doomed->recv_each(pair.near.get(), *pool, 0, [&](int res, const ProvidedBuffer&, bool more) { told(res, more); });
      pool.reset();
    } else {
      doomed->recv_each(
          pair.near.get(), [&] { return bytes_of(memory); }, 0, told);
    }
    write_text(pair.far.get(), std::string(100, 'x'));
    doomed.run();
    EXPECT_GE(pieces, 1u);
    EXPECT_EQ(last.res, -ECANCELED);
  }
}

void by_one_that_needed_no_request(BackendScenario& s) {
  Doomed doomed(s);
  std::vector<Owed*> told;
  // Each is over before the turn begins where the kernel has no request for it; the second one ends the backend, so the
  // others are told by its end.
  for (unsigned i = 0; i < 4; ++i) {
    told.push_back(&s.owe("the close of nothing"));
    doomed->close(closed_fd(), told.back()->callback([&doomed, i](int) {
      if (i == 1) doomed.destroy();
    }));
  }
  doomed.run();
  for (const Owed* owed : told) EXPECT_TRUE(owed->res == -EBADF || owed->res == -ECANCELED) << owed->res;
}

class Suicidal final : public Operation {
 public:
  Suicidal(Doomed& doomed, Owed& owed) : doomed_(doomed), told_(owed.callback()) {}

 private:
  void prepare(io_uring_sqe& sqe) override { io_uring_prep_nop(&sqe); }
  void complete(const assay::Completion& completion) override {
    told_(completion.res);
    doomed_.destroy();
  }

  Doomed& doomed_;
  OperationCallback told_;
};

void by_an_operation_of_the_users(BackendScenario& s) {
  Doomed doomed(s);
  Suicidal operation(doomed, s.owe("the NOP"));
  must(doomed->submit(operation));
  doomed.run();
  EXPECT_FALSE(operation.in_flight());
}

void by_an_event(BackendScenario& s) {
  for (const bool persistent : {false, true}) {
    Doomed doomed(s);
    const Pipe pipes[] = {make_pipe(), make_pipe()};
    unsigned told = 0;
    const auto end = [&](const Readiness& ready) {
      EXPECT_TRUE(ready.read);
      ++told;
      if (doomed.backend != nullptr) doomed.destroy();
    };
    const FdInterest interest{.read = true, .persistent = persistent};
    FdEvent first(*doomed.backend, pipes[0].read_end.get(), interest, end);
    FdEvent second(*doomed.backend, pipes[1].read_end.get(), interest, end);
    must(first.add());
    must(second.add());
    for (const Pipe& pipe : pipes) write_text(pipe.write_end.get(), "x");
    doomed.run();
    EXPECT_EQ(told, 1u);
    EXPECT_FALSE(first.added() || second.added());
  }
}

void by_an_event_that_goes_along(BackendScenario& s) {
  Doomed doomed(s);
  const Pipe pipe = make_pipe();
  std::unique_ptr<FdEvent> event;
  event = std::make_unique<FdEvent>(*doomed.backend, pipe.read_end.get(), FdInterest{.read = true, .persistent = true},
                                    [&](const Readiness&) {
                                      doomed.destroy();
                                      event.reset();
                                    });
  must(event->add(std::chrono::hours(1)));
  write_text(pipe.write_end.get(), "x");
  doomed.run();
}

void by_a_timer(BackendScenario& s) {
  Doomed doomed(s);
  unsigned told = 0;
  const auto end = [&] {
    ++told;
    if (doomed.backend != nullptr) doomed.destroy();
  };
  Timer first(*doomed.backend, end), second(*doomed.backend, end), far(*doomed.backend, end);
  const std::chrono::nanoseconds when = doomed->now() + s.moment();
  must(first.start_every(s.moment()));
  must(second.start_at(when));
  must(far.start_at(when + std::chrono::hours(2)));
  doomed.run();
  EXPECT_EQ(told, 1u);
  EXPECT_FALSE(first.armed() || second.armed() || far.armed());
}

void by_a_signal(BackendScenario& s) {
  Doomed doomed(s);
  unsigned told = 0;
  const auto end = [&](int) {
    ++told;
    if (doomed.backend != nullptr) doomed.destroy();
  };
  SignalEvent first(*doomed.backend, SIGUSR1, end), second(*doomed.backend, SIGUSR1, end);
  must(first.add());
  must(second.add());
  ::raise(SIGUSR1);
  doomed.run();
  EXPECT_EQ(told, 1u);
  EXPECT_FALSE(first.added() || second.added());
}

void by_a_posted_function(BackendScenario& s) {
  Doomed doomed(s);
  doomed->post([&] { doomed.destroy(); });
  doomed->post([] { ADD_FAILURE() << "a function was run after the end"; });
  doomed.run();
}

void by_a_message(BackendScenario& s) {
  Doomed doomed(s);
  unsigned told = 0;
  doomed->receive_messages([&](std::uint32_t) {
    ++told;
    doomed.destroy();
  });
  for (int message = 0; message < 2; ++message) {
    EXPECT_EQ(result_of(s, "the msg_ring", [&](auto done) { reference_backend(s).msg_ring(*doomed.backend, 1, done); }),
              0);
  }
  doomed.run();
  EXPECT_EQ(told, 1u);
}

void by_a_hook(BackendScenario& s) {
  for (const bool before : {true, false}) {
    Doomed* target = nullptr;
    const auto hook = [&target] {
      if (target != nullptr) std::exchange(target, nullptr)->destroy();
    };
    Doomed doomed(s, before ? BackendOptions{.before_wait = hook} : BackendOptions{.after_wait = hook});
    target = &doomed;
    doomed->wake();
    doomed.run();
  }
}

void with_deferred_task_work(BackendScenario& s) {
  Doomed doomed(s, {.defer_taskrun = true});
  const Pipe pipe = make_pipe();
  Owed& told = s.owe("the poll whose callback ends it");
  doomed->poll(pipe.read_end.get(), POLLIN, told.callback([&](int) { doomed.destroy(); }));
  write_text(pipe.write_end.get(), "x");
  doomed.run();
}

// Inside the recovery from dropped completions, which tells the one that is lost.
void by_what_was_lost(BackendScenario& s) {
  Doomed doomed(s);
  const FaultScope scope = s.inject("cqe/full:nth=1:op=NOP,cqe/drop:nth=1");
  Owed& owed = s.owe("the NOP whose completion is dropped");
  Suicidal operation(doomed, owed);
  must(doomed->submit(operation));
  doomed.run();
  EXPECT_EQ(owed.res, -EBADR);
}

}  // namespace

void internal::add_reference_destruction(BackendBehaviours& behaviours) {
  const auto add = [&](const char* name, void (*body)(BackendScenario&), Needs needs = {}) {
    behaviours.push_back({.suite = "ReferenceDestruction",
                          .name = name,
                          .capabilities = {Capability::kReference},
                          .body = body,
                          .needs = std::move(needs)});
  };
  add("ByAnOperation", by_an_operation);
  add("ByOneThatGoesOn", by_one_that_goes_on);
  add("ByAReceiveThatGoesOn", by_a_receive_that_goes_on);
  add("ByOneThatNeededNoRequest", by_one_that_needed_no_request);
  add("ByAnOperationOfTheUsers", by_an_operation_of_the_users);
  add("ByAnEvent", by_an_event);
  add("ByAnEventThatGoesAlong", by_an_event_that_goes_along);
  add("ByATimer", by_a_timer);
  add("ByASignal", by_a_signal);
  add("ByAPostedFunction", by_a_posted_function);
  add("ByAMessage", by_a_message);
  add("ByAHook", by_a_hook);
  add("WithDeferredTaskWork", with_deferred_task_work, {.setup_flags = IORING_SETUP_DEFER_TASKRUN});
  behaviours.push_back({.suite = "ReferenceDestruction",
                        .name = "ByWhatWasLost",
                        .capabilities = {Capability::kReference, Capability::kLostCompletions},
                        .body = by_what_was_lost,
                        .needs = {.switches_on = {&Semantics::ebadr_after_drop}},
                        .own_plan = kFaultLayer,
                        .injects = "cqe/full:nth=1:op=NOP,cqe/drop:nth=1"});
}

}  // namespace assay::conformance
