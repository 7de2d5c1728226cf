// Linked chains: one batch, in order, and cut by the first failure.

#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <string>
#include <vector>

#include "assay/conformance/backend_scenario.h"
#include "assay/conformance/backend_suites.h"
#include "assay/conformance/ring_actions.h"

namespace assay::conformance {
namespace {

using C = Capability;

OperationId make_nop(BackendScenario& s, OperationCallback done) {
  return must(s.backend().make_operation([](io_uring_sqe& sqe) { io_uring_prep_nop(&sqe); }, std::move(done)));
}

/// A read that fails when it runs, with -EINVAL, since an eventfd gives no less than eight bytes. What fails earlier,
/// when it is submitted, as a bad fd may before 5.18, ends the submission instead of the chain; and an fsync that fails
/// does not cut a chain at all in newer kernels.
class FailingRead {
 public:
  OperationId make(BackendScenario& s, OperationCallback done) {
    return must(s.backend().make_operation(
        [this](io_uring_sqe& sqe) { io_uring_prep_readv(&sqe, eventfd_.get(), &buffer_, 1, 0); }, std::move(done)));
  }

 private:
  Fd eventfd_ = make_eventfd();
  char byte_ = 0;
  iovec buffer_{&byte_, 1};
};

void run_in_order(BackendScenario& s) {
  Fd file = make_file();
  char content[] = "linked";
  char read[7] = "------";
  iovec from{content, 6}, to{read, 6};
  Owed &write_done = s.owe("the write"), &sync_done = s.owe("the fsync"), &read_done = s.owe("the read");
  const int fd = file.get();
  const std::array chain{
      must(s.backend().make_operation([&](io_uring_sqe& sqe) { io_uring_prep_writev(&sqe, fd, &from, 1, 0); },
                                      write_done.callback([&](int) { EXPECT_FALSE(read_done.done()); }))),
      must(s.backend().make_operation([&](io_uring_sqe& sqe) { io_uring_prep_fsync(&sqe, fd, 0); },
                                      sync_done.callback())),
      must(s.backend().make_operation([&](io_uring_sqe& sqe) { io_uring_prep_readv(&sqe, fd, &to, 1, 0); },
                                      read_done.callback())),
  };
  must(s.backend().submit_chain(chain));
  s.run(RunMode::kUntilIdle);
  EXPECT_EQ(write_done.res, 6);
  EXPECT_EQ(sync_done.res, 0);
  EXPECT_EQ(read_done.res, 6) << "the read ran before what it is linked to";
  EXPECT_STREQ(read, "linked");
}

void a_failure_cuts_the_rest(BackendScenario& s) {
  FailingRead failing;
  Owed &first = s.owe("the first"), &second = s.owe("the second"), &third = s.owe("the third"),
       &other = s.owe("another");
  const std::array chain{failing.make(s, first.callback()), make_nop(s, second.callback()),
                         make_nop(s, third.callback())};
  must(s.backend().submit_chain(chain));
  must(s.backend().submit(make_nop(s, other.callback())));
  s.run(RunMode::kUntilIdle);
  EXPECT_EQ(first.res, -EINVAL);
  EXPECT_EQ(second.res, -ECANCELED);
  EXPECT_EQ(third.res, -ECANCELED);
  EXPECT_EQ(other.res, 0) << "what follows a chain is no part of it";
}

// A chain that does not fit into what is left of the SQ must not be begun there: its first part would be submitted
// without the rest, and a failure would then cut nothing.
void are_kept_whole_when_the_sq_is_nearly_full(BackendScenario& s) {
  FailingRead failing;
  s.backend({.sq_entries = 4, .cq_entries = 16});
  for (int before = 0; before <= 6; ++before) {
    for (int i = 0; i < before; ++i) must(s.backend().submit(make_nop(s, s.owe("a NOP before the chain").callback())));
    Owed &first = s.owe("the first"), &second = s.owe("the second"), &third = s.owe("the third");
    const std::array chain{failing.make(s, first.callback()), make_nop(s, second.callback()),
                           make_nop(s, third.callback())};
    must(s.backend().submit_chain(chain));
    s.run(RunMode::kUntilIdle);
    EXPECT_EQ(first.res, -EINVAL);
    EXPECT_EQ(second.res, -ECANCELED) << before << " operations went before";
    EXPECT_EQ(third.res, -ECANCELED) << before << " operations went before";
  }
}

void one_longer_than_the_sq_is_refused(BackendScenario& s) {
  // A backend may take a larger SQ than it was asked for, to get a CQ of that size from an old kernel.
  s.backend({.sq_entries = 4, .cq_entries = 8});
  unsigned calls = 0;
  std::vector<OperationId> chain;
  for (int i = 0; i < 40; ++i) chain.push_back(make_nop(s, [&](int) { ++calls; }));
  EXPECT_FALSE(s.backend().submit_chain(chain));
  s.settle();
  EXPECT_EQ(calls, 0u) << "refused is without any effect";
  chain.resize(4);
  must(s.backend().submit_chain(chain));
  s.run(RunMode::kUntilIdle);
  EXPECT_EQ(calls, 4u) << "the same operations in a chain that fits";
}

void one_with_an_operation_in_flight_is_refused(BackendScenario& s) {
  Pipe pipe = make_pipe();
  unsigned calls = 0;
  Owed& owed = s.owe("the poll");
  const int fd = pipe.read_end.get();
  const OperationId poll = must(
      s.backend().make_operation([fd](io_uring_sqe& sqe) { io_uring_prep_poll_add(&sqe, fd, 1); }, owed.callback()));
  const OperationId nop = make_nop(s, [&](int) { ++calls; });
  must(s.backend().submit(poll));
  s.settle();
  EXPECT_FALSE(s.backend().submit_chain(std::array{nop, poll}));
  s.settle();
  EXPECT_EQ(calls, 0u) << "refused is without any effect";
  write_text(pipe.write_end.get(), "x");
  s.run_until(owed);
}

void many_chains_on_small_rings(BackendScenario& s) {
  FailingRead failing;
  s.backend({.sq_entries = 4, .cq_entries = 8});
  std::vector<std::array<Owed*, 3>> all;
  for (int i = 0; i < 15; ++i) {
    all.push_back({&s.owe("the first"), &s.owe("the second"), &s.owe("the third")});
    const std::array chain{make_nop(s, all.back()[0]->callback()), failing.make(s, all.back()[1]->callback()),
                           make_nop(s, all.back()[2]->callback())};
    must(s.backend().submit_chain(chain));
    must(s.backend().submit(make_nop(s, s.owe("a NOP between the chains").callback())));
  }
  s.run(RunMode::kUntilIdle);
  for (const auto& [first, second, third] : all) {
    EXPECT_EQ(first->res, 0);
    EXPECT_EQ(second->res, -EINVAL);
    EXPECT_EQ(third->res, -ECANCELED);
  }
}

}  // namespace

void internal::add_backend_chains(BackendBehaviours& behaviours) {
  const auto add = [&](const char* name, CapabilitySet capabilities, void (*body)(BackendScenario&)) {
    behaviours.push_back({.suite = "BackendChains",
                          .name = name,
                          .capabilities = capabilities | CapabilitySet{C::kChains, C::kUserOperations},
                          .body = body,
                          .needs = {.since = {5, 3}},  // IOSQE_IO_LINK
                          // A kernel that takes only a part of a batch may end a chain there, and nothing in user space
                          // can mend that. A short result cuts a chain as a failure does.
                          .cannot_carry = {FaultPointId::kEnterTake, FaultPointId::kCqeShort}});
  };
  add("RunInOrder", {}, run_in_order);
  add("AFailureCutsTheRest", {}, a_failure_cuts_the_rest);
  add("AreKeptWholeWhenTheSqIsNearlyFull", {C::kBacklog}, are_kept_whole_when_the_sq_is_nearly_full);
  add("OneLongerThanTheSqIsRefused", {}, one_longer_than_the_sq_is_refused);
  add("OneWithAnOperationInFlightIsRefused", {C::kInFlightRefusal}, one_with_an_operation_in_flight_is_refused);
  add("ManyChainsOnSmallRings", {C::kBacklog}, many_chains_on_small_rings);
}

}  // namespace assay::conformance
