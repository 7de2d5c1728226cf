// Readiness: persistent, edge-triggered and oneshot events, with and without a limit, and reads on the loop's account.

#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "assay/conformance/scenarios/scenario_loop.h"
#include "assay/conformance/scenarios/scenarios.h"

namespace assay::conformance {
namespace {

using namespace std::chrono_literals;

Fd new_eventfd() { return Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)); }

void signal(const Fd& eventfd) {
  const std::uint64_t one = 1;
  (void)!::write(eventfd.get(), &one, sizeof one);
}

void drain(const Fd& eventfd) {
  std::uint64_t count = 0;
  (void)!::read(eventfd.get(), &count, sizeof count);
}

// What an event's poll may rightly tell: an errno that a fault gave it.
bool is_failure(ScenarioRun& run, const Readiness& ready) {
  return ready.error != 0 && !run.ended("an event", ready.error);
}

// Level-triggered: what is not drained is told of again, in the next turn.
void persistent(ScenarioRun& run) {
  const Fd eventfd = new_eventfd();
  ScenarioLoop loop(run);
  if (!loop) return;
  unsigned told = 0;
  bool failed = false;
  FdEvent event(loop.backend(), eventfd.get(), {.read = true, .persistent = true}, [&](Readiness ready) {
    failed |= is_failure(run, ready);
    ++told;
  });
  if (!run.ended("add", event.add())) return;
  loop.turns(2);
  run.expect(told == 0 || failed, "an event is told of what did not happen");
  signal(eventfd);
  loop.until("an event, told three times", [&] { return told >= 3 || failed; });
  drain(eventfd);
  loop.turns(3);
  const unsigned before = told;
  loop.turns(3);
  run.expect(told == before || failed, "an event is told of what is over");
  signal(eventfd);
  loop.until("the event again", [&] { return told > before || failed; });
  if (event.added()) run.ended("remove", event.remove());
  loop.destroy();
}

void edge_triggered(ScenarioRun& run) {
  const Fd eventfd = new_eventfd();
  ScenarioLoop loop(run);
  if (!loop) return;
  unsigned told = 0;
  bool failed = false;
  FdEvent event(loop.backend(), eventfd.get(), {.read = true, .edge_triggered = true}, [&](Readiness ready) {
    failed |= is_failure(run, ready);
    ++told;
    drain(eventfd);
  });
  if (!run.ended("add", event.add())) return;
  for (unsigned round = 1; round <= 3 && !failed; ++round) {
    loop.turns(1);
    const unsigned before = told;
    signal(eventfd);
    loop.until("an edge", [&] { return told > before || failed; });
  }
  loop.destroy();
}

// Added again by its own callback, until it has had enough.
void oneshot(ScenarioRun& run) {
  const Fd eventfd = new_eventfd();
  signal(eventfd);
  ScenarioLoop loop(run);
  if (!loop) return;
  unsigned told = 0;
  bool failed = false;
  std::unique_ptr<FdEvent> event;
  event = std::make_unique<FdEvent>(loop.backend(), eventfd.get(), FdInterest{.read = true}, [&](Readiness ready) {
    failed |= is_failure(run, ready);
    if (++told < 4 && !failed) run.ended("add", event->add());
  });
  if (!run.ended("add", event->add())) return;
  loop.until("four readinesses", [&] { return told == 4 || failed; });
  loop.turns(2);
  run.expect(told == 4 || failed, "it is told of more often than it was added");
  event.reset();
  loop.destroy();
}

// Both directions of one socket, and its end.
void both_directions(ScenarioRun& run) {
  Ends ends = Ends::sockets(SOCK_STREAM);
  ScenarioLoop loop(run);
  if (!loop) return;
  bool readable = false;
  bool writable = false;
  bool failed = false;
  FdEvent event(loop.backend(), ends.near(), {.read = true, .write = true, .persistent = true}, [&](Readiness ready) {
    failed |= is_failure(run, ready);
    readable |= ready.read;
    writable |= ready.write;
  });
  if (!run.ended("add", event.add())) return;
  loop.until("room to write", [&] { return writable || failed; });
  run.expect(!readable || failed, "it is readable, and nothing came");
  ends.close_far();
  loop.until("the end", [&] { return readable || failed; });
  if (event.added()) run.ended("remove", event.remove());
  loop.destroy();
}

void with_a_limit(ScenarioRun& run) {
  const Ends pipe = Ends::pipe();
  ScenarioLoop loop(run);
  if (!loop) return;
  bool timed_out = false;
  bool failed = false;
  FdEvent event(loop.backend(), pipe.near(), {.read = true}, [&](Readiness ready) {
    failed |= is_failure(run, ready);
    timed_out |= ready.timed_out;
    run.expect(ready.timed_out || failed, "an idle pipe is ready");
  });
  if (!run.ended("add", event.add(20ms))) return;
  loop.until("the limit", [&] { return timed_out || failed; });
  loop.destroy();
}

