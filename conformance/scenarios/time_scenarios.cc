// Time: timers in order, moved, stopped and repeated; timeouts as operations.

#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "assay/conformance/scenarios/scenario_loop.h"
#include "assay/conformance/scenarios/scenarios.h"

namespace assay::conformance {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

void in_order(ScenarioRun& run) {
  ScenarioLoop loop(run);
  if (!loop) return;
  std::vector<int> fired;
  std::deque<Timer> timers;
  for (const int ms : {30, 10, 20, 50, 40}) {
    const nanoseconds deadline = loop->now() + std::chrono::milliseconds(ms);
    timers.emplace_back(loop.backend(), [&, ms, deadline] {
      run.expect(loop->now() >= deadline, "a timer fires early");
      fired.push_back(ms);
    });
    if (!run.ended("start_at", timers.back().start_at(deadline))) return;
  }
  loop.until("all timers", [&] { return fired.size() == 5; });
  run.expect(fired == std::vector<int>{10, 20, 30, 40, 50}, "timers fire out of order");
  timers.clear();
  loop.destroy();
}

void moved_and_stopped(ScenarioRun& run) {
  ScenarioLoop loop(run);
  if (!loop) return;
  bool moved_fired = false;
  bool stopped_fired = false;
  nanoseconds earliest{0};
  Timer moved(loop.backend(), [&] {
    moved_fired = true;
    run.expect(loop->now() >= earliest, "a timer fires at the time that it was moved from");
  });
  Timer stopped(loop.backend(), [&] { stopped_fired = true; });
  run.ended("start_after", moved.start_after(10ms));
  run.ended("start_after", stopped.start_after(20ms));
  earliest = loop->now() + 40ms;
  run.ended("start_at", moved.start_at(earliest));
  run.ended("stop", stopped.stop());
  loop.until("the timer that was moved", [&] { return moved_fired; });
  run.expect(!stopped_fired, "a timer fires that was stopped");
  loop.destroy();
}

void repeated(ScenarioRun& run) {
  ScenarioLoop loop(run);
  if (!loop) return;
  unsigned fired = 0;
  std::unique_ptr<Timer> timer;
  const nanoseconds begin = loop->now();
  timer = std::make_unique<Timer>(loop.backend(), [&] {
    if (++fired == 4) run.ended("stop", timer->stop());
  });
  run.ended("start_every", timer->start_every(5ms));
  loop.until("four times", [&] { return fired == 4; });
  run.expect(loop->now() - begin >= 20ms, "it fires more often than its interval says");
  loop.turns(2);
  run.expect(fired == 4, "it fires after it was stopped");
  timer.reset();
  loop.destroy();
}

void timeouts(ScenarioRun& run) {
  ScenarioLoop loop(run);
  if (!loop) return;
  const nanoseconds begin = loop->now();
  Answer& short_one = loop.owe("a timeout");
  Answer& long_one = loop.owe("a timeout that is cancelled");
  loop->timeout(10ms, loop.answer(short_one));
  const OperationHandle handle = loop->timeout(1h, loop.answer(long_one));
  loop.until(short_one);
  // Where the probe fails as well, the backend learns only from the kernel's answer what it lacks.
  if (run.hides(IORING_OP_TIMEOUT)) return;
  if (short_one.res != -ETIME) {
    run.expect(run.allows(short_one.res), "a timeout ends otherwise than by its time");
    return;
  }
  run.expect(loop->now() - begin >= 10ms, "a timeout ends early");
  if (!long_one.done()) run.ended("cancel", loop->cancel(handle));
  loop.until(long_one);
  run.expect(long_one.res == -ECANCELED || run.allows(long_one.res) || run.hides(IORING_OP_ASYNC_CANCEL),
             "a timeout that is cancelled says something else");
  loop.destroy();
}

// A timer fires while the kernel is busy with something else, which must not end by it.
void beside_a_read(ScenarioRun& run) {
  const Ends pipe = Ends::pipe();
  ScenarioLoop loop(run);
  if (!loop) return;
  std::string word(5, '\0');
  Answer& read = loop.owe("the read");
  loop->read(pipe.near(), room_in(word), kCurrentPosition, loop.answer(read));
  unsigned fired = 0;
  std::unique_ptr<Timer> timer;
  timer = std::make_unique<Timer>(loop.backend(), [&] {
    if (++fired == 3) {
      (void)!::write(pipe.far(), "hello", 5);
    } else {
      run.ended("start_after", timer->start_after(7ms));
    }
  });
  run.ended("start_after", timer->start_after(7ms));
  loop.until("timers and read", [&] { return fired == 3 && read.done(); });
  if (read.res < 0) {
    run.ended("read", read.res);
  } else {
    run.expect(word.substr(0, static_cast<std::size_t>(read.res)) ==
                   std::string("hello").substr(0, static_cast<std::size_t>(read.res)),
               "the read brings something else");
  }
  timer.reset();
  loop.destroy();
}

}  // namespace

void internal::add_time_scenarios(std::vector<Scenario>& scenarios) {
  scenarios.push_back({"timers", "Five timers fire in the order of their times, none early.", in_order});
  scenarios.push_back({"moved-timer", "A timer is moved, another stopped.", moved_and_stopped});
  scenarios.push_back({"interval", "A timer fires again and again, until its callback stops it.", repeated});
  scenarios.push_back({"timeouts", "Timeouts as operations, one of them cancelled.", timeouts});
  scenarios.push_back(
      {"timers-beside-a-read", "Timers fire while a read waits, and bring what it waits for.", beside_a_read});
}

}  // namespace assay::conformance
