// Cancelation: of many, of what completes at the same time, from inside callbacks, and by giving up an operation.

#include <unistd.h>

#include <cerrno>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "assay/conformance/scenarios/scenario_loop.h"
#include "assay/conformance/scenarios/scenarios.h"

namespace assay::conformance {
namespace {

// Reads on idle pipes, all cancelled in one turn.
void storm(ScenarioRun& run) {
  constexpr std::size_t kReads = 8;
  std::vector<Ends> pipes;
  for (std::size_t i = 0; i < kReads; ++i) pipes.push_back(Ends::pipe());
  std::deque<std::string> buffers(kReads, std::string(16, '\0'));
  ScenarioLoop loop(run, {.capacity = 8, .max_submit = 4});
  if (!loop) return;
  std::vector<Answer*> answers;
  std::vector<OperationHandle> handles;
  for (std::size_t i = 0; i < kReads; ++i) {
    answers.push_back(&loop.owe("a read on an idle pipe"));
    handles.push_back(loop->read(pipes[i].near(), room_in(buffers[i]), kCurrentPosition, loop.answer(*answers.back())));
  }
  loop.turns(1);
  for (std::size_t i = 0; i < kReads; ++i) {
    if (!answers[i]->done() && !run.ended("cancel", loop->cancel(handles[i]))) return loop.destroy();
  }
  // Where the probe fails as well, the backend learns only from the kernel's answer that it cannot.
  if (run.hides(IORING_OP_ASYNC_CANCEL)) return loop.destroy();
  loop.until_answered();
  for (const Answer* answer : answers) {
    if (answer->res == 0 && run.fired(FaultPointId::kCqeEof)) continue;
    run.expect(answer->res == -ECANCELED || run.allows(answer->res), "a read that is cancelled says something else");
  }
  loop.destroy();
}

// The data comes just when the read is cancelled: one or the other, and no byte is lost.
void race(ScenarioRun& run) {
  const Ends pipe = Ends::pipe();
  ScenarioLoop loop(run);
  if (!loop) return;
  std::string word(5, '\0');
  Answer& read = loop.owe("the read");
  const OperationHandle handle = loop->read(pipe.near(), room_in(word), kCurrentPosition, loop.answer(read));
  loop.turns(1);
  (void)!::write(pipe.far(), "hello", 5);
  loop.stop(handle, read);
  loop.destroy();
  const std::size_t read_bytes = read.res > 0 ? static_cast<std::size_t>(read.res) : 0;
  if (read.res < 0) run.expect(read.res == -ECANCELED || run.allows(read.res), "the read says something else");
  if (read_bytes == 5) {
    run.expect(word == "hello", "the read brings something else");
    return;
  }
  // What a ring has that cannot be entered any more nobody learns.
  run.expect(run.fired(FaultPointId::kEnterErrno) || word.substr(0, read_bytes) + left_in(pipe.near(), 5) == "hello",
             "a part of what was written is neither read nor in the pipe");
}

// The first to end cancels the others.
void from_a_callback(ScenarioRun& run) {
  std::vector<Ends> pipes;
  for (int i = 0; i < 4; ++i) pipes.push_back(Ends::pipe());
  std::deque<std::string> buffers(4, std::string(8, '\0'));
  ScenarioLoop loop(run);
  if (!loop) return;
  std::vector<OperationHandle> handles;
  std::vector<Answer*> answers;
  bool ended = false;
  bool cancels = !run.hides(IORING_OP_ASYNC_CANCEL);
  for (std::size_t i = 0; i < 4; ++i) {
    answers.push_back(&loop.owe("one of four reads"));
    handles.push_back(loop->read(pipes[i].near(), room_in(buffers[i]), kCurrentPosition,
                                 loop.answer(*answers.back(), [&, i](int res) {
                                   if (std::exchange(ended, true)) return;
                                   if (res < 0) run.ended("read", res);
                                   for (std::size_t other = 0; other < handles.size(); ++other) {
                                     if (other != i && !answers[other]->done())
                                       cancels &= loop->cancel(handles[other]).has_value();
                                   }
                                 })));
  }
  loop.turns(1);
  (void)!::write(pipes[2].far(), "x", 1);
  loop.until("the first", [&] { return ended; });
  if (cancels) loop.until_answered();
  loop.destroy();
}

// An operation is destroyed while it is in flight: nobody is told, and its memory is not used after the backend's end.
void given_up(ScenarioRun& run) {
  class Reading final : public Operation {
   public:
    Reading(int fd, std::string& buffer, unsigned& told) : fd_(fd), buffer_(buffer), told_(told) {}

   private:
    void prepare(io_uring_sqe& sqe) override {
      io_uring_prep_read(&sqe, fd_, buffer_.data(), static_cast<unsigned>(buffer_.size()), 0);
    }
    void complete(const Completion&) override { ++told_; }

    int fd_;
    std::string& buffer_;
    unsigned& told_;
  };
  const Ends pipe = Ends::pipe();
  std::string buffer(16, '\0');
  ScenarioLoop loop(run);
  if (!loop) return;
  unsigned told = 0;
  unsigned before = 0;
  {
    Reading reading(pipe.near(), buffer, told);
    if (!run.ended("submit", loop->submit(reading))) return;
    loop.turns(1);
    before = told;
  }
  loop.turns(2);
  run.expect(told == before, "an operation is told of after its destruction");
  loop.destroy();
}

// The same operation again and again, cancelled in between.
void again(ScenarioRun& run) {
  const Ends pipe = Ends::pipe();
  std::string buffer(16, '\0');
  ScenarioLoop loop(run);
  for (int round = 0; loop && round < 3; ++round) {
    Answer& read = loop.owe("a read");
    const OperationHandle handle = loop->read(pipe.near(), room_in(buffer), kCurrentPosition, loop.answer(read));
    loop.turns(1);
    if (!loop.stop(handle, read)) return;
    // A handle that is used late is harmless.
    run.expect(!loop->cancel(handle), "what is over can be cancelled");
  }
  loop.destroy();
}

}  // namespace

void internal::add_cancel_scenarios(std::vector<Scenario>& scenarios) {
  scenarios.push_back({"cancel-storm", "Eight reads are cancelled in one turn, on a CQ of eight.", storm});
  scenarios.push_back({"cancel-race", "A read is cancelled just when its data comes.", race});
  scenarios.push_back({"cancel-from-callback", "The first of four reads to end cancels the others.", from_a_callback});
  scenarios.push_back({"given-up", "An operation is destroyed while it is in flight.", given_up});
  scenarios.push_back({"cancel-and-again", "A read is cancelled and started again, three times.", again});
}

}  // namespace assay::conformance
