// Life: shutdown in the middle of things, from inside callbacks; wakes, posts, signals, nested loops, two rings.

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
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

// Whatever is in flight at the end is told, once, and awaited.
void shutdown(ScenarioRun& run) {
  std::vector<Ends> pipes;
  for (int i = 0; i < 4; ++i) pipes.push_back(Ends::pipe());
  std::deque<std::string> buffers(4, std::string(16, '\0'));
  const Fd file = file_with("");
  ScenarioLoop loop(run, {.capacity = 8});
  if (!loop) return;
  for (std::size_t i = 0; i < pipes.size(); ++i) {
    loop->read(pipes[i].near(), room_in(buffers[i]), kCurrentPosition, loop.answer("a read at shutdown"));
  }
  loop.turns(1);
  const std::string text = numbered_text(100);
  loop->write(file.get(), bytes_of(text), 0, loop.answer("a write that was not submitted"));
  loop->timeout(1h, loop.answer("a timeout at shutdown"));
  loop.destroy();
}

void shutdown_of_an_echo(ScenarioRun& run) {
  const Ends ends = Ends::sockets(SOCK_STREAM);
  ScenarioLoop loop(run);
  if (!loop) return;
  Result<BufferPool> pool = BufferPool::create(loop.backend(), {.count = 2, .bytes = 64});
  if (!run.ended("BufferPool::create", pool)) return;
  Answer& last = loop.owe("recv_each");
  loop->recv_each(ends.near(), *pool, 0, [&](int res, ProvidedBuffer, bool more) {
    if (more) return;
    ++last.calls;
    last.res = res;
  });
  loop.turns(1);
  (void)!::write(ends.far(), "hello", 5);
  loop.destroy();
}

// The backend goes while one of its callbacks runs.
void shutdown_from_a_callback(ScenarioRun& run) {
  const Ends pipe = Ends::pipe();
  std::string buffer(16, '\0');
  std::string other(16, '\0');
  ScenarioLoop loop(run);
  if (!loop) return;
  loop->read(pipe.near(), room_in(other), kCurrentPosition, loop.answer("a read at shutdown"));
  const Fd file = file_with("text");
  Answer& read = loop.owe("a read whose callback ends all");
  loop->read(file.get(), room_in(buffer), 0, loop.answer(read, [&](int) { loop.destroy_now(); }));
  loop.until(read);
  loop.destroy();
}

void wakes_and_posts(ScenarioRun& run) {
  ScenarioLoop loop(run);
  if (!loop) return;
  unsigned posted = 0;
  for (int round = 0; round < 3; ++round) {
    loop->post([&] { ++posted; });
    loop.until("what was posted", [&] { return posted == static_cast<unsigned>(round) + 1; });
  }
  // A wake by itself ends a wait and nothing else.
  bool fired = false;
  Timer timer(loop.backend(), [&] { fired = true; });
  if (run.ended("start_after", timer.start_after(5ms))) {
    loop->wake();
    loop.until("a timer behind a wake", [&] { return fired; });
  }
  loop.destroy();
}

void signals(ScenarioRun& run) {
  ScenarioLoop loop(run);
  if (!loop) return;
  unsigned first = 0;
  unsigned second = 0;
  SignalEvent one(loop.backend(), SIGUSR1, [&](int) { ++first; });
  SignalEvent other(loop.backend(), SIGUSR1, [&](int) { ++second; });
  if (!run.ended("add", one.add()) || !run.ended("add", other.add())) return;
  ::raise(SIGUSR1);
  loop.until("a signal", [&] { return first == 1 && second == 1; });
  run.ended("remove", one.remove());
  ::raise(SIGUSR1);
  loop.until("a second signal", [&] { return second == 2; });
  run.expect(first == 1, "a signal event is told of after it was removed");
  run.ended("remove", other.remove());
  loop.destroy();
}

