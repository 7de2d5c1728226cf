// What a kernel may answer and almost never does, where a loop cannot keep it from its users but must say it well. The
// faults that it can keep from them bend the other suites.

#include <gtest/gtest.h>
#include <poll.h>

#include <cerrno>
#include <string>
#include <vector>

#include "assay/conformance/backend_scenario.h"
#include "assay/conformance/backend_suites.h"
#include "assay/conformance/resources.h"
#include "assay/conformance/ring_actions.h"
#include "assay/faultinject/fault_plan.h"

namespace assay::conformance {
namespace {

using C = Capability;

std::span<std::byte> bytes_of(std::string& text) { return std::as_writable_bytes(std::span(text)); }

OperationId make_poll(BackendScenario& s, int fd, OperationCallback done) {
  return must(s.backend().make_operation([fd](io_uring_sqe& sqe) { io_uring_prep_poll_add(&sqe, fd, POLLIN); },
                                         std::move(done)));
}

/// Creation under a plan that forbids it: the errno is that of the failed call, the words name the call, and nothing is
/// left behind.
void expect_creation_to_fail(BackendScenario& s, int error, const char* call) {
  const Resources before = held_resources();
  const auto made = s.try_backend();
  ASSERT_FALSE(made) << "it was created although " << call << " failed";
  EXPECT_EQ(made.error().code.value(), error) << made.error().message();
  EXPECT_NE(made.error().message().find(call), std::string::npos) << made.error().message();
  EXPECT_EQ(resource_difference(before, held_resources()), "");
}

void creation_says_that_memory_ran_out(BackendScenario& s) { expect_creation_to_fail(s, ENOMEM, "io_uring_setup"); }
void creation_says_that_it_is_forbidden(BackendScenario& s) { expect_creation_to_fail(s, EPERM, "io_uring_setup"); }
void creation_says_that_it_is_not_there(BackendScenario& s) { expect_creation_to_fail(s, ENOSYS, "io_uring_setup"); }
void creation_says_that_fds_ran_out(BackendScenario& s) { expect_creation_to_fail(s, EMFILE, "io_uring_setup"); }
void creation_says_that_mapping_failed(BackendScenario& s) { expect_creation_to_fail(s, ENOMEM, "map"); }

// Each call of creation in turn fails, until none is left that it makes. Whatever comes of it, nothing is left behind,
// and what was created works.
void creation_leaves_nothing_behind_wherever_it_fails(BackendScenario& s) {
  for (const char* point : {"setup/enomem", "map/enomem", "register/errno:errno=ENOMEM"}) {
    for (int nth = 1;; ++nth) {
      ASSERT_LT(nth, 100) << "creation makes more and more calls";
      const Resources before = held_resources();
      // Not through inject(): the last of them is there to find that nothing is left to fail.
      Result<FaultScope> scope = s.faults().apply(std::string(point) + ":nth=" + std::to_string(nth));
      must(scope ? Result<void>() : Result<void>(scope.error()));
      {
        auto made = s.try_backend();
        if (made) must((*made)->run(RunMode::kNonBlock));
      }
      scope->end();
      EXPECT_EQ(resource_difference(before, held_resources()), "") << point << " at call " << nth;
      if (s.faults().report().rules.back().firings == 0) break;
    }
  }
}

void an_errno_is_the_result_of_its_operation(BackendScenario& s) {
  Fd file = make_file("content");
  std::string buffer(7, '-');
  const std::string fd = std::to_string(file.get());
  s.backend();
  for (const int error : {EIO, ENOSPC, EINTR, EAGAIN, ECANCELED}) {
    Owed &hit = s.owe("the read that fails"), &missed = s.owe("the read after it");
    {
      FaultScope scope = s.inject("cqe/errno:nth=1:fd=" + fd + ":errno=" + errno_name(error));
      must(s.backend().read(file.get(), bytes_of(buffer), 0, hit.callback()));
      s.run_until(hit);
    }
    EXPECT_EQ(hit.res, -error);
    must(s.backend().read(file.get(), bytes_of(buffer), 0, missed.callback()));
    s.run_until(missed);
    EXPECT_EQ(missed.res, 7);
  }
}

void an_errno_ends_a_write_and_an_fsync(BackendScenario& s) {
  Fd file = make_file("content");
  const std::string text = "changed";
  const std::string fd = std::to_string(file.get());
  Owed &write = s.owe("the write"), &sync = s.owe("the fsync");
  s.backend();
  FaultScope scope = s.inject("cqe/errno:fd=" + fd + ":errno=EDQUOT");
  must(s.backend().write(file.get(), std::as_bytes(std::span(text)), 0, write.callback()));
  must(s.backend().fsync(file.get(), sync.callback()));
  s.run_until([&] { return write.done() && sync.done(); });
  EXPECT_EQ(write.res, -EDQUOT);
  EXPECT_EQ(sync.res, -EDQUOT);
  EXPECT_EQ(file_content(file.get()), "content");
}

// An event whose poll the kernel refuses must not die of it silently: it is told, as of any error of the file, and may
// be added again.
void an_event_outlives_an_errno(BackendScenario& s) {
  Pipe pipe = make_pipe();
  const int fd = pipe.read_end.get();
  Told& told = s.tell();
  s.backend();
  FaultScope scope = s.inject("cqe/errno:nth=1:fd=" + std::to_string(fd) + ":errno=ENOMEM");
  const EventId event = s.fd_event(fd, kReadable | kPersist, told.callback());
  s.run_until(told, 1);
  EXPECT_EQ(told.bits, std::vector<unsigned>{kReadable});
  must(s.backend().add_event(event));
  s.settle();
  EXPECT_EQ(told.calls(), 1u);
  write_text(pipe.write_end.get(), "x");
  s.run_until(told, 2);
  must(s.backend().delete_event(event));
}

// -EBADR: the kernel has lost completions. A loop finds out which and goes on, or says so once and ends everything that
// was in flight: each is told exactly once all the same, and afterwards the loop is as good as new.

/// True where it ended everything. A timer ends the wait of a loop that goes on.
bool run_into_lost_completions(BackendScenario& s) {
  s.timer(s.moment(), s.tell().callback());
  FaultScope scope = s.inject("enter/ebadr:nth=1");
  const Result<RunResult> result = s.backend().run(RunMode::kOnce);
  if (!result) {
    EXPECT_EQ(result.error().code.value(), EBADR) << result.error().message();
  }
  return !result;
}

void lost_completions_end_what_is_in_flight(BackendScenario& s) {
  Pipe pipe = make_pipe();
  std::vector<Owed*> owed;
  for (int i = 0; i < 5; ++i) {
    owed.push_back(&s.owe("poll " + std::to_string(i)));
    must(s.backend().submit(make_poll(s, pipe.read_end.get(), owed.back()->callback())));
  }
  s.settle();
  const bool ended = run_into_lost_completions(s);
  for (int turns = 0; turns < 20; ++turns) static_cast<void>(s.backend().run(RunMode::kNonBlock));
  for (const Owed* each : owed) EXPECT_EQ(each->calls, ended ? 1u : 0u) << each->res;
  write_text(pipe.write_end.get(), "x");
  for (const Owed* each : owed) {
    if (!ended) s.run_until(*each);
    EXPECT_EQ(each->res, ended ? -EBADR : POLLIN);
  }
}

void the_loop_goes_on_after_lost_completions(BackendScenario& s) {
  Pipe idle = make_pipe(), pipe = make_pipe();
  Owed& lost = s.owe("the poll that is lost");
  must(s.backend().submit(make_poll(s, idle.read_end.get(), lost.callback())));
  Told &event_told = s.tell(), &timer_told = s.tell();
  const EventId event = s.fd_event(pipe.read_end.get(), kReadable | kPersist,
                                   event_told.callback([&](unsigned) { read_text(pipe.read_end.get(), 1); }));
  s.settle();
  const bool ended = run_into_lost_completions(s);
  for (int turns = 0; turns < 20; ++turns) static_cast<void>(s.backend().run(RunMode::kNonBlock));
  EXPECT_EQ(lost.calls, ended ? 1u : 0u) << lost.res;
  // Events are no operations: they are still there, and so is time.
  s.timer(s.moment(), timer_told.callback());
  s.run_until(timer_told, 1);
  write_text(pipe.write_end.get(), "x");
  event_told.bits.clear();
  s.run_until(event_told, 1);
  Owed& again = s.owe("the poll afterwards");
  must(s.backend().submit(make_poll(s, idle.read_end.get(), again.callback())));
  s.settle();
  EXPECT_FALSE(again.done());
  write_text(idle.write_end.get(), "x");
  s.run_until(again);
  EXPECT_EQ(again.res, POLLIN);
  if (!ended) s.run_until(lost);
  EXPECT_EQ(lost.res, ended ? -EBADR : POLLIN);
  must(s.backend().delete_event(event));
}

void may_end_after_lost_completions(BackendScenario& s) {
  Pipe pipe = make_pipe();
  Owed& owed = s.owe("the poll");
  must(s.backend().submit(make_poll(s, pipe.read_end.get(), owed.callback())));
  s.settle();
  run_into_lost_completions(s);
  s.destroy_backend();
  EXPECT_EQ(owed.calls, 1u);
  EXPECT_TRUE(owed.res == -EBADR || owed.res == -ECANCELED) << owed.res;
}

// Answers that no loop can do anything about are the user's to see, by their own errno; and the loop still ends well.
void other_answers_are_told_by_the_loop(BackendScenario& s) {
  for (const int error : {EEXIST, EOWNERDEAD, ENXIO, EFAULT, EINVAL}) {
    auto backend = s.another_backend();
    Pipe pipe = make_pipe();
    Told& told = s.tell();
    must(backend->add_event(must(backend->make_fd_event(pipe.read_end.get(), kReadable, told.callback()))));
    {
      FaultScope scope = s.inject("enter/errno:errno=" + errno_name(error));
      const Result<RunResult> result = backend->run(RunMode::kOnce);
      ASSERT_FALSE(result) << errno_name(error) << " must be told";
      EXPECT_EQ(result.error().code.value(), error) << result.error().message();
    }
    write_text(pipe.write_end.get(), "x");
    for (int turns = 0; turns < 100 && told.calls() == 0; ++turns) must(backend->run(RunMode::kNonBlock));
    EXPECT_EQ(told.calls(), 1u) << "once the kernel answers again, the loop goes on";
  }
}

void may_end_while_the_kernel_refuses(BackendScenario& s) {
  Pipe pipe = make_pipe();
  Owed& owed = s.owe("the poll");
  must(s.backend().submit(make_poll(s, pipe.read_end.get(), owed.callback())));
  s.settle();
  // Nothing can be cancelled any more, since nothing can be submitted. There must be an end all the same.
  FaultScope scope = s.inject("enter/errno:errno=ENXIO");
  s.destroy_backend();
  scope.end();
  EXPECT_EQ(owed.calls, 1u);
  EXPECT_EQ(owed.res, -ECANCELED);
}

void may_end_while_the_kernel_is_busy(BackendScenario& s) {
  Pipe pipe = make_pipe();
  Owed& owed = s.owe("the poll");
  must(s.backend().submit(make_poll(s, pipe.read_end.get(), owed.callback())));
  s.settle();
  FaultScope scope = s.inject("enter/ebusy:to=5");
  s.destroy_backend();
  scope.end();
  EXPECT_EQ(owed.calls, 1u);
  EXPECT_EQ(owed.res, -ECANCELED);
}

}  // namespace

void internal::add_backend_faults(BackendBehaviours& behaviours) {
  const auto add = [&](const char* name, CapabilitySet capabilities, void (*body)(BackendScenario&),
                       std::string own_plan = kFaultLayer, Needs needs = {}, std::string injects = {}) {
    behaviours.push_back({.suite = "BackendFaults",
                          .name = name,
                          .capabilities = capabilities,
                          .body = body,
                          .needs = std::move(needs),
                          .own_plan = std::move(own_plan),
                          .injects = std::move(injects)});
  };
  const CapabilitySet created{C::kCreationErrors};
  add("CreationSaysThatMemoryRanOut", created, creation_says_that_memory_ran_out, "setup/enomem");
  add("CreationSaysThatItIsForbidden", created, creation_says_that_it_is_forbidden, "setup/eperm");
  add("CreationSaysThatItIsNotThere", created, creation_says_that_it_is_not_there, "setup/enosys");
  add("CreationSaysThatFdsRanOut", created, creation_says_that_fds_ran_out, "setup/errno:errno=EMFILE");
  add("CreationSaysThatMappingFailed", created, creation_says_that_mapping_failed, "map/enomem");
  add("CreationLeavesNothingBehindWhereverItFails", created, creation_leaves_nothing_behind_wherever_it_fails);

  const std::string errno_result = "cqe/errno:errno=EIO";
  add("AnErrnoIsTheResultOfItsOperation", {C::kReadWrite}, an_errno_is_the_result_of_its_operation, kFaultLayer, {},
      errno_result);
  add("AnErrnoEndsAWriteAndAnFsync", {C::kReadWrite}, an_errno_ends_a_write_and_an_fsync, kFaultLayer, {},
      errno_result);
  add("AnEventOutlivesAnErrno", {C::kPersistentFdEvents}, an_event_outlives_an_errno, kFaultLayer, {}, errno_result);

  const CapabilitySet lost{C::kLostCompletions, C::kUserOperations, C::kTimers};
  const Needs ebadr{.switches_on = {&Semantics::ebadr_after_drop}};
  add("LostCompletionsEndWhatIsInFlight", lost, lost_completions_end_what_is_in_flight, kFaultLayer, ebadr);
  add("TheLoopGoesOnAfterLostCompletions", lost | CapabilitySet{C::kPersistentFdEvents},
      the_loop_goes_on_after_lost_completions, kFaultLayer, ebadr);
  add("MayEndAfterLostCompletions", lost | CapabilitySet{C::kDestroyInFlight}, may_end_after_lost_completions,
      kFaultLayer, ebadr);

  add("OtherAnswersAreToldByTheLoop", {C::kFdEvents}, other_answers_are_told_by_the_loop);
  add("MayEndWhileTheKernelRefuses", {C::kDestroyInFlight, C::kUserOperations}, may_end_while_the_kernel_refuses);
  add("MayEndWhileTheKernelIsBusy", {C::kDestroyInFlight, C::kUserOperations, C::kRefusals},
      may_end_while_the_kernel_is_busy);
}

}  // namespace assay::conformance
