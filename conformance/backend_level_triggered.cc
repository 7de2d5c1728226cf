// What "level-triggered" means to the letter: as long as the file is ready a persistent event is told in every turn,
// and when it is not, in none.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "assay/conformance/assay_backend_adapter.h"
#include "assay/conformance/backend_scenario.h"
#include "assay/conformance/backend_suites.h"
#include "assay/conformance/ring_actions.h"

namespace assay::conformance {
namespace {

using C = Capability;

constexpr BackendSettings kCqOf64{.sq_entries = 32, .cq_entries = 64};

/// So many descriptors that are ready to be read, as far as the process may have them: the kernel or its simulation may
/// hold each a second time. Beyond that they begin again.
class ReadyFds {
 public:
  explicit ReadyFds(std::size_t count) : count_(count) {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    rlimit raised = before_;
    raised.rlim_cur = std::min<rlim_t>(before_.rlim_max, std::max<rlim_t>(before_.rlim_cur, 2 * count + 512));
    ::setrlimit(RLIMIT_NOFILE, &raised);
    const auto affordable = static_cast<std::size_t>((raised.rlim_cur - 256) / 2);
    for (std::size_t i = 0; i < std::min(count, affordable); ++i) {
      fds_.emplace_back(::eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC));
      if (fds_.back().get() < 0) throw std::runtime_error("eventfd failed");
    }
  }
  ~ReadyFds() { ::setrlimit(RLIMIT_NOFILE, &before_); }
  ReadyFds(const ReadyFds&) = delete;
  ReadyFds& operator=(const ReadyFds&) = delete;

  std::size_t size() const { return count_; }
  int operator[](std::size_t index) const { return fds_[index % fds_.size()].get(); }