// A loop inside a loop, on one kernel.
void nested(ScenarioRun& run) {
  const Ends pipe = Ends::pipe();
  std::string word(5, '\0');
  ScenarioLoop inner(run);
  ScenarioLoop outer(run);
  if (!inner || !outer) return;
  const Result<int> fd = inner->pollable_fd();
  constexpr KernelVersion kRegistersEventfds{5, 2};
  if (!fd && fd.error().code.value() == EOPNOTSUPP && run.profile().version < kRegistersEventfds) return;
  if (!run.ended("pollable_fd", fd)) return;
  Answer& read = inner.owe("a read of the inner loop");
  inner->read(pipe.near(), room_in(word), kCurrentPosition, inner.answer(read));
  run.ended("submit_outstanding", inner->submit_outstanding());
  bool failed = false;
  {
    FdEvent event(outer.backend(), *fd, {.read = true, .persistent = true}, [&](Readiness ready) {
      if (ready.error != 0) failed |= !run.ended("an event", ready.error);
      run.ended("the inner loop", inner->loop(LoopMode::kNonblock));
    });
    if (!run.ended("add", event.add())) return;
    outer.turns(1);
    (void)!::write(pipe.far(), "hello", 5);
    outer.until("the inner loop's read", [&] { return read.done() || failed; });
  }
  if (read.done() && read.res < 0) run.ended("read", read.res);
  outer.destroy();
  inner.destroy();
}

// Messages from one ring to another.
void messages(ScenarioRun& run) {
  ScenarioLoop first(run);
  ScenarioLoop second(run);
  if (!first || !second) return;
  std::vector<std::uint32_t> received;
  second->receive_messages([&](std::uint32_t message) { received.push_back(message); });
  for (std::uint32_t message = 1; message <= 3; ++message) {
    const int sent = first.result_of(
        "msg_ring", [&](ResultCallback done) { first->msg_ring(second.backend(), message, std::move(done)); });
    if (!run.ended("msg_ring", sent)) break;
    second.until("a message", [&] { return received.size() >= message; });
  }
  for (std::size_t i = 0; i < received.size(); ++i) run.expect(received[i] == i + 1, "another message came");
  second->receive_messages(nullptr);
  second.destroy();
  first.destroy();
}

void futexes(ScenarioRun& run) {
  alignas(4) std::uint32_t word = 7;
  ScenarioLoop loop(run);
  if (!loop) return;
  Answer& waited = loop.owe("futex_wait");
  loop->futex_wait(&word, 7, ~0u, 2 /* 32 bits */, loop.answer(waited));
  loop.turns(1);
  if (!waited.done()) {
    const int woken =
        loop.result_of("futex_wake", [&](ResultCallback done) { loop->futex_wake(&word, 1, ~0u, 2, std::move(done)); });
    if (woken < 0) {
      run.ended("futex_wake", woken);
    } else if (!run.fired(FaultPointId::kRegisterOpcodeAbsent)) {
      // Without the opcode it is woken by a system call, of which a simulated ring does not hear.
      loop.until(waited);
    }
  }
  if (waited.done() && waited.res < 0) run.ended("futex_wait", waited.res);
  loop.destroy();
}

}  // namespace

void internal::add_life_scenarios(std::vector<Scenario>& scenarios) {
  scenarios.push_back({"shutdown", "The backend ends with reads, a write and a timeout in flight.", shutdown});
  scenarios.push_back({"shutdown-of-an-echo", "The backend ends while it receives.", shutdown_of_an_echo});
  scenarios.push_back({"shutdown-from-callback", "The backend ends inside a callback.", shutdown_from_a_callback});
  scenarios.push_back({"wake-and-post", "Functions are posted, and a wake ends a wait.", wakes_and_posts});
  scenarios.push_back({"signals", "Two events of one signal, one of them removed.", signals});
  scenarios.push_back({"nested", "A loop runs inside another's event.", nested});
  scenarios.push_back({"messages", "One ring sends messages to another.", messages});
  scenarios.push_back(
      {"futexes", "A futex is waited for and woken.", futexes, {uapi::kOpFutexWait, uapi::kOpFutexWake}});
}

}  // namespace assay::conformance
