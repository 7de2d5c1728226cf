// Reads that are given up: while others go on, and when their time is over.

#include <unistd.h>

#include <array>
#include <cerrno>

#include "assay/conformance/scenarios/scenario_loop.h"
#include "assay/conformance/specimens/trial.h"

namespace assay::conformance {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kTextBytes = 40;

// Reads of pipes by the reference backend. One that follows another is started when that has ended.
class ReferenceReads {
 public:
  ReferenceReads(Backend& backend, std::span<PipeRead> reads)
      : backend_(backend), reads_(reads), states_(reads.size()) {}

  void run(const std::function<void()>& gave_up) {
    for (std::size_t i = 0; i < reads_.size(); ++i) {
      if (!reads_[i].follows) start(i);
    }
    (void)backend_.submit_outstanding();
    for (std::size_t i = 0; i < reads_.size(); ++i) {
      if (!reads_[i].aborted) continue;
      if (const Result<void> cancelled = backend_.cancel(states_[i].handle); !cancelled) reads_[i].hang_up();
    }
    const auto given_up = [&] {
      for (std::size_t i = 0; i < reads_.size(); ++i) {
        if (reads_[i].aborted && !states_[i].ended) return false;
      }
      return true;
    };
    while (!given_up()) {
      if (!turn()) return;
    }
    gave_up();
    while (turn()) {
    }
  }

 private:
  struct State {
    OperationHandle handle;
    bool ended = false;
  };

  void start(std::size_t i) {
    states_[i].handle = backend_.read(reads_[i].fd, reads_[i].into, kCurrentPosition, [this, i](int res) {
      reads_[i].result = res;
      states_[i].ended = true;
      if (i + 1 < reads_.size() && reads_[i + 1].follows) start(i + 1);
    });
  }
  // False when there is nothing to do any more, or the loop has failed.
  bool turn() {
    const Result<LoopStatus> status = backend_.loop(LoopMode::kOnce);
    if (!status) {
      for (std::size_t i = 0; i < reads_.size(); ++i) {
        if (!states_[i].ended) reads_[i].result = -status.error().code.value();
      }
    }
    return status && *status != LoopStatus::kNoEvents;
  }

  Backend& backend_;
  std::span<PipeRead> reads_;
  std::vector<State> states_;
};

void give_up_by_reference(Kernel& kernel, std::span<PipeRead> reads, const std::function<void()>& gave_up) {
  Result<std::unique_ptr<Backend>> backend = Backend::create(kernel);
  if (!backend) {
    for (PipeRead& read : reads) read.result = -backend.error().code.value();
    return;
  }
  std::vector<PipeRead> own(reads.begin(), reads.end());
  ReferenceReads job(**backend, own);
  job.run(gave_up);
  for (std::size_t i = 0; i < own.size(); ++i) reads[i].result = own[i].result;
  // Its end still tells the callbacks, which write to what is here.
  backend->reset();
}

int read_in_time_by_reference(Kernel& kernel, const PipeRead& read, std::chrono::nanoseconds limit) {
  // Told of by the backend's end, too.
  int result = -EINPROGRESS;
  int limited = 0;
  OperationHandle limiter;
  OperationHandle reader;
  const Result<std::unique_ptr<Backend>> created = Backend::create(kernel);
  if (!created) return -created.error().code.value();
  Backend& backend = **created;
  reader = backend.read(read.fd, read.into, kCurrentPosition, [&](int res) {
    result = res;
    (void)backend.cancel(limiter);
  });
  limiter = backend.timeout(limit, [&](int res) {
    if (result != -EINPROGRESS) return;
    limited = res;
    (void)backend.cancel(reader);
    // Some kernels cannot, and say so late.
    limiter = backend.timeout(limit, [&](int) { read.hang_up(); });
  });
  const Result<LoopStatus> status = backend.loop();
  if (!status) return -status.error().code.value();
  return limited != 0 && result <= 0 ? limited : result;
}

}  // namespace