 private:
  std::size_t count_;
  rlimit before_{};
  std::vector<Fd> fds_;
};

std::size_t least_told(const std::vector<std::size_t>& told) { return *std::min_element(told.begin(), told.end()); }

void all_fire_again_and_again(BackendScenario& s, std::size_t count) {
  const ReadyFds fds(count);
  s.backend(kCqOf64);
  std::vector<std::size_t> told(count);
  for (std::size_t i = 0; i < count; ++i) {
    s.fd_event(fds[i], kReadable | kPersist, [&told, i](unsigned bits) {
      EXPECT_EQ(bits, unsigned{kReadable});
      ++told[i];
    });
  }
  s.run_until([&] { return least_told(told) >= 3; });
  s.destroy_backend();
}

void each_once_a_turn(BackendScenario& s, std::size_t count) {
  const ReadyFds fds(count);
  s.backend(kCqOf64);
  std::vector<std::size_t> told(count);
  for (std::size_t i = 0; i < count; ++i) {
    s.fd_event(fds[i], kReadable | kPersist, [&told, i](unsigned) { ++told[i]; });
  }
  s.run_until([&] { return least_told(told) >= 3; });
  for (int turn = 0; turn < 3; ++turn) {
    const std::vector<std::size_t> before = told;
    EXPECT_EQ(s.run(RunMode::kNonBlock), RunResult::kHadEvents);
    for (std::size_t i = 0; i < count; ++i) ASSERT_EQ(told[i], before[i] + 1) << "event " << i << " of " << count;
  }
  s.destroy_backend();
}

void one_fires_in_every_turn(BackendScenario& s) { each_once_a_turn(s, 1); }
void sixty_four_fire_again_and_again(BackendScenario& s) { all_fire_again_and_again(s, 64); }
void four_thousand_fire_again_and_again(BackendScenario& s) { all_fire_again_and_again(s, 4096); }
void sixty_four_fire_in_every_turn(BackendScenario& s) { each_once_a_turn(s, 64); }
void four_thousand_fire_in_every_turn(BackendScenario& s) { each_once_a_turn(s, 4096); }

/// Two, since a loop may treat a lonely one in another way.
void what_comes_and_goes_in_the_callback_is_not_told(BackendScenario& s) {
  std::vector<Pipe> pipes;
  std::vector<Told*> told;
  for (std::size_t i = 0; i < 2; ++i) {
    pipes.push_back(make_pipe(O_NONBLOCK));
    told.push_back(&s.tell());
  }
  for (std::size_t i = 0; i < 2; ++i) {
    s.fd_event(pipes[i].read_end.get(), kReadable | kPersist, told[i]->callback([&pipes, i](unsigned) {
      write_text(pipes[i].write_end.get(), "y");
      char buffer[16];
      while (::read(pipes[i].read_end.get(), buffer, sizeof(buffer)) > 0) {
      }
    }));
  }
  for (std::size_t round = 1; round <= 4; ++round) {
    for (Pipe& pipe : pipes) write_text(pipe.write_end.get(), "x");
    s.run_until([&] { return told[0]->calls() >= round && told[1]->calls() >= round; });
    s.settle();
    for (const Told* each : told) EXPECT_EQ(each->calls(), round);
  }
}

void what_is_left_is_told_again(BackendScenario& s) {
  constexpr std::size_t kBytes = 5;
  std::vector<Pipe> pipes;
  std::vector<Told*> told;
  for (std::size_t i = 0; i < 3; ++i) {
    pipes.push_back(make_pipe());
    told.push_back(&s.tell());
    const int fd = pipes[i].read_end.get();
    s.fd_event(fd, kReadable | kPersist, told[i]->callback([fd](unsigned) { read_text(fd, 1); }));
  }
  for (Pipe& pipe : pipes) write_text(pipe.write_end.get(), std::string(kBytes, 'x'));
  for (const Told* each : told) s.run_until(*each, kBytes);
  s.settle();
  for (const Told* each : told) EXPECT_EQ(each->calls(), kBytes);
}

/// The loop waits for one descriptor's event while another one, which was told, still is ready.
void does_not_sleep_over_what_is_left(BackendScenario& s) {
  Pipe left = make_pipe(), other = make_pipe();
  Told &told = s.tell(), &told_other = s.tell();
  s.fd_event(left.read_end.get(), kReadable | kPersist, told.callback());
  s.fd_event(other.read_end.get(), kReadable | kPersist,
             told_other.callback([&](unsigned) { read_text(other.read_end.get(), 1); }));
  write_text(left.write_end.get(), "x");
  write_text(other.write_end.get(), "x");
  s.run_until(told_other, 1);
  // Each of these would wait for ever if the loop relied on news alone.
  for (std::size_t calls = told.calls() + 1; calls < 8; ++calls) s.run_until(told, calls);
  EXPECT_EQ(told_other.calls(), 1u);
}

// The reference backend's own way.

void a_multishot_poll_costs_no_sqe_a_turn(BackendScenario& s) {
  Backend& backend = reference_backend(s);
  std::vector<Pipe> pipes;
  std::size_t told = 0;
  for (std::size_t i = 0; i < 2; ++i) {
    pipes.push_back(make_pipe());
    const int fd = pipes[i].read_end.get();
    s.fd_event(fd, kReadable | kPersist, [fd, &told](unsigned) {
      read_text(fd, 1);
      ++told;
    });
  }
  const auto round = [&] {
    const std::size_t before = told;
    for (Pipe& pipe : pipes) write_text(pipe.write_end.get(), "x");
    s.run_until([&] { return told == before + 2; });
  };
  for (int rounds = 0; rounds < 3; ++rounds) round();
  const std::uint64_t submitted = backend.counters().requests.submitted;
  for (int rounds = 0; rounds < 10; ++rounds) round();
  // What wakes the loop may have been armed again.
  EXPECT_LE(backend.counters().requests.submitted, submitted + 1);
}

void who_has_drained_is_not_asked(BackendScenario& s) {
  Backend& backend = reference_backend(s);
  Pipe pipe = make_pipe(O_NONBLOCK);
  std::size_t told = 0;
  FdEvent* self = nullptr;
  FdEvent event(backend, pipe.read_end.get(), {.read = true, .persistent = true}, [&](Readiness) {
    char buffer[16];
    while (::read(pipe.read_end.get(), buffer, sizeof(buffer)) > 0) {
    }
    ++told;
    self->drained();
  });
  self = &event;
  must(event.add());
  for (std::size_t round = 1; round <= 3; ++round) {
    write_text(pipe.write_end.get(), "x");
    s.run_until([&] { return told == round; });
  }
  const std::uint64_t checks = backend.counters().readiness_checks;
  const std::uint64_t submitted = backend.counters().requests.submitted;
  for (std::size_t round = 4; round <= 13; ++round) {
    write_text(pipe.write_end.get(), "x");
    s.run_until([&] { return told == round; });
  }
  EXPECT_EQ(backend.counters().readiness_checks, checks);
  EXPECT_LE(backend.counters().requests.submitted, submitted + 1);
  must(event.remove());
}

void told_edge_by_edge(BackendScenario& s) {
  Backend& backend = reference_backend(s);
  Pipe pipe = make_pipe();
  std::size_t told = 0;
  FdEvent event(backend, pipe.read_end.get(), {.read = true, .edge_triggered = true}, [&](Readiness) { ++told; });
  must(event.add());
  for (std::size_t edges = 1; edges <= 3; ++edges) {
    write_text(pipe.write_end.get(), "x");
    s.run_until([&] { return told >= edges; });
    s.settle();
    EXPECT_EQ(told, edges) << "nothing new has happened";
  }
  must(event.remove());
}

}  // namespace

