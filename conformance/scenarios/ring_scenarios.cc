// Rings: small ones that are asked for much, batches, polled completions, deferred task work.

#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <deque>
#include <string>
#include <vector>

#include "assay/conformance/scenarios/scenario_loop.h"
#include "assay/conformance/scenarios/scenarios.h"

namespace assay::conformance {
namespace {

using namespace std::chrono_literals;

// NOPs, each of which is submitted again by its completion.
class Perpetual final : public Operation {
 public:
  Perpetual(ScenarioRun& run, ScenarioLoop& loop, unsigned rounds)
      : run_(run), loop_(loop), answer_(loop.owe("a NOP that goes on")), rounds_(rounds) {}
  void start() { go_on(); }

 private:
  void prepare(io_uring_sqe& sqe) override { io_uring_prep_nop(&sqe); }
  void complete(const Completion& completion) override {
    if (run_.ended("a NOP", completion.res) && --rounds_ != 0) {
      go_on();
    } else {
      ++answer_.calls;
    }
  }
  void cancelled(const Completion&) override { ++answer_.calls; }
  void go_on() {
    if (!run_.ended("submit", loop_->submit(*this))) ++answer_.calls;
  }

  ScenarioRun& run_;
  ScenarioLoop& loop_;
  Answer& answer_;
  unsigned rounds_;
};

void many_on(ScenarioRun& run, const BackendOptions& options, std::size_t operations, unsigned rounds) {
  ScenarioLoop loop(run, options);
  if (!loop) return;
  std::deque<Perpetual> nops;
  for (std::size_t i = 0; i < operations; ++i) nops.emplace_back(run, loop, rounds);
  for (Perpetual& nop : nops) nop.start();
  loop.until_answered();
  loop.destroy();
}

void tiny_cq(ScenarioRun& run) { many_on(run, {.capacity = 2, .max_submit = 2}, 12, 2); }
void tiny_sq(ScenarioRun& run) { many_on(run, {.sq_entries = 2}, 12, 2); }
void perpetual(ScenarioRun& run) { many_on(run, {}, 2, 12); }
void deferred(ScenarioRun& run) { many_on(run, {.capacity = 8, .defer_taskrun = true}, 6, 3); }
void polled_cq(ScenarioRun& run) { many_on(run, {.poll_cq = true}, 4, 3); }
void terminating(ScenarioRun& run) {
  many_on(run, {.capacity = 2, .max_submit = 2, .when_dropped = WhenDropped::kEndAll}, 8, 2);
}

// Waits for four completions at a time, or for a while.
void batches(ScenarioRun& run) {
  const Ends pipe = Ends::pipe();
  ScenarioLoop loop(run, {.batch_size = 4, .batch_timeout = 1ms});
  if (!loop) return;
  std::deque<std::string> buffers(6, std::string(1, '\0'));
  std::vector<Answer*> answers;
  for (std::string& buffer : buffers) {
    answers.push_back(&loop.owe("a read of a byte"));
    loop->read(pipe.near(), room_in(buffer), kCurrentPosition, loop.answer(*answers.back()));
  }
  (void)!::write(pipe.far(), "abcdef", 6);
  loop.until_answered();
  std::size_t bytes = 0;
  for (const Answer* answer : answers) {
    if (answer->res < 0) run.ended("read", answer->res);
    // One whose completion was lost may have read its byte.
    bytes += answer->res > 0 || answer->res == -EBADR ? 1 : 0;
  }
  run.expect(bytes + left_in(pipe.near(), 6).size() >= 6, "a byte is neither read nor in the pipe");
  loop.destroy();
}

void next_turn(ScenarioRun& run) {
  ScenarioLoop loop(run);
  if (!loop) return;
  class Nop final : public Operation {
   public:
    explicit Nop(Answer& answer) : answer_(answer) {}

   private:
    void prepare(io_uring_sqe& sqe) override { io_uring_prep_nop(&sqe); }
    void complete(const Completion& completion) override {
      ++answer_.calls;
      answer_.res = completion.res;
    }
    Answer& answer_;
  };
  Nop first(loop.owe("a NOP of now"));
  Nop second(loop.owe("a NOP of the next turn"));
  run.ended("submit_next_turn", loop->submit_next_turn(second));
  run.ended("submit_now", loop->submit_now(first));
  loop.until_answered();
  loop.destroy();
}

// A backend that is made, used and destroyed, three times on one kernel.
void one_after_the_other(ScenarioRun& run) {
  for (int i = 0; i < 3; ++i) many_on(run, {.capacity = 4}, 2, 1);
}

}  // namespace

void internal::add_ring_scenarios(std::vector<Scenario>& scenarios) {
  scenarios.push_back({"tiny-cq", "Twelve operations on a CQ of two.", tiny_cq});
  scenarios.push_back({"tiny-sq", "Twelve operations on an SQ of two.", tiny_sq});
  scenarios.push_back({"perpetual", "Operations that their completions submit again.", perpetual});
  scenarios.push_back({"deferred", "The same with deferred task work.", deferred});
  scenarios.push_back({"polled-cq", "The same where the loop looks at the CQ instead of waiting.", polled_cq});
  scenarios.push_back({"end-all", "A tiny CQ, and what is lost ends everything.", terminating});
  scenarios.push_back({"batches", "The loop waits for four completions at a time.", batches});
  scenarios.push_back({"next-turn", "Operations of now and of the next turn.", next_turn});
  scenarios.push_back({"one-after-the-other", "Three backends, one after the other.", one_after_the_other});
}

}  // namespace assay::conformance