// More events than the CQ has room for, all ready at once, none forgotten.
void many(ScenarioRun& run) {
  constexpr std::size_t kMany = 12;
  std::vector<Fd> eventfds;
  for (std::size_t i = 0; i < kMany; ++i) eventfds.push_back(new_eventfd());
  // Where a kernel drops what does not fit, no more polls are in flight than do.
  const bool overflows = (run.profile().features & IORING_FEAT_NODROP) != 0;
  ScenarioLoop loop(run, {.capacity = overflows ? 4u : 32u, .max_submit = 2});
  if (!loop) return;
  std::array<unsigned, kMany> told{};
  bool failed = false;
  std::deque<FdEvent> events;
  for (std::size_t i = 0; i < kMany; ++i) {
    events.emplace_back(loop.backend(), eventfds[i].get(), FdInterest{.read = true, .persistent = true},
                        [&, i](Readiness ready) {
                          failed |= is_failure(run, ready);
                          ++told[i];
                          drain(eventfds[i]);
                        });
    if (!run.ended("add", events.back().add())) return;
  }
  for (unsigned round = 1; round <= 2 && !failed; ++round) {
    const std::array<unsigned, kMany> before = told;
    for (const Fd& eventfd : eventfds) signal(eventfd);
    loop.until("all events", [&] {
      for (std::size_t i = 0; i < kMany; ++i) {
        if (told[i] == before[i]) return failed;
      }
      return true;
    });
  }
  events.clear();
  loop.destroy();
}

// The loop reads into memory that the callback gives.
void read_for_events(ScenarioRun& run) {
  const Ends pipe = Ends::pipe();
  ScenarioLoop loop(run);
  if (!loop) return;
  const std::string text = numbered_text(150);
  std::string memory(32, '\0');
  std::string received;
  Answer& last = loop.owe("read_each");
  bool stopped = false;
  const OperationHandle handle = loop->read_each(
      pipe.near(), [&] { return room_in(memory); },
      [&](int res, bool more) {
        if (more) {
          received += memory.substr(0, static_cast<std::size_t>(res));
          return;
        }
        ++last.calls;
        last.res = res;
        if (!(stopped && res == -ECANCELED)) run.ended("read_each", res);
      });
  (void)!::write(pipe.far(), text.data(), text.size());
  loop.until("all of the text", [&] { return received.size() >= text.size() || last.done(); });
  run.expect(text.starts_with(received), "what was read is not what was written");
  if (!last.done()) {
    run.expect(received == text, "a part is missing");
    stopped = true;
    loop.stop(handle, last);
  } else if (last.res == 0) {
    run.expect(run.fired(FaultPointId::kCqeEof), "the end is told of, and the pipe is open");
  }
  loop.destroy();
}

void polled(ScenarioRun& run) {
  const Ends pipe = Ends::pipe();
  ScenarioLoop loop(run);
  if (!loop) return;
  unsigned told = 0;
  Answer& last = loop.owe("poll_each");
  bool stopped = false;
  const OperationHandle handle = loop->poll_each(pipe.near(), POLLIN, [&](int res, bool more) {
    if (more) {
      ++told;
      run.expect((res & POLLIN) != 0, "poll_each tells of something else");
      return;
    }
    ++last.calls;
    last.res = res;
    if (!(stopped && res == -ECANCELED)) run.ended("poll_each", res);
  });
  loop.turns(1);
  (void)!::write(pipe.far(), "x", 1);
  loop.until("its readiness", [&] { return told != 0 || last.done(); });
  if (!last.done()) {
    stopped = true;
    loop.stop(handle, last);
  }
  loop.destroy();
}

}  // namespace

void internal::add_event_scenarios(std::vector<Scenario>& scenarios) {
  scenarios.push_back({"persistent-event", "A level-triggered event, drained late, then early.", persistent});
  scenarios.push_back({"edge-triggered-event", "An edge-triggered event, drained each time.", edge_triggered});
  scenarios.push_back({"oneshot-event", "An event that its own callback adds again.", oneshot});
  scenarios.push_back({"both-directions", "An event for reading and writing, and the peer's end.", both_directions});
  scenarios.push_back({"event-with-limit", "An event on an idle pipe, ended by its limit.", with_a_limit});
  scenarios.push_back({"many-events", "Twelve events at once on a CQ of four.", many});
  scenarios.push_back({"read-for-events", "The loop reads into memory that the callback gives.", read_for_events});
  scenarios.push_back({"poll", "A poll that goes on until it is cancelled.", polled});
}

}  // namespace assay::conformance