void internal::add_backend_level_triggered(BackendBehaviours& behaviours) {
  const auto add = [&](const char* name, void (*body)(BackendScenario&), BackendBehaviour more = {}) {
    more.suite = "BackendLevelTriggered";
    more.name = name;
    more.capabilities = more.capabilities | CapabilitySet{C::kFdEvents, C::kPersistentFdEvents};
    more.body = body;
    behaviours.push_back(std::move(more));
  };
  const CapabilitySet reference{C::kReference};
  // A turn that a fault interrupts tells fewer, as it may.
  const FaultPoints any = carried_by_default();
  const Needs multishot_poll{.since = {5, 13}};
  add("OneFiresInEveryTurn", one_fires_in_every_turn, {.capabilities = {C::kPromptTurns}, .cannot_carry = any});
  add("SixtyFourFireAgainAndAgain", sixty_four_fire_again_and_again, {.capabilities = {C::kBacklog}});
  add("FourThousandFireAgainAndAgain", four_thousand_fire_again_and_again,
      {.capabilities = {C::kBacklog}, .cannot_carry = any});
  add("SixtyFourFireInEveryTurn", sixty_four_fire_in_every_turn,
      {.capabilities = reference, .needs = multishot_poll, .cannot_carry = any});
  add("FourThousandFireInEveryTurn", four_thousand_fire_in_every_turn,
      {.capabilities = reference, .needs = multishot_poll, .cannot_carry = any});
  add("WhatComesAndGoesInTheCallbackIsNotTold", what_comes_and_goes_in_the_callback_is_not_told);
  add("WhatIsLeftIsToldAgain", what_is_left_is_told_again);
  add("DoesNotSleepOverWhatIsLeft", does_not_sleep_over_what_is_left);
  add("AMultishotPollCostsNoSqeATurn", a_multishot_poll_costs_no_sqe_a_turn,
      {.capabilities = reference, .needs = multishot_poll, .cannot_carry = any});
  add("WhoHasDrainedIsNotAsked", who_has_drained_is_not_asked,
      {.capabilities = reference, .needs = multishot_poll, .cannot_carry = any});
  // A poll that the kernel ended is armed again, which tells what is there once more.
  add("ToldEdgeByEdge", told_edge_by_edge,
      {.capabilities = reference,
       .needs = multishot_poll,
       .cannot_carry = {FaultPointId::kCqeMultishotEnd, FaultPointId::kCqeFull}});
}

}  // namespace assay::conformance