void gives_up_some_reads(ScenarioRun& run, const AbortingReader& read) {
  // Which are given up, which have something to read from the beginning, and which follow the one before.
  struct Role {
    bool aborted, has_data, follows;
  };
  constexpr std::array<Role, 4> kRoles = {
      {{true, false, false}, {true, true, false}, {false, false, true}, {false, true, false}}};
  constexpr std::size_t kFedLater = 2;

  std::vector<Ends> pipes;
  std::array<std::string, kRoles.size()> texts;
  std::array<std::string, kRoles.size()> into;
  std::array<PipeRead, kRoles.size()> reads;
  for (std::size_t i = 0; i < kRoles.size(); ++i) {
    pipes.push_back(Ends::pipe());
    texts[i] = std::to_string(i) + ": " + numbered_text(kTextBytes);
    into[i].resize(texts[i].size());
  }
  const auto feed = [&](std::size_t i) { (void)!::write(pipes[i].far(), texts[i].data(), texts[i].size()); };
  for (std::size_t i = 0; i < kRoles.size(); ++i) {
    if (kRoles[i].has_data) feed(i);
    reads[i] = {.fd = pipes[i].near(),
                .into = room_in(into[i]),
                .aborted = kRoles[i].aborted,
                .follows = kRoles[i].follows,
                .hang_up = [&pipes, i] { pipes[i].close_far(); }};
  }
  read(run.kernel(), reads, [&] { feed(kFedLater); });
  for (std::size_t i = 0; i < kRoles.size(); ++i) {
    const int result = reads[i].result;
    const bool was_given_up = kRoles[i].aborted && (result == -ECANCELED || result == -EINTR || result == 0);
    if (was_given_up) continue;
    if (!run.ended("read " + std::to_string(i), result < 0 ? result : 0)) continue;
    const bool may_be_less = run.fired_any_of({FaultPointId::kCqeShort, FaultPointId::kCqeEof});
    const auto bytes = static_cast<std::size_t>(result);
    run.expect(may_be_less || bytes == texts[i].size(), "read " + std::to_string(i) + " brought less than there is");
    run.expect(into[i].compare(0, bytes, texts[i], 0, bytes) == 0,
               "read " + std::to_string(i) + " brought something else");
  }
}

void reads_in_time(ScenarioRun& run, const TimedReader& read) {
  constexpr std::chrono::nanoseconds kLimit = 10ms;
  for (const bool has_data : {false, true}) {
    Ends pipe = Ends::pipe();
    const std::string text = has_data ? numbered_text(kTextBytes) : std::string();
    (void)!::write(pipe.far(), text.data(), text.size());
    std::string into(kTextBytes, '\0');
    const std::chrono::nanoseconds before = internal::time_of(run.kernel());
    const int result =
        read(run.kernel(), {.fd = pipe.near(), .into = room_in(into), .hang_up = [&] { pipe.close_far(); }}, kLimit);
    if (result == -ETIME) {
      run.expect(internal::time_of(run.kernel()) - before >= kLimit, "the read is given up before its time is over");
      // One that could not be read at once may have lost its time.
      run.expect(!has_data || run.fired_any_of({FaultPointId::kCqeEintr, FaultPointId::kCqeEagain}),
                 "the read is given up though there is something to read");
      continue;
    }
    if (!run.ended("the read", result < 0 ? result : 0)) continue;
    const bool may_be_less = run.fired_any_of({FaultPointId::kCqeShort, FaultPointId::kCqeEof});
    run.expect(may_be_less || static_cast<std::size_t>(result) == text.size(), "the read brings less than there is");
    run.expect(into.compare(0, static_cast<std::size_t>(result), text, 0, static_cast<std::size_t>(result)) == 0,
               "the read brings something else");
  }
}

void internal::add_cancel_trials(std::vector<Trial>& trials) {
  trials.push_back({"gives-up-some-reads", "Reads that are given up end, and the others bring what they were to.",
                    [](ScenarioRun& run) { gives_up_some_reads(run, give_up_by_reference); }});
  trials.push_back({"reads-in-time", "A read ends when its time is over, or brings what there is.",
                    [](ScenarioRun& run) { reads_in_time(run, read_in_time_by_reference); }});
}

}  // namespace assay::conformance
